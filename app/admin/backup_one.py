"""The page of one backup: what it says of itself, its proofs, and the way back through it."""

from typing import Any

from flask import current_app, flash, redirect, request, send_file
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext
from sqlalchemy import select

from app.accounts.permissions import Permission
from app.admin import live, login
from app.admin.backup_shared import bench, confirm, done, found, shared, submitted
from app.admin.base import PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.admin.problems import refuse
from app.audit.trail import note
from app.backups import previews, prune, tickets
from app.backups import request as requests
from app.backups.archive import Archive, opened
from app.backups.choice import SECTIONS, Part, choosable, part_of
from app.backups.keyring import short_of
from app.backups.keys import identities
from app.backups.models import Backup
from app.backups.offsite_copies import of_file
from app.backups.offsite_work import hurry
from app.backups.present import step_told
from app.backups.progress import in_hand
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import OPEN_ITEM, ItemState, JobItem
from app.jobs.submit import JobRequest

LIVE_S = 2


class OneBackup(PanelView):
    """The part of the page Backups that is about one of them."""

    @expose("/<backup_id>")
    def show(self, backup_id: str) -> str:
        """What it says of itself; it is opened, not checked."""
        backup, known = found(backup_id), bench()
        path, problem, shown = known.depot.folder / backup.file, None, {}
        try:
            with opened(path, identities(known.depot.identity_file)) as archive:
                shown = _contents(archive)
        except RequestError as error:
            problem = error.sentence
        with reading() as session:
            copies = of_file(session, backup.file)
        return self.render(
            "backups/show.html",
            backup=backup,
            problem=problem,
            copies=copies,
            has_far=current_app.config["FIKSTUR"].offsite.on,
            openers=[short_of(one) for one in (backup.recipients or "").split()],
            **shown,
            **shared(),
        )

    @expose("/<backup_id>/verify", methods=("POST",))
    def verify(self, backup_id: str) -> ResponseReturnValue:
        """Check every hash."""
        login.require(Permission.BACKUP)
        backup = found(backup_id)
        return submitted(lambda: requests.verify_request(backup), self.get_url(".index"))

    @expose("/<backup_id>/drill", methods=("POST",))
    def drill(self, backup_id: str) -> ResponseReturnValue:
        """Restore it into a scratch database."""
        login.require(Permission.BACKUP)
        backup = found(backup_id)
        return submitted(lambda: requests.drill_request(backup), self.get_url(".index"))

    @expose("/<backup_id>/copy", methods=("POST",))
    def copy(self, backup_id: str) -> ResponseReturnValue:
        """To the far side, now."""
        login.require(Permission.RESTORE)
        backup = found(backup_id)
        persist(lambda session: hurry(session, backup))
        return submitted(lambda: requests.copy_request(backup), self.get_url(".index"))

    @expose("/<backup_id>/preview")
    def preview(self, backup_id: str) -> str:
        """What a restore would change, table by table, as a worker found it; and the way to it."""
        login.require(Permission.BACKUP)
        backup = found(backup_id)
        return self.render("backups/preview.html", **_compared(backup), every_s=LIVE_S, **shared())

    @expose("/<backup_id>/preview/live")
    def preview_live(self, backup_id: str) -> ResponseReturnValue:
        """The answer, or how far the worker is."""
        login.require(Permission.BACKUP)
        parts = _compared(found(backup_id))
        html = self.render("backups/_preview.html", **parts, **shared())
        return live.answer(html, ended=not parts["under_way"])

    @expose("/<backup_id>/compare", methods=("POST",))
    def compare(self, backup_id: str) -> ResponseReturnValue:
        """Let a worker look what a restore would change."""
        login.require(Permission.BACKUP)
        backup = found(backup_id)
        try:
            submit(requests.preview_request(backup, _part()))
        except RequestError as error:
            flash(say(error.sentence), "error")
        return redirect(self.get_url(".preview", backup_id=backup.id))

    @expose("/<backup_id>/restore", methods=("POST",))
    def restore(self, backup_id: str) -> ResponseReturnValue:
        """In place of the live database, after its name and the password were typed."""
        login.require(Permission.RESTORE)
        backup, trust = found(backup_id), bool(request.form.get("trust"))

        def wanted() -> JobRequest:
            if not (trust or backup.trusted):
                raise RequestError(_NOT_TRUSTED)
            confirm(backup.file)
            return requests.restore_request(backup, trust=trust, part=_part())

        return submitted(wanted, self.get_url(".preview", backup_id=backup.id))

    @expose("/<backup_id>/download", methods=("POST",))
    def download(self, backup_id: str) -> ResponseReturnValue:
        """A ticket for a minute, after the password was typed."""
        login.require(Permission.RESTORE)
        backup, me = found(backup_id), login.me()
        about, after = ("backup", backup.id), {"file": backup.file}
        try:
            login.require_password(request.form.get("password", ""))
            ticket = tickets.issue(bench().depot, backup, me.id)
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(self.get_url(".show", backup_id=backup.id))
        persist(lambda session: note(session, "backup.download", about, after=after))
        return redirect(self.get_url(".fetch", ticket=ticket))

    @expose("/download/<ticket>")
    def fetch(self, ticket: str) -> ResponseReturnValue:
        """The archive, once, to whom the ticket was given."""
        login.require(Permission.RESTORE)
        depot = bench().depot
        try:
            backup = found(tickets.redeem(depot, ticket, login.me().id))
        except RequestError as error:
            refuse(404, error.sentence)
        path = (depot.folder / backup.file).resolve()
        if not path.is_file() or path.parent != depot.folder.resolve():
            refuse(404, Sentence(N_("The file %(file)s is missing."), {"file": backup.file}))
        answer = send_file(path, "application/zip", as_attachment=True, conditional=False)
        answer.headers["Cache-Control"] = "no-store"  # Flask's own allows keeping it
        return answer

    @expose("/<backup_id>/delete", methods=("POST",))
    def delete(self, backup_id: str) -> ResponseReturnValue:
        """Into the trash, where it stays for a day."""
        login.require(Permission.RESTORE)
        backup, depot = found(backup_id), bench().depot

        def throw() -> None:
            with depot.locked():
                prune.throw_away(depot, backup)

        said = gettext("%(file)s is in the trash for a day.", file=backup.file)
        return done(throw, said, self.get_url(".index"))


_NOT_TRUSTED = N_(
    "Its signature is unknown: tick that you know where the archive comes from. "
    "Nothing was changed."
)


def _part() -> Part:
    """What of the archive the form wants; everything when it names nothing."""
    form = request.form
    section, media = form.get("section") or None, form.get("media", "").strip() or None
    return part_of(form.getlist("table"), section, media)


def _compared(backup: Backup) -> dict[str, Any]:
    """The newest answer, and the newest job about it while it is open or has failed."""
    depot = bench().depot
    with reading() as session:
        asked = session.execute(
            select(JobItem.job_id, JobItem.state, JobItem.message)
            .where(JobItem.kind == "preview_backup", JobItem.key == backup.id)
            .order_by(JobItem.id.desc())
            .limit(1)
        ).first()
    told = [one for one in in_hand(depot.folder) if asked and one.job_id == asked.job_id]
    return {
        "backup": backup,
        "found": previews.latest(depot.folder, backup.id),
        "under_way": asked is not None and asked.state in OPEN_ITEM,
        "failed": asked is not None and asked.state not in (*OPEN_ITEM, ItemState.DONE),
        "asked": asked,
        "told": told[0] if told else None,
        "step_told": step_told,
        "undo_days": depot.undo_days,
        "choosable": choosable(),
        "sections": SECTIONS,
    }


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
