"""How many retries a job may spend: a storm of failures must not become a storm of requests."""

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from app.jobs import ledger
from app.jobs.models import Job
from app.jobs.moves import Claim, Report

SMALLEST = 50
ONE_IN = 5  # of a job's items


def spend(session: Session, job_id: int) -> bool:
    """Take one retry out of the job's budget; False when it is used up."""
    spent = session.execute(
        update(Job)
        .where(
            Job.id == job_id,
            or_(Job.retries < SMALLEST, Job.retries * ONE_IN < Job.submitted),
        )
        .values(retries=Job.retries + 1)
        .returning(Job.id)
    )
    return spent.first() is not None


def retry(
    session: Session, claim: Claim, after_s: float, report: Report, *, burns_attempt: bool
) -> None:
    """As `ledger.wait_again`; without budget the item has failed, its open error is tried later.

    What burns no attempt spends none either: being throttled is no failure.
    """
    ledger.hold(session, claim)  # the item first, then the job, as everywhere
    if burns_attempt and not spend(session, claim.job_id):
        ledger.fail(session, claim, report)
    else:
        ledger.wait_again(session, claim, after_s, report, burns_attempt=burns_attempt)
