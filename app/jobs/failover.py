"""Failover: an item that one source cannot answer goes on to the next of its job's ordered list.

The list is walked forward only, so that an item that nobody answers ends as failed. "Nothing on
that day" is an answer and ends it too. Whoever dies with an item in hand does not move it on.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from app.core.db import current_time, db_now
from app.core.text import N_, Sentence
from app.errors.policy import IN_JOB_S
from app.jobs.models import OPEN_JOB, ItemState, Job, JobItem
from app.jobs.moves import Claim, Report, move
from app.sources.base import Code
from app.sources.models import SourceState
from app.sources.pace import SLOWEST

PARAM = "failover"  # of the job: the sources in their order
EVENT = "failed_over"


@dataclass(frozen=True, slots=True)
class Gate:
    """What is written down of a source that may keep its items waiting."""

    source: str
    paused_until: datetime | None = None
    free_at: datetime | None = None
    code: str | None = None
    factor: float = 1.0
    message: Sentence | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Where items go on, and what is told of it."""

    to: str
    report: Report


# --- the decision, pure ---------------------------------------------------------------------------


def later(order: Sequence[str], source: str | None) -> list[str]:
    """The sources after this one; none when it does not belong to the order."""
    return [*order[order.index(source) + 1 :]] if source in order else []


def open_after(order: Sequence[str], source: str | None, closed: Collection[str]) -> str | None:
    """The first later one that is not closed; None when there is none."""
    return next((name for name in later(order, source) if name not in closed), None)


def next_source(order: Sequence[str], source: str | None, closed: Collection[str]) -> str | None:
    """Who is asked after a failure: the next open one, else the next one, else nobody."""
    return open_after(order, source, closed) or next(iter(later(order, source)), None)


def why_closed(gate: Gate, now: datetime) -> Report | None:
    """Why a day should not wait for the source; None when it may.

    A block, an open breaker, a used-up quota or a person's pause close it at once. Being throttled
    is part of asking politely, and a server may ask for a moment: only for longer than a job waits,
    or once it is slowed as far as it goes.
    """
    too_long = now + timedelta(seconds=IN_JOB_S)
    if gate.paused_until is not None and gate.paused_until > now:
        for_a_moment = gate.code in {Code.RATE_LIMITED, Code.SERVER_ERROR}
        throttled = for_a_moment and gate.factor > SLOWEST
        if not throttled or gate.paused_until > too_long:
            return Report(gate.code, gate.message)
    if gate.free_at is not None and gate.free_at > too_long:
        used_up = Sentence(N_("Its limit is used up until %(until)s."), {"until": gate.free_at})
        return Report(Code.RATE_LIMITED, used_up)
    return None


# --- reading --------------------------------------------------------------------------------------


def order_of(params: Mapping[str, Any]) -> Sequence[str]:
    """The sources of a job in their order; () when each item has but one."""
    found: Sequence[str] = params.get(PARAM, ())
    return found


def has_order() -> ColumnElement[bool]:
    """The condition that a job has an ordered list."""
    there: ColumnElement[bool] = Job.params[PARAM].as_string().is_not(None)
    return there


def closed_sources(session: Session) -> dict[str, Report]:
    """The sources that a day should not wait for now, and why not."""
    columns = (
        SourceState.source,
        SourceState.paused_until,
        SourceState.free_at,
        SourceState.code,
        SourceState.factor,
        SourceState.message,
    )
    shut = or_(SourceState.paused_until.is_not(None), SourceState.free_at.is_not(None))
    gates = [Gate(*row) for row in session.execute(select(*columns).where(shut))]
    if not gates:
        return {}
    now = current_time(session)
    return {gate.source: why for gate in gates if (why := why_closed(gate, now))}


def stuck(session: Session, job_id: int | None = None) -> dict[tuple[int, str | None], Step]:
    """What waits for a closed source although a later one is open, by job and source."""
    closed = closed_sources(session)
    orders = _open_orders(session, job_id) if closed else {}
    if not orders:
        return {}
    waiting = select(JobItem.job_id, JobItem.source).where(
        JobItem.job_id.in_(orders),
        JobItem.state == ItemState.WAITING,
        JobItem.source.in_(closed),
    )
    return {
        (job, source): _step(source, to, closed[source])
        for job, source in session.execute(waiting.distinct())
        if source in closed and (to := open_after(orders[job], source, closed))
    }


def _open_orders(session: Session, job_id: int | None) -> dict[int, Sequence[str]]:
    jobs = select(Job.id, Job.params).where(
        Job.state.in_(OPEN_JOB), Job.cancel_requested_at.is_(None), has_order()
    )
    if job_id is not None:
        jobs = jobs.where(Job.id == job_id)
    return {row.id: order_of(row.params) for row in session.execute(jobs)}


def after_failure(session: Session, claim: Claim, report: Report) -> Step | None:
    """Where a held item that has failed for good goes on; None when it ends."""
    job = select(Job.params).where(Job.id == claim.job_id, Job.cancel_requested_at.is_(None))
    order = order_of(session.scalar(job) or {})
    closed = closed_sources(session) if later(order, claim.source) else {}
    to = next_source(order, claim.source, closed)
    return None if to is None else _step(claim.source, to, report)


def _step(source: str | None, to: str, why: Report) -> Step:
    message = Sentence(
        N_("%(source)s cannot answer (%(code)s); %(next)s is asked instead. %(why)s"),
        {"source": source, "code": why.code, "next": to, "why": why.message or ""},
    )
    return Step(to, Report(why.code, message))


# --- moving on ------------------------------------------------------------------------------------


def asks(source: str) -> dict[str, Any]:
    """The columns of an item that begins anew with a source; its fence and crashes stay."""
    return {
        "state": ItemState.WAITING,
        "source": source,
        "attempts": 0,
        "not_before": db_now(),
        "lease_until": None,
    }


def pass_on(session: Session, job_id: int | None = None) -> int:
    """Move on what is `stuck`: how many items. One that was claimed or moved meanwhile is left."""
    moved = 0
    for (job, source), step in stuck(session, job_id).items():
        rows = move(
            session,
            and_(JobItem.job_id == job, JobItem.source == source),
            from_state=ItemState.WAITING,
            event=EVENT,
            report=step.report,
            ends_jobs=False,
            **asks(step.to),
        )
        moved += len(rows)
    return moved
