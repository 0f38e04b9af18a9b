"""How fast a source is asked at the moment: slower after a refusal, and from when on again."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import case, or_, update
from sqlalchemy.orm import Session

from app.core.db import db_now, insert_into
from app.sources.base import Code
from app.sources.models import SourceState

SLOWEST = 1 / 8
FASTER = 0.1  # of its full speed, for each minute without a refusal
MINUTE_S = 60.0
SOONEST_S = 0.05  # nobody is sent away for less


def note(session: Session, source: str, code: Code, asked_s_ago: float, now: datetime) -> None:
    """Halve the speed for a refusal; give some back for a good answer a minute after the last."""
    if code is Code.RATE_LIMITED:
        _slow_down(session, source, now - timedelta(seconds=asked_s_ago), now)
    elif code in {Code.OK, Code.OK_UNCHANGED, Code.NO_DATA, Code.ROW_REJECTED}:
        _speed_up(session, source, now)


def _slow_down(session: Session, source: str, asked_at: datetime, now: datetime) -> None:
    """Those that were on the wire together are refused together: that counts once."""
    half = SourceState.factor / 2
    session.execute(
        insert_into(session, SourceState)
        .values(source=source, pauses=0, failures=0, opens=0, factor=0.5, factor_at=now)
        .on_conflict_do_update(
            index_elements=["source"],
            set_={"factor": case((half < SLOWEST, SLOWEST), else_=half), "factor_at": now},
            where=or_(SourceState.factor_at.is_(None), SourceState.factor_at < asked_at),
        )
    )


def _speed_up(session: Session, source: str, now: datetime) -> None:
    more = SourceState.factor + FASTER
    session.execute(
        update(SourceState)
        .where(
            SourceState.source == source,
            SourceState.factor < 1,
            SourceState.factor_at <= now - timedelta(seconds=MINUTE_S),
        )
        .values(factor=case((more > 1, 1.0), else_=more), factor_at=now)
    )


def wait_for_slot(session: Session, source: str, seconds: float) -> None:
    """Hand out nothing of a source until its next slot is free."""
    free_at = db_now(max(seconds, SOONEST_S))
    session.execute(
        insert_into(session, SourceState)
        .values(source=source, pauses=0, failures=0, opens=0, factor=1, free_at=free_at)
        .on_conflict_do_update(index_elements=["source"], set_={"free_at": free_at})
    )


def forget_waits(session: Session, sources: Collection[str]) -> None:
    """Ask for slots of these sources again now: their limits have changed."""
    session.execute(update(SourceState).where(SourceState.source.in_(sources)).values(free_at=None))
