"""Rows for tests, by their plain names."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import func, select, update

from app.core.db import db_now, reading, transaction
from app.jobs.models import JobItem, Trigger
from app.jobs.moves import Claim
from app.jobs.report import sums
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job

FIRST_DAY = date(2025, 5, 5)


def a_job(days: int = 1, source: str = "sandbox", kind: str = "fetch_range") -> int:
    """A submitted job of so many days, none of which an earlier job of the test has."""
    with reading() as session:
        asked_before = session.scalar(select(func.count()).select_from(JobItem)) or 0
    first = FIRST_DAY + timedelta(days=asked_before)
    items = [
        ItemRequest("fetch_day", (first + timedelta(days=n)).isoformat(), source)
        for n in range(days)
    ]
    request = JobRequest(kind, items)
    with transaction() as session:
        return submit_job(session, request, by="tester", trigger=Trigger.CLI).job_id


def counts(job_id: int) -> dict[str, int]:
    """Items per state."""
    with reading() as session:
        return sums(session, job_id)[0]


def items_of(job_id: int) -> Sequence[JobItem]:
    """The items of a job."""
    with reading() as session:
        return session.scalars(
            select(JobItem).where(JobItem.job_id == job_id).order_by(JobItem.id)
        ).all()


def overdue(claim: Claim) -> None:
    """Let the lease of a claim run out."""
    with transaction() as session:
        session.execute(
            update(JobItem).where(JobItem.id == claim.item_id).values(lease_until=db_now(-1))
        )
