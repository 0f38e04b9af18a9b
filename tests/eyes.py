"""Looking into the ledger from outside, while others work on it."""

from sqlalchemy import func, select
from stage import wait_until

from app.core.db import reading
from app.jobs.audit import imbalances
from app.jobs.models import JobEvent, JobItem
from app.jobs.report import JobReport, job_report


def look(job_id: int) -> JobReport:
    """The job now; the books must be balanced at every look."""
    with reading() as session:
        report = job_report(session, job_id)
        assert report.balanced, report.items
        assert imbalances(session) == []
    return report


def until_done(job_id: int, count: int, seconds: float = 60) -> JobReport:
    return wait_until(lambda: (r := look(job_id)).items["done"] >= count and r, seconds, 0.05)


def events(job_id: int, name: str) -> int:
    with reading() as session:
        wanted = select(func.count()).where(JobEvent.job_id == job_id, JobEvent.event == name)
        return session.scalar(wanted) or 0


def crashes(job_id: int) -> int:
    with reading() as session:
        return (
            session.scalar(select(func.sum(JobItem.crashes)).where(JobItem.job_id == job_id)) or 0
        )
