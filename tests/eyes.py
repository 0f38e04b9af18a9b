"""Looking into the ledger from outside, while others work on it."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from stage import wait_until

from app.core.db import current_time, reading
from app.jobs.audit import imbalances
from app.jobs.models import ItemState, JobEvent, JobItem
from app.jobs.report import JobReport, job_report
from app.sources.models import SourceState


def look(job_id: int) -> JobReport:
    """The job now; the books must be balanced at every look."""
    with reading() as session:
        report = job_report(session, job_id)
        assert report.balanced, report.items
        assert imbalances(session) == []
    return report


def until_done(job_id: int, count: int, seconds: float = 60) -> JobReport:
    """Wait for so many; for all of them means until the job has ended too.

    The last two items may end in two transactions that do not see each other: then the steward
    ends the job, a second later.
    """

    def enough() -> JobReport | None:
        report = look(job_id)
        over = count < report.job.submitted or not report.is_open
        return report if report.items["done"] >= count and over else None

    try:
        return wait_until(enough, seconds, 0.05)
    except AssertionError as error:
        raise AssertionError(f"{error}; {_not_done(job_id)}") from None


def _not_done(job_id: int) -> str:
    """What a failure is to be found by: its database is gone soon after."""
    with reading() as session:
        waiting = session.scalars(
            select(JobItem)
            .where(JobItem.job_id == job_id, JobItem.state != ItemState.DONE)
            .limit(5)
        )
        items = [(one.key, one.state, one.code, one.fence, one.not_before) for one in waiting]
        sources = session.execute(
            select(SourceState.source, SourceState.paused_until, SourceState.code)
        )
        return f"items {items}, sources {[tuple(row) for row in sources]}"


def events(job_id: int, name: str) -> int:
    with reading() as session:
        wanted = select(func.count()).where(JobEvent.job_id == job_id, JobEvent.event == name)
        return session.scalar(wanted) or 0


def in_hand(job_id: int, pids: set[int]) -> dict[int, str]:
    """The items that workers of these process ids hold, with their keys."""
    with reading() as session:
        running = select(JobItem.id, JobItem.key, JobItem.worker).where(
            JobItem.job_id == job_id, JobItem.state == ItemState.RUNNING
        )
        rows = session.execute(running).all()
    return {row.id: row.key for row in rows if int(row.worker.split(":")[-2]) in pids}


def back_s(items: Iterable[int], since: datetime, event: str) -> list[float]:
    """After how many seconds that happened to each of the items for the first time."""
    with reading() as session:
        first = (
            select(func.min(JobEvent.at))
            .where(JobEvent.item_id.in_(items), JobEvent.event == event, JobEvent.at > since)
            .group_by(JobEvent.item_id)
        )
        return [(at - since).total_seconds() for at in session.scalars(first)]


def by_the_ledgers_clock() -> datetime:
    with reading() as session:
        return current_time(session)


def crashes(job_id: int) -> int:
    with reading() as session:
        return (
            session.scalar(select(func.sum(JobItem.crashes)).where(JobItem.job_id == job_id)) or 0
        )
