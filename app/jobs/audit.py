"""The conservation check: what was submitted is what the states add up to, for every job."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from app.core.text import N_, Sentence
from app.jobs.models import OPEN_ITEM, OPEN_JOB, Job, JobItem


@dataclass(frozen=True, slots=True)
class Imbalance:
    """A job whose books are wrong."""

    job_id: int
    submitted: int
    counted: int
    open_items: int
    state: str

    @property
    def sentence(self) -> Sentence:
        """What is wrong with it."""
        return Sentence(
            N_(
                "Job %(id)s: %(submitted)s items were submitted, %(counted)s are there, "
                "%(open)s of them open; its state is %(state)s."
            ),
            {
                "id": self.job_id,
                "submitted": self.submitted,
                "counted": self.counted,
                "open": self.open_items,
                "state": self.state,
            },
        )


def imbalances(session: Session, job_ids: Sequence[int] | None = None) -> list[Imbalance]:
    """The jobs, of these or of all, that do not add up or ended with items still open."""
    open_items = func.coalesce(func.sum(case((JobItem.state.in_(OPEN_ITEM), 1), else_=0)), 0)
    counted = func.count(JobItem.id)
    wrong = (
        select(Job.id, Job.submitted, counted, open_items, Job.state)
        .outerjoin(JobItem, JobItem.job_id == Job.id)
        .group_by(Job.id, Job.submitted, Job.state)
        .having(or_(counted != Job.submitted, (open_items > 0) & Job.state.not_in(OPEN_JOB)))
    )
    if job_ids is not None:
        wrong = wrong.where(Job.id.in_(job_ids))
    return [Imbalance(*row) for row in session.execute(wrong)]
