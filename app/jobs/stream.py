"""Working on many light items at once: claim on, ask from many threads, write in batches.

    claim 200 ──> fetch threads ──> answers ──> read ──> one transaction for all that have come

There is no barrier between batches: a slow answer delays only itself. The thread that calls `run`
claims, reads and writes; the others only ask, and never touch the database.
"""

import contextlib
import functools
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from sqlalchemy.orm import Session

from app.core.db import is_away, persist, reading
from app.core.one_core import OneCore
from app.jobs import ledger
from app.jobs.askers import Askers
from app.jobs.moves import Claim
from app.jobs.runner import end_badly, next_item
from app.jobs.turns import Turn, Turns
from app.jobs.worker import Worker
from app.sources.limits import AT_ONCE

log = logging.getLogger(__name__)

WRITE_AT = 500  # answers per transaction
WRITE_AFTER_S = 0.5  # or so long after the first of them
SPARE_S = 1.0
RATE_OVER = 3  # seconds, about
MOST_SPARE = 600
PATIENCE_S = 0.02
FEW = 32  # answers; more of them are not waited for
SLICE_S = 5.0  # longer than of heavy work: a slice ends with its slowest request
TURN_S = 2.0  # while another job of the same source waits
SHORTEST_REST_S, LONGEST_REST_S = 0.25, 2.0  # between bells passed on to other processes
MOST_S = 60.0  # of slices one after the other while nobody waits: a stream that ends runs dry


Reading = Callable[[], Sequence[Any]]  # decides what came: one answer per claim, in their order


class LightWork(Protocol):
    """How light items are worked on: `look` and `settle` with a session, `ask` without."""

    deadline_s: float

    def kinds(self) -> Collection[str]:
        """The kinds of item it can do."""

    def per_request(self, source: str, kind: str) -> int:
        """How many items of a kind go into one request to a source at most."""

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        """Which of them go into one request."""

    def look(self, session: Session, claims: Sequence[Claim]) -> Mapping[int, Any]:
        """What was known of each item before it is asked for, by item id."""

    def ask(self, claims: Sequence[Claim], before: Mapping[int, Any]) -> Reading:
        """Ask, in a thread of its own; what came may be read later, in the one that writes."""

    def at_once(self, source: str | None) -> int:
        """How many requests to a source may be on their way from this process."""

    def settle(self, session: Session, answers: Sequence[Any]) -> None:
        """End the items and leave their effects; all of them are held by the caller."""


class Streams:
    """The streams of a process: one per job at a time, all on the same threads."""

    def __init__(
        self,
        worker: Worker,
        work: LightWork,
        bells: Callable[[], Collection[int]] = tuple,  # the jobs whose bells nobody has heard yet
    ) -> None:
        self._worker = worker
        self._bells = bells
        self._pools = _Pools(work)
        self._work = work
        self._turns = Turns()
        self._in_hand: set[int] = set()  # the jobs, those that wait for their turn too
        self._running = 0
        self._for_others: set[int] = set()
        self._rests: defaultdict[int, _Rest] = defaultdict(_Rest)
        self._lock = threading.Lock()

    def _is_at(self, job_id: int) -> bool:
        """Whether it is in hand here; then the bell for it is one for others."""
        if job_id in self._in_hand:
            self._for_others.add(job_id)
        return job_id in self._in_hand

    def work_on(self, job_id: int, slice_s: float = SLICE_S) -> bool:
        """Work on the light items of a job for a slice, and on while no other job waits.

        True when more of them could run now.
        """
        with self._lock:
            if self._is_at(job_id):
                return False
            self._in_hand.add(job_id)
        try:
            return self._in_turn(job_id, slice_s)
        finally:
            with self._lock:
                self._in_hand.discard(job_id)
                self._rests.pop(job_id, None)

    def _in_turn(self, job_id: int, slice_s: float) -> bool:
        first = next_item(job_id, self._work.kinds())
        if first is None:
            return False
        turn = self._turns.take(first.source)
        with self._lock:
            self._running += 1
        try:
            self._pools.core.choose()
            self._pools.core.join()
            stream = Stream(self._worker, job_id, self._work, self._pools, self._how_many)
            return stream.run(_Slice(slice_s, self._others_wait, turn))
        finally:
            turn.end()
            self._pools.core.leave()
            with self._lock:
                self._running -= 1

    def _how_many(self) -> int:
        return self._running

    def _others_wait(self) -> bool:
        return not self._in_hand.issuperset(self._bells())

    def bells_for_others(self) -> set[int]:
        """The jobs in hand for which a bell was heard that nobody here needed.

        What is heard here once more may be what was passed on: of a job it is said ever more
        seldom, as long as it is in hand.
        """
        with self._lock:
            self._for_others &= self._in_hand
            heard = {job_id for job_id in self._for_others if self._rests[job_id].is_over()}
            self._for_others -= heard
        return heard


