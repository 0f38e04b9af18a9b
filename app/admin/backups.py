"""The page Backups: what there is, what is proven of it, and the way back."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, current_app, flash, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.accounts.permissions import Permission
from app.admin import live, login, look
from app.admin.base import PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse
from app.audit.trail import note
from app.backups import catalogue, prune, receive, schedule, tickets
from app.backups import request as requests
from app.backups.archive import Archive, opened
from app.backups.journal import Journal
from app.backups.keys import identities
from app.backups.models import Backup, State
from app.backups.present import MADE, TYPES, WORDS, step_told
from app.backups.preview import preview as preview_of
from app.backups.progress import in_hand
from app.backups.status import Level, status
from app.backups.work import Bench, bench_of, handlers, surroundings
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import OPEN_JOB, Job
from app.jobs.submit import JobRequest

LIVE_S = 2
MEBIBYTE = 1024 * 1024
FORM_BYTES = 64 * 1024  # around an uploaded file
WEEKDAYS = (
    N_("Monday"),
    N_("Tuesday"),
    N_("Wednesday"),
    N_("Thursday"),
    N_("Friday"),
    N_("Saturday"),
    N_("Sunday"),
)
SCHEDULES: Mapping[str, str] = {
    "daily": N_("Every day"),
    "weekly": N_("Every week"),
    "monthly": N_("Every month"),
}
_SIGNS = {
    State.DRILLED: ("good", "circle-check"),
    State.VERIFIED: ("good", "check"),
    State.WRITTEN: ("quiet", "help-circle"),
    State.CORRUPT: ("bad", "circle-x"),
    State.MISSING: ("odd", "ban"),
}
_LEVELS = {Level.CRITICAL: "bad", Level.WARNING: "warn"}
TOO_LARGE = N_(
    "The file is larger than %(most)s MB. Copy it into the folder of the backups and run: "
    "flask --app wsgi backup rescan"
)


def init_app(app: Flask) -> None:
    """Before the guard is: it reads the form, which is larger here than elsewhere."""
    app.before_request(make_room)


def make_room() -> None:
    """Let who may restore send an archive."""
    if request.endpoint != "backups.upload" or not current_user.is_authenticated:
        return
    if not login.may(Permission.RESTORE):
        return
    most = current_app.config["FIKSTUR"].backup.upload_mb
    request.max_content_length = most * MEBIBYTE + FORM_BYTES
    if (request.content_length or 0) > request.max_content_length:
        refuse(413, Sentence(TOO_LARGE, {"most": most}))


class BackupsView(PanelView):
    """Everybody may look; who may do what: accounts/permissions.py."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Backups"), endpoint="backups", url="backups")

    @expose("/")
    def index(self) -> str:
        """The state of things, what can be done, and the list."""
        bench, at = _bench(), now()
        with reading() as session:
            found = status(session, bench.depot, bench.zone.key, at)
            plans = schedule.schedules(session)
        journal = Journal(bench.depot.folder)
        return self.render(
            "backups/index.html",
            **_shared(),
            **_running(bench),
            rows=catalogue.all_backups(),
            found=found,
            plans=[(one, schedule.next_run(one, bench.zone.key, at)) for one in plans],
            levels=_LEVELS,
            entries=journal.entries()[::-1][:5],
            undoable=journal.undoable(),
            upload_mb=current_app.config["FIKSTUR"].backup.upload_mb,
            limits=schedule.LIMITS,
            zone=bench.zone.key,
            live_s=LIVE_S,
        )

    @expose("/live")
    def live(self) -> ResponseReturnValue:
        """What is being worked on."""
        return live.answer(self.render("backups/_running.html", **_running(_bench())))

    @expose("/retention")
    def retention(self) -> str:
        """What the rules would remove now, and why they keep the rest."""
        bench = _bench()
        planned = prune.plan(bench.policy, bench.zone)
        return self.render("backups/retention.html", planned=planned, policy=bench.policy)

    @expose("/create", methods=("POST",))
    def create(self) -> ResponseReturnValue:
        """Make one; a worker does it."""
        login.require(Permission.BACKUP)
        form = request.form

        def wanted() -> JobRequest:
            type_ = schedule.checked_type(form.get("type", ""))
            return requests.create_request(form.get("name", "").strip(), type_)

        return self._submitted(wanted)

    @expose("/schedule/<schedule_name>", methods=("POST",))
    def schedule(self, schedule_name: str) -> ResponseReturnValue:
        """Change one of the three."""
        login.require(Permission.RESTORE)

        def change() -> None:
            wanted = _wanted(request.form)
            persist(lambda session: schedule.change(session, schedule_name, wanted))

        said = gettext("The schedule was changed: %(name)s.", name=schedule_name)
        return self._done(change, said)

    @expose("/upload", methods=("POST",))
    def upload(self) -> ResponseReturnValue:
        """Take an archive in, after all of it was checked."""
        login.require(Permission.RESTORE)
        sent = request.files.get("archive")
        if sent is None or not sent.filename:
            flash(gettext("Choose a file first."), "error")
            return redirect(self.get_url(".index"))
        try:
            backup = receive.receive(_bench().depot, sent.save)
        except OSError as error:
            flash(say(surroundings(error)), "error")
        except RequestError as error:
            flash(say(error.sentence), "error")
        else:
            flash(gettext("%(file)s is whole and in the list.", file=backup.file), "success")
            return redirect(self.get_url(".show", backup_id=backup.id))
        return redirect(self.get_url(".index"))

    @expose("/undo", methods=("POST",))
    def undo(self) -> ResponseReturnValue:
        """Put back what the last restore replaced."""
        login.require(Permission.RESTORE)
        last = Journal(_bench().depot.folder).undoable()
        if last is None:
            flash(gettext("There is nothing to undo."), "error")
            return redirect(self.get_url(".index"))

        def wanted() -> JobRequest:
            _confirm(last.file)
            return requests.undo_request()

        return self._submitted(wanted)

    @expose("/prune", methods=("POST",))
    def prune(self) -> ResponseReturnValue:
        """Apply the rules of retention now."""
        login.require(Permission.RESTORE)
        return self._submitted(lambda: requests.prune_request(patient=True))

    @expose("/download/<ticket>")
    def fetch(self, ticket: str) -> ResponseReturnValue:
        """The archive, once, to whom the ticket was given."""
        login.require(Permission.RESTORE)
        depot = _bench().depot
        try:
            backup = _found(tickets.redeem(depot, ticket, login.me().id))
        except RequestError as error:
            refuse(404, error.sentence)
        path = (depot.folder / backup.file).resolve()
        if not path.is_file() or path.parent != depot.folder.resolve():
            refuse(404, Sentence(N_("The file %(file)s is missing."), {"file": backup.file}))
        answer = send_file(path, "application/zip", as_attachment=True, conditional=False)
        answer.headers["Cache-Control"] = "no-store"  # Flask's own allows keeping it
        return answer

    # --- one of them ---

    @expose("/<backup_id>")
    def show(self, backup_id: str) -> str:
        """What it says of itself; it is opened, not checked."""
        backup, bench = _found(backup_id), _bench()
        path, problem, shown = bench.depot.folder / backup.file, None, {}
        try:
            with opened(path, identities(bench.depot.identity_file)) as archive:
                shown = _contents(archive)
        except RequestError as error:
            problem = error.sentence
        return self.render(
            "backups/show.html", backup=backup, problem=problem, **shown, **_shared()
        )

    @expose("/<backup_id>/verify", methods=("POST",))
    def verify(self, backup_id: str) -> ResponseReturnValue:
        """Check every hash."""
        login.require(Permission.BACKUP)
        backup = _found(backup_id)
        return self._submitted(lambda: requests.verify_request(backup))

    @expose("/<backup_id>/drill", methods=("POST",))
    def drill(self, backup_id: str) -> ResponseReturnValue:
        """Restore it into a scratch database."""
        login.require(Permission.BACKUP)
        backup = _found(backup_id)
        return self._submitted(lambda: requests.drill_request(backup))

    @expose("/<backup_id>/preview")
    def preview(self, backup_id: str) -> ResponseReturnValue:
        """What a restore would change, table by table; and the way to it."""
        login.require(Permission.BACKUP)
        backup, bench = _found(backup_id), _bench()
        try:
            found = preview_of(bench.depot, bench.depot.folder / backup.file)
        except DBAPIError as error:
            flash(say(surroundings(error)), "error")
        except RequestError as error:
            flash(say(error.sentence), "error")
        else:
            undo_days = bench.depot.undo_days
            return self.render(
                "backups/preview.html",
                backup=backup,
                found=found,
                undo_days=undo_days,
                **_shared(),
            )
        return redirect(self.get_url(".show", backup_id=backup.id))

    @expose("/<backup_id>/restore", methods=("POST",))
    def restore(self, backup_id: str) -> ResponseReturnValue:
        """In place of the live database, after its name and the password were typed."""
        login.require(Permission.RESTORE)
        backup = _found(backup_id)

        def wanted() -> JobRequest:
            _confirm(backup.file)
            return requests.restore_request(backup, trust=bool(request.form.get("trust")))

        return self._submitted(wanted, self.get_url(".preview", backup_id=backup.id))

    @expose("/<backup_id>/download", methods=("POST",))
    def download(self, backup_id: str) -> ResponseReturnValue:
        """A ticket for a minute, after the password was typed."""
        login.require(Permission.RESTORE)
        backup, me = _found(backup_id), login.me()
        about, after = ("backup", backup.id), {"file": backup.file}
        try:
            login.require_password(request.form.get("password", ""))
            ticket = tickets.issue(_bench().depot, backup, me.id)
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".show", backup_id=backup.id))
        persist(lambda session: note(session, "backup.download", about, after=after))
        return redirect(self.get_url(".fetch", ticket=ticket))

    @expose("/<backup_id>/delete", methods=("POST",))
    def delete(self, backup_id: str) -> ResponseReturnValue:
        """Into the trash, where it stays for a day."""
        login.require(Permission.RESTORE)
        backup, depot = _found(backup_id), _bench().depot

        def throw() -> None:
            with depot.locked():
                prune.throw_away(depot, backup)

        said = gettext("%(file)s is in the trash for a day.", file=backup.file)
        return self._done(throw, said)

    # --- what they share ---

    def _done(self, do: Callable[[], object], said: str) -> ResponseReturnValue:
        try:
            do()
            flash(said, "success")
        except RequestError as error:
            flash(say(error.sentence), "error")
        return redirect(self.get_url(".index"))

    def _submitted(
        self, wanted: Callable[[], JobRequest], back: str | None = None
    ) -> ResponseReturnValue:
        """To the job's page, where one sees how far it is."""
        try:
            job_id = submit(wanted())
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(back or self.get_url(".index"))
        return redirect(url_for("job.page", job_id=job_id))


