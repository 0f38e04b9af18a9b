"""Who is signed in; signing in and out, one's password, one's language."""

import re
from collections.abc import Mapping
from secrets import compare_digest

from flask import (
    Blueprint,
    Flask,
    abort,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from app.accounts import entry, people, permissions, users
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.throttle import TooManyError
from app.admin.language import say
from app.admin.security import API
from app.audit import trail
from app.audit.trail import Actor, Via
from app.core.db import persist, reading
from app.core.text import LANGUAGES, N_, RequestError

account = Blueprint("account", __name__)
# A path of ours and nothing a browser could read as another host.
_OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


class SignedIn(UserMixin):
    """A user as Flask-Login wants him. A new session key ends all his sessions."""

    def __init__(self, user: User) -> None:
        self.user = user

    def get_id(self) -> str:
        """What the session cookie holds."""
        return f"{self.user.id}:{self.user.session_key}"


def init_app(app: Flask) -> None:
    """Add the pages, and what templates ask about the user.

    `reset` and `profile` have added theirs by then: they are imported before.
    """
    manager = LoginManager(app)
    manager.user_loader(load)
    app.register_blueprint(account)
    app.before_request(act)
    app.teardown_request(lambda _error: trail.act_as(trail.NOBODY))  # threads serve many
    app.context_processor(lambda: {"me": me, "may": may, "Permission": Permission})


def act() -> None:
    """What this request changes is written down under whoever asks, of the panel or the API."""
    via = Via.API if request.path.startswith(API) else Via.PANEL
    trail.act_as(Actor(_name, via, address()[:45] or None))


def _name() -> str:
    return me().username if current_user.is_authenticated else ""


def load(session_id: str) -> SignedIn | None:
    """The user of a session, unless it was ended meanwhile."""
    user_id, _, key = session_id.partition(":")
    with reading() as db_session:
        user = db_session.get(User, user_id)
    if user is None or not user.is_active or not compare_digest(key, user.session_key):
        return None
    return SignedIn(user)


def me() -> User:
    """Who asks. Only behind the guard."""
    return current_user.user


def may(permission: Permission) -> bool:
    """Whether whoever asks may do that; nobody may nothing."""
    return bool(current_user.is_authenticated) and permissions.may(me(), permission)


def require(permission: Permission) -> None:
    """Answer 403 unless he may."""
    if not may(permission):
        abort(403)


def own_path(target: str | None) -> str:
    """Where to go next: `target` when it is a page of ours, else the first one."""
    return target if target and _OWN_PATH.fullmatch(target) else url_for("admin.index")


# --- pages ----------------------------------------------------------------------------------------


@account.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for name and password."""
    target = own_path(request.values.get("next"))
    if request.method == "GET":
        if current_user.is_authenticated:
            return redirect(target)
        return render_template("panel/sign_in.html", target=target, username="")
    username = request.form.get("username", "").strip().replace("\0", "")
    try:
        user = entry.sign_in(username, request.form.get("password", ""), address())
    except RequestError as error:
        status, headers = refused(error)
        page = render_template("panel/sign_in.html", target=target, username=username)
        return page, status, headers
    _start_session(user)
    return redirect(target)


def refused(error: RequestError, status: int = 401) -> tuple[int, dict[str, str]]:
    """Say why not; the status and headers of the answer. Who was too quick is told to wait."""
    flash(say(error.sentence), "error")
    if isinstance(error, TooManyError):
        return 429, {"Retry-After": str(error.seconds)}
    return status, {}


def address() -> str:
    """Where the request came from, as far as the proxies in front are believed."""
    return request.remote_addr or ""


def _start_session(user: User) -> None:
    """Forget what came before: nobody can hand a user a session prepared for him."""
    language = user.language or session.get("language")
    session.clear()
    if language:
        session["language"] = language
    login_user(SignedIn(user))


@account.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session; those on other machines go on."""
    logout_user()
    session.clear()
    return redirect(url_for("account.sign_in"))


@account.route("/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    """Change one's own password."""
    if request.method == "GET":
        return render_template("panel/password.html")
    try:
        new_hash = _new_hash(request.form)
    except RequestError as error:
        flash(say(error.sentence), "error")
        return render_template("panel/password.html"), 422
    user_id = me().id
    _start_session(persist(lambda s: people.set_hash(s, user_id, new_hash)))
    flash(gettext("The password was changed; every other session of yours has ended."), "success")
    return redirect(url_for("admin.index"))


def _new_hash(form: Mapping[str, str]) -> str:
    """The hash of the new password, made before the transaction: hashing takes its time."""
    require_password(form.get("current", ""))
    return hash_of_both(form)


def require_password(typed: str) -> None:
    """RequestError unless it is the password of whoever asks."""
    entry.confirm(me(), typed, address())


def hash_of_both(form: Mapping[str, str]) -> str:
    """The hash of a new password that was typed twice. RequestError when it will not do."""
    if form.get("new", "") != form.get("again", ""):
        raise RequestError(N_("The new password and its repetition differ."))
    return users.hashed(form.get("new", ""))


@account.post("/language")
def language() -> ResponseReturnValue:
    """Speak another language from now on, to this user on every machine."""
    wanted = request.form.get("language")
    if wanted not in LANGUAGES:
        abort(400)
    session["language"] = wanted
    if current_user.is_authenticated:
        persist(lambda s: entry.set_language(s, me().id, wanted))
    return redirect(own_path(request.form.get("next")))
