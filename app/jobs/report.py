"""What the ledger says of jobs, for people and programs. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from app.core.db import current_time
from app.core.text import N_, RequestError, Sentence
from app.jobs import failover
from app.jobs.models import (
    OPEN_JOB,
    ItemOutcome,
    ItemState,
    Job,
    JobEvent,
    JobItem,
    JobState,
    Worker,
)
from app.sources.limits import slowed, told_rates
from app.sources.models import RequestLog, SourceState
from app.sources.pause import UNTIL_RESUMED, pause_of

WORKER_ALIVE_S = 20
RATE_OF_S = 60  # the rate is that of the last minute: what was before a pause says nothing
_TRIED = (ItemState.DONE, ItemState.FAILED, ItemState.QUARANTINED)  # cancelling is no speed


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job with its sums. Every key of each sum is present, zero or not."""

    job: Job
    items: dict[str, int]  # state -> items; their sum is job.submitted
    outcomes: dict[str, int]  # of the done ones
    errors: dict[str, int]  # code -> items whose last verdict it is, done ones left out
    ended: int
    rate: float | None  # items done or failed per second, of late; None while it is held
    left_s: float | None  # seconds until the end at that rate
    waits_for: Sentence | None
    answered_by: dict[str, int]  # with failover, source -> items that are done; else empty

    @property
    def order(self) -> Sequence[str]:
        """The sources that are asked one after the other; () when each item has but one."""
        return failover.order_of(self.job.params)

    @property
    def balanced(self) -> bool:
        """Whether the states add up to what was submitted."""
        return sum(self.items.values()) == self.job.submitted

    @property
    def is_open(self) -> bool:
        """Whether anything can still change."""
        return self.job.state in OPEN_JOB


def job_report(session: Session, job_id: int) -> JobReport:
    """The job and its sums. RequestError when there is no such job."""
    job = session.get(Job, job_id)
    if job is None:
        raise RequestError(N_("There is no job %(id)s."), id=job_id)
    now = current_time(session)
    items, outcomes, errors, lately = _sums(session, job_id, now - timedelta(seconds=RATE_OF_S))
    left = items[ItemState.WAITING] + items[ItemState.RUNNING]
    rate = None if _is_held(session, job, now) else _rate(job, items, lately, now)
    return JobReport(
        job=job,
        items=items,
        outcomes=outcomes,
        errors=errors,
        ended=sum(items.values()) - left,
        rate=rate,
        left_s=left / rate if rate and job.finished_at is None else None,
        waits_for=waits_for(session, job, items, now),
        answered_by=answered_by(session, job),
    )


def sums(session: Session, job_id: int) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Items per state, done items per outcome, and not done ones per code."""
    return _sums(session, job_id, UNTIL_RESUMED)[:3]


def _sums(
    session: Session, job_id: int, since: datetime
) -> tuple[dict[str, int], dict[str, int], dict[str, int], int]:
    """Items per state, done ones per outcome, others per code, and those tried since then."""
    items: dict[str, int] = dict.fromkeys((state.value for state in ItemState), 0)
    outcomes: dict[str, int] = dict.fromkeys((outcome.value for outcome in ItemOutcome), 0)
    errors: dict[str, int] = {}
    tried = 0
    lately = func.sum(case((JobItem.finished_at > since, 1), else_=0))
    counted = (
        select(JobItem.state, JobItem.outcome, JobItem.code, func.count(), lately)
        .where(JobItem.job_id == job_id)
        .group_by(JobItem.state, JobItem.outcome, JobItem.code)
    )
    for state, outcome, code, count, late in session.execute(counted):
        items[state] += count
        tried += late if state in _TRIED else 0
        if outcome is not None:
            outcomes[outcome] += count
        elif code is not None:
            errors[code] = errors.get(code, 0) + count
    return items, outcomes, errors, tried


def answered_by(session: Session, job: Job) -> dict[str, int]:
    """How many items each source of an ordered list has answered; {} where there is no list."""
    order = failover.order_of(job.params)
    if not order:
        return {}
    counted = (
        select(JobItem.source, func.count())
        .where(JobItem.job_id == job.id, JobItem.state == ItemState.DONE)
        .group_by(JobItem.source)
    )
    found = {source: count for source, count in session.execute(counted)}  # noqa: C416
    return {source: found[source] for source in order if source in found}


def _rate(job: Job, items: dict[str, int], lately: int, now: datetime) -> float | None:
    """Of the last minute; of an ended job over all its time."""
    tried = lately if job.finished_at is None else sum(items[state] for state in _TRIED)
    if job.started_at is None or not tried:
        return None
    seconds = ((job.finished_at or now) - job.started_at).total_seconds()
    if job.finished_at is None:
        seconds = min(seconds, RATE_OF_S)
    return tried / max(seconds, 0.001)


def _is_held(session: Session, job: Job, now: datetime) -> bool:
    """Whether nothing more is handed out until somebody resumes it or its sources' pauses end."""
    if job.finished_at is not None:
        return False
    sources = _waiting_sources(session, job.id)
    paused = [source for source in sources if source and pause_of(session, source, now)]
    return job.paused_at is not None or (bool(sources) and len(paused) == len(sources))


