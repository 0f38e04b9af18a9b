"""How many requests each source allows, and how many slots there are for them; pure facts.

Where the defaults come from: football_data from the pricing and policy pages of football-data.org
(free: 10 a minute, one kept in reserve); api_football from its documentation (free: 10 a minute and
100 a day); thesportsdb from its documentation (100 a minute, "2 per second"). The others publish no
limit: sofascore answered about 150 calls in a burst with a challenge, ESPN, OpenLigaDB and
openfootball are other people's servers, given away: one request a second. The sandbox is our own.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many requests in any stretch of so many seconds."""

    requests: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Grant:
    """So many requests may go out now; when fewer than wanted, the next one in so many seconds."""

    granted: int
    free_in_s: float = 0.0


DEFAULT_RATES: Mapping[str, tuple[Rate, ...]] = {
    "football_data": (Rate(9, 60),),
    "sofascore": (Rate(1, 1),),
    "api_football": (Rate(9, 60), Rate(95, 86_400)),
    "thesportsdb": (Rate(90, 60), Rate(2, 1)),
    "espn": (Rate(1, 1),),
    "openligadb": (Rate(1, 1),),
    "openfootball": (Rate(1, 1),),
    "sandbox": (),
}
AT_ONCE = 128  # to a server of our own: threads enough for 2,000 requests a second at 50 ms
AT_ONCE_LIMITED = 16
QUOTA_S = 3600.0  # a limit for longer than this is a quota
_STRANGER = (Rate(1, 1),)  # a source whose limit nobody has looked up


class Settings(Protocol):
    """What the configuration says of one source."""

    @property
    def base_url(self) -> str | None:
        """Another address than the provider's own."""

    @property
    def limits(self) -> tuple[tuple[int, float], ...] | None:
        """Requests and seconds; () for none, None for the source's own."""


class Configured(Protocol):
    """The part of the configuration that is read here."""

    @property
    def source_settings(self) -> Mapping[str, Settings]:
        """By name."""


def rates_in_force(config: Configured) -> dict[str, tuple[Rate, ...]]:
    """The rates of every source; () where there is no limit."""
    return {name: rates_of(name, settings) for name, settings in config.source_settings.items()}


def has_quota(source: str) -> bool:
    """Whether its provider counts by the day too, and may send one away until tomorrow."""
    return any(rate.seconds > QUOTA_S for rate in DEFAULT_RATES.get(source, ()))


def tell_rates(config: Configured) -> None:
    """Set the rates that this process tells people of; they are kept by `limiter`."""
    _told.update(rates_in_force(config))


def told_rates(source: str | None) -> tuple[Rate, ...]:
    """The rates to tell of a source; () where it has no limit."""
    return _told.get(source or "", ())


_told: dict[str, tuple[Rate, ...]] = {}


def at_once(rates: Sequence[Rate]) -> int:
    """How many requests of one process may be on their way: few to a server that has a limit."""
    return AT_ONCE_LIMITED if rates else AT_ONCE


def rates_of(name: str, settings: Settings | None) -> tuple[Rate, ...]:
    """What is configured; else nothing for this very machine, and the source's own for others."""
    if settings is not None and settings.limits is not None:
        return binding([Rate(*pair) for pair in settings.limits])
    if settings is not None and _on_loopback(settings.base_url or ""):
        return ()
    return binding(DEFAULT_RATES.get(name, _STRANGER))


def binding(rates: Sequence[Rate]) -> tuple[Rate, ...]:
    """Those that can ever be the one that counts, from the shortest: ever longer, ever thinner."""
    kept: list[Rate] = []
    for rate in sorted(rates, key=lambda r: (r.seconds, r.requests)):
        if kept and rate.requests / rate.seconds >= kept[-1].requests / kept[-1].seconds:
            continue  # whoever keeps the shorter one keeps this one too
        while kept and kept[-1].requests >= rate.requests:
            kept.pop()  # this one allows no more in a longer time
        kept.append(rate)
    return tuple(kept)


def least_time_s(requests: int, rates: Sequence[Rate]) -> float:
    """How long so many requests take under these limits at best."""
    waits = (max(requests - 1, 0) // rate.requests * rate.seconds for rate in rates)
    return max(waits, default=0.0)


def slowed(rates: Sequence[Rate], factor: float) -> tuple[Rate, ...]:
    """The rates at a part of their speed: fewer requests, and below one a longer time for it.

    A quota stays whole: it is no speed, and less than was used of it would close the source.
    """
    if factor >= 1:
        return tuple(rates)
    return binding([rate if rate.seconds > QUOTA_S else _slower(rate, factor) for rate in rates])


def _slower(rate: Rate, factor: float) -> Rate:
    requests = rate.requests * factor
    if requests >= 1:
        return Rate(int(requests), rate.seconds)
    return Rate(1, rate.seconds / requests)


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
