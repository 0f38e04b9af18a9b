"""Following changes: each process asks for the version now and then and rebuilds when it moved."""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from app.core.db import reading
from app.settings.store import InForce, in_force, version
from config import Config

log = logging.getLogger(__name__)
EVERY_S = 1.0


class Live:
    """What is in force in this process. Whoever wants to know is told of each new configuration.

    A database that is away, or has no tables yet, changes nothing: what was in force stays.
    """

    def __init__(self, base: Config) -> None:
        self.base = base
        self.now = InForce(base)
        self._told: list[Callable[[Config], None]] = []
        self._version = 0
        self._ask_at = 0.0  # monotonic
        self._lock = threading.Lock()

    def on_change(self, tell: Callable[[Config], None]) -> None:
        """Call `tell` with each new configuration, in the thread that found it."""
        self._told.append(tell)

    def follow(self) -> bool:
        """Look whether something changed, at most once a second; True when it did."""
        if time.monotonic() < self._ask_at or not self._lock.acquire(blocking=False):
            return False
        try:
            self._ask_at = time.monotonic() + EVERY_S
            return self._look()
        finally:
            self._lock.release()

    def follow_now(self) -> bool:
        """The same at once: for who has just changed something, and for commands."""
        with self._lock:
            return self._look()

    def _look(self) -> bool:
        try:
            with reading() as session:
                found = version(session)
                if found == self._version:
                    return False
                self.now = in_force(session, self.base)
        except SQLAlchemyError as error:
            log.debug("stored settings cannot be read (%s)", type(error).__name__)
            return False
        self._version = found
        for name, problem in self.now.problems.items():
            log.warning("stored setting %s is not used: %s", name, problem)
        for tell in self._told:
            tell(self.now.config)
        return True