def waits_for(session: Session, job: Job, items: dict[str, int], now: datetime) -> Sentence | None:
    """Why nothing of the job runs at the moment; None when something does or nothing is left."""
    if items[ItemState.RUNNING] or not items[ItemState.WAITING]:
        return None
    if job.paused_at is not None:
        return Sentence(N_("The job is paused until somebody resumes it."))
    if pause := held_by_source(session, job.id, now):
        return pause
    earliest = earliest_start(session, job)
    if earliest is not None and earliest > now:
        seconds = round((earliest - now).total_seconds())
        return Sentence(N_("The next try is in %(seconds)s seconds."), {"seconds": seconds})
    if not live_workers(session):
        return Sentence(N_("No worker is running. Start one: flask --app wsgi worker"))
    return _paced(session, _waiting_sources(session, job.id)) or _FREE_WORKER


_FREE_WORKER = Sentence(N_("It waits for a free worker."))


def why_item_waits(session: Session, item: JobItem) -> Sentence | None:
    """As `waits_for` says it of a job; None when the item does not wait."""
    now, job = current_time(session), session.get_one(Job, item.job_id)
    if item.state != ItemState.WAITING:
        return None
    if job.paused_at is not None:
        return Sentence(N_("The job is paused until somebody resumes it."))
    if item.source and pause_of(session, item.source, now):
        return _why_held(session, session.get_one(SourceState, item.source), now)
    if item.not_before > now:
        seconds = max(round((item.not_before - now).total_seconds()), 1)
        return Sentence(N_("The next try is in %(seconds)s seconds."), {"seconds": seconds})
    if not live_workers(session):
        return Sentence(N_("No worker is running. Start one: flask --app wsgi worker"))
    return _paced(session, [item.source]) or _FREE_WORKER


def _paced(session: Session, sources: Sequence[str | None]) -> Sentence | None:
    """That a limit sets the pace; None when no source that is waited for has one."""
    source = next(filter(told_rates, sources), None)
    if source is None:
        return None
    rates, state = told_rates(source), session.get(SourceState, source)
    values = {"source": source, "limit": ", ".join(map(str, rates))}
    if state is None or state.factor >= 1:
        told = N_("The limit of %(source)s sets the pace: %(limit)s (requests/seconds).")
        return Sentence(told, values)
    told = N_(
        "The limit of %(source)s sets the pace: %(limit)s (requests/seconds), "
        "slowed down to %(slowed)s for now, for it asked for fewer."
    )
    return Sentence(told, {**values, "slowed": ", ".join(map(str, slowed(rates, state.factor)))})


def _waiting_sources(session: Session, job_id: int) -> Sequence[str | None]:
    return session.scalars(
        select(JobItem.source)
        .where(JobItem.job_id == job_id, JobItem.state == ItemState.WAITING)
        .distinct()
    ).all()


def held_by_source(session: Session, job_id: int, now: datetime) -> Sentence | None:
    """What holds every waiting item of the job; None when the source of one is free to be asked."""
    sources = _waiting_sources(session, job_id)
    states = [session.get(SourceState, source) if source else None for source in sources]
    held = [state for state in states if state is not None and _free_at(state, now) is not None]
    if not held or len(held) < len(sources):
        return None
    first = min(held, key=lambda state: _free_at(state, now) or now)
    return _why_held(session, first, now)


def _free_at(state: SourceState, now: datetime) -> datetime | None:
    """When the source may be asked again; None when it may be now."""
    times = [at for at in (state.paused_until, state.free_at) if at is not None and at > now]
    return max(times, default=None)


