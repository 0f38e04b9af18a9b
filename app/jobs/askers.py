"""The threads of a process that ask: apart for each source, and no more of them than help.

A hundred threads that wait for a slow server cost nothing. A hundred that all have an answer in
hand stand in each other's way: only one of them runs at a time. So there are as many as are waiting
for the network, found out from how long an answer takes.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

MOST_PER_S = 2500  # what one process can ask for at best, whatever the server
FEWEST = 8
MEMORY = 0.05  # of the newest answer in the average

Task = Callable[[], None]


class Askers:
    """Threads for one source. What is given to them is done in its order, each task once."""

    def __init__(self, name: str, most: int) -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(most, name)
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._lock = threading.Lock()
        self._running = 0
        self._takes_s = 0.0  # on average

    def give(self, task: Task) -> None:
        """Add something to do; `wake` sees to somebody doing it."""
        self._tasks.put(task)

    def wake(self) -> None:
        """Let as many threads run as there is work for and as help."""
        with self._lock:
            more = min(self._tasks.qsize(), self.enough - self._running)
            self._running += max(more, 0)
        for _ in range(more):
            self._pool.submit(self._run)

    @property
    def enough(self) -> int:
        """How many threads keep this process busy."""
        return min(max(int(self._takes_s * MOST_PER_S), FEWEST), self._most)

    def _run(self) -> None:
        while self._may_go_on():
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            began = time.monotonic()
            task()
            self._takes_s += (time.monotonic() - began - self._takes_s) * MEMORY
        with self._lock:
            self._running -= 1

    def _may_go_on(self) -> bool:
        return self._running <= self.enough
