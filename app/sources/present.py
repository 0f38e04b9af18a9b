"""How a source stands, for people and programs: its limit, its breaker, when it may be asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.text import N_, Sentence
from app.sources.breaker import State, state_of
from app.sources.limits import Rate, Settings, least_time_s, rates_of, slowed
from app.sources.models import SourceState
from app.sources.pause import UNTIL_RESUMED


@dataclass(frozen=True, slots=True)
class Standing:
    """What was last written down of a source; one that was never in the way has the defaults."""

    rates: tuple[Rate, ...]
    factor: float = 1.0
    free_in_s: float = 0.0
    breaker: State = State.CLOSED
    failures: int = 0
    paused: Sentence | None = None

    @property
    def limit(self) -> str | None:
        """As in the settings: requests/seconds; None when there is none."""
        return ", ".join(str(rate) for rate in self.rates) or None

    def least_time_s(self, requests: int) -> float:
        """How long so many requests take at best: from its next free slot, at its present speed."""
        return self.free_in_s + least_time_s(requests, slowed(self.rates, self.factor))

    @property
    def remarks(self) -> list[Sentence]:
        """What makes it slower than its limit says; most of the time nothing."""
        slow = self.factor < 1 and bool(self.rates)
        told = [Sentence(_SLOWED, {"percent": round(self.factor * 100)})] if slow else []
        trial = self.breaker is State.HALF_OPEN
        told += [Sentence(_BREAKER[self.breaker])] if trial else []
        return [self.paused, *told] if self.paused else told

    @property
    def sentences(self) -> list[Sentence]:
        """What is worth telling, one line each."""
        told: list[tuple[bool, str, dict[str, object]]] = [
            (self.limit is not None, _LIMIT, {"limit": self.limit}),
            (self.limit is None, _UNLIMITED, {}),
            (self.factor < 1 and bool(self.rates), _SLOWED, {"percent": round(self.factor * 100)}),
            (self.free_in_s > 0, _FREE_IN, {"seconds": max(round(self.free_in_s), 1)}),
            (self.failures > 0, _FAILURES, {"failures": self.failures}),
            (True, _BREAKER[self.breaker], {}),
        ]
        return [Sentence(message, values) for is_so, message, values in told if is_so]


_LIMIT = N_("At most %(limit)s (requests/seconds), all workers together.")
_UNLIMITED = N_("No limit.")
_SLOWED = N_("It asked for fewer requests: %(percent)s%% of the limit for now.")
_FREE_IN = N_("The next request may go out in %(seconds)s s.")
_FAILURES = N_("Failures of its server in a row: %(failures)s.")
_BREAKER = {
    State.CLOSED: N_("Breaker closed."),
    State.OPEN: N_("Breaker open: it is left alone."),
    State.HALF_OPEN: N_("Breaker half-open: one request at a time until one is answered well."),
}


def standing(session: Session, name: str, settings: Settings | None, now: datetime) -> Standing:
    """How a source stands. Reads only; no request is made."""
    rates = rates_of(name, settings)
    state = session.get(SourceState, name)
    if state is None:
        return Standing(rates)
    paused = state.paused_until is not None and state.paused_until > now
    wait_s = (state.free_at - now).total_seconds() if state.free_at else 0.0
    breaker = state_of(state.opens, paused=paused)
    why = _why_paused(state) if paused else None
    return Standing(rates, state.factor, max(wait_s, 0.0), breaker, state.failures, why)


def _why_paused(state: SourceState) -> Sentence:
    until: object = state.paused_until
    if state.paused_until == UNTIL_RESUMED:
        until = Sentence(N_("somebody resumes it"))
    return Sentence(
        N_("Source %(source)s is paused (%(code)s) until %(until)s."),
        {"source": state.source, "code": state.code, "until": until},
    )


def as_dict(standing: Standing) -> dict[str, Any]:
    """As JSON says it: `limit` is requests/seconds, `speed` the part of it in use."""
    return {
        "limit": standing.limit,
        "speed": round(standing.factor, 3),
        "free_in_s": round(standing.free_in_s, 3),
        "breaker": standing.breaker.value,
        "failures": standing.failures,
    }
