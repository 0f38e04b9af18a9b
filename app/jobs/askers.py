"""The threads of a process that ask: apart for each source, and no more of them than help.

A hundred threads that wait for a slow server cost nothing. A hundred that all have an answer in
hand stand in each other's way: only one of them runs at a time. So their number grows, and shrinks
once there is no time left and tasks take longer for being so many.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from app.core.one_core import OneCore, Used, look
from app.core.sqlite_file import let_write

FEWEST = 8  # fewer would not keep a process busy, however quick the server
BUSY = 0.85  # of a core's time: only one thread of a process computes at a time
FULL = 0.85  # of the time of the core they are on, whoever uses it
FAIR = 0.5  # of a full core; who has less than that is kept from it by others, not by himself
LONGER = 1.5  # times; a task that takes so much longer waits for a turn, not for its server
FORGET = 1.01  # at each look: servers become slower too
LOOK_EVERY_S = 0.1

Task = Callable[[], None]


class Askers:
    """Threads for one source. What is given to them is done in its order, each task once."""

    def __init__(self, name: str, most: int, core: OneCore) -> None:
        self._most = most
        self._core = core
        self._pool = ThreadPoolExecutor(most, name)
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._lock = threading.Lock()
        self._running = 0
        self._is_full = False
        self._enough = min(FEWEST, most)
        self._seen = look()
        self._took: deque[float] = deque(maxlen=1000)  # seconds each, of the last tasks
        self._quickest = math.inf

    def give(self, task: Task) -> None:
        """Add something to do; `wake` sees to somebody doing it."""
        self._tasks.put(task)

    def wake(self) -> None:
        """Let as many threads run as there is work for and as help."""
        with self._lock:
            self._look()
            more = min(self._tasks.qsize(), self._enough - self._running)
            self._running += max(more, 0)
        for _ in range(more):
            self._pool.submit(self._run)

    def _look(self) -> None:
        """From time to time: how much time was left, and what follows from it."""
        if time.monotonic() - self._seen.at >= LOOK_EVERY_S:
            before, self._seen = self._seen, look()
            self._is_full = is_full(self._core.used(before, self._seen))
            self._enough = how_many(
                self._enough,
                self._most,
                full=self._is_full,
                longer=self._times_longer(),
                waiting=self._tasks.qsize(),
            )

    def _times_longer(self) -> float:
        """How many times as long tasks take now as when they were quickest."""
        took, self._took = self._took, deque(maxlen=self._took.maxlen)
        if not took:
            return 1.0
        mean = sum(took) / len(took)
        self._quickest = min(mean, self._quickest * FORGET)
        return mean / self._quickest

    def _run(self) -> None:
        while self._running <= self._enough:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            self._core.join()
            if self._is_full:  # what a task takes then, it takes from the one who writes
                let_write()
            began = time.monotonic()
            task()
            self._took.append(time.monotonic() - began)
        with self._lock:
            self._running -= 1


def is_full(used: Used) -> bool:
    """Whether no time is left: threads that are in each other's way stand in the writer's too."""
    return used.own > BUSY or (used.core > FULL and used.own > FAIR)


def how_many(now: int, most: int, *, full: bool, longer: float, waiting: int) -> int:
    """How many threads are right after so many.

    By whether no time is left, by how many times longer a task takes than it can, and by how many
    tasks wait.
    """
    if full and longer > LONGER:
        return max(now - now // 4, min(FEWEST, most))
    return min(2 * now, most) if waiting else now
