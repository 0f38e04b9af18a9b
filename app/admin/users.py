"""The page Users: inviting, changing and removing people, and what each role may do."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup
from sqlalchemy.orm import Session

import tasks
from app.accounts import people, users
from app.accounts.models import Role, User
from app.accounts.permissions import TOLD, Permission, allows
from app.admin import login, look
from app.admin.base import PanelView
from app.admin.language import current, say
from app.admin.problems import refuse
from app.core.db import persist, reading
from app.core.text import RequestError
from app.jobs.models import Trigger
from app.mail.ask import letter_to, person_request

_ID = "<uuid:user_id>"
EMPTY = dict.fromkeys(users.CHANGEABLE, "") | {"role": Role.VIEWER.value}


def state(user: User) -> Markup:
    """Whether somebody may sign in, in a word."""
    if not user.is_active:
        return look.badge("cancelled", {"cancelled": gettext("may not sign in")})
    if user.is_invited:
        return look.badge("waiting", {"waiting": gettext("invited")})
    return look.badge("done", {"done": gettext("may sign in")})


class UsersView(PanelView):
    """For administrators."""

    permission = Permission.MANAGE_USERS

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Users"), endpoint="users", url="users")

    @expose("/")
    def index(self) -> str:
        """Everybody, by name."""
        with reading() as session:
            rows = users.everybody(session)
        return self.render("people/users.html", rows=rows, state=state)

    @expose("/roles")
    def roles(self) -> str:
        """The table of permissions."""
        return self.render("people/roles.html", told=TOLD, allows=allows)

    @expose("/add", methods=("GET", "POST"))
    def add(self) -> ResponseReturnValue:
        """Create a user with a password, or invite one by mail."""
        if request.method == "GET":
            return self.render("people/add.html", form=EMPTY)
        form = _sent(request.form)
        try:
            _add(form, request.form.get("password", ""))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return self.render("people/add.html", form=form), 422
        flash(gettext("%(name)s was added.", name=form["username"]), "success")
        return redirect(self.get_url(".index"))

    @expose(f"/{_ID}", methods=("GET", "POST"))
    def edit(self, user_id: object) -> ResponseReturnValue:
        """Change one, and what else can be done with him."""
        user = _found(user_id)
        if request.method == "GET":
            form = {name: getattr(user, name) or "" for name in users.CHANGEABLE}
            return self.render("people/edit.html", user=user, form=form, state=state)
        form = _sent(request.form) | {"is_active": bool(request.form.get("is_active"))}
        try:
            persist(lambda session: people.change(session, user.id, form))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return self.render("people/edit.html", user=user, form=form, state=state), 422
        flash(gettext("%(name)s was changed.", name=form["username"]), "success")
        return redirect(self.get_url(".index"))

    @expose(f"/{_ID}/link", methods=("POST",))
    def send_link(self, user_id: object) -> ResponseReturnValue:
        """By mail, to choose a password with."""
        user = _found(user_id)
        return self._done(
            user,
            lambda: tasks.submit_made(
                lambda session: person_request(session, user.id, current()),
                by=login.me().username,
                trigger=Trigger.PANEL,
            ),
            gettext("A link is on its way to %(address)s.", address=user.email),
        )

    @expose(f"/{_ID}/sign-out", methods=("POST",))
    def sign_out(self, user_id: object) -> ResponseReturnValue:
        """End all his sessions."""
        user = _found(user_id)
        return self._done(
            user,
            lambda: persist(lambda session: people.sign_out_everywhere(session, user.id)),
            gettext("Every session of %(name)s has ended.", name=user.username),
        )

    @expose(f"/{_ID}/delete", methods=("POST",))
    def delete(self, user_id: object) -> ResponseReturnValue:
        """For good, after his name was typed."""
        user, typed = _found(user_id), request.form.get("typed", "").strip()
        try:
            persist(lambda session: people.delete(session, user.id, typed))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".edit", user_id=user.id))
        flash(gettext("%(name)s was deleted.", name=user.username), "success")
        return redirect(self.get_url(".index"))

    def _done(self, user: User, do: Callable[[], object], said: str) -> ResponseReturnValue:
        try:
            do()
            flash(said, "success")
        except RequestError as error:
            flash(say(error.sentence), "error")
        return redirect(self.get_url(".edit", user_id=user.id))


def _found(user_id: object) -> User:
    try:
        with reading() as session:
            return people.by_id(session, str(user_id))
    except RequestError as error:
        refuse(404, error.sentence)


def _sent(form: Mapping[str, str]) -> dict[str, Any]:
    names = ("username", "email", "first_name", "last_name", "role")
    return {name: form.get(name, "").strip() for name in names}


def _add(form: Mapping[str, Any], password: str) -> None:
    role, names = people.role_of(form["role"]), (form["first_name"], form["last_name"])
    language = current()

    def make(session: Session) -> User:
        return users.create(
            session,
            form["username"],
            password or None,
            role=role,
            email=form["email"] or None,
            names=names,
        )

    if password:
        persist(make)
        return
    by = login.me().username
    tasks.submit_made(
        lambda session: letter_to(session, make(session), language), by=by, trigger=Trigger.PANEL
    )