def _bench() -> Bench:
    return bench_of(current_app.config["FIKSTUR"])


def _found(backup_id: str) -> Backup:
    with reading() as session:
        backup = session.get(Backup, backup_id[:40].replace("\0", ""))
    if backup is None:
        refuse(404, Sentence(N_("There is no such backup.")))
    return backup


def _confirm(file: str) -> None:
    """RequestError unless the file's name and the password were typed."""
    if request.form.get("typed", "").strip() != file:
        raise RequestError(N_("That is not the name of the file; nothing was changed."))
    login.require_password(request.form.get("password", ""))


def _wanted(form: Mapping[str, str]) -> dict[str, Any]:
    numbers = {name: _number(form[name], name) for name in schedule.LIMITS if name in form}
    return {"type": form.get("type", ""), "enabled": "enabled" in form, **numbers}


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise RequestError(N_("“%(value)s” is not a whole number."), value=text[:40])
    return int(text)


def _shared() -> dict[str, Any]:
    return {
        "sign": _sign,
        "in_bytes": _in_bytes,
        "types": TYPES,
        "made": MADE,
        "schedules": SCHEDULES,
        "weekdays": WEEKDAYS,
        "may_backup": login.may(Permission.BACKUP),
        "may_restore": login.may(Permission.RESTORE),
    }


