"""The one function that changes the state of items, and the one that ends jobs.

waiting ──claim──> running ──finish──> done | failed
   ^                  │  ├──cancel───> cancelled
   └── wait again ────┤  └──reap (third crash)──> quarantined
       give back, reap
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from app.core.db import current_time, db_now, table_of
from app.core.text import Sentence
from app.jobs.models import OPEN_ITEM, OPEN_JOB, ItemState, Job, JobEvent, JobItem, JobState

ItemRow = Any  # a row of _COLUMNS; SQLAlchemy can type only eight columns
_BAD_END = (ItemState.FAILED, ItemState.QUARANTINED)


class StaleError(Exception):
    """The item is no longer ours: its lease ran out and was taken. Roll back, leave no effect."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An item in hand: what to do, and the fence every later write must name."""

    item_id: int
    job_id: int
    kind: str
    source: str | None
    key: str
    fence: int
    attempts: int
    crashes: int
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a transition leaves on the item for people."""

    code: str | None = None
    message: Sentence | None = None


def move(
    session: Session,
    where: ColumnElement[bool],
    *,
    from_state: ItemState,
    event: str,
    report: Report | None = None,
    ends_jobs: bool = True,
    **values: Any,
) -> list[ItemRow]:
    """Change the state of items, write their history, and end jobs that have nothing left.

    Returns the changed rows as they are now. An item not in `from_state` is left alone.
    """
    if report is not None:
        values |= {"code": report.code, "message": report.message}
    statement = update(JobItem).where(where, JobItem.state == from_state).values(**values)
    rows: list[ItemRow] = [*session.execute(statement.returning(*_COLUMNS))]
    if rows:
        _note_items(session, rows, event, report or Report())
    if ends_jobs:
        settle(session, sorted({row.job_id for row in rows if row.state not in OPEN_ITEM}))
    return rows


_COLUMNS = (
    JobItem.id,
    JobItem.job_id,
    JobItem.kind,
    JobItem.source,
    JobItem.key,
    JobItem.state,
    JobItem.fence,
    JobItem.attempts,
    JobItem.crashes,
    JobItem.worker,
)


def move_claim(session: Session, claim: Claim, event: str, report: Report, **values: Any) -> None:
    ours = and_(JobItem.id == claim.item_id, JobItem.fence == claim.fence)
    if not move(session, ours, from_state=ItemState.RUNNING, event=event, report=report, **values):
        raise StaleError(f"item {claim.item_id} was taken from fence {claim.fence}")


def ended(attempt: int) -> dict[str, Any]:
    return {
        "attempts": JobItem.attempts + attempt,
        "lease_until": None,
        "finished_at": db_now(),
    }


def cancel_requested() -> ColumnElement[bool]:
    return (
        exists()
        .where(Job.id == JobItem.job_id, Job.cancel_requested_at.is_not(None))
        .correlate(JobItem)
    )


def waiting_unless_cancelled() -> ColumnElement[Any]:
    return case((cancel_requested(), ItemState.CANCELLED), else_=literal(ItemState.WAITING))


def _note_items(session: Session, rows: Sequence[ItemRow], event: str, report: Report) -> None:
    now = current_time(session)
    session.execute(
        insert(table_of(JobEvent)),
        [
            {
                "job_id": row.job_id,
                "item_id": row.id,
                "at": now,
                "event": event,
                "state": row.state,
                "worker": row.worker,
                "fence": row.fence,
                "code": report.code,
                "message": report.message,
            }
            for row in rows
        ],
    )


def note_job(session: Session, job_id: int, event: str, state: str | None) -> None:
    state = state or session.scalar(select(Job.state).where(Job.id == job_id))
    session.execute(insert(JobEvent).values(job_id=job_id, at=db_now(), event=event, state=state))


def settle(session: Session, job_ids: Collection[int]) -> None:
    """Give each of these jobs its end if no item of it is open any more."""

    def any_item(*states: ItemState) -> ColumnElement[bool]:
        return exists().where(JobItem.job_id == Job.id, JobItem.state.in_(states)).correlate(Job)

    if not job_ids:
        return
    ended = session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.state.in_(OPEN_JOB), ~any_item(*OPEN_ITEM))
        .values(
            state=case(
                (any_item(*_BAD_END), JobState.FAILED),
                (any_item(ItemState.CANCELLED), JobState.CANCELLED),
                else_=JobState.DONE,
            ),
            finished_at=db_now(),
        )
        .returning(Job.id, Job.state)
    ).all()
    for row in ended:
        note_job(session, row.id, "ended", row.state)


@dataclass(frozen=True, slots=True)
class End:
    """How one held item goes on: ended, or waiting again after some seconds."""

    claim: Claim
    state: ItemState
    event: str
    report: Report
    outcome: str | None = None
    after_s: float = 0
    burned: int = 1  # attempts


def move_held(session: Session, ends: Sequence[End]) -> None:
    """The same for many items at once, each to its own state. They must be held (`hold_all`).

    An item of a job cancelled meanwhile that is to wait again is cancelled by the next sweep.
    """
    if not ends:
        return
    now = current_time(session)
    session.connection().execute(_UPDATE_HELD, [_as_row(end, now) for end in ends])
    session.execute(insert(table_of(JobEvent)), [_as_event(end, now) for end in ends])
    settle(session, sorted({end.claim.job_id for end in ends if end.state not in OPEN_ITEM}))


_ITEM = table_of(JobItem)
_HELD_COLUMNS = (
    "state",
    "outcome",
    "code",
    "message",
    "attempts",
    "lease_until",
    "not_before",
    "finished_at",
)
_UPDATE_HELD = (
    update(_ITEM)
    .where(_ITEM.c.id == bindparam("item"))
    .values({name: bindparam(name) for name in _HELD_COLUMNS})
)


def _as_row(end: End, now: datetime) -> dict[str, Any]:
    over = end.state not in OPEN_ITEM
    return {
        "item": end.claim.item_id,
        "state": end.state,
        "outcome": end.outcome,
        "code": end.report.code,
        "message": end.report.message,
        "attempts": end.claim.attempts + end.burned,
        "lease_until": None,
        "not_before": now + timedelta(seconds=end.after_s),
        "finished_at": now if over else None,
    }


def _as_event(end: End, now: datetime) -> dict[str, Any]:
    return {
        "job_id": end.claim.job_id,
        "item_id": end.claim.item_id,
        "at": now,
        "event": end.event,
        "state": end.state,
        "worker": end.claim.worker,
        "fence": end.claim.fence,
        "code": end.report.code,
        "message": end.report.message,
    }
