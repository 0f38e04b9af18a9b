"""What workers and stewards do with items. Every change of a state goes through `moves.move`.

Every function takes the caller's session, so that a transition and its effect are one transaction.
Times are the database's. A write by somebody who lost his lease finds no row and raises StaleError.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, case, exists, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from app.core.db import BATCH, db_now
from app.core.many import looked_up, one_of
from app.core.text import N_, Sentence
from app.jobs import failover
from app.jobs.models import OPEN_JOB, ItemOutcome, ItemState, Job, JobItem, JobState
from app.jobs.moves import (
    Claim,
    ItemRow,
    Report,
    StaleError,
    cancel_requested,
    ended,
    move,
    move_claim,
    settle,
    waiting_unless_cancelled,
)
from app.sources.models import SourceState

MOST_CRASHES = 3
LAST_TRY = MOST_CRASHES - 1  # after so many an item is tried alone, so that no other is blamed


@dataclass(frozen=True, slots=True)
class Terms:
    """How items are handed out: for how long, when they are taken for hung, how many at once.

    And which: what others hold locked is passed over, and what comes behind may be what must not
    be in one hand with so many.
    """

    lease_s: float
    deadline_s: float
    most: int = 1
    most_crashes: int = MOST_CRASHES


def claim(
    session: Session,
    job_id: int,
    *,
    worker: str,
    kinds: Collection[str],
    terms: Terms,
    shares: Mapping[str | None, int] | None = None,
) -> list[Claim]:
    """Take items of a job that may run now; an empty list when there are none.

    With `shares` no more of each source than it says, and of no other source.
    """
    safe = JobItem.crashes <= terms.most_crashes
    if shares is None:
        chosen = [_next(job_id, kinds, terms.most, safe)]
    else:
        shares = _one_probe_at_a_time(session, shares)
        chosen = [
            _next(job_id, kinds, shares[name], safe, JobItem.source == name) for name in shares
        ]
    rows: list[ItemRow] = []
    for some in chosen:
        rows += _take(session, some, worker, terms)
    if rows:
        session.execute(
            update(Job)
            .where(Job.id == job_id, Job.state == JobState.PENDING)
            .values(state=JobState.PROCESSING, started_at=db_now())
        )
    rows.sort(key=lambda row: row.id)  # an UPDATE tells them as it comes by them
    return [_claim(tuple(row), worker) for row in rows]


def _claim(row: tuple[Any, ...], worker: str) -> Claim:
    item_id, job_id, kind, source, key, _state, fence, attempts, crashes, _worker = row
    return Claim(item_id, job_id, kind, source, key, fence, attempts, crashes, worker)


def _one_probe_at_a_time(
    session: Session, shares: Mapping[str | None, int]
) -> Mapping[str | None, int]:
    """Of a source whose breaker is half-open one item at most, and nobody else takes one meanwhile.

    The lock makes the next one see the item of this one, and `may_run_now` refuses him.
    """
    on_trial = session.scalars(
        select(SourceState.source)
        .where(SourceState.source.in_([name for name in shares if name]), SourceState.opens > 0)
        .order_by(SourceState.source)
        .with_for_update()
    )
    return {**shares, **dict.fromkeys(on_trial, 1)}


def _next(job_id: int, kinds: Collection[str], most: int, *only: ColumnElement[bool]) -> CTE:
    return (
        select(JobItem.id)
        .where(JobItem.job_id == job_id, JobItem.kind.in_(kinds), *only, *may_run_now())
        .order_by(JobItem.not_before, JobItem.id)
        .limit(most)
        .with_for_update(skip_locked=True, of=JobItem)
        .cte("chosen")
    )


def _take(session: Session, chosen: CTE, worker: str, terms: Terms) -> list[ItemRow]:
    return move(
        session,
        looked_up(JobItem.id, select(chosen.c.id)),
        from_state=ItemState.WAITING,
        event="claimed",
        state=ItemState.RUNNING,
        fence=JobItem.fence + 1,
        worker=worker,
        started_at=db_now(),
        lease_until=db_now(terms.lease_s),
        deadline_at=db_now(terms.deadline_s),
    )


@functools.cache  # building it costs as much as asking the database
def may_run_now() -> tuple[ColumnElement[bool], ...]:
    """The conditions under which an item is handed out."""
    job_open = (
        exists()
        .where(
            Job.id == JobItem.job_id,
            Job.state.in_(OPEN_JOB),
            Job.paused_at.is_(None),
            Job.cancel_requested_at.is_(None),
        )
        .correlate(JobItem)
    )
    held = select(SourceState.source).where(_is_held())
    # By NOT EXISTS PostgreSQL reckons with nothing left, and sorts all that waits at each claim.
    free = or_(JobItem.source.is_(None), JobItem.source.not_in(held))
    return (JobItem.state == ItemState.WAITING, JobItem.not_before <= db_now(), job_open, free)


@functools.cache
def has_claimable() -> ColumnElement[bool]:
    """Whether a job has an item that could be claimed now.

    As one to be found: of EXISTS, PostgreSQL would make a list of all jobs' items that could be.
    """
    first = select(JobItem.id).where(JobItem.job_id == Job.id, *may_run_now())
    in_order = first.order_by(JobItem.not_before, JobItem.id).limit(1)
    return in_order.correlate(Job).scalar_subquery().is_not(None)


def _is_held() -> ColumnElement[bool]:
    """The source is paused, has no slot free, or is on trial with an item still out."""
    out = aliased(JobItem)
    probing = (
        exists()
        .where(out.source == SourceState.source, out.state == ItemState.RUNNING)
        .correlate(SourceState)
    )
    return or_(
        SourceState.paused_until > db_now(),
        SourceState.free_at > db_now(),
        and_(SourceState.opens > 0, probing),
    )


def hold(session: Session, claim: Claim) -> None:
    """Make sure of the item before its effect: until the transaction ends nobody can take it."""
    ours = select(JobItem.id).where(
        JobItem.id == claim.item_id,
        JobItem.fence == claim.fence,
        JobItem.state == ItemState.RUNNING,
    )
    if session.scalar(ours.with_for_update()) is None:
        raise StaleError(f"item {claim.item_id} was taken from fence {claim.fence}")


def hold_all(session: Session, claims: Sequence[Claim]) -> set[Claim]:
    """Which of these are still ours; until the transaction ends nobody can take them.

    One item may be among them twice: lost, and claimed again by the same worker.
    """
    ids = {claim.item_id for claim in claims}
    running = select(JobItem.id, JobItem.fence).where(
        one_of(JobItem.id, ids), JobItem.state == ItemState.RUNNING
    )
    rows = session.execute(running.order_by(JobItem.id).with_for_update()).all()
    held = {row.id: row.fence for row in rows}
    return {claim for claim in claims if held.get(claim.item_id) == claim.fence}


def finish(session: Session, claim: Claim, outcome: ItemOutcome, report: Report) -> None:
    """The item is done. In the transaction of its effect; `hold` it first if the effect decides."""
    move_claim(session, claim, "done", report, state=ItemState.DONE, outcome=outcome, **ended(1))


def fail(session: Session, claim: Claim, report: Report) -> None:
    """The item has failed for good, as far as this job goes; or it waits for its next source."""
    step = failover.after_failure(session, claim, report)
    if step is None:
        move_claim(session, claim, "failed", report, state=ItemState.FAILED, **ended(1))
    else:
        move_claim(session, claim, failover.EVENT, step.report, **failover.asks(step.to))


def wait_again(
    session: Session, claim: Claim, after_s: float, report: Report, *, burns_attempt: bool
) -> None:
    """The same item is asked again after `after_s` seconds; cancelled if the job was meanwhile."""
    move_claim(
        session,
        claim,
        "retry",
        report,
        state=waiting_unless_cancelled(),
        not_before=db_now(after_s),
        attempts=JobItem.attempts + int(burns_attempt),
        lease_until=None,
        finished_at=case((cancel_requested(), db_now()), else_=None),
    )


def drop(session: Session, claim: Claim) -> None:
    """The job was cancelled and its worker has noticed."""
    move_claim(session, claim, "cancelled", Report(), state=ItemState.CANCELLED, **ended(0))


def give_back(session: Session, held: Iterable[tuple[int, int]]) -> int:
    """Let others take these at once, (item id, fence) each; nothing is counted against them."""
    ours = list(held)
    if not ours:
        return 0
    rows = move(
        session,
        tuple_(JobItem.id, JobItem.fence).in_(ours),
        from_state=ItemState.RUNNING,
        event="gave_back",
        state=waiting_unless_cancelled(),
        lease_until=None,
        not_before=db_now(),
        finished_at=case((cancel_requested(), db_now()), else_=None),
    )
    return len(rows)


def renew(session: Session, worker: str, lease_s: float) -> dict[int, int]:
    """Prolong every lease of a worker, never beyond an item's deadline: {item id: fence} held."""
    until = db_now(lease_s)
    statement = (
        update(JobItem)
        .where(JobItem.worker == worker, JobItem.state == ItemState.RUNNING)
        .values(lease_until=case((JobItem.deadline_at < until, JobItem.deadline_at), else_=until))
        .returning(JobItem.id, JobItem.fence)
    )
    return {row.id: row.fence for row in session.execute(statement)}


