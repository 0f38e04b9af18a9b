"""Pausing and resuming a source: while it is paused none of its items is handed out."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import case, or_, select, update
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.core.db import current_time, db_now, insert_into
from app.core.text import N_, Sentence
from app.sources.base import Code
from app.sources.models import SourceState

# Not the last year there is: a database session east of UTC could not show that one.
UNTIL_RESUMED = datetime(9000, 1, 1, tzinfo=UTC)
_NOT_HELD = {
    "paused_until": None,
    "free_at": None,
    "code": None,
    "message": None,
    "pauses": 0,
    "failures": 0,
    "opens": 0,
}


def pause(
    session: Session, source: str, seconds: float, code: str, why: Sentence, now: datetime
) -> None:
    """Pause a source for some seconds, `math.inf` until somebody resumes it. Never shortens one.

    `now` is the database's clock, as in all of this: `current_time`.
    """
    until = UNTIL_RESUMED if seconds == math.inf else now + timedelta(seconds=seconds)
    row = {"paused_until": until, "code": code, "message": why, "paused_at": now}
    blocked = int(code == Code.BLOCKED)  # the one whose pauses grow, and that ends with a probe
    first = {"pauses": blocked, "opens": blocked}
    shorter = SourceState.paused_until.is_(None) | (SourceState.paused_until < until)
    session.execute(
        insert_into(session, SourceState)
        .values(source=source, **first, **row)
        .on_conflict_do_update(
            index_elements=["source"],
            set_={
                **row,
                "pauses": SourceState.pauses + blocked,
                "opens": case((SourceState.opens == 0, blocked), else_=SourceState.opens),
            },
            where=shorter,
        )
    )


def pause_by_hand(session: Session, source: str, by: str) -> None:
    """Pause a source until somebody resumes it."""
    why = Sentence(N_("Paused by %(by)s."), {"by": by})
    pause(session, source, math.inf, "PAUSED", why, current_time(session))
    note(session, "source.pause", ("source", source))


def resume(session: Session, source: str) -> bool:
    """Hand out the items of the source again and close its breaker; False when there was nothing.

    Its limit stays, and so does the speed it asked for: whether there is a slot is asked again.
    """
    resumed = session.execute(
        update(SourceState)
        .where(
            SourceState.source == source,
            or_(
                SourceState.paused_until.is_not(None),
                SourceState.free_at > db_now(),
                SourceState.opens > 0,
            ),
        )
        .values(_NOT_HELD)
        .returning(SourceState.source)
    )
    was_paused = resumed.first() is not None
    if was_paused:
        note(session, "source.resume", ("source", source))
    return was_paused


def reset(session: Session, source: str) -> bool:
    """As `resume`, and at its full speed again; False when there was nothing. Its limit stays."""
    in_the_way = or_(
        SourceState.paused_until.is_not(None),
        SourceState.opens > 0,
        SourceState.failures > 0,
        SourceState.factor < 1,
        SourceState.free_at > db_now(),
    )
    changed = session.execute(
        update(SourceState)
        .where(SourceState.source == source, in_the_way)
        .values(_NOT_HELD | {"failures": 0, "factor": 1.0, "factor_at": None})
        .returning(SourceState.source)
    )
    was_in_the_way = changed.first() is not None
    if was_in_the_way:
        note(session, "source.reset", ("source", source))
    return was_in_the_way


def has_answered(session: Session, source: str) -> None:
    """A good answer came: the next block pauses for the shortest time again."""
    session.execute(
        update(SourceState)
        .where(SourceState.source == source, SourceState.pauses > 0)
        .values(pauses=0)
    )


def pause_of(session: Session, source: str, now: datetime) -> SourceState | None:
    """The pause in force, if there is one."""
    state = session.get(SourceState, source)
    paused = state is not None and state.paused_until is not None and state.paused_until > now
    return state if paused else None


def pauses_before(session: Session, source: str) -> int:
    """How often in a row the source was paused for a block since it last answered well."""
    count = session.scalar(select(SourceState.pauses).where(SourceState.source == source))
    return count or 0


def states(session: Session) -> Sequence[SourceState]:
    """Every source that ever was in the way."""
    return session.scalars(select(SourceState).order_by(SourceState.source)).all()
