"""The one who gives out slots for requests to a source, the same for all worker processes."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from app.core.slots import Slots, SlotsAwayError
from app.sources.limits import Configured, Grant, Rate, rates_in_force, slowed

log = logging.getLogger(__name__)

SHORTEST_ALONE_S = 1.0
LOOK_AGAIN_S = 10.0  # it is written down for all, who may be able to count together again


class _Config(Configured, Protocol):
    """Where the slots are counted."""

    @property
    def redis_url(self) -> str | None:
        """None: in a file."""

    @property
    def redis_namespace(self) -> str:
        """What the keys there are named after."""

    @property
    def data_dir(self) -> Path:
        """The file's folder: shared by the processes of one machine."""


class Limiter:
    """Slots for requests. Never waits for one and never raises."""

    def __init__(self, slots: Slots, rates: Mapping[str, Sequence[Rate]]) -> None:
        self._slots = slots
        self._rates = rates
        self._alone_at: dict[str, float] = {}  # monotonic; the next request while counting alone
        self._lock = threading.Lock()

    def limits(self, source: str) -> bool:
        """Whether the source has a limit at all."""
        return bool(self._rates.get(source))

    def rates(self, source: str) -> Sequence[Rate]:
        """Its limits; () when it has none."""
        return self._rates.get(source, ())

    def change(self, rates: Mapping[str, Sequence[Rate]]) -> None:
        """From the next slot on other limits hold; what was given out counts under them too."""
        self._rates = rates

    def grant(self, source: str, want: int, factor: float = 1.0) -> Grant:
        """Reserve up to `want` slots of a source at `factor` of its speed.

        A slot that is reserved and not used is lost.
        """
        rates = slowed(self._rates.get(source, ()), factor)
        if not rates or want < 1:
            return Grant(want)
        try:
            pairs = [(rate.requests, rate.seconds) for rate in rates]
            return Grant(*self._slots.take(source, pairs, want))
        except SlotsAwayError as error:
            log.warning("the slots of %s cannot be counted together (%s)", source, error)
            return self._alone(source, rates)

    def close(self) -> None:
        """Let go of what counts."""
        self._slots.close()

    def _alone(self, source: str, rates: Sequence[Rate]) -> Grant:
        """While nobody can be asked: one at a time and evenly, at most one a second per process.

        Without saving up, so that even several processes stay near what one is allowed.
        """
        pause_s = max(SHORTEST_ALONE_S, *(rate.seconds / rate.requests for rate in rates))
        with self._lock:
            at = time.monotonic()
            free_at = self._alone_at.get(source, 0.0)
            if free_at > at:
                return Grant(0, min(free_at - at, LOOK_AGAIN_S))
            self._alone_at[source] = at + pause_s
        return Grant(1, min(pause_s, LOOK_AGAIN_S))


def build_limiter(config: _Config, rates: Mapping[str, Sequence[Rate]] | None = None) -> Limiter:
    """On Redis where there is one, else on a file in DATA_DIR; `rates` by source, else configured.

    Nothing is opened before the first limited request.
    """
    slots = Slots(config.redis_url, config.data_dir, config.redis_namespace)
    return Limiter(slots, rates_in_force(config) if rates is None else rates)
