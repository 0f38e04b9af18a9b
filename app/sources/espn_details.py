"""Key events, line-ups and statistics of ESPN's summary.

No summary was recorded; the fields are those that programs of others read.
"""

import re

import msgspec

from app.sources.base import Match
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
)

_CLOCK = re.compile(r"([0-9]{1,3})'(?:\+([0-9]{1,2})')?")  # "67'", "90'+3'"
# What the type's text begins with or contains, the first that fits counts.
_KINDS = (
    ("substitution", IncidentKind.SUBSTITUTION),
    ("card", IncidentKind.CARD),
    ("penalty - scored", IncidentKind.GOAL),
    ("penalty", IncidentKind.PENALTY),
    ("goal", IncidentKind.GOAL),
    ("var", IncidentKind.VAR),
    ("half", IncidentKind.PERIOD),
    ("kickoff", IncidentKind.PERIOD),
    ("end ", IncidentKind.PERIOD),
)


class _Named(msgspec.Struct, rename="camel"):
    id: str | int | None = None
    display_name: str | None = None


class _Text(msgspec.Struct, rename="camel"):
    text: str | None = None
    display_value: str | None = None
    abbreviation: str | None = None


class _Person(msgspec.Struct):
    athlete: _Named | None = None


class _Event(msgspec.Struct):
    type: _Text | None = None
    clock: _Text | None = None
    team: _Named | None = None
    participants: list[_Person] | None = None
    shootout: bool | None = None


class _Picked(msgspec.Struct):
    athlete: _Named | None = None
    jersey: str | int | None = None
    position: _Text | None = None
    starter: bool | None = None


class _Roster(msgspec.Struct, rename="camel"):
    home_away: str | None = None
    formation: str | None = None
    roster: list[_Picked] | None = None


class _Line(msgspec.Struct, rename="camel"):
    name: str
    label: str | None = None
    display_value: str | None = None


class _Team(msgspec.Struct, rename="camel"):
    team: _Named | None = None
    home_away: str | None = None
    statistics: list[_Line] | None = None


class _Box(msgspec.Struct):
    teams: list[_Team] | None = None


class _Row(msgspec.Struct, rename="camel"):
    key_events: list[_Event] | None = None
    rosters: list[_Roster] | None = None
    boxscore: _Box | None = None


def parts(row: msgspec.Raw, match: Match) -> Detail:
    """`match` with all that the summary says of it; rosters may be there without any player."""
    told = read_row(row, _Row)
    incidents = tuple(_incident(event, match.home_id) for event in told.key_events or [])
    lineups = tuple(_lineup(side) for side in told.rosters or [] if side.roster)
    statistics = _statistics((told.boxscore or _Box()).teams or [], match.home_id)
    return Detail(
        match_id=match.source_id,
        kind="summary",
        match=match,
        statistics=statistics,
        incidents=incidents,
        lineups=lineups,
        missing=missing(statistics=statistics, incidents=incidents, lineups=lineups),
    )


def _incident(event: _Event, home_id: str | None) -> Incident:
    """The first participant scored, was booked or came on; the second assisted or went off."""
    text = (event.type or _Text()).text
    clock = _CLOCK.match((event.clock or _Text()).display_value or "")
    names = [(one.athlete or _Named()).display_name for one in event.participants or []]
    first, second, *_ = *names, None, None
    team_id = as_text(event.team.id) if event.team else None
    return Incident(
        kind=IncidentKind.PENALTY if event.shootout else _kind(text or ""),
        detail=text,
        minute=int(clock[1]) if clock else None,
        added=int(clock[2]) if clock and clock[2] else None,
        home=None if team_id is None or home_id is None else team_id == home_id,
        player=first,
        other=second,
    )


def _kind(text: str) -> IncidentKind:
    fits = (kind for words, kind in _KINDS if words in text.lower())
    return next(fits, IncidentKind.OTHER)


def _lineup(side: _Roster) -> Lineup:
    return Lineup(
        side=side.home_away or "?",
        formation=side.formation,
        players=tuple(
            Player(
                name=(one.athlete or _Named()).display_name or "?",
                player_id=as_text((one.athlete or _Named()).id),
                number=number(one.jersey),
                position=(one.position or _Text()).abbreviation,
                substitute=not one.starter,
            )
            for one in side.roster or []
        ),
    )


def _statistics(teams: list[_Team], home_id: str | None) -> tuple[Statistic, ...]:
    by_side: dict[bool, dict[str, str | None]] = {True: {}, False: {}}
    for team in teams:
        ours = as_text((team.team or _Named()).id) == home_id
        is_home = team.home_away == "home" if team.home_away else ours
        by_side[is_home].update(
            {one.label or one.name: one.display_value for one in team.statistics or []}
        )
    home, away = by_side[True], by_side[False]
    return tuple(
        Statistic(period="ALL", name=name, home=home.get(name), away=away.get(name))
        for name in dict.fromkeys([*home, *away])
    )
