"""The details of a match as values: statistics, incidents and line-ups, alike for all sources.

Pure. What a source does not say is None; a part that it says it does not have is in `missing`.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from app.sources.base import Match


class IncidentKind(StrEnum):
    """What happened. The source's finer word for it is the incident's `detail`."""

    GOAL = "goal"  # own goals and penalties too: `home` is the side that it counts for
    CARD = "card"
    SUBSTITUTION = "substitution"
    VAR = "var"
    PERIOD = "period"  # a half or the match ended
    INJURY_TIME = "injury_time"  # `added` minutes are announced
    PENALTY = "penalty"  # a kick of a shoot-out, or one in play that was no goal
    OTHER = "other"


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the statistics, as text because providers mix “47%”, “5/9” and 2.73."""

    period: str  # ALL, 1ST, 2ND …; HEAD2HEAD for earlier encounters
    group: str | None = None
    name: str
    home: str | None = None
    away: str | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened; lists of them are in the order of time."""

    kind: IncidentKind
    detail: str | None = None  # the provider's own word: "ownGoal", "Yellow Card", "HT"
    minute: int | None = None
    added: int | None = None  # of injury time
    home: bool | None = None  # None: it concerns both sides, or nobody says which
    player: str | None = None  # who scored, was booked, came on
    other: str | None = None  # who assisted, or went off
    home_score: int | None = None  # after it; of a shoot-out: its own count
    away_score: int | None = None


class Player(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a line-up."""

    name: str
    player_id: str | None = None
    number: int | None = None  # on the shirt
    position: str | None = None
    substitute: bool = False


class Lineup(msgspec.Struct, frozen=True, kw_only=True):
    """One side's players."""

    side: str  # home | away
    players: tuple[Player, ...]
    formation: str | None = None
    confirmed: bool | None = None  # None: the provider does not tell a guess from the real one


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of detail of one match."""

    match_id: str  # "" where the answer does not name its match; whoever asked knows
    kind: str  # of the source's `detail_kinds`
    match: Match | None = None
    statistics: tuple[Statistic, ...] = ()
    incidents: tuple[Incident, ...] = ()
    lineups: tuple[Lineup, ...] = ()
    missing: tuple[str, ...] = ()  # parts the provider says it does not have, by these names


def missing(**parts: tuple[object, ...]) -> tuple[str, ...]:
    """The names of the parts that are empty."""
    return tuple(name for name, part in parts.items() if not part)


def with_sides(incidents: Iterable[Incident]) -> Iterator[Incident]:
    """The same, with each goal on the side that the score before and after it says.

    Providers differ in whose an own goal is: the score knows. Where it does not, what was told.
    """
    before: tuple[int | None, int | None] = (0, 0)
    for one in incidents:
        after = one.home_score, one.away_score
        if one.kind is not IncidentKind.GOAL or None in after:
            yield one
            continue
        home, away = after[0] != before[0], after[1] != before[1]
        yield msgspec.structs.replace(one, home=home) if home != away else one
        before = after


def number(value: int | str | None) -> int | None:
    """A shirt number, which some providers send as text; None when it is none."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 4 else None
    return value
