"""Restoring into the live database, and taking that back.

Everything is loaded, compared and migrated beside the live database first; the exchange itself
(`swap`) is one step of which everybody sees the state before or the state after. What the live
database held is kept for some days. What is under way while it happens has no effect afterwards:
restored items get fences that no worker has, and new items numbers that no worker knows.
"""

import logging
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.audit import trail
from app.backups.archive import Archive, opened, verify
from app.backups.carry import carry_over
from app.backups.depot import Depot, Tell, tell_nobody
from app.backups.drill import refuse_undrillable
from app.backups.journal import Entry, Journal, Step
from app.backups.keys import identities
from app.backups.models import Backup
from app.backups.places import Place, revision_of
from app.backups.schema import head
from app.backups.scratch import (
    drop,
    drop_left_over,
    drop_schema,
    fill,
    go_on_numbering_of,
    new_scratch,
)
from app.backups.swap import has_swapped, swap
from app.core.clock import now
from app.core.db import db_now, table_of
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import OPEN_ITEM, ItemOutcome, ItemState, Job, JobItem, JobState, Trigger
from app.jobs.moves import Report, move

log = logging.getLogger(__name__)

# Items that may be submitted between the look at the live numbers and the exchange.
HEADROOM = 100_000


@dataclass(frozen=True, slots=True)
class Terms:
    """On whose word, and whether an unknown signature will do."""

    by: str
    trust: bool = False


def restore(depot: Depot, path: Path, terms: Terms, tell: Tell = tell_nobody) -> Entry:
    """Put an archive's rows in place of the live ones; what became of it, also in the journal.

    Hold the depot's lock. Whatever fails before the exchange leaves the live database as it is; a
    failure after it is taken back.
    """
    began = time.monotonic()
    settle(depot)
    with opened(path, identities(depot.identity_file)) as archive:
        _refuse(depot, archive, trust=terms.trust)
        verify(archive, tell)
        depot.refuse_without_room(2 * archive.manifest.totals.plain + _size_of(depot.live))
        entry = _entry(depot, "restore", archive.manifest.id, path.name, terms.by)
        place = new_scratch(depot, f"restore_{entry.id[:8]}")
        try:
            fill(archive, place, tell)
            _fit_in(depot, place, entry)
            _exchange(depot, place, entry, tell)
        finally:
            drop(place)
    entry.seconds = time.monotonic() - began
    Journal(depot.folder).put(entry)
    return entry


def undo(depot: Depot, by: str, tell: Tell = tell_nobody) -> Entry:
    """Put back what the last restore (or undo) replaced; what it replaces is kept in its turn.

    Hold the depot's lock. RequestError when nothing is kept any more.
    """
    began = time.monotonic()
    settle(depot)
    journal = Journal(depot.folder)
    last = journal.undoable()
    if last is None or last.kept is None:
        raise RequestError(N_("There is nothing to undo: no restore's old data are kept."))
    place = _kept_place(depot, last.kept)
    with place.connect() as connection:
        if revision_of(connection) is None:
            raise RequestError(N_("There is nothing to undo: no database was there before."))
    entry = _entry(depot, "undo", last.backup_id, last.file, by)
    carry_over(depot.live, place)
    with place.connect() as connection, Session(bind=connection) as session:
        _end_restores(session)
        _note_for_people(session, entry)
        session.commit()
    _exchange(depot, place, entry, tell)
    last.step, last.kept = Step.UNDONE, None
    journal.put(last)
    drop(place)
    entry.seconds = time.monotonic() - began
    journal.put(entry)
    return entry


def settle(depot: Depot) -> None:
    """Find out what became of an exchange that was cut off, and clear what was left of it."""
    drop_left_over(depot)
    journal = Journal(depot.folder)
    for entry in journal.entries():
        if entry.step is not Step.SWAPPING or entry.kept is None:
            continue
        if has_swapped(depot.live, _keep_at(depot, entry.kept), entry.mark):
            entry.step = Step.DONE
        else:
            forget_kept(depot, entry)
            entry.step = Step.FAILED
        log.warning("%s %s had been cut off: %s", entry.what, entry.id[:8], entry.step)
        journal.put(entry)


def forget_kept(depot: Depot, entry: Entry) -> None:
    """Delete the old data of an exchange: it cannot be undone any more."""
    if entry.kept is None:
        return
    if depot.live.on_sqlite:
        drop(Place.in_file(Path(str(_keep_at(depot, entry.kept)))))
    else:
        drop_schema(depot.live.url, entry.kept)
    entry.kept = None


# --- before ---------------------------------------------------------------------------------------


def _refuse(depot: Depot, archive: Archive, *, trust: bool) -> None:
    refuse_undrillable(archive)
    if not (trust or archive.is_trusted(depot.keys)):
        raise RequestError(
            N_(
                "%(file)s was signed by an unknown installation (%(id)s). If you know where it "
                "comes from, add its public key to trusted.txt or say --trust."
            ),
            file=archive.path.name,
            id=archive.manifest.origin.install_id[:16],
        )


def _size_of(place: Place) -> int:
    """Of what will be kept aside on this disk."""
    return place.file.stat().st_size if place.on_sqlite and place.file.exists() else 0


def _entry(depot: Depot, what: str, backup_id: str, file: str, by: str) -> Entry:
    made = uuid.uuid4().hex
    kept = f"{made}.db" if depot.live.on_sqlite else f"fikstur_undo_{made[:12]}"
    at = now()
    return Entry(
        id=made,
        what=what,
        backup_id=backup_id,
        file=file,
        by=by,
        at=at,
        engine=depot.live.engine_name,
        mark=secrets.randbelow(2**31 - 2) + 1,
        kept=kept,
        kept_until=at + timedelta(days=depot.undo_days),
    )