@dataclass(slots=True)
class _Rest:
    """From one bell that is passed on to the next, each time twice as long."""

    length_s: float = 0.0
    until: float = 0.0  # monotonic

    def is_over(self) -> bool:
        """Then the next begins."""
        now = time.monotonic()
        over = now >= self.until
        if over:
            self.length_s = min(max(2 * self.length_s, SHORTEST_REST_S), LONGEST_REST_S)
            self.until = now + self.length_s
        return over


class _Pools:
    """The threads that ask, apart for each source: a slow one keeps none of another waiting."""

    def __init__(self, work: LightWork) -> None:
        self._work = work
        self.core = OneCore()
        self._askers: dict[str | None, Askers] = {}
        self._lock = threading.Lock()

    def of(self, source: str | None) -> Askers:
        with self._lock:
            if source not in self._askers:
                self._askers[source] = Askers(
                    f"ask {source}", self._work.at_once(source), self.core
                )
            return self._askers[source]

    def wake(self) -> None:
        with self._lock:
            everybody = list(self._askers.values())
        for askers in everybody:
            askers.wake()


class _Slice:
    """How long a stream may go on: longer while it takes a thread or a turn from nobody."""

    def __init__(self, length_s: float, others_wait: Callable[[], bool], turn: Turn) -> None:
        self._length_s = length_s
        self._others_wait = others_wait
        self._turn = turn
        self._began = time.monotonic()
        self._until = self._began + length_s
        self._end = self._began + max(MOST_S, length_s)

    def lasts(self) -> bool:
        now = time.monotonic()
        if self._turn.has_ended:
            return False
        if self._turn.is_wanted():
            return now < min(self._began + TURN_S, self._until)
        if now >= self._until and now < self._end and not self._others_wait():
            self._until = now + self._length_s
        return now < self._until

    def end(self) -> None:
        """Nothing more is claimed; what is out comes back while another stream claims."""
        self._turn.end()


@dataclass(slots=True)
class _Come:
    """A request that came back, or broke."""

    claims: Sequence[Claim]
    read: Reading | None = None  # until it is
    error: Exception | None = None
    answers: Sequence[Any] = ()
    at: float = field(default_factory=time.monotonic)


