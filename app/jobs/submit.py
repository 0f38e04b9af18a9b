"""Asking for work: a job and all its items in one transaction, or joining the one that has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.core.db import current_time, db_now, insert_into
from app.core.many import append
from app.jobs import failover
from app.jobs.models import OPEN_ITEM, OPEN_JOB, ItemState, Job, JobItem, JobState, Trigger
from app.jobs.moves import note_job


@dataclass(frozen=True, slots=True)
class ItemRequest:
    """One unit of work to be done."""

    kind: str
    key: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What is asked for, checked and ready to be written. At least one item."""

    kind: str
    items: Sequence[ItemRequest]
    params: Mapping[str, Any] = field(default_factory=dict)
    unique_key: str | None = None
    priority: int = 5
    deadline_s: float | None = None  # items still waiting after so long have failed


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that will do it; `joined` when it was there before."""

    job_id: int
    joined: bool
    items: int


def submit(session: Session, request: JobRequest, *, by: str, trigger: Trigger) -> Submitted:
    """Write the job and all its items, or join the open job that was asked for the same."""
    if not request.items:
        raise ValueError(f"a {request.kind} job without items")
    now = current_time(session)
    joined = _open_twin(session, request)
    job_id = joined or _insert_job(session, request, now, by, trigger)
    if job_id is None:  # somebody else was faster with the same key
        joined = job_id = _open_twin(session, request)
    if job_id is None:
        raise RuntimeError(f"the {request.kind} job could neither be written nor joined")
    if not joined:
        _insert_items(session, job_id, request.items, now)
        note_job(session, job_id, "submitted", JobState.PENDING)
        asked = {"kind": request.kind, "items": len(request.items), **request.params}
        note(session, "job.submit", ("job", job_id), after=asked)
        if failover.PARAM in request.params:
            failover.pass_on(session, job_id)  # at once, so that nobody waits for a closed source
    return Submitted(job_id, joined is not None, len(request.items))


def _open_twin(session: Session, request: JobRequest) -> int | None:
    """An open job with the same key, or whose open items include the single one asked for.

    An item that may end up at another source is not the same: it neither joins nor is joined.
    """
    if request.unique_key is not None:
        same = select(Job.id).where(Job.unique_key == request.unique_key, Job.state.in_(OPEN_JOB))
        if job_id := session.scalar(same):
            return job_id
    if len(request.items) > 1 or failover.PARAM in request.params:
        return None
    item = request.items[0]
    covering = (
        select(JobItem.job_id)
        .join(Job, Job.id == JobItem.job_id)
        .where(
            JobItem.source == item.source,
            JobItem.kind == item.kind,
            JobItem.key == item.key,
            JobItem.state.in_(OPEN_ITEM),
            Job.cancel_requested_at.is_(None),
            ~failover.has_order(),
        )
    )
    return session.scalars(covering.limit(1)).first()


def _insert_job(
    session: Session, request: JobRequest, now: datetime, by: str, trigger: Trigger
) -> int | None:
    row = {
        "kind": request.kind,
        "state": JobState.PENDING,
        "params": dict(request.params),
        "unique_key": request.unique_key,
        "priority": request.priority,
        "trigger": trigger,
        "requested_by": by,
        "submitted": len(request.items),
        "submitted_at": now,
        "deadline_at": db_now(request.deadline_s) if request.deadline_s else None,
    }
    statement = insert_into(session, Job).values(**row).on_conflict_do_nothing()
    return session.scalars(statement.returning(Job.id)).first()


def _insert_items(
    session: Session, job_id: int, items: Sequence[ItemRequest], now: datetime
) -> None:
    untried = {"state": ItemState.WAITING, "attempts": 0, "crashes": 0, "fence": 0}
    as_new = {"job_id": job_id, "not_before": now, **untried}
    append(
        session,
        JobItem,
        [as_new | {"kind": item.kind, "source": item.source, "key": item.key} for item in items],
    )
