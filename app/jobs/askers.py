"""The threads of a process that ask: apart for each source, and no more of them than help.

A hundred threads that wait for a slow server cost nothing. A hundred that all have an answer in
hand stand in each other's way: only one of them runs at a time. So their number grows while the
process has time left, and shrinks once it has none.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from app.core.one_core import OneCore

FEWEST = 2
AT_FIRST = 16
BUSY = 0.85  # of one core: only one thread computes at a time, so more than that helps nobody
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
        self._enough = min(AT_FIRST, most)
        self._looked_at, self._cpu_s = time.monotonic(), time.process_time()

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
        """From time to time: how busy the process was, and what follows from it."""
        now, cpu_s = time.monotonic(), time.process_time()
        passed = now - self._looked_at
        if passed >= LOOK_EVERY_S:
            busy = (cpu_s - self._cpu_s) / passed
            self._looked_at, self._cpu_s = now, cpu_s
            self._enough = how_many(self._enough, self._most, busy, self._tasks.qsize())

    def _run(self) -> None:
        while self._running <= self._enough:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            self._core.join()
            task()
        with self._lock:
            self._running -= 1


def how_many(now: int, most: int, busy: float, waiting: int) -> int:
    """How many threads are right after so many, by the share of a core and by what waits."""
    if busy > BUSY:
        return max(now - now // 4, min(FEWEST, most))
    return min(2 * now, most) if waiting else now