def _why_held(session: Session, state: SourceState, now: datetime) -> Sentence:
    if pause_of(session, state.source, now):
        return Sentence(
            N_("Source %(source)s is paused (%(code)s) until %(until)s."),
            {"source": state.source, "code": state.code, "until": _when(state.paused_until)},
        )
    seconds = ((state.free_at or now) - now).total_seconds()
    return Sentence(
        N_("The limit of %(source)s is reached; its next request goes out in %(seconds)s s."),
        {"source": state.source, "seconds": max(round(seconds), 1)},
    )


def earliest_start(session: Session, job: Job) -> datetime | None:
    """When the first waiting item may be handed out, UNTIL_RESUMED when somebody must resume it.

    None when nothing of the job waits.
    """
    if job.paused_at is not None:
        return UNTIL_RESUMED
    now = current_time(session)
    first_of = (
        select(JobItem.source, func.min(JobItem.not_before))
        .where(JobItem.job_id == job.id, JobItem.state == ItemState.WAITING)
        .group_by(JobItem.source)
    )
    starts, closed = [], failover.closed_sources(session)
    for source, not_before in session.execute(first_of):
        if source in closed and failover.open_after(failover.order_of(job.params), source, closed):
            return now  # it is passed on within a second
        state = session.get(SourceState, source) if source else None
        starts.append(max(not_before, (state and _free_at(state, now)) or not_before))
    return min(starts, default=None)


def _when(until: datetime | None) -> Sentence | datetime:
    if until is None or until >= UNTIL_RESUMED:
        return Sentence(N_("somebody resumes it"))
    return until


def list_jobs(
    session: Session, *, state: JobState | None = None, before: int | None = None, most: int = 50
) -> Sequence[Job]:
    """The newest jobs first; `before` is the last id of the page before."""
    wanted = select(Job).order_by(Job.id.desc()).limit(most)
    if state is not None:
        wanted = wanted.where(Job.state == state)
    if before is not None:
        wanted = wanted.where(Job.id < before)
    return session.scalars(wanted).all()


def list_items(
    session: Session,
    job_id: int,
    *,
    state: str | None = None,
    key: str | None = None,
    after: int = 0,
    most: int = 100,
) -> Sequence[JobItem]:
    """Items of a job as they were asked for; `after` is the last id of the page before."""
    wanted = select(JobItem).where(JobItem.job_id == job_id, JobItem.id > after)
    if state is not None:
        wanted = wanted.where(JobItem.state == state)
    if key is not None:
        wanted = wanted.where(JobItem.key == key)
    return session.scalars(wanted.order_by(JobItem.id).limit(most)).all()


def timeline(session: Session, item_id: int) -> Sequence[JobEvent]:
    """Everything that happened to an item, oldest first."""
    return session.scalars(
        select(JobEvent).where(JobEvent.item_id == item_id).order_by(JobEvent.id)
    ).all()


def requests_of(session: Session, item: JobItem, most: int = 200) -> Sequence[RequestLog]:
    """The requests made for an item, alone or with others, oldest first."""
    with_others = and_(
        RequestLog.job_id == item.job_id,
        RequestLog.items.is_not(None),  # as the index has it
        RequestLog.items.contains(f",{item.id},"),
    )
    query = select(RequestLog).where(or_(RequestLog.item_id == item.id, with_others))
    return session.scalars(query.order_by(RequestLog.id).limit(most)).all()


def live_workers(session: Session) -> Sequence[Worker]:
    """The worker processes whose heartbeat is fresh."""
    now = current_time(session)
    rows = session.scalars(select(Worker).where(Worker.stopped_at.is_(None))).all()
    return [w for w in rows if (now - w.heartbeat_at).total_seconds() < WORKER_ALIVE_S]


def totals(session: Session) -> dict[str, Any]:
    """Items per state over all jobs, and what was submitted in all."""
    counted = session.execute(select(JobItem.state, func.count()).group_by(JobItem.state))
    items: dict[str, int] = dict.fromkeys((state.value for state in ItemState), 0)
    items |= {state: count for state, count in counted}  # noqa: C416  rows are not pairs to mypy
    submitted = session.scalar(select(func.coalesce(func.sum(Job.submitted), 0)))
    return {"submitted": submitted or 0, "items": items}
