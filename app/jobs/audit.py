"""The conservation check: what was submitted is what the states add up to, for every job."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import Session

from app.core.text import N_, Sentence
from app.jobs.models import BAD_END, OPEN_ITEM, OPEN_JOB, ItemState, Job, JobItem, JobState


@dataclass(frozen=True, slots=True)
class Imbalance:
    """A job whose books are wrong."""

    job_id: int
    submitted: int
    counted: int
    open_items: int
    adrift: int  # in a state nobody knows, or running without a lease: no one ever ends them
    undone: int  # failed, quarantined or cancelled
    state: str

    @property
    def sentence(self) -> Sentence:
        """What is wrong with it."""
        return Sentence(
            N_(
                "Job %(id)s: %(submitted)s items were submitted, %(counted)s are there, "
                "%(open)s of them open, %(undone)s not done, %(adrift)s that nobody can end; "
                "its state is %(state)s."
            ),
            {
                "id": self.job_id,
                "submitted": self.submitted,
                "counted": self.counted,
                "open": self.open_items,
                "undone": self.undone,
                "adrift": self.adrift,
                "state": self.state,
            },
        )


def imbalances(session: Session, job_ids: Sequence[int] | None = None) -> list[Imbalance]:
    """The jobs, of these or of all, that do not add up, cannot end, or ended untruly."""
    counted = func.count(JobItem.id)
    open_items = _how_many(JobItem.state.in_(OPEN_ITEM))
    running = JobItem.state == ItemState.RUNNING
    adrift = _how_many(
        or_(JobItem.state.not_in(list(ItemState)), running & JobItem.lease_until.is_(None))
    )
    bad = _how_many(JobItem.state.in_(BAD_END))
    undone = _how_many(JobItem.state.in_((*BAD_END, ItemState.CANCELLED)))
    wrong = (
        select(Job.id, Job.submitted, counted, open_items, adrift, undone, Job.state)
        .outerjoin(JobItem, JobItem.job_id == Job.id)
        .group_by(Job.id, Job.submitted, Job.state)
        .having(
            or_(
                counted != Job.submitted,
                adrift > 0,
                (open_items > 0) & Job.state.not_in(OPEN_JOB),
                (undone > 0) & (Job.state == JobState.DONE),
                (bad > 0) & (Job.state == JobState.CANCELLED),
            )
        )
    )
    if job_ids is not None:
        wrong = wrong.where(Job.id.in_(job_ids))
    return [Imbalance(*row) for row in session.execute(wrong)]


def _how_many(those: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((those, 1), else_=0)), 0)
