"""The threads of a stream, kept on one core: those that ask and the one that writes.

Only one thread of an interpreter runs at a time. Spread over cores, each turn moves everything the
interpreter has at hand from one core to the other: the same work takes half as much again. Each
worker takes a core that no other has, and from time to time looks where more is free. Where the
system has no such call (Windows, macOS) nothing is done.
"""

import contextlib
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 1.0
WORTH_IT = 0.1  # of a core more than here, or moving costs more than it brings
_STAT = Path("/proc/stat")

Shares = Mapping[int, float]  # of each core's time, by its number


class OneCore:
    """The core that these threads of this process share, if possible with no other worker."""

    def __init__(self) -> None:
        mine = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set[int]()
        self._all = sorted(mine)
        self._core = self._all[os.getpid() % len(self._all)] if self._all else None
        self._taken = contextlib.ExitStack()  # the name of the core, while it is ours
        self._is_taken = False
        self._seen = look()
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        weakref.finalize(self, self._taken.close)
        if self._core is not None:
            self._take_first_of([self._core, *self._all])

    def choose(self) -> None:
        """See whether another core is better, before a longer piece of work."""
        with self._lock:
            if self._core is None or time.monotonic() - self._seen.at < LOOK_EVERY_S:
                return
            before, self._seen = self._seen, look()
            free = free_of_others(before, self._seen, self._core)
            free = {core: share for core, share in free.items() if core in self._all}
            if not self._is_taken and self._take_first_of(sorted(free, key=lambda c: -free[c])):
                return
            # A coin, so that two who stand in each other's way do not both move.
            if random.random() < 0.5:  # noqa: S311  guards nothing
                self._move(better(free, self._core))

    def _move(self, core: int) -> None:
        """To one that nobody has; who has none himself shares one."""
        if core != self._core and not self._take_first_of([core]) and not self._is_taken:
            self._core = core

    def _take_first_of(self, cores: Sequence[int]) -> bool:
        """Take the first that no other worker has; whether there was one."""
        for core in cores:
            if (name := _name_of(core)) is not None:
                self._taken.close()
                self._taken.enter_context(name)
                self._core, self._is_taken = core, True
                return True
        return False

    def used(self, before: "Look", now: "Look") -> "Used":
        """How much of the time between two looks was used."""
        return used_of(before, now, self._core)

    def join(self) -> None:
        """Keep the calling thread where the others are; costs nothing once it is there."""
        core = self._core
        if core is not None and core != getattr(self._of_thread, "core", None):
            self._of_thread.core = core
            _run_on({core})

    def leave(self) -> None:
        """Let the calling thread, which has other work too, run anywhere again."""
        if self._all:
            self._of_thread.core = None
            _run_on(self._all)


def _run_on(cores: Collection[int]) -> None:
    # The process may have lost them meanwhile: then the thread runs where it may.
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, cores)


def _name_of(core: int) -> socket.socket | None:
    """A name that only one process of this machine can have, and has no longer than it lives."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0fikstur-worker-on-core-{core}")
    except OSError:
        name.close()
        return None
    return name


@dataclass(frozen=True, slots=True)
class Look:
    """How much was done so far, in seconds: by each core, and by this process."""

    at: float  # monotonic
    busy_s: Mapping[int, float]
    own_s: float


@dataclass(frozen=True, slots=True)
class Used:
    """Shares of a core's time: used by this process, wherever it ran, and by all on its core."""

    own: float
    core: float  # 0 where the system does not tell


def used_of(before: Look, now: Look, core: int | None) -> Used:
    """How much of the time between two looks was used."""
    busy, own = _busy(before, now)
    return Used(own, 0 if core is None else busy.get(core, 0))


def free_of_others(before: Look, now: Look, own_core: int) -> Shares:
    """The share of each core that others left free between two looks."""
    others, own = _busy(before, now)
    if own_core in others:
        others[own_core] -= own
    return {core: 1 - min(max(busy, 0), 1) for core, busy in others.items()}


def _busy(before: Look, now: Look) -> tuple[dict[int, float], float]:
    """The share of each core's time that was used between two looks, and of a core's by us."""
    passed = max(now.at - before.at, 0.001)
    busy = {core: (now.busy_s[core] - before.busy_s.get(core, 0)) / passed for core in now.busy_s}
    return busy, (now.own_s - before.own_s) / passed


def better(free: Shares, core: int) -> int:
    """The core with most free, or the one it is on when that gains little."""
    best = max(free, key=lambda each: free[each], default=core)
    return best if free.get(best, 0) > free.get(core, 0) + WORTH_IT else core


def look() -> Look:
    """What was done so far; of the cores nothing where the system does not tell."""
    try:
        lines = _STAT.read_text("ascii").splitlines()
    except OSError:
        lines = []
    busy = dict(_busy_of(line) for line in lines if line[:3] == "cpu" and line[3:4].isdigit())
    return Look(time.monotonic(), busy, time.process_time())


def _busy_of(line: str) -> tuple[int, float]:
    """A line `cpu0 user nice system idle iowait irq softirq steal …`, in ticks."""
    name, *ticks = line.split()
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, ticks)
    return int(name[3:]), (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
