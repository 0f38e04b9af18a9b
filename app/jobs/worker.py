"""One worker process: who it is, what it has in hand, and how it lets go."""

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.db import db_now, insert_into, persist, reading
from app.jobs import ledger
from app.jobs.allowance import (
    Limiter,
    Order,
    PerRequest,
    Shares,
    Unlimited,
    ask_for,
    claim_shares,
    claim_unlimited,
    must_wait,
    note_waits,
    one_each,
    wanted,
)
from app.jobs.ledger import Terms
from app.jobs.models import Job
from app.jobs.models import Worker as WorkerRow
from app.jobs.moves import Claim, StaleError

log = logging.getLogger(__name__)

STOP_S = 1.0


class CancelledError(Exception):
    """Somebody cancelled the job this item belongs to."""


@dataclass(slots=True)
class _Hold:
    claim: Claim
    renewed_at: float  # monotonic; before the renewal was sent, so never too late
    lost: bool = False
    cancelled: bool = False


class Worker:
    """The claims of this process. Safe to use from all its threads.

    The name is new at every start: a restarted worker must not be taken for the one that died.
    """

    def __init__(self, lease_s: float, limiter: Limiter | None = None) -> None:
        self.id = f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.pid = os.getpid()
        self.lease_s = lease_s
        self.limiter = limiter or Unlimited()
        self.slot_at: float | None = None  # monotonic; when somebody here can go on
        self.stopping = threading.Event()
        self._holds: dict[int, _Hold] = {}
        self._strays: set[tuple[int, int]] = set()
        self._renewed_at = time.monotonic()
        self._sent_away: set[int] = set()  # jobs, from what is or was to be tried alone
        self._lock = threading.Lock()
        self._claiming = threading.Lock()

    def claim(
        self,
        job_id: int,
        kinds: Collection[str],
        *,
        deadline_s: float,
        most: int = 1,
        per_request: PerRequest = one_each,
    ) -> list[Claim]:
        """Take up to `most` items of a job into this process's hands, as many as have a slot.

        One thread at a time: whether an item may be in hand depends on all that are.
        """
        terms = Terms(self.lease_s, deadline_s, most)
        with self._claiming:
            in_hand = self._in_hand()
            if any(claim.crashes >= ledger.LAST_TRY for claim in in_hand):
                self._sent_away.add(job_id)
                return []
            beside = bool(in_hand)
            return self._claim(Order(job_id, self.id, kinds, terms, per_request, beside))

    def _in_hand(self) -> list[Claim]:
        """What this process would be blamed with if it died now."""
        with self._lock:
            return [hold.claim for hold in self._holds.values() if not hold.lost]

    def _claim(self, order: Order) -> list[Claim]:
        asked_at = time.monotonic()
        wishes, claims = persist(lambda session: claim_unlimited(session, self.limiter, order))
        refused: set[str | None] = set()
        while wishes and not claims:
            if must_wait(order, wishes):
                self._sent_away.add(order.job_id)
                break
            shares = ask_for(self.limiter, wishes)
            asked_at = time.monotonic()
            claims = self._take(order, shares)
            if shares.granted:
                break
            refused |= shares.free_in_s.keys()
            with reading() as session:
                wishes = [wish for wish in wanted(session, order) if wish.source not in refused]
        return self._keep(claims, asked_at)

    def _keep(self, claims: list[Claim], asked_at: float) -> list[Claim]:
        """Have them in hand; given back at once when a stop has come meanwhile."""
        with self._lock:
            if not self.stopping.is_set():
                self._holds |= {claim.item_id: _Hold(claim, asked_at) for claim in claims}
                return claims
        held = [(claim.item_id, claim.fence) for claim in claims]
        persist(lambda session: ledger.give_back(session, held), 5)
        return []

    def may_go_on(self, job_id: int) -> bool:
        """Whether the job was sent away from what is to be alone, and can go on; says it once.

        Only then: whoever asked the ledger instead would ring on and on for what nobody may take.
        """
        if job_id not in self._sent_away or self._in_hand():
            return False
        self._sent_away.discard(job_id)
        return True

    def _take(self, order: Order, shares: Shares) -> list[Claim]:
        """Claim what has a slot; only then is it written down that the others have none."""
        claims: list[Claim] = []
        if shares.granted:
            claims = persist(
                lambda session: claim_shares(session, order, shares.granted, shares.crashes)
            )
        if shares.free_in_s:
            persist(lambda session: note_waits(session, shares.free_in_s))
            self._wake_at(min(shares.free_in_s.values()))
        return claims

    def _wake_at(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        with self._lock:
            self.slot_at = at if self.slot_at is None else min(self.slot_at, at)

    def slot_in_s(self) -> float:
        """How long until it has; infinite when nobody was sent away."""
        with self._lock:
            return math.inf if self.slot_at is None else self.slot_at - time.monotonic()

    def slot_is_free(self) -> bool:
        """Whether the time has come for which somebody here was sent away; says it once."""
        with self._lock:
            free = self.slot_at is not None and self.slot_at <= time.monotonic()
            if free:
                self.slot_at = None
        return free

    def let_go(self, claim: Claim) -> None:
        """This process is done with the item, whatever came of it."""
        with self._lock:
            hold = self._holds.get(claim.item_id)
            if hold and hold.claim.fence == claim.fence:
                del self._holds[claim.item_id]

    def check(self, claim: Claim) -> None:
        """Raise StaleError or CancelledError when the item should not be worked on any longer."""
        hold = self._holds.get(claim.item_id)  # no lock: a hundred threads would queue for it
        if hold is None or hold.claim.fence != claim.fence or hold.lost:
            raise StaleError(f"item {claim.item_id} was taken from fence {claim.fence}")
        if time.monotonic() - hold.renewed_at > self.lease_s:
            raise StaleError(f"the lease of item {claim.item_id} could not be renewed in time")
        if hold.cancelled:
            raise CancelledError

    def renew(self) -> None:
        """Prolong everything in hand by one statement; what did not come back is lost."""
        with self._lock:
            before = dict(self._holds)
        asked_at = time.monotonic()
        held = persist(
            lambda session: ledger.renew(session, self.id, self.lease_s), self.lease_s / 3
        )
        for item_id, hold in before.items():
            if held.get(item_id) == hold.claim.fence:
                hold.renewed_at = asked_at
            else:
                hold.lost = True
        self._renewed_at = asked_at
        self._give_back_strays(held)

    def is_late(self) -> bool:
        """Whether it could not renew for long: then nor could others, and nobody has died."""
        return time.monotonic() - self._renewed_at > self.lease_s / 2

    def _give_back_strays(self, held: dict[int, int]) -> None:
        """Items that are ours in the ledger and in nobody's hands here, at two renewals in a row.

        A claim whose commit was not confirmed, or an end that could not be written, leaves them.
        """
        with self._lock:
            strays = {pair for pair in held.items() if pair[0] not in self._holds}
        lasting, self._strays = strays & self._strays, strays
        if lasting:
            log.warning("giving back %s items that nobody works on", len(lasting))
            persist(lambda session: ledger.give_back(session, lasting), 5)

    def notice_cancels(self) -> None:
        """Mark what is in hand of jobs that were cancelled."""
        with self._lock:
            holds = list(self._holds.values())
        if not holds:
            return
        jobs = {hold.claim.job_id for hold in holds}
        with reading() as session:
            wanted = select(Job.id).where(Job.id.in_(jobs), Job.cancel_requested_at.is_not(None))
            cancelled = set(session.scalars(wanted))
        for hold in holds:
            hold.cancelled = hold.claim.job_id in cancelled

    def stop(self, grace_s: float = 0) -> int:
        """Take nothing more, wait `grace_s` for what is in hand, give the rest back.

        Whoever is still at work on it then finds his fence stale and leaves no effect. Returns how
        many items were given back.
        """
        self.stopping.set()
        if self._claiming.acquire(timeout=STOP_S):  # what is being claimed is given back by then
            self._claiming.release()
        until = time.monotonic() + grace_s
        while self._holds and time.monotonic() < until:
            time.sleep(0.05)
        with self._lock:
            held = [(hold.claim.item_id, hold.claim.fence) for hold in self._holds.values()]
            for hold in self._holds.values():
                hold.lost = True
        try:
            given_back = persist(lambda session: ledger.give_back(session, held), 5)
            persist(self._mark_stopped, 5)
        except DBAPIError as error:
            log.warning("the database is away (%s); the leases run out by themselves", error.orig)
            return 0
        return given_back

    def beat(self) -> None:
        """Say that this process lives; for eyes only, nothing depends on it."""
        persist(self._beat, 5)

    def _beat(self, session: Session) -> None:
        host, pid, _ = self.id.rsplit(":", 2)
        statement = insert_into(session, WorkerRow).values(
            id=self.id, host=host, pid=int(pid), started_at=db_now(), heartbeat_at=db_now()
        )
        session.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_={"heartbeat_at": db_now()})
        )

    def _mark_stopped(self, session: Session) -> None:
        session.execute(
            update(WorkerRow).where(WorkerRow.id == self.id).values(stopped_at=db_now())
        )
