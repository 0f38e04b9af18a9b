"""What may go out now: the sources of what a job would do next, and slots for them.

Slots are reserved before anything is claimed: a job without a slot holds no worker, and its items
stay waiting where everybody can see why.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.jobs import ledger
from app.jobs.models import Job, JobItem
from app.jobs.moves import Claim
from app.sources.limits import Grant
from app.sources.models import SourceState
from app.sources.pace import wait_for_slot


class Limiter(Protocol):
    """The one who gives out slots; never waits, never raises."""

    def limits(self, source: str) -> bool:
        """Whether the source has a limit at all."""

    def grant(self, source: str, want: int, factor: float = 1.0) -> Grant:
        """Reserve up to `want` slots of a source at `factor` of its speed."""


class Unlimited:
    """Gives whatever is asked for."""

    def limits(self, source: str) -> bool:
        """None has one."""
        return False

    def grant(self, source: str, want: int, factor: float = 1.0) -> Grant:
        """All of it."""
        return Grant(want)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker would claim."""

    job_id: int
    worker: str
    kinds: Collection[str]
    terms: ledger.Terms


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many of the next items of a job are of this source."""

    source: str | None
    items: int
    factor: float


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of each source may be claimed, and in how many seconds the others are free again."""

    granted: Mapping[str | None, int]
    free_in_s: Mapping[str, float]


def wanted(session: Session, order: Order) -> list[Wanted]:
    """The sources of the next items of a job that may run now; empty when there are none."""
    first = (
        select(JobItem.source)
        .where(
            JobItem.job_id == order.job_id,
            JobItem.kind.in_(order.kinds),
            *ledger.may_run_now(),
        )
        .order_by(JobItem.not_before, JobItem.id)
        .limit(order.terms.most)
        .subquery()
    )
    on_trial = func.coalesce(func.max(SourceState.opens), 0) > 0
    counted = (
        select(
            first.c.source,
            func.count().label("items"),
            func.coalesce(func.max(SourceState.factor), 1.0).label("factor"),
            on_trial.label("on_trial"),
        )
        .select_from(first.outerjoin(SourceState, SourceState.source == first.c.source))
        .group_by(first.c.source)
    )
    return [
        Wanted(row.source, 1 if row.on_trial else row.items, row.factor)
        for row in session.execute(counted)
    ]


def claim_unlimited(
    session: Session, limiter: Limiter, order: Order
) -> tuple[list[Wanted], list[Claim]]:
    """Claim at once what needs no slot; else only what is wanted, for nobody is asked in here."""
    wishes = wanted(session, order)
    if not wishes or any(wish.source and limiter.limits(wish.source) for wish in wishes):
        return wishes, []
    return wishes, claim_shares(session, order, {wish.source: wish.items for wish in wishes})


def claim_shares(session: Session, order: Order, granted: Mapping[str | None, int]) -> list[Claim]:
    """Claim so many of each source."""
    return ledger.claim(
        session,
        order.job_id,
        worker=order.worker,
        kinds=order.kinds,
        terms=order.terms,
        shares=granted,
    )


def ask_for(limiter: Limiter, wishes: Sequence[Wanted]) -> Shares:
    """Reserve what there is of what is wanted."""
    granted: dict[str | None, int] = {}
    free_in_s: dict[str, float] = {}
    for wish in wishes:
        if wish.source is None:
            granted[None] = wish.items
            continue
        grant = limiter.grant(wish.source, wish.items, wish.factor)
        if grant.granted:
            granted[wish.source] = grant.granted
        if grant.granted < wish.items:
            free_in_s[wish.source] = grant.free_in_s
    return Shares(granted, free_in_s)


def note_waits(session: Session, job_id: int, free_in_s: Mapping[str, float]) -> None:
    """Write down when the sources are free again, and that the job is to be rung for then."""
    session.execute(update(Job).where(Job.id == job_id).values(rung_at=None))
    for source in sorted(free_in_s):
        wait_for_slot(session, source, free_in_s[source])
