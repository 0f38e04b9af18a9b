"""The one function that changes the state of items, and the one that ends jobs.

waiting ──claim──> running ──finish──> done | failed
   ^                  │  ├──cancel───> cancelled
   └── wait again ────┤  └──reap (third crash)──> quarantined
       give back, reap, fail over to the next source
"""

import functools
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    case,
    exists,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.db import SentenceText, db_now, table_of
from app.core.many import one_of
from app.core.text import Sentence
from app.jobs.models import (
    BAD_END,
    OPEN_ITEM,
    OPEN_JOB,
    ItemState,
    Job,
    JobEvent,
    JobItem,
    JobState,
)

ItemRow = Any  # a row of _COLUMNS; SQLAlchemy can type only eight columns


class StaleError(Exception):
    """The item is no longer ours: its lease ran out and was taken. Roll back, leave no effect."""


class Claim(msgspec.Struct, frozen=True):
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


class Report(msgspec.Struct, frozen=True):
    """What a transition leaves on the item for people."""

    code: str | None = None
    message: Sentence | None = None


_ITEM = table_of(JobItem)
_COLUMNS = (
    _ITEM.c.id,
    _ITEM.c.job_id,
    _ITEM.c.kind,
    _ITEM.c.source,
    _ITEM.c.key,
    _ITEM.c.state,
    _ITEM.c.fence,
    _ITEM.c.attempts,
    _ITEM.c.crashes,
    _ITEM.c.worker,
)


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

    Returns the changed rows as they are now. An item not in `from_state` is left alone. Where the
    caller ends the jobs, only the ids come back.
    """
    if report is not None:
        values |= {"code": report.code, "message": report.message}
    statement = update(_ITEM).where(where, _ITEM.c.state == from_state).values(values)
    told = statement.returning(*(_COLUMNS if ends_jobs else _COLUMNS[:1]))
    rows: list[ItemRow] = list(session.execute(told).all())
    if rows:
        _note_items(session, [row.id for row in rows], event, report or Report())
    if ends_jobs:
        settle(session, sorted({row.job_id for row in rows if row.state not in OPEN_ITEM}))
    return rows


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


def _note_items(session: Session, ids: Sequence[int], event: str, report: Report) -> None:
    """The history of items that are as they were just made: read from the rows themselves."""
    told = select(
        _ITEM.c.job_id,
        _ITEM.c.id,
        db_now(),
        literal(event),
        _ITEM.c.state,
        _ITEM.c.worker,
        _ITEM.c.fence,
        literal(report.code, String()),
        literal(report.message, SentenceText()),
    )
    statement = insert(table_of(JobEvent)).from_select(_EVENT, told.where(one_of(_ITEM.c.id, ids)))
    session.execute(statement)


_EVENT = ("job_id", "item_id", "at", "event", "state", "worker", "fence", "code", "message")


def note_job(session: Session, job_id: int, event: str, state: str | None) -> None:
    state = state or session.scalar(select(Job.state).where(Job.id == job_id))
    session.execute(insert(JobEvent).values(job_id=job_id, at=db_now(), event=event, state=state))


def settle(session: Session, job_ids: Collection[int]) -> None:
    """Give each of these jobs its end if no item of it is open any more."""
    if not job_ids:
        return
    ended = session.execute(_ending().where(Job.id.in_(job_ids))).all()
    for row in ended:
        note_job(session, row.id, "ended", row.state)


@functools.cache  # building it costs more than asking the database
def _ending() -> ReturningUpdate[int, str]:
    def any_item(*states: ItemState) -> ColumnElement[bool]:
        return exists().where(JobItem.job_id == Job.id, JobItem.state.in_(states)).correlate(Job)

    how = case(
        (any_item(*BAD_END), JobState.FAILED),
        (any_item(ItemState.CANCELLED), JobState.CANCELLED),
        else_=JobState.DONE,
    )
    over = update(Job).where(Job.state.in_(OPEN_JOB), ~any_item(*OPEN_ITEM))
    return over.values(state=how, finished_at=db_now()).returning(Job.id, Job.state)


class End(msgspec.Struct, frozen=True):
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

    Most end alike: as many statements as there are ways to end, not as there are items.
    """
    alike: dict[object, list[End]] = defaultdict(list)
    for end in ends:
        alike[_way(end)].append(end)
    for some in alike.values():
        _move_alike(session, some[0], [end.claim.item_id for end in some])
    settle(session, sorted({end.claim.job_id for end in ends}))


def _way(end: End) -> object:
    report = _as_words.encode(end.report)  # it has no hash
    return end.state, end.event, report, end.outcome, _wait_s(end), end.burned


_as_words = msgspec.json.Encoder(enc_hook=repr)


def _wait_s(end: End) -> float:
    """Waits are jittered; those of nearly the same length are one."""
    return round(end.after_s, 0 if end.after_s >= 5 else 1)


def _move_alike(session: Session, end: End, ids: Sequence[int]) -> None:
    over = end.state not in OPEN_ITEM
    move(
        session,
        one_of(_ITEM.c.id, ids),
        from_state=ItemState.RUNNING,
        event=end.event,
        report=end.report,
        ends_jobs=False,
        state=literal(end.state) if over else waiting_unless_cancelled(),
        outcome=end.outcome,
        attempts=_ITEM.c.attempts + end.burned,
        lease_until=None,
        not_before=_ITEM.c.not_before if over else db_now(_wait_s(end)),
        finished_at=db_now() if over else case((cancel_requested(), db_now()), else_=None),
    )
