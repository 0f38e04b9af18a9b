"""The breaker of a source: a server that fails again and again is left alone, then tried once.

closed ──10 failures in a row──> open ──its pause is over──> half-open ──good answer──> closed
                                  ^                              │
                                  └────────── failed probe ──────┘   (twice as long)

Kept in `source_state`: `opens` is 0 while it is closed; open and half-open differ by the pause.
A block opens it at once, for as long as a block pauses (`pause.pause`): it ends with one probe too.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from app.core.db import insert_into
from app.core.text import N_, Sentence
from app.sources import pause
from app.sources.base import Code
from app.sources.models import SourceState

MOST_FAILURES = 10
SHORTEST_S, LONGEST_S = 60.0, 3600.0

# What says that the server itself is in trouble, and what says that it is not.
FAILURES = frozenset(
    {
        Code.SERVER_ERROR,
        Code.TIMEOUT_CONNECT,
        Code.TIMEOUT_READ,
        Code.CONN_RESET,
        Code.DNS,
    }
)
GOOD = frozenset(
    {
        Code.OK,
        Code.OK_UNCHANGED,
        Code.NO_DATA,
        Code.ROW_REJECTED,
        Code.NOT_FOUND,
        Code.GONE,
    }
)


class State(StrEnum):
    """What people are told."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def state_of(opens: int, *, paused: bool) -> State:
    """The state, from how often in a row it opened and whether the source is paused."""
    if not opens:
        return State.CLOSED
    return State.OPEN if paused else State.HALF_OPEN


def open_for_s(failures: int, opens: int, *, paused: bool) -> float | None:
    """For how long a failure opens it; None: it does not.

    While the source is paused what fails was sent before the pause: it is old news.
    """
    state = state_of(opens, paused=paused)
    if paused or (state is State.CLOSED and failures < MOST_FAILURES):
        return None
    return min(SHORTEST_S * 2.0 ** min(opens, 16), LONGEST_S)


def note(session: Session, source: str, code: Code, now: datetime) -> None:
    """Take in what became of a request. What says nothing of the server changes nothing."""
    if code in FAILURES:
        _failed(session, source, code, now)
    elif code in GOOD:
        _answered(session, source, now)


def _failed(session: Session, source: str, code: Code, now: datetime) -> None:
    one_more = (
        insert_into(session, SourceState)
        .values(source=source, failures=1, pauses=0, opens=0, factor=1)
        .on_conflict_do_update(
            index_elements=["source"], set_={"failures": SourceState.failures + 1}
        )
        .returning(SourceState.failures, SourceState.opens, SourceState.paused_until)
    )
    row = session.execute(one_more).one()
    paused = row.paused_until is not None and row.paused_until > now
    seconds = open_for_s(row.failures, row.opens, paused=paused)
    if seconds is not None:
        _open(session, source, seconds, _why(source, row.failures, code, seconds), now)


def _open(session: Session, source: str, seconds: float, why: Sentence, now: datetime) -> None:
    pause.pause(session, source, seconds, Code.BREAKER_OPEN, why, now)
    session.execute(
        update(SourceState).where(SourceState.source == source).values(opens=SourceState.opens + 1)
    )


def _why(source: str, failures: int, code: Code, seconds: float) -> Sentence:
    return Sentence(
        N_(
            "%(source)s failed %(failures)s times in a row (last: %(code)s). It is left alone for "
            "%(seconds)s s, then asked once; a good answer opens the way for the others."
        ),
        {"source": source, "failures": failures, "code": code.value, "seconds": round(seconds)},
    )


def _answered(session: Session, source: str, now: datetime) -> None:
    """Close it; but an answer to what was asked before the pause does not end the pause."""
    session.execute(
        update(SourceState)
        .where(
            SourceState.source == source,
            or_(SourceState.failures > 0, SourceState.opens > 0),
            or_(SourceState.paused_until.is_(None), SourceState.paused_until <= now),
        )
        .values(failures=0, opens=0)
    )