def reap(session: Session, most: int = BATCH) -> list[ItemRow]:
    """Take back what ran out of lease: its worker died, hangs or sleeps. Third time: quarantine.

    Of a cancelled job it is cancelled, whatever the count: nobody asks for it any more, and the
    job is to end as what was decided on it.
    """
    expired = (
        select(JobItem.id)
        .where(JobItem.state == ItemState.RUNNING, JobItem.lease_until < db_now())
        .order_by(JobItem.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("expired")
    )
    last_crash = JobItem.crashes + 1 >= MOST_CRASHES
    return move(
        session,
        and_(looked_up(JobItem.id, select(expired.c.id)), JobItem.lease_until < db_now()),
        from_state=ItemState.RUNNING,
        event="crashed",
        state=case(
            (and_(last_crash, ~cancel_requested()), ItemState.QUARANTINED),
            else_=waiting_unless_cancelled(),
        ),
        crashes=JobItem.crashes + 1,
        lease_until=None,
        not_before=db_now(),
        finished_at=case((or_(last_crash, cancel_requested()), db_now()), else_=None),
    )


def sweep(session: Session) -> None:
    """What no single transition can see: cancelled or expired jobs with items left, ended jobs."""
    open_jobs = select(Job.id).where(Job.state.in_(OPEN_JOB))
    cancelled = open_jobs.where(Job.cancel_requested_at.is_not(None))
    expired = open_jobs.where(Job.deadline_at < db_now())
    move(
        session,
        JobItem.job_id.in_(cancelled),
        from_state=ItemState.WAITING,
        event="cancelled",
        state=ItemState.CANCELLED,
        finished_at=db_now(),
    )
    move(
        session,
        JobItem.job_id.in_(expired),
        from_state=ItemState.WAITING,
        event="failed",
        report=Report("EXPIRED", Sentence(N_("It still waited when the job's time was up."))),
        state=ItemState.FAILED,
        finished_at=db_now(),
    )
    settle(session, session.scalars(open_jobs).all())
