"""/api/backups: as `flask backup`; the status also at the address it once had."""

from contextlib import suppress

from flask import current_app, jsonify, request, url_for
from flask.typing import ResponseReturnValue

import tasks
from app.accounts import entry
from app.accounts.permissions import Permission
from app.accounts.throttle import TooManyError
from app.api.base import blueprint, body, found, language, me, needs, text_of
from app.audit.trail import note
from app.backups import catalogue, offsite_copies, previews, tickets
from app.backups import request as requests
from app.backups.archive import opened
from app.backups.keys import identities
from app.backups.models import Backup
from app.backups.offsite import far_of
from app.backups.offsite_work import hurry
from app.backups.present import (
    backup_as_dict,
    far_copy_as_dict,
    preview_as_dict,
    schedule_as_dict,
    status_as_dict,
)
from app.backups.preview import warnings
from app.backups.schedule import checked_type, schedules
from app.backups.status import status
from app.backups.work import Bench, bench_of
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import Trigger
from app.jobs.submit import JobRequest

backups = blueprint("backups")
old_address = blueprint("backup_status")


@backups.errorhandler(TooManyError)
def too_many(error: TooManyError) -> ResponseReturnValue:
    """Guessing one's own password is slowed down."""
    told = jsonify(error=error.sentence.to(language()))
    return told, 429, {"Retry-After": str(error.seconds)}


@backups.get("/backups")
@needs(Permission.SEE)
def index() -> ResponseReturnValue:
    """As `flask backup list`, newest first, and when they are made by themselves."""
    zone = current_app.config["FIKSTUR"].time_zone
    with reading() as session:
        plans = [schedule_as_dict(one, zone, now()) for one in schedules(session)]
    rows = [backup_as_dict(row, language()) for row in catalogue.all_backups()]
    return jsonify(backups=rows, schedules=plans)


@backups.get("/backups/status")
@old_address.get("/settings/api/backup-status/")
@needs(Permission.SEE)
def backup_status() -> ResponseReturnValue:
    """As `flask backup status`."""
    config = current_app.config["FIKSTUR"]
    with reading() as session:
        found = status(session, bench().depot, config, now())
    return jsonify(status_as_dict(found, language()))


@backups.post("/backups")
@needs(Permission.BACKUP)
def create() -> ResponseReturnValue:
    """{"type": "full", "name": "backup"}: the job that makes it."""
    sent = body()
    type_ = checked_type(text_of(sent, "type") or "full")
    return submitted(requests.create_request(text_of(sent, "name") or "backup", type_))


@backups.post("/backups/<backup_id>/verify")
@needs(Permission.BACKUP)
def verify(backup_id: str) -> ResponseReturnValue:
    """Every hash of it."""
    return submitted(requests.verify_request(one(backup_id)))


@backups.post("/backups/<backup_id>/drill")
@needs(Permission.BACKUP)
def drill(backup_id: str) -> ResponseReturnValue:
    """Into a scratch database, and compare."""
    return submitted(requests.drill_request(one(backup_id)))


@backups.post("/backups/<backup_id>/preview")
@needs(Permission.BACKUP)
def compare(backup_id: str) -> ResponseReturnValue:
    """Let a worker look what a restore would change."""
    return submitted(requests.preview_request(one(backup_id)))


@backups.get("/backups/<backup_id>/preview")
@needs(Permission.BACKUP)
def preview(backup_id: str) -> ResponseReturnValue:
    """The newest answer of the last day; null while there is none."""
    folder = bench_of(current_app.config["FIKSTUR"]).depot.folder
    found = previews.latest(folder, one(backup_id).id)
    told = {"job_id": found.job_id, "at": found.at.isoformat()} if found else {}
    return jsonify(preview=told | preview_as_dict(found, language()) if found else None)