class Stream:
    """One stretch of work on one job."""

    def __init__(
        self,
        worker: Worker,
        job_id: int,
        work: LightWork,
        pools: _Pools,
        how_many: Callable[[], int],  # streams of this process, with this one
    ) -> None:
        self._worker = worker
        self._how_many = how_many
        self._job_id = job_id
        self._work = work
        self._pools = pools
        self._claims: set[Claim] = set()  # in hand, until what came of them is written
        self._out = 0  # of these, how many have not come back
        self._back = 0  # come back so far
        self._looks = deque([(time.monotonic(), 0)], maxlen=RATE_OVER)  # when, and how many then
        self._suspects_out = False
        self._come: SimpleQueue[_Come] = SimpleQueue()
        self._unread: list[_Come] = []
        self._gathered: list[_Come] = []  # to be written

    def run(self, time_slice: _Slice) -> bool:
        """Work until the slice is over or nothing can be claimed. True when more could run now."""
        try:
            return self._run(time_slice)
        finally:
            for claim in self._claims:  # only when something broke: others may have them
                self._worker.let_go(claim)

    def _run(self, time_slice: _Slice) -> bool:
        more = True
        while True:
            self._gather()  # first: it is seen only then how much is still on its way
            goes_on = more and not self._worker.stopping.is_set() and time_slice.lasts()
            if goes_on and self._has_room():
                more = self._send_out()
            elif not goes_on:
                time_slice.end()
            self._pools.wake()
            self._read()
            self._write_when_due()
            if not goes_on and not self._out:
                break
        return more and not self._worker.stopping.is_set()

    def _send_out(self) -> bool:
        """Claim as much as keeps the threads busy for a while; False when there was nothing."""
        claims = self._worker.claim(
            self._job_id,
            self._work.kinds(),
            deadline_s=self._work.deadline_s,
            most=AT_ONCE + self._spare() - self._out,
            per_request=self._work.per_request,
        )
        if not claims:
            return False
        self._claims.update(claims)
        self._suspects_out = any(claim.crashes for claim in claims)
        with reading() as session:
            before = self._work.look(session, claims)
        for batch in self._work.batches(claims):
            self._out += len(batch)
            self._pools.of(batch[0].source).give(functools.partial(self._ask, batch, before))
        return True

    def _has_room(self) -> bool:
        """Nothing is added to items that a worker died with: a small hand on purpose."""
        if self._suspects_out:
            return not self._claims
        return self._out <= AT_ONCE + self._spare() // 4

    def _spare(self) -> int:
        """How many items to have in hand beyond those on their way: work during a write.

        No more than is asked in a moment: what is claimed can be neither paused nor shared. The
        streams of a process share it, as they share its memory.
        """
        now = time.monotonic()
        if now - self._looks[-1][0] >= 1:
            self._looks.append((now, self._back))
        since, back = self._looks[0]
        rate = (self._back - back) / max(now - since, 0.1)
        return min(max(int(rate * SPARE_S), 64), MOST_SPARE // self._how_many())

    def _ask(self, claims: list[Claim], before: Mapping[int, Any]) -> None:
        try:
            for claim in claims:
                self._worker.check(claim)
            self._come.put(_Come(claims, self._work.ask(claims, before)))
        except Exception as error:  # noqa: BLE001  told to the thread that writes
            self._come.put(_Come(claims, error=error))

    def _gather(self) -> None:
        """Take in what has come; being woken for each answer would cost as much as the answer."""
        if self._out and self._come.qsize() < FEW:
            time.sleep(PATIENCE_S)
        with contextlib.suppress(Empty):
            while True:
                self._take_in(self._come.get_nowait())

    def _take_in(self, come: _Come) -> None:
        self._out -= len(come.claims)
        self._back += len(come.claims)
        self._unread.append(come)

    def _read(self) -> None:
        """Many in a row: one between two requests, in a thread that asks, costs much more."""
        for come in self._unread:
            if come.read is not None:
                try:
                    come.answers = come.read()
                except Exception as error:  # noqa: BLE001  recorded as the item's
                    come.error = error
                come.read = None  # it has hold of the whole answer
        self._gathered += self._unread
        self._unread.clear()

    def _write_when_due(self) -> None:
        if not self._gathered:
            return
        waited = time.monotonic() - self._gathered[0].at
        if len(self._gathered) >= WRITE_AT or waited >= WRITE_AFTER_S or not self._out:
            self._write()

    def _write(self) -> None:
        gathered, self._gathered = self._gathered, []
        try:
            persist(lambda session: self._settle(session, gathered))
        except Exception as error:
            if is_away(error):
                raise  # to try each of hundreds would take hours; they are asked again
            self._write_each(gathered, error)  # one that cannot be written must not hold the rest
        for come in gathered:
            for claim in come.claims:
                if come.error is not None:
                    end_badly(claim, come.error)
                self._worker.let_go(claim)
                self._claims.discard(claim)

    def _write_each(self, gathered: Sequence[_Come], error: Exception) -> None:
        """The batch could not be written: find out which of it is to blame."""
        log.warning("a batch of %s could not be written: %s", len(gathered), error)
        for come in gathered:
            try:
                persist(functools.partial(self._settle, gathered=[come]))
            except Exception as its_own:  # noqa: BLE001  recorded as the item's
                come.error = its_own

    def _settle(self, session: Session, gathered: Sequence[_Come]) -> None:
        good = [come for come in gathered if come.error is None]
        ours = ledger.hold_all(session, [claim for come in good for claim in come.claims])
        pairs = [pair for come in good for pair in zip(come.claims, come.answers, strict=True)]
        answers = [answer for claim, answer in pairs if claim in ours]
        if len(answers) < len(pairs):
            log.warning("%s items were taken meanwhile", len(pairs) - len(answers))
        if answers:
            self._work.settle(session, answers)
