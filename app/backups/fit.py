"""What distinguishes restored rows from rows that were never away."""

import logging
import uuid

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.audit import trail
from app.backups.carry import carry_over
from app.backups.depot import Depot
from app.backups.journal import Entry
from app.backups.places import Place
from app.backups.scratch import go_on_numbering_of
from app.core.clock import now
from app.core.db import db_now
from app.core.text import N_, Sentence
from app.jobs.models import OPEN_ITEM, ItemOutcome, ItemState, Job, JobItem, JobState, Trigger
from app.jobs.moves import Report, move

log = logging.getLogger(__name__)

# Items that may be submitted between the look at the live numbers and the exchange.
HEADROOM = 100_000


def fit_in(depot: Depot, place: Place, entry: Entry) -> None:
    """Make a scratch database ready to take the live one's place."""
    carry_over(depot.live, place)
    highest = _highest(depot.live)
    with place.connect() as connection, Session(bind=connection) as session:
        sign_everybody_out(session)
        still_open = sa.update(JobItem).where(JobItem.state.in_(OPEN_ITEM))
        session.execute(still_open.values(fence=JobItem.fence + highest["fence"] + 1))
        end_restores(session)
        _note_in_ledger(session, highest, entry)
        note_for_people(session, entry)
        session.commit()
        go_on_numbering_of(connection, "job", "job_item")
        connection.commit()


def sign_everybody_out(session: Session) -> None:
    """Nobody stays signed in with an old password."""
    for user in session.scalars(sa.select(User)):
        user.session_key = str(uuid.uuid4())


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


def note_for_people(session: Session, entry: Entry) -> None:
    """In the audit log, in the transaction that it is about."""
    after = {"file": entry.file, "by": entry.by, "restore": entry.id}
    if entry.part:
        after["part"] = entry.part
    trail.note(session, f"backup.{entry.what}", ("backup", entry.backup_id), after=after)


def end_restores(session: Session) -> None:
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