def _keep_at(depot: Depot, kept: str) -> str | Path:
    return depot.folder / "undo" / kept if depot.live.on_sqlite else kept


def _kept_place(depot: Depot, kept: str) -> Place:
    if depot.live.on_sqlite:
        return Place.in_file(depot.folder / "undo" / kept)
    return Place(depot.live.url, kept)


def _fit_in(depot: Depot, place: Place, entry: Entry) -> None:
    """What distinguishes restored rows from rows that were never away."""
    carry_over(depot.live, place)
    highest = _highest(depot.live)
    with place.connect() as connection, Session(bind=connection) as session:
        for user in session.scalars(sa.select(User)):
            user.session_key = str(uuid.uuid4())  # nobody stays signed in with an old password
        still_open = sa.update(JobItem).where(JobItem.state.in_(OPEN_ITEM))
        session.execute(still_open.values(fence=JobItem.fence + highest["fence"] + 1))
        _end_restores(session)
        _note_in_ledger(session, highest, entry)
        _note_for_people(session, entry)
        session.commit()
        go_on_numbering_of(connection, "job", "job_item")
        connection.commit()


def _highest(live: Place) -> dict[str, int]:
    """The numbers that workers may hold in their hands; zero where the database is no more."""
    statement = sa.select(
        sa.select(sa.func.max(Job.id)).scalar_subquery().label("job"),
        sa.func.max(JobItem.id).label("item"),
        sa.func.max(JobItem.fence).label("fence"),
    )
    try:
        with live.connect() as connection:
            row = connection.execute(statement).mappings().one()
            return {name: value or 0 for name, value in row.items()}
    except DBAPIError as error:
        log.warning(
            "the live database cannot be read (%s): it is replaced all the same", error.orig
        )
        return {"job": 0, "item": 0, "fence": 0}


def _note_in_ledger(session: Session, highest: dict[str, int], entry: Entry) -> None:
    """The restore as an ended job, numbered above everything: new ones are numbered behind it."""
    there: dict[str, int] = {
        "job": session.scalar(sa.func.max(Job.id)) or 0,
        "item": session.scalar(sa.func.max(JobItem.id)) or 0,
    }
    numbers = {name: max(highest[name], there[name]) + HEADROOM for name in there}
    at = now()
    session.add(
        Job(
            id=numbers["job"],
            kind="restore_backup",
            state=JobState.DONE,
            params={"backup": entry.backup_id, "file": entry.file},
            trigger=Trigger.CLI,
            requested_by=entry.by,
            submitted=1,
            submitted_at=entry.at,
            started_at=entry.at,
            finished_at=at,
        )
    )
    session.flush()
    session.add(
        JobItem(
            id=numbers["item"],
            job_id=numbers["job"],
            kind="restore_backup",
            key=entry.backup_id,
            state=ItemState.DONE,
            outcome=ItemOutcome.STORED,
            message=Sentence(N_("Restored from %(file)s."), {"file": entry.file}),
            attempts=1,
            not_before=entry.at,
            started_at=entry.at,
            finished_at=at,
        )
    )


def _note_for_people(session: Session, entry: Entry) -> None:
    after = {"file": entry.file, "by": entry.by}
    trail.note(session, f"backup.{entry.what}", ("backup", entry.backup_id), after=after)


def _end_restores(session: Session) -> None:
    """No restore that an old ledger still has open is done (again) by whoever finds it there."""
    message = Sentence(N_("Not done: a restore or its undo came between."))
    for state in OPEN_ITEM:
        move(
            session,
            JobItem.kind.in_(("restore_backup", "undo_restore")),
            from_state=state,
            event="cancelled",
            report=Report(message=message),
            state=ItemState.CANCELLED,
            lease_until=None,
            finished_at=db_now(),
        )


# --- the exchange ---------------------------------------------------------------------------------


def _exchange(depot: Depot, place: Place, entry: Entry, tell: Tell) -> None:
    journal = Journal(depot.folder)
    kept = entry.kept or ""
    (depot.folder / "undo").mkdir(mode=0o700, exist_ok=True)
    journal.put(entry)
    tell("swap", 0, 0)
    try:
        entry.stopped_s = swap(depot.live, place, _keep_at(depot, kept), entry.mark)
    except BaseException:
        if not has_swapped(depot.live, _keep_at(depot, kept), entry.mark):
            forget_kept(depot, entry)
            entry.step = Step.FAILED
            journal.put(entry)
        raise
    if reason := _amiss(depot.live):
        _take_back(depot, entry)
        raise RequestError(
            N_("The restored database did not work (%(reason)s); the old one is back."),
            reason=reason,
        )
    entry.step = Step.DONE
    journal.put(entry)


def _amiss(live: Place) -> str | None:
    """A first look at the new database through the front door."""
    try:
        with live.connect() as connection:
            revision = revision_of(connection)
            if revision != head():
                return f"revision {revision}"
            for model in (User, Job, JobItem, Backup):
                connection.execute(sa.select(table_of(model)).limit(1)).all()
            if live.on_sqlite:
                said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
                return None if said == "ok" else said
    except DBAPIError as error:
        return str(error.orig).partition("\n")[0][:200]
    return None


def _take_back(depot: Depot, entry: Entry) -> None:
    place = _kept_place(depot, entry.kept or "")
    spoilt = f"{entry.id}.bad.db" if depot.live.on_sqlite else f"fikstur_undo_{entry.id[:12]}_bad"
    swap(depot.live, place, _keep_at(depot, spoilt), secrets.randbelow(2**31 - 2) + 1)
    drop(_kept_place(depot, spoilt))
    drop(place)
    entry.kept, entry.step = None, Step.FAILED
    Journal(depot.folder).put(entry)
