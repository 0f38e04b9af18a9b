"""The streams of a process claim in turn: one at a time for each source.

Two at once would not ask faster, for only one thread of a process computes at a time; each would
wait for the other after each word to the database, and an item would cost half as much again.
"""

import threading
from collections import Counter, defaultdict


class Turns:
    """One turn per source, and who waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str | None, threading.Lock] = defaultdict(threading.Lock)
        self._waiting: Counter[str | None] = Counter()
        self._lock = threading.Lock()

    def take(self, source: str | None) -> "Turn":
        """Wait until it is ours."""
        with self._lock:
            lock = self._locks[source]
            self._waiting[source] += 1
        try:
            lock.acquire()
        finally:
            with self._lock:
                self._waiting[source] -= 1
        return Turn(self, source, lock)

    def is_wanted(self, source: str | None) -> bool:
        """Whether another stream waits for it."""
        return self._waiting[source] > 0


class Turn:
    """The right to claim for a source; it ends with the last claim, though answers are out."""

    def __init__(self, turns: Turns, source: str | None, lock: threading.Lock) -> None:
        self._turns, self._source = turns, source
        self._lock: threading.Lock | None = lock

    def is_wanted(self) -> bool:
        """Whether another stream waits for it."""
        return self._turns.is_wanted(self._source)

    @property
    def has_ended(self) -> bool:
        """Whether it was given up."""
        return self._lock is None

    def end(self) -> None:
        """Let the next one claim; once is enough."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            lock.release()
