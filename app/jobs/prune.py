"""Forgetting history that is old enough, in batches, so that no table is locked for long."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.accounts.throttle import forget_old
from app.audit.models import AuditEntry
from app.core.clock import now
from app.core.db import BATCH, Base, persist
from app.core.text import N_, Sentence
from app.errors.models import FixtureError
from app.jobs import ledger
from app.jobs.models import ItemOutcome, Job, JobEvent, JobItem
from app.jobs.models import Worker as WorkerRow
from app.jobs.moves import Claim, Report
from app.jobs.worker import Worker
from app.sources.models import RequestLog


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days."""

    history_days: int
    requests_days: int
    audit_days: int


def prune_item(keep: Keep, claim: Claim, _worker: Worker) -> None:
    """The job of it: delete, then say in the ledger how much."""
    at = now()
    gone = prune(at - timedelta(days=keep.history_days), at - timedelta(days=keep.requests_days))
    audit_before = at - timedelta(days=keep.audit_days)
    _delete_before(AuditEntry, AuditEntry.id, AuditEntry.at, audit_before)
    persist(lambda session: forget_old(session, at))
    message = Sentence(
        N_("Deleted %(requests)s requests, %(events)s events, %(jobs)s jobs, %(errors)s errors."),
        {
            "requests": gone["request_log"],
            "events": gone["job_event"],
            "jobs": gone["job"],
            "errors": gone["fixture_error"],
        },
    )
    persist(
        lambda session: ledger.finish(session, claim, ItemOutcome.STORED, Report(message=message))
    )


def prune(history_before: datetime, requests_before: datetime) -> dict[str, int]:
    """Delete what is older, and say how many rows of each table. Open jobs and errors stay."""
    return {
        "request_log": _delete_before(RequestLog, RequestLog.id, RequestLog.at, requests_before),
        "job_event": _delete_before(JobEvent, JobEvent.id, JobEvent.at, history_before),
        "job": _delete_jobs(history_before),
        "fixture_error": _delete_before(
            FixtureError, FixtureError.id, FixtureError.resolved_at, history_before
        ),
        "worker": _delete_before(WorkerRow, WorkerRow.id, WorkerRow.heartbeat_at, history_before),
    }


def _delete_before(
    model: type[Base],
    key: InstrumentedAttribute[int] | InstrumentedAttribute[str],
    at: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    before: datetime,
) -> int:
    def batch(session: Session) -> int:
        old = select(key).where(at < before).limit(BATCH)
        return len(session.execute(delete(model).where(key.in_(old)).returning(key)).all())

    return _until_none(batch)


def _delete_jobs(before: datetime) -> int:
    """Long ended jobs one at a time, each with its items: no sum is ever half."""

    def one(session: Session) -> int:
        job_id = session.scalar(select(Job.id).where(Job.finished_at < before).limit(1))
        if job_id is None:
            return 0
        session.execute(delete(JobItem).where(JobItem.job_id == job_id))
        session.execute(delete(Job).where(Job.id == job_id))
        return 1

    return _until_none(one)


def _until_none(batch: Callable[[Session], int]) -> int:
    total = 0
    while deleted := persist(batch):
        total += deleted
    return total
