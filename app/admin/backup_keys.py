"""The page about recovery keys: make one, prove it, exchange it, see what each opens."""

from collections.abc import Callable

from flask import flash, make_response, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext

from app.accounts.permissions import Permission
from app.admin import login
from app.admin.backup_shared import bench, done
from app.admin.base import PanelView
from app.admin.language import say
from app.backups import catalogue
from app.backups.keyring import Key, Ring, note_key
from app.backups.kit import INTRODUCTION, STEPS, Kit, kit_of
from app.core.clock import now
from app.core.db import persist
from app.core.text import RequestError


class BackupKeysView(PanelView):
    """For administrators."""

    permission = Permission.RESTORE

    def __init__(self) -> None:
        super().__init__(
            name=lazy_gettext("Recovery keys"), endpoint="backup_keys", url="backups/keys"
        )

    def is_visible(self) -> bool:
        """Reached from the page Backups."""
        return False

    @expose("/")
    def index(self) -> str:
        """Of each key its public half, and how many backups it opens."""
        opens = catalogue.opened_by()
        keys = _ring().known()
        return self.render(
            "backups/keys.html", keys=keys, opens=opens, waiting=[k for k in keys if _waits(k)]
        )

    @expose("/new", methods=("POST",))
    def new(self) -> ResponseReturnValue:
        """A key, shown this once."""
        try:
            login.require_password(request.form.get("password", ""))
            kit = _new_kit()
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".index"))
        page = self.render("backups/kit.html", kit=kit, introduction=INTRODUCTION, steps=STEPS)
        answer = make_response(page)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @expose("/add", methods=("POST",))
    def add(self) -> ResponseReturnValue:
        """A key that was made elsewhere, by its public half."""

        def propose() -> None:
            login.require_password(request.form.get("password", ""))
            _noted("propose", lambda: _ring().propose(request.form.get("recipient", "")))

        said = gettext("The key was noted. Prove it, and it is in force.")
        return done(propose, said, self.get_url(".index"))

    @expose("/prove", methods=("POST",))
    def prove(self) -> ResponseReturnValue:
        """Show that one has it."""
        shown = request.form.get("shown", "")
        said = gettext("The key is proved: new backups are encrypted to it.")
        back = self.get_url(".index")
        return done(lambda: _noted("prove", lambda: _ring().prove(shown)), said, back)

    @expose("/retire", methods=("POST",))
    def retire(self) -> ResponseReturnValue:
        """Encrypt no new backup to it."""

        def drop() -> None:
            login.require_password(request.form.get("password", ""))
            name, last_too = request.form.get("key", ""), "last_too" in request.form
            _noted("retire", lambda: _ring().retire(name, last_too=last_too))

        said = gettext("The key is retired. Keep it as long as there is a backup that it opens.")
        return done(drop, said, self.get_url(".index"))


def _ring() -> Ring:
    return Ring(bench().depot.keys.folder)


def _new_kit() -> Kit:
    identity, key = _ring().generate()
    persist(lambda session: note_key(session, "propose", key))
    return kit_of(identity, key, bench().depot.keys.public(), now())


def _noted(what: str, do: Callable[[], Key]) -> None:
    key = do()
    persist(lambda session: note_key(session, what, key))


def _waits(key: Key) -> bool:
    return not key.in_force and key.retired_at is None
