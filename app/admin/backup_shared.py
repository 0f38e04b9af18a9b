"""What the pages about backups share: the bench, finding one, asking for a job, signs and sizes."""

from collections.abc import Callable
from typing import Any

from flask import current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from markupsafe import Markup

from app.accounts.permissions import Permission
from app.admin import login, look
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse
from app.backups.models import Backup, State
from app.backups.present import MADE, TYPES, WORDS
from app.backups.work import Bench, bench_of
from app.core.db import reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.submit import JobRequest

MEBIBYTE = 1024 * 1024
_SIGNS = {
    State.DRILLED: ("good", "circle-check"),
    State.VERIFIED: ("good", "check"),
    State.INCOMPLETE: ("warn", "alert-triangle"),
    State.WRITTEN: ("quiet", "help-circle"),
    State.CORRUPT: ("bad", "circle-x"),
    State.MISSING: ("odd", "ban"),
}


def bench() -> Bench:
    """Of this installation, as it is set now."""
    return bench_of(current_app.config["FIKSTUR"])


def found(backup_id: str) -> Backup:
    """By its whole id; the page says so when there is none."""
    with reading() as session:
        backup = session.get(Backup, backup_id[:40].replace("\0", ""))
    if backup is None:
        refuse(404, Sentence(N_("There is no such backup.")))
    return backup


def confirm(file: str) -> None:
    """RequestError unless the file's name and the password were typed."""
    if request.form.get("typed", "").strip() != file:
        raise RequestError(N_("That is not the name of the file; nothing was changed."))
    login.require_password(request.form.get("password", ""))


def submitted(wanted: Callable[[], JobRequest], back: str) -> ResponseReturnValue:
    """To the job's page, where one sees how far it is; what cannot be asked for goes `back`."""
    try:
        job_id = submit(wanted())
    except RequestError as error:
        flash(say(error.sentence), "error")
        return redirect(back)
    return redirect(url_for("job.page", job_id=job_id))


def done(do: Callable[[], object], said: str, back: str) -> ResponseReturnValue:
    """Do it here and now, and say so."""
    try:
        do()
        flash(said, "success")
    except RequestError as error:
        flash(say(error.sentence), "error")
    return redirect(back)


def shared() -> dict[str, Any]:
    """What the templates ask for."""
    return {
        "sign": sign,
        "in_bytes": in_bytes,
        "types": TYPES,
        "made": MADE,
        "may_backup": login.may(Permission.BACKUP),
        "may_restore": login.may(Permission.RESTORE),
    }


def sign(backup: Backup) -> Markup:
    """Its state by sign and word."""
    colour, name = _SIGNS[State(backup.state)]
    return look.mark(colour, gettext(WORDS[State(backup.state)]), name)


def in_bytes(size: int) -> str:
    """In the unit that needs the fewest digits."""
    for unit, name in ((1024 * MEBIBYTE, "GB"), (MEBIBYTE, "MB")):
        if size >= unit:
            return f"{look.number(round(size / unit, 1))} {name}"
    return f"{look.number(-(-size // 1024))} kB"
