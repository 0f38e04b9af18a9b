"""Signing in and out, changing one's password, and choosing one's language."""

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
from sqlalchemy import update

from app.accounts import permissions, users
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.admin.language import say
from app.core.clock import now
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
    """Add the pages, and what templates ask about the user."""
    manager = LoginManager(app)
    manager.user_loader(load)
    app.register_blueprint(account)
    app.context_processor(lambda: {"me": me, "may": may, "Permission": Permission})


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
    user = _verified(username, request.form.get("password", ""))
    if user is None:
        flash(gettext("The user name or the password is wrong."), "error")
        return render_template("panel/sign_in.html", target=target, username=username), 401
    _start_session(user)
    return redirect(target)


def _verified(username: str, password: str) -> User | None:
    # Not in a write transaction: hashing takes its time, and on SQLite all writers would wait.
    with reading() as db_session:
        user = users.find(db_session, username)
    if not users.verify(user, password) or user is None:
        return None
    persist(lambda s: setattr(s.get_one(User, user.id), "last_sign_in_at", now()))
    return user


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
        changed = _with_new_password(request.form)
    except RequestError as error:
        flash(say(error.sentence), "error")
        return render_template("panel/password.html"), 422
    fresh = {"password_hash": changed.password_hash, "session_key": changed.session_key}
    persist(lambda s: s.execute(update(User).where(User.id == changed.id).values(**fresh)))
    _start_session(changed)
    flash(gettext("The password was changed; every other session of yours has ended."), "success")
    return redirect(url_for("admin.index"))


def _with_new_password(form: Mapping[str, str]) -> User:
    """The user with his new password, not written yet: hashing takes its time."""
    user = me()
    if not users.verify(user, form.get("current", "")):
        raise RequestError(N_("The current password is wrong."))
    if form.get("new", "") != form.get("again", ""):
        raise RequestError(N_("The new password and its repetition differ."))
    users.set_password(user, form.get("new", ""))
    return user


@account.post("/language")
def language() -> ResponseReturnValue:
    """Speak another language from now on, to this user on every machine."""
    wanted = request.form.get("language")
    if wanted not in LANGUAGES:
        abort(400)
    session["language"] = wanted
    if current_user.is_authenticated:
        persist(lambda s: setattr(s.get_one(User, me().id), "language", wanted))
    return redirect(own_path(request.form.get("next")))
