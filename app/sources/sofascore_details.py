"""SofaScore's statistics, incidents and line-ups as values; the sandbox speaks the same shapes."""

from collections.abc import Callable, Mapping

import msgspec

from app.sources.decoding import as_text, read_row
from app.sources.details import (
    Detail,
    Incident,
    IncidentKind,
    Lineup,
    Player,
    Statistic,
    missing,
    number,
    with_sides,
)

_LONGEST = 99  # a whistle has 999 minutes of injury time, which means none

# As listed in the vendor's tutorial of the mirror allsportsapi2, "status and incidents".
_KINDS = {
    "goal": IncidentKind.GOAL,
    "card": IncidentKind.CARD,
    "substitution": IncidentKind.SUBSTITUTION,
    "varDecision": IncidentKind.VAR,
    "period": IncidentKind.PERIOD,
    "injuryTime": IncidentKind.INJURY_TIME,
    "penaltyShootout": IncidentKind.PENALTY,
    "inGamePenalty": IncidentKind.PENALTY,
}


class _Item(msgspec.Struct):
    name: str
    home: str | int | float | None = None
    away: str | int | float | None = None


class _Group(msgspec.Struct, rename="camel"):
    group_name: str | None = None
    statistics_items: list[_Item] = []


class _Period(msgspec.Struct):
    period: str
    groups: list[_Group] = []


class _Statistics(msgspec.Struct):
    statistics: list[_Period]


class _Person(msgspec.Struct):
    name: str | None = None
    id: int | str | None = None
    position: str | None = None


class _Incident(msgspec.Struct, rename="camel"):
    incident_type: str
    incident_class: str | None = None
    text: str | None = None
    time: int | None = None
    added_time: int | None = None
    length: int | None = None
    is_home: bool | None = None
    home_score: int | None = None
    away_score: int | None = None
    player: _Person | None = None
    player_name: str | None = None
    assist1: _Person | None = None
    player_in: _Person | None = None
    player_out: _Person | None = None


class _Incidents(msgspec.Struct):
    incidents: list[_Incident]


class _Named(msgspec.Struct, rename="camel"):
    player: _Person
    shirt_number: int | str | None = None
    jersey_number: int | str | None = None
    position: str | None = None
    substitute: bool = False


class _Side(msgspec.Struct):
    players: list[_Named] = []
    formation: str | None = None


class _Lineups(msgspec.Struct):
    home: _Side
    away: _Side
    confirmed: bool | None = None


def statistics(row: msgspec.Raw) -> Detail:
    """Every line of every group of every period."""
    lines = tuple(
        Statistic(
            period=period.period,
            group=group.group_name,
            name=item.name,
            home=as_text(item.home),
            away=as_text(item.away),
        )
        for period in read_row(row, _Statistics).statistics
        for group in period.groups
        for item in group.statistics_items
    )
    absent = missing(statistics=lines)
    return Detail(match_id="", kind="statistics", statistics=lines, missing=absent)


def incidents(row: msgspec.Raw) -> Detail:
    """Oldest first; SofaScore sends the newest first."""
    told = [_incident(one) for one in reversed(read_row(row, _Incidents).incidents)]
    found = tuple(with_sides(told))
    absent = missing(incidents=found)
    return Detail(match_id="", kind="incidents", incidents=found, missing=absent)


def lineups(row: msgspec.Raw) -> Detail:
    """Both sides; a side without players is left out."""
    told = read_row(row, _Lineups)
    sides = (("home", told.home), ("away", told.away))
    found = tuple(
        Lineup(
            side=name,
            confirmed=told.confirmed,
            formation=side.formation,
            players=tuple(_player(one) for one in side.players),
        )
        for name, side in sides
        if side.players
    )
    return Detail(match_id="", kind="lineups", lineups=found, missing=missing(lineups=found))


# What an answer of each kind must have, and who reads it.
KEYS: Mapping[str, tuple[str, ...]] = {
    "statistics": ("statistics",),
    "incidents": ("incidents",),
    "lineups": ("home", "away"),
}
READERS: Mapping[str, Callable[[msgspec.Raw], Detail]] = {
    "statistics": statistics,
    "incidents": incidents,
    "lineups": lineups,
}


def _incident(one: _Incident) -> Incident:
    kind = _KINDS.get(one.incident_type, IncidentKind.OTHER)
    who = one.player_in or one.player or _Person()
    other = one.player_out or one.assist1 or _Person()
    return Incident(
        kind=kind,
        detail=one.incident_class or one.text or (one.incident_type if _is_odd(kind) else None),
        minute=one.time,
        added=_added(one),
        home=one.is_home,
        player=who.name or one.player_name,
        other=other.name,
        home_score=one.home_score,
        away_score=one.away_score,
    )


def _is_odd(kind: IncidentKind) -> bool:
    return kind is IncidentKind.OTHER


def _added(one: _Incident) -> int | None:
    """Minutes of injury time: announced (`length`) or played so far; none at a whistle."""
    added = one.length if one.length is not None else one.added_time
    return added if added and 0 < added <= _LONGEST else None


def _player(one: _Named) -> Player:
    shirt = one.shirt_number if one.shirt_number is not None else one.jersey_number
    return Player(
        name=one.player.name or "?",
        player_id=as_text(one.player.id),
        number=number(shirt),
        position=one.position or one.player.position,
        substitute=one.substitute,
    )
