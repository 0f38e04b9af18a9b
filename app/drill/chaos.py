"""The drill itself: a job on a scratch database, workers killed in the middle of it, a count.

    scratch ──> sandbox, setup ──> submit ──> workers ──kill, start another──> count ──> clear up

The instance it is run on is neither read nor written.
"""

import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from app.core.text import N_, Sentence
from app.drill import books, crew, plan, receipt
from app.drill.books import Books, Held, Look
from app.drill.crew import Crew, Member, broken
from app.drill.plan import Plan
from app.drill.receipt import Facts
from app.drill.scratch import Instance, Scratch, scratch
from app.jobs.ledger import MOST_CRASHES

WORKERS = 2
LEASE_S = 3.0  # the shortest there is: what a dead worker held is free after it
PACE_S = 2.5  # between two kills, at least: how fast the sandbox may be asked follows from it
WINDOW_S = 0.5
WAKE_S = 0.5  # about what it takes until a free slot is used
LATENCY_MS = 250  # so that there is always something on its way to be lost
POLL_S = 0.1
_PORT = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a drill is."""

    doing: Sentence
    done: int = 0
    submitted: int = 0
    kills: int = 0


Tell = Callable[[Progress], None]
Check = Callable[[], None]  # raises when the drill is to stop


def drill(instance: Instance, wanted: Plan, *, tell: Tell, check: Check) -> Facts:
    """Run it and count; takes about five seconds for each kill.

    Everything it started is dead and everything it made is gone when it returns or raises.
    RequestError says what keeps it from running.
    """
    tell(Progress(Sentence(N_("making a scratch database and a sandbox"))))
    with ExitStack() as stack:
        own = stack.enter_context(scratch(instance))
        (own.folder / "logs").mkdir()
        hands = stack.enter_context(closing(Crew(own.folder / "logs", check)))
        environ = crew.clean_environ(_settings(own, _sandbox(own, hands)))
        began = time.monotonic()
        hands.run(environ, "flask", "--app", "wsgi", "setup")
        # A worker takes about as long to start as that did: where this is slow, kills come slower.
        pace_s = max(PACE_S, time.monotonic() - began)
        environ["SANDBOX_LIMITS"] = _limit(wanted, pace_s)
        wanted = replace(wanted, patience_s=wanted.patience_s * pace_s / PACE_S)
        ledger = stack.enter_context(closing(Books(own.database_url)))
        return _Drill(own, hands, ledger, environ, wanted, tell).run()


def _sandbox(own: Scratch, hands: Crew) -> str:
    """Start one that writes down what it is asked: its port."""
    options = ("--port", "0", "--no-demo", "--latency-ms", str(LATENCY_MS))
    log = ("--log", str(own.folder / "asked.jsonl"))
    site = hands.start(crew.clean_environ({}), "app.sandbox", *options, *log)
    return hands.until_said(site, lambda said: (m := _PORT.search(said)) and m[1])


def _settings(own: Scratch, port: str) -> dict[str, str]:
    crontabs = ("FETCH_UPCOMING", "FETCH_RESULTS", "RETRY_ERRORS", "PRUNE")
    return {
        "DATA_DIR": str(own.folder / "data"),
        "DATABASE_URL": own.database_url,
        "REDIS_NAMESPACE": own.name,
        "SOURCES": books.SOURCE,
        "SANDBOX_PORT": port,
        "LEASE_SECONDS": str(LEASE_S),
        **({"REDIS_URL": own.redis_url} if own.redis_url else {}),
        **{f"{name}_CRON": "off" for name in crontabs},
    }


def _limit(wanted: Plan, pace_s: float) -> str:
    """How often the sandbox may be asked. It keeps the drill's length, and what a worker can hold
    and lose, the same on fast machines and slow ones."""
    stretch = wanted.items * (plan.LAST - plan.FIRST) / wanted.kills
    requests = max(1, round(stretch / pace_s * (WINDOW_S + WAKE_S)))
    return f"{requests}/{WINDOW_S}"


@dataclass(slots=True)
class _Killed:
    at: datetime
    done: int
    held: Held


@dataclass(slots=True)
class _Seen:
    """What was noticed while it ran."""

    looks: int = 0
    unbalanced: int = 0
    wipes: int = 0
    stuck_s: float | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    moved_at: float = field(default_factory=time.monotonic)


class _Drill:
    """One run, from the submitted job to its end."""

    def __init__(
        self,
        own: Scratch,
        hands: Crew,
        ledger: Books,
        environ: dict[str, str],
        wanted: Plan,
        tell: Tell,
    ) -> None:
        self._own, self._hands, self._ledger = own, hands, ledger
        self._environ, self._plan = environ, wanted
        self._tell = tell
        self._chance = random.SystemRandom()
        self._moments = plan.moments(wanted, self._chance.random)
        self._workers: list[Member] = []
        self._killed: list[_Killed] = []
        self._seen = _Seen()

    def run(self) -> Facts:
        """Work, kill, count."""
        submitted_at = self._ledger.submit(self._plan.items)
        self._workers = [self._a_worker() for _ in range(WORKERS)]
        while self._goes_on(look := self._look()):
            self._hands.check()
            self._refuse_those_that_died_themselves()
            if self._moments and look.done >= self._moments[0]:
                self._kill_one(look)
            self._tell(self._progress(look))
            time.sleep(POLL_S)
        return self._count(look, submitted_at)

    def _a_worker(self) -> Member:
        return self._hands.start(self._environ, *self._plan.worker)

    def _look(self) -> Look:
        look = self._ledger.look()
        self._seen.looks += 1
        self._seen.unbalanced += not look.balanced
        if look.states != self._seen.states:
            self._seen.states, self._seen.moved_at = look.states, time.monotonic()
        return look

    def _goes_on(self, look: Look) -> bool:
        quiet_s = time.monotonic() - self._seen.moved_at
        if look.is_open and quiet_s > self._plan.patience_s:
            self._seen.stuck_s = quiet_s
        return look.is_open and self._seen.stuck_s is None

    def _refuse_those_that_died_themselves(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is not None:
                raise broken(worker)

    def _kill_one(self, look: Look) -> None:
        """Kill a worker that has something in hand, and start another; else at the next look."""
        victim = self._a_victim()
        if victim is None:
            return
        worker, name = victim
        at = self._ledger.now()
        worker.kill()
        self._killed.append(_Killed(at, look.done, self._ledger.held().get(name, Held({}, 0))))
        self._moments.pop(0)
        self._workers.remove(worker)
        if self._plan.wipe:
            self._own.wipe_queue()
            self._seen.wipes += 1
        self._workers.append(self._a_worker())

    def _a_victim(self) -> tuple[Member, str] | None:
        by_pid = {worker.pid: worker for worker in self._workers}
        found = []
        for name, held in self._ledger.held().items():
            worker = by_pid.get(int(name.split(":")[-2]))
            # A third crash would rightly quarantine the item: that is not what is tried here.
            if worker and held.most_crashes < MOST_CRASHES - 1:
                found.append((worker, name))
        return self._chance.choice(found) if found else None

    def _progress(self, look: Look) -> Progress:
        doing = Sentence(N_("killing workers"))
        if not self._moments:
            doing = Sentence(N_("finishing"))
        return Progress(doing, look.done, self._plan.items, len(self._killed))

    # --- counting ---

    def _count(self, look: Look, submitted_at: datetime) -> Facts:
        took = self._ledger.now() - submitted_at
        for worker in self._workers:
            worker.kill()  # nobody writes any more
        tally = self._ledger.tally(books.requests(self._own.folder / "asked.jsonl"))
        return Facts(
            database=self._own.engine,
            queue="redis" if self._own.redis_url else "sqlite",
            lease_s=LEASE_S,
            submitted=self._plan.items,
            kills_asked=self._plan.kills,
            states=look.states,
            looks=self._seen.looks,
            unbalanced=self._seen.unbalanced,
            **asdict(tally),
            took_s=round(took.total_seconds(), 3),
            kills=tuple(self._a_kill(killed, submitted_at) for killed in self._killed),
            stuck_s=self._seen.stuck_s,
            wipes=self._seen.wipes,
            not_on=self._own.not_on,
        )

    def _a_kill(self, killed: _Killed, submitted_at: datetime) -> receipt.Kill:
        back, again = self._ledger.aftermath(killed.held.fences)
        return receipt.Kill(
            at_s=_seconds(submitted_at, killed.at) or 0.0,
            done=killed.done,
            in_hand=len(killed.held.fences),
            back_s=_seconds(killed.at, back),
            again_s=_seconds(killed.at, again),
        )


def _seconds(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else round((until - since).total_seconds(), 3)
