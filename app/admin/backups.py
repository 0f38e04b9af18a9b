"""The page Backups: what there is, what is proven of it, and what is made by itself."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, flash, redirect, request
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from flask_login import current_user
from sqlalchemy import select

from app.accounts.permissions import Permission
from app.admin import live, login
from app.admin.backup_one import OneBackup
from app.admin.backup_shared import MEBIBYTE, bench, confirm, done, shared, submitted
from app.admin.problems import refuse, whole_number
from app.backups import catalogue, offsite_copies, offsite_work, prune, schedule, uploads
from app.backups import request as requests
from app.backups.journal import Journal
from app.backups.keyring import Ring
from app.backups.present import step_told
from app.backups.progress import in_hand
from app.backups.status import Level, status
from app.backups.work import Bench, handlers, surroundings
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import OPEN_JOB, Job
from app.jobs.submit import JobRequest

LIVE_S = 2
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
_LEVELS = {Level.CRITICAL: "bad", Level.WARNING: "warn"}
TOO_LARGE = N_(
    "The file is larger than %(most)s MB. Copy it into the folder of the backups and run: "
    "flask --app wsgi backup rescan"
)

SPOILT = N_("The file could not be kept: %(why)s")


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


class BackupsView(OneBackup):
    """Everybody may look; who may do what: accounts/permissions.py."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Backups"), endpoint="backups", url="backups")

    @expose("/")
    def index(self) -> str:
        """The state of things, what can be done, and the list."""
        known, at, config = bench(), now(), current_app.config["FIKSTUR"]
        with reading() as session:
            found = status(session, known.depot, config, at)
            plans = schedule.schedules(session)
            store = found.offsite.store if found.offsite else ""
            elsewhere = offsite_copies.copies(session, store)
        journal = Journal(known.depot.folder)
        return self.render(
            "backups/index.html",
            **shared(),
            **_running(known),
            rows=catalogue.all_backups(),
            found=found,
            plans=[(one, schedule.next_run(one, known.zone.key, at)) for one in plans],
            levels=_LEVELS,
            entries=journal.entries()[::-1][:5],
            undoable=journal.undoable(),
            elsewhere=elsewhere,
            keys=[key for key in Ring(known.depot.keys.folder).known() if key.in_force],
            tells=config.backup.mail != "off",
            upload_mb=config.backup.upload_mb,
            limits=schedule.LIMITS,
            schedules=SCHEDULES,
            weekdays=WEEKDAYS,
            zone=known.zone.key,
            live_s=LIVE_S,
        )

    @expose("/live")
    def live(self) -> ResponseReturnValue:
        """What is being worked on."""
        return live.answer(self.render("backups/_running.html", **_running(bench())))

    @expose("/retention")
    def retention(self) -> str:
        """What the rules would remove now, and why they keep the rest."""
        known = bench()
        planned = prune.plan(known.policy, known.zone)
        return self.render("backups/retention.html", planned=planned, policy=known.policy)

    @expose("/create", methods=("POST",))
    def create(self) -> ResponseReturnValue:
        """Make one; a worker does it."""
        login.require(Permission.BACKUP)
        form = request.form

        def wanted() -> JobRequest:
            type_, name = schedule.checked_type(form.get("type", "")), form.get("name", "")
            incremental = "incremental" in form
            return requests.create_request(name.strip(), type_, incremental=incremental)

        return submitted(wanted, self.get_url(".index"))

    @expose("/schedule/<schedule_name>", methods=("POST",))
    def schedule(self, schedule_name: str) -> ResponseReturnValue:
        """Change one of the three."""
        login.require(Permission.RESTORE)

        def change() -> None:
            wanted = _wanted(request.form)
            persist(lambda session: schedule.change(session, schedule_name, wanted))

        said = gettext("The schedule was changed: %(name)s.", name=schedule_name)
        return done(change, said, self.get_url(".index"))

    @expose("/upload", methods=("POST",))
    def upload(self) -> ResponseReturnValue:
        """Take an archive in one piece, for who has no script; a worker checks it."""
        login.require(Permission.RESTORE)
        sent = request.files.get("archive")
        if sent is None or not sent.filename:
            flash(gettext("Choose a file first."), "error")
            return redirect(self.get_url(".index"))
        depot, me, name = bench().depot, login.me().id, sent.filename

        def wanted() -> JobRequest:
            try:
                return uploads.whole_request(depot, uploads.single(depot, me, name, sent.save))
            except OSError as error:
                raise RequestError(SPOILT, why=surroundings(error)) from error

        return submitted(wanted, self.get_url(".index"))

    @expose("/undo", methods=("POST",))
    def undo(self) -> ResponseReturnValue:
        """Put back what the last restore replaced."""
        login.require(Permission.RESTORE)
        last = Journal(bench().depot.folder).undoable()
        if last is None:
            flash(gettext("There is nothing to undo."), "error")
            return redirect(self.get_url(".index"))

        def wanted() -> JobRequest:
            confirm(last.file)
            return requests.undo_request()

        return submitted(wanted, self.get_url(".index"))

    @expose("/prune", methods=("POST",))
    def prune(self) -> ResponseReturnValue:
        """Apply the rules of retention now."""
        login.require(Permission.RESTORE)
        return submitted(lambda: requests.prune_request(patient=True), self.get_url(".index"))


def _wanted(form: Mapping[str, str]) -> dict[str, Any]:
    numbers = {name: whole_number(form[name]) for name in schedule.LIMITS if name in form}
    ticked = {name: name in form for name in ("enabled", "incremental")}
    return {"type": form.get("type", ""), **ticked, **numbers}


def _running(bench: Bench) -> dict[str, Any]:
    """The open jobs about backups, with how far each is where that is known."""
    kinds = [*handlers(bench), *offsite_work.KINDS, uploads.KIND]
    wanted = select(Job).where(Job.kind.in_(kinds), Job.state.in_(OPEN_JOB)).order_by(Job.id)
    with reading() as session:
        jobs = session.scalars(wanted).all()
    known = {one.job_id: one for one in in_hand(bench.depot.folder)}
    return {"jobs": [(job, known.get(job.id)) for job in jobs], "step_told": step_told}
