"""The open problems by what they have in common: how many, since when, and whether they grow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.text import Sentence
from app.errors.models import FixtureError

MOST_GROUPS = 50  # the most frequent
DAYS = 14  # of the sparkline


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Problems of one fingerprint, in the words of the newest of them."""

    fingerprint: str
    source: str
    code: str
    http_status: int | None
    message: Sentence
    open: int
    first_seen_at: datetime
    last_seen_at: datetime
    per_day: tuple[int, ...]  # first seen on each of the days, the open and those resolved since


def open_groups(
    session: Session, midnights: Sequence[datetime], *, most: int = MOST_GROUPS
) -> list[ErrorGroup]:
    """The groups of the open problems, the largest first. Two queries, however many there are.

    `midnights` are where the days of the sparkline begin, and where the last one ends.
    """
    counted = _counted(most).subquery()
    newest = (
        select(FixtureError, counted)
        .join(counted, counted.c.newest == FixtureError.id)
        .order_by(counted.c.open.desc(), FixtureError.id.desc())
    )
    rows = session.execute(newest).all()
    per_day = _per_day(session, [row.FixtureError.fingerprint for row in rows], midnights)
    none = (0,) * (len(midnights) - 1)
    return [_group(row, per_day.get(row.FixtureError.fingerprint, none)) for row in rows]


def last_midnights(days: int, zone: ZoneInfo) -> list[datetime]:
    """Where each of the last days began for people in `zone`, and where today ends."""
    today = now().astimezone(zone).date()
    return [
        datetime.combine(today + timedelta(days=n), time(), zone).astimezone(UTC)
        for n in range(1 - days, 2)
    ]


def _counted(most: int) -> Any:
    return (
        select(
            func.count().label("open"),
            func.min(FixtureError.first_seen_at).label("began"),
            func.max(FixtureError.last_seen_at).label("seen"),
            func.max(FixtureError.id).label("newest"),
        )
        .where(FixtureError.resolved_at.is_(None))
        .group_by(FixtureError.fingerprint)
        .order_by(func.count().desc(), func.max(FixtureError.id).desc())
        .limit(most)
    )


def _group(row: Any, per_day: tuple[int, ...]) -> ErrorGroup:
    one: FixtureError = row.FixtureError
    told = one.fingerprint, one.source, one.code, one.http_status, one.message
    return ErrorGroup(*told, row.open, row.began, row.seen, per_day)


def _per_day(
    session: Session, fingerprints: Sequence[str], midnights: Sequence[datetime]
) -> dict[str, tuple[int, ...]]:
    """How many problems of each group were first seen on each day."""
    first, last = midnights[0], midnights[-1]
    began = FixtureError.first_seen_at
    # From the last day backwards: most problems are young.
    days = list(enumerate(pairwise(midnights)))[::-1]
    day = case(*((began >= since, number) for number, (since, _until) in days), else_=0)
    rows = session.execute(
        select(FixtureError.fingerprint, day.label("day"), func.count().label("new"))
        .where(began >= first, began < last, FixtureError.fingerprint.in_(fingerprints))
        .group_by(FixtureError.fingerprint, day)
    )
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row.fingerprint, [0] * len(days))[row.day] = row.new
    return {name: tuple(counts) for name, counts in found.items()}


def group_as_dict(group: ErrorGroup, language: str) -> dict[str, Any]:
    """One group as JSON says it: the same for the command and the API."""
    fields = (name for name in ErrorGroup.__slots__ if name not in {"message", "fingerprint"})
    values = {name: getattr(group, name) for name in fields}
    plain: dict[str, Any] = msgspec.to_builtins(values)
    return {"group": group.fingerprint, **plain, "message": group.message.to(language)}