@backups.post("/backups/<backup_id>/restore")
@needs(Permission.RESTORE)
def restore(backup_id: str) -> ResponseReturnValue:
    """{"file": its name, "password": one's own, "trust": false}: in place of what is live.

    An archive with an unknown signature needs "trust": true; only its rows are taken.
    """
    backup, sent = one(backup_id), body()
    if text_of(sent, "file") != backup.file:
        raise RequestError(N_("That is not the name of the file; nothing was changed."))
    trust = sent.get("trust", False)
    if not isinstance(trust, bool):
        raise RequestError(N_("“%(name)s” must be true or false."), name="trust")
    if not (trust or backup.trusted):
        raise RequestError(
            N_("The signature of %(file)s is unknown: send “trust”: true if you know its origin."),
            file=backup.file,
        )
    confirmed()
    job = tasks.submit(
        requests.restore_request(backup, trust=trust), by=me().username, trigger=Trigger.API
    )
    told = [warning.to(language()) for warning in _warnings(backup)]
    return jsonify(job=job.job_id, warnings=told), 202


def _warnings(backup: Backup) -> list[Sentence]:
    """What is odd about it; nothing where it cannot be opened: the job says why."""
    depot = bench().depot
    path, known = depot.folder / backup.file, identities(depot.identity_file)
    with suppress(RequestError), opened(path, known) as archive:
        return warnings(depot, archive)
    return []


@backups.post("/backups/<backup_id>/download")
@needs(Permission.RESTORE)
def download(backup_id: str) -> ResponseReturnValue:
    """{"password"}: an address that works once, for a minute, for who asks."""
    backup = one(backup_id)
    confirmed()
    ticket = tickets.issue(bench().depot, backup, me().id)
    about, after = ("backup", backup.id), {"file": backup.file}
    persist(lambda session: note(session, "backup.download", about, after=after))
    return jsonify(url=url_for("backups.fetch", ticket=ticket), seconds=tickets.VALID_S)


# --- copies elsewhere -----------------------------------------------------------------------------


@backups.get("/backups/copies")
@needs(Permission.SEE)
def copies() -> ResponseReturnValue:
    """What is known of the copies off-site, newest first."""
    far = far_of(current_app.config["FIKSTUR"].offsite)
    with reading() as session:
        rows = list(offsite_copies.copies(session, far.name).values()) if far else []
    rows.sort(key=lambda row: row.at, reverse=True)
    told = [far_copy_as_dict(row, language()) for row in rows]
    return jsonify(store=far.name if far else None, copies=told)


@backups.post("/backups/copies/check")
@needs(Permission.RESTORE)
def check_copies() -> ResponseReturnValue:
    """Try the far side out, and look what lies there."""
    return submitted(requests.check_offsite_request())


@backups.post("/backups/copies/fetch")
@needs(Permission.RESTORE)
def fetch() -> ResponseReturnValue:
    """{"file"}: bring it back, check it whole, list it."""
    return submitted(requests.fetch_request(text_of(body(), "file") or ""))


@backups.post("/backups/<backup_id>/copy")
@needs(Permission.RESTORE)
def copy(backup_id: str) -> ResponseReturnValue:
    """Off-site, now."""
    backup = one(backup_id)
    persist(lambda session: hurry(session, backup))
    return submitted(requests.copy_request(backup))


# --- what they share ------------------------------------------------------------------------------


def bench() -> Bench:
    """Of this installation as it is set now."""
    return bench_of(current_app.config["FIKSTUR"])


def one(backup_id: str) -> Backup:
    """By the beginning of its id, or `latest`; 404 when there is none."""
    with found():
        return catalogue.find(backup_id.replace("\0", ""))


def confirmed() -> None:
    """RequestError unless the body holds the password of whoever asks."""
    entry.confirm(me(), text_of(body(), "password") or "", request.remote_addr or "")


def submitted(wanted: JobRequest) -> ResponseReturnValue:
    """The number of the job that does it."""
    job = tasks.submit(wanted, by=me().username, trigger=Trigger.API)
    return jsonify(job=job.job_id), 202