def _sign(backup: Backup) -> Markup:
    """Its state by sign and word."""
    colour, sign = _SIGNS[State(backup.state)]
    return look.mark(colour, gettext(WORDS[State(backup.state)]), sign)


def _in_bytes(size: int) -> str:
    """In the unit that needs the fewest digits."""
    for unit, name in ((1024 * MEBIBYTE, "GB"), (MEBIBYTE, "MB")):
        if size >= unit:
            return f"{look.number(round(size / unit, 1))} {name}"
    return f"{look.number(-(-size // 1024))} kB"


def _running(bench: Bench) -> dict[str, Any]:
    """The open jobs about backups, with how far each is where that is known."""
    kinds = list(handlers(bench))
    wanted = select(Job).where(Job.kind.in_(kinds), Job.state.in_(OPEN_JOB)).order_by(Job.id)
    with reading() as session:
        jobs = session.scalars(wanted).all()
    known = {one.job_id: one for one in in_hand(bench.depot.folder)}
    return {"jobs": [(job, known.get(job.id)) for job in jobs], "step_told": step_told}


def _contents(archive: Archive) -> dict[str, Any]:
    """The manifest, and the tables with their hashes where they can be read."""
    database = archive.manifest.database
    hashes: dict[str, str] = {}
    if database and archive.readable:
        hashes = {table.name: table.sha256 for table in archive.content().tables}
    return {
        "manifest": archive.manifest,
        "tables": [(one.name, one.rows, hashes.get(one.name)) for one in database.tables]
        if database
        else [],
    }
