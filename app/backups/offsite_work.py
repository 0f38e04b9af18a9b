"""The jobs about the far side: copy there and prune there, bring back, try it out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.backups import catalogue, offsite_copies
from app.backups.archive import opened
from app.backups.depot import Depot, Tell, tell_nobody
from app.backups.hands import Work, finish, handler
from app.backups.layout import DamagedError
from app.backups.models import GOOD, Backup
from app.backups.offsite import Far, far_of
from app.backups.receive import receive
from app.backups.request import copy_request
from app.backups.work import bench_of
from app.core.clock import now
from app.core.db import current_time, db_now, persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import OPEN_ITEM, ItemState, JobItem, Trigger
from app.jobs.moves import Claim
from app.jobs.runner import Handler
from app.jobs.submit import JobRequest, submit

if TYPE_CHECKING:
    from config import Config


KINDS = ("copy_backup", "fetch_backup", "check_offsite")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work needs, as it is set at this moment."""

    depot: Depot
    far: Far
    keep: int
    tell: Tell


def handlers(current: Callable[[], "Config"], told: Tell = tell_nobody) -> dict[str, Handler]:
    """How each kind of item is worked on, by the settings of the moment it is begun."""
    works = (copy_backup, fetch_backup, check_offsite)
    return {
        kind: handler(current, _at_desk(work), told)
        for kind, work in zip(KINDS, works, strict=True)
    }


def submit_due(config: "Config", by: str = "schedule") -> list[int]:
    """Submit a job for every backup that ought to be on the far side and is not: their numbers.

    From the state of things, not from events: what was made while nobody looked is found too.
    """
    far = far_of(config.offsite)
    if far is None:
        return []
    with reading() as session:
        at = current_time(session)
        due = offsite_copies.due(session, far.name, config.offsite.keep, at)
        wanted = [row for row in due if not _is_under_way(session, row)]
    return [_submit(copy_request(row), by) for row in reversed(wanted)]


def _submit(request: JobRequest, by: str) -> int:
    return persist(lambda session: submit(session, request, by=by, trigger=Trigger.SCHEDULE).job_id)


def _is_under_way(session: Session, backup: Backup) -> bool:
    same = (JobItem.kind == "copy_backup", JobItem.key == backup.id, JobItem.state.in_(OPEN_ITEM))
    return session.scalar(select(JobItem.id).where(*same).limit(1)) is not None


def hurry(session: Session, backup: Backup) -> None:
    """Somebody asks for the copy now: what waits to be tried again waits no longer."""
    same = (JobItem.kind == "copy_backup", JobItem.key == backup.id)
    waits = update(JobItem).where(*same, JobItem.state == ItemState.WAITING)
    session.execute(waits.values(not_before=db_now()))


# --- the kinds ------------------------------------------------------------------------------------


def copy_backup(desk: Desk, claim: Claim) -> None:
    """Bring one backup there, whole; then make room there by its own number."""
    backup, far = catalogue.find(claim.key), desk.far
    with reading() as session:
        known = offsite_copies.copies(session, far.name)
    if not any(row.verified_at for row in known.values()):
        far.settle()
    copy = known.get(backup.file)
    if copy is None or copy.verified_at is None:  # else only the tidying was cut off
        _send(desk, backup)
    removed = _tidy(desk)
    message = Sentence(
        N_("%(file)s was copied to %(store)s and read back; %(removed)s older ones removed there."),
        {"file": backup.file, "store": far.name, "removed": len(removed)},
    )
    finish(claim, message)


def _send(desk: Desk, backup: Backup) -> None:
    path, store = desk.depot.folder / backup.file, desk.far.name
    try:
        _refuse_damaged(path, backup)
        sent = desk.far.send(path, desk.tell)
    except RequestError as error:
        sentence = error.sentence
        persist(lambda s: offsite_copies.note_failed(s, store, backup, sentence, now()))
        raise
    persist(lambda s: offsite_copies.note_sent(s, store, backup, sent, now()))


def _refuse_damaged(path: Path, backup: Backup) -> None:
    """A copy of something broken is worth nothing."""
    try:
        with opened(path) as archive:
            archive.check_members()
    except DamagedError as error:
        sentence = error.sentence
        persist(lambda session: catalogue.note_fault(session, backup.id, sentence))
        raise


def _tidy(desk: Desk) -> list[str]:
    """See what lies there, and remove what need not stay. Never the newest that was verified."""
    far, there = desk.far, desk.far.names()
    persist(lambda session: offsite_copies.compare(session, far.name, there))
    with reading() as session:
        known = offsite_copies.copies(session, far.name)
    removed = offsite_copies.to_remove(known, desk.keep, now())
    for name in removed:
        _remove(far, name)
    return removed


def _remove(far: Far, name: str) -> None:
    far.remove(name)
    persist(lambda session: offsite_copies.forget(session, far.name, name))


def fetch_backup(desk: Desk, claim: Claim) -> None:
    """Bring an archive back, check all of it, list it."""
    known = [row for row in catalogue.all_backups() if row.file == claim.key]
    if any(row.state in GOOD for row in known):
        finish(claim, Sentence(N_("%(file)s is here already."), {"file": claim.key}))
        return
    backup = _bring(desk, claim.key)
    told = {"file": backup.file, "store": desk.far.name}
    finish(claim, Sentence(N_("%(file)s came back from %(store)s and is whole."), told))


def _bring(desk: Desk, name: str) -> Backup:
    return receive(desk.depot, lambda path: _download(desk, name, path), desk.tell)


def _download(desk: Desk, name: str, path: Path) -> None:
    """The archive, and before it is checked what it builds on."""
    with reading() as session:
        copy = offsite_copies.copies(session, desk.far.name).get(name)
    if copy and copy.size:
        desk.depot.refuse_without_room(copy.size)
    with path.open("wb") as file:
        for piece in desk.far.read(name, desk.tell):
            file.write(piece)
    with opened(path, beside=desk.depot.folder) as archive:
        needed = [base.file for base in archive.manifest.bases]
    for base in needed:
        if not (desk.depot.folder / base).is_file():
            _bring(desk, base)


def check_offsite(desk: Desk, claim: Claim) -> None:
    """Does it work, and what is there?"""
    desk.tell("try_out", 0, 0)
    desk.far.try_out()
    desk.far.settle()
    there = desk.far.names()
    lost = persist(lambda session: offsite_copies.compare(session, desk.far.name, there))
    told = {"store": desk.far.name, "count": len(there), "lost": len(lost)}
    message = N_("%(store)s works: %(count)s archives lie there, %(lost)s were lost.")
    finish(claim, Sentence(message, told))


# --- around them ----------------------------------------------------------------------------------


def _at_desk(work: Callable[[Desk, Claim], None]) -> Work:
    """The work, at the far side that is set now."""

    def begin(config: "Config", tell: Tell, claim: Claim) -> None:
        work(_desk(config, tell), claim)

    return begin


def _desk(config: "Config", tell: Tell) -> Desk:
    far = far_of(config.offsite)
    if far is None:
        raise RequestError(
            N_(
                "No place for copies is set: name a folder or a bucket on the page Settings "
                "(OFFSITE_FOLDER, OFFSITE_BUCKET)."
            )
        )
    return Desk(bench_of(config).depot, far, config.offsite.keep, tell)
