"""What may go out now: the sources of what a job would do next, and slots for them.

Slots are reserved before anything is claimed: a job without a slot holds no worker, and its items
stay waiting where everybody can see why.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.jobs import ledger
from app.jobs.models import JobItem
from app.jobs.moves import Claim
from app.sources.limits import Grant
from app.sources.models import SourceState
from app.sources.pace import wait_for_slot

MOST_SUSPECTS = 64  # items in one hand that were in a dead worker's before


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


PerRequest = Callable[[str, str], int]  # source, kind of item -> how many one request names


def one_each(_source: str, _kind: str) -> int:
    """Each item is a request of its own."""
    return 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker would claim."""

    job_id: int
    worker: str
    kinds: Collection[str]
    terms: ledger.Terms
    per_request: PerRequest = one_each
    beside: bool = False  # whether its process has anything in hand already


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many of the next items of a job are of this source."""

    source: str | None
    items: int
    factor: float
    crashes: int  # none of the items may have seen more workers die: so many are safe together
    per_slot: int = 1

    @property
    def slots(self) -> int:
        """How many requests they are."""
        return math.ceil(self.items / self.per_slot)


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of each source may be claimed, and in how many seconds the others are free again."""

    granted: Mapping[str | None, int]
    free_in_s: Mapping[str, float]
    crashes: int


def wanted(session: Session, order: Order) -> list[Wanted]:
    """The sources of the next items of a job that may run now; empty when there are none."""
    first = (
        select(JobItem.source, JobItem.kind, JobItem.crashes, JobItem.not_before, JobItem.id)
        .where(
            JobItem.job_id == order.job_id,
            JobItem.kind.in_(order.kinds),
            *ledger.may_run_now(),
        )
        .order_by(JobItem.not_before, JobItem.id)
        .limit(order.terms.most)
        .subquery()
    )
    in_order = (
        select(
            first.c.source,
            first.c.kind,
            first.c.crashes,
            SourceState.factor,
            SourceState.opens,
        )
        .select_from(first.outerjoin(SourceState, SourceState.source == first.c.source))
        .order_by(first.c.not_before, first.c.id)
    )
    rows = session.execute(in_order).all()
    some = rows[: safe_together([row.crashes for row in rows])]
    counts = Counter((row.source, row.factor, row.opens) for row in some)
    kinds: dict[str | None, set[str]] = defaultdict(set)
    for row in some:
        kinds[row.source].add(row.kind)
    return [
        Wanted(
            source,
            1 if opens else items,
            1.0 if factor is None else factor,
            rows[0].crashes,
            _per_slot(order, source, kinds[source]),
        )
        for (source, factor, opens), items in counts.items()
    ]


def _per_slot(order: Order, source: str | None, kinds: Collection[str]) -> int:
    """One, unless it is sure that they share a request: never more requests than slots."""
    if source is None or len(kinds) > 1:
        return 1
    return order.per_request(source, *kinds)


def safe_together(crashes: Sequence[int]) -> int:
    """How many of the next items may be in one hand, by how many workers each has seen die.

    When a worker dies with hundreds in hand nobody knows which of them killed it. Those that were
    there are tried in smaller numbers, and before one is quarantined it was tried alone.
    """
    if not crashes:
        return 0
    most = {0: len(crashes), 1: MOST_SUSPECTS}.get(crashes[0], 1)
    alike = itertools.takewhile(lambda count: count <= crashes[0], crashes)
    return min(most, len(list(alike)))


def must_wait(order: Order, wishes: Sequence[Wanted]) -> bool:
    """Whether what is next is tried alone or not at all, and its process has others in hand."""
    return order.beside and any(wish.crashes >= ledger.LAST_TRY for wish in wishes)


def claim_unlimited(
    session: Session, limiter: Limiter, order: Order
) -> tuple[list[Wanted], list[Claim]]:
    """Claim at once what needs no slot; else only what is wanted, for nobody is asked in here."""
    wishes = wanted(session, order)
    limited = any(wish.source and limiter.limits(wish.source) for wish in wishes)
    if not wishes or limited or must_wait(order, wishes):
        return wishes, []
    shares = {wish.source: wish.items for wish in wishes}
    return wishes, claim_shares(session, order, shares, wishes[0].crashes)


def claim_shares(
    session: Session, order: Order, granted: Mapping[str | None, int], crashes: int
) -> list[Claim]:
    """Claim so many of each source, none of which saw more workers die than `crashes`."""
    return ledger.claim(
        session,
        order.job_id,
        worker=order.worker,
        kinds=order.kinds,
        terms=replace(order.terms, most_crashes=crashes),
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
        grant = limiter.grant(wish.source, wish.slots, wish.factor)
        if grant.granted:
            granted[wish.source] = min(wish.items, grant.granted * wish.per_slot)
        if grant.granted < wish.slots:
            free_in_s[wish.source] = grant.free_in_s
    return Shares(granted, free_in_s, wishes[0].crashes)


def note_waits(session: Session, free_in_s: Mapping[str, float]) -> None:
    """Write down when the sources are free again: who waits for them is rung for then."""
    for source in sorted(free_in_s):
        wait_for_slot(session, source, free_in_s[source])
