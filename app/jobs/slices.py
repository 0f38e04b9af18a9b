"""Slices of a job: its items by state, outcome or code, counted, walked through, tried again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from app.core.many import one_of
from app.core.text import N_, RequestError
from app.jobs import failover
from app.jobs.models import OPEN_ITEM, ItemState, Job, JobItem
from app.jobs.submit import ItemRequest, JobRequest

RETRIABLE = (ItemState.FAILED, ItemState.CANCELLED, ItemState.QUARANTINED)
RETRY = "retry_errors"
MOST_RETRIED = 200_000
PER_STEP = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """Which items of a job; None leaves a column open. A code is that of an item not done."""

    job_id: int
    state: str | None = None
    outcome: str | None = None
    code: str | None = None
    key: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What the items fulfil; the counts of `jobs.report.sums` are of the same."""
        found: list[ColumnElement[bool]] = [JobItem.job_id == self.job_id]
        for column in (JobItem.state, JobItem.outcome, JobItem.code, JobItem.key):
            if (value := getattr(self, column.key)) is not None:
                found.append(column == value)
        if self.code is not None:
            found.append(JobItem.outcome.is_(None))
        return found


def list_slice(
    session: Session, wanted: Slice, *, after: int = 0, most: int = 100
) -> Sequence[JobItem]:
    """Items as they were asked for; `after` is the last id of the page before."""
    query = select(JobItem).where(*wanted.conditions, JobItem.id > after)
    return session.scalars(query.order_by(JobItem.id).limit(most)).all()


def each_item(session: Session, wanted: Slice, *, per_step: int = PER_STEP) -> Iterator[Row[Any]]:
    """Every item of the slice in the order of the ids, a step of them in memory at a time.

    No transaction stays open between two steps.
    """
    last = 0
    while True:
        query = (
            select(JobItem.__table__)
            .where(*wanted.conditions, JobItem.id > last)
            .order_by(JobItem.id)
            .limit(per_step)
        )
        rows = session.execute(query).all()
        session.commit()
        yield from rows
        if len(rows) < per_step:
            return
        last = rows[-1].id


class Retriable(NamedTuple):
    """What of a slice has ended without being done."""

    left: int  # nobody has done it since, nobody is at it
    seen_to: int  # later jobs have done it, or have it in hand


def count_retriable(session: Session, wanted: Slice) -> Retriable:
    """How many items of the slice there are to try again."""
    query = select(func.count()).where(*wanted.conditions, JobItem.state.in_(RETRIABLE))
    count = session.scalar(query) or 0
    if not count or count > MOST_RETRIED or not session.scalar(select(_retries(wanted).exists())):
        return Retriable(count, 0)
    ended, order = _ended(session, wanted), _order(session, wanted)
    left = _free_of(_done_since(session, wanted, ended) | _in_hand(session), ended, order)
    return Retriable(len(left), count - len(left))


def retry_jobs(session: Session, job_id: int) -> Sequence[int]:
    """The jobs that were made of this one's slices, the oldest first."""
    query = _retries(Slice(job_id)).where(Job.params["of_job"].as_integer() == job_id)
    return session.scalars(query.order_by(Job.id)).all()


def _retries(wanted: Slice) -> Select[int]:
    """Every job since that tries again what others could not do."""
    return select(Job.id).where(Job.kind == RETRY, Job.id > wanted.job_id)


def retry_slice(session: Session, wanted: Slice) -> tuple[JobRequest, int]:
    """A job for what ended without being done, and how many are left out: in hand already.

    RequestError when nothing is left.
    """
    ended, order = _ended(session, wanted), _order(session, wanted)
    _refuse_if_none_or_too_many(len(ended), wanted.job_id)
    ended = _free_of(_done_since(session, wanted, ended), ended, order)
    if not ended:
        raise RequestError(N_("All of it was done since, by jobs that tried it again."))
    free = _requests(_free_of(_in_hand(session), ended, order), order)
    if not free:
        raise RequestError(
            N_("All %(count)s are being tried right now; look at the running jobs."),
            count=len(ended),
        )
    params = {"why": f"slice of job {wanted.job_id}", "of_job": wanted.job_id}
    again = {failover.PARAM: [*order]} if order else {}
    return JobRequest(RETRY, free, params | again), len(ended) - len(free)


def _ended(session: Session, wanted: Slice) -> Sequence[Any]:
    query = select(JobItem.source, JobItem.kind, JobItem.key).where(
        *wanted.conditions, JobItem.state.in_(RETRIABLE)
    )
    return session.execute(query.order_by(JobItem.id).limit(MOST_RETRIED + 1)).all()


def _order(session: Session, wanted: Slice) -> Sequence[str]:
    return failover.order_of(session.get_one(Job, wanted.job_id).params)


def _ways(row: Any, order: Sequence[str]) -> list[ItemRequest]:
    """The work of an item, by every source that may do it; the first is where it begins."""
    return [ItemRequest(row.kind, row.key, source) for source in order or [row.source]]


def _free_of(taken: set[ItemRequest], ended: Sequence[Any], order: Sequence[str]) -> Sequence[Any]:
    return [row for row in ended if taken.isdisjoint(_ways(row, order))]


def _requests(ended: Sequence[Any], order: Sequence[str]) -> list[ItemRequest]:
    """The same work again, each once, from the start of the order where there is one."""
    return [*dict.fromkeys(_ways(row, order)[0] for row in ended)]


def _done_since(session: Session, wanted: Slice, ended: Sequence[Any]) -> set[ItemRequest]:
    """What of it the jobs that try again have done since, of this job's slices or of others'."""
    query = select(JobItem.source, JobItem.kind, JobItem.key).where(
        JobItem.job_id.in_(_retries(wanted)),
        JobItem.state == ItemState.DONE,
        one_of(JobItem.key, {row.key for row in ended}),
    )
    return {ItemRequest(row.kind, row.key, row.source) for row in session.execute(query)}


def _refuse_if_none_or_too_many(count: int, job_id: int) -> None:
    if not count:
        raise RequestError(
            N_("No item of this slice of job %(id)s has ended without being done."), id=job_id
        )
    if count > MOST_RETRIED:
        raise RequestError(
            N_("This slice has more than %(most)s items. Try them again code by code."),
            most=MOST_RETRIED,
        )


def _in_hand(session: Session) -> set[ItemRequest]:
    """Everything that waits or runs at the moment, of whatever job."""
    query = select(JobItem.source, JobItem.kind, JobItem.key).where(JobItem.state.in_(OPEN_ITEM))
    return {ItemRequest(row.kind, row.key, row.source) for row in session.execute(query)}
