"""Events, line-ups and statistics that API-Football sends with a fixture asked for by its id."""

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

_KINDS = {
    "goal": IncidentKind.GOAL,
    "card": IncidentKind.CARD,
    "subst": IncidentKind.SUBSTITUTION,
    "var": IncidentKind.VAR,
}


class _Named(msgspec.Struct):
    id: int | str | None = None
    name: str | None = None
    number: int | str | None = None
    pos: str | None = None


class _Time(msgspec.Struct):
    elapsed: int | None = None
    extra: int | None = None


class _Event(msgspec.Struct):
    time: _Time
    type: str
    team: _Named | None = None
    player: _Named | None = None
    assist: _Named | None = None
    detail: str | None = None
    comments: str | None = None


class _Picked(msgspec.Struct):
    player: _Named


class _Side(msgspec.Struct, rename={"starters": "startXI"}):
    team: _Named
    formation: str | None = None
    starters: list[_Picked] | None = None
    substitutes: list[_Picked] | None = None


class _Line(msgspec.Struct):
    type: str
    value: int | float | str | None = None


class _Lines(msgspec.Struct):
    team: _Named
    statistics: list[_Line] = []


class _Row(msgspec.Struct):
    events: list[_Event] | None = None
    lineups: list[_Side] | None = None
    statistics: list[_Lines] | None = None


def parts(row: msgspec.Raw, match: Match) -> Detail:
    """`match` with all that the row says of it."""
    told = read_row(row, _Row)
    incidents = tuple(_incident(event, match.home_id) for event in _in_order(told.events or []))
    lineups = tuple(_lineup(side, match.home_id) for side in told.lineups or [])
    statistics = _statistics(told.statistics or [], match.home_id)
    return Detail(
        match_id=match.source_id,
        kind="fixture",
        match=match,
        statistics=statistics,
        incidents=incidents,
        lineups=lineups,
        missing=missing(statistics=statistics, incidents=incidents, lineups=lineups),
    )


def _in_order(events: list[_Event]) -> list[_Event]:
    """By time: the kicks of a shoot-out were recorded last to first, all in minute 120."""
    return sorted(events, key=lambda one: (one.time.elapsed or 0, one.time.extra or 0))


def _incident(event: _Event, home_id: str | None) -> Incident:
    """The one who comes on is the `assist` of a substitution, as all recorded ones show."""
    kind = _kind(event)
    player, other = event.player or _Named(), event.assist or _Named()
    if kind is IncidentKind.SUBSTITUTION:
        player, other = other, player
    return Incident(
        kind=kind,
        detail=event.detail,
        minute=event.time.elapsed,
        added=event.time.extra,
        home=_is_home(event.team or _Named(), home_id),
        player=player.name,
        other=other.name,
    )


def _kind(event: _Event) -> IncidentKind:
    """A kick of a shoot-out is called a goal too, and so is one that was missed."""
    shoot_out = (event.comments or "").lower() == "penalty shootout"
    if shoot_out or event.detail == "Missed Penalty":
        return IncidentKind.PENALTY
    return _KINDS.get(event.type.lower(), IncidentKind.OTHER)


def _is_home(team: _Named, home_id: str | None) -> bool | None:
    return None if team.id is None or home_id is None else str(team.id) == home_id


def _lineup(side: _Side, home_id: str | None) -> Lineup:
    picked = [(one.player, False) for one in side.starters or []]
    picked += [(one.player, True) for one in side.substitutes or []]
    return Lineup(
        side="home" if _is_home(side.team, home_id) else "away",
        formation=side.formation,
        players=tuple(_player(one, substitute=substitute) for one, substitute in picked),
    )


def _player(one: _Named, *, substitute: bool) -> Player:
    return Player(
        name=one.name or "?",
        player_id=as_text(one.id),
        number=number(one.number),
        position=one.pos,
        substitute=substitute,
    )


def _statistics(sides: list[_Lines], home_id: str | None) -> tuple[Statistic, ...]:
    by_side: dict[bool, dict[str, str | None]] = {True: {}, False: {}}
    for side in sides:
        lines = by_side[bool(_is_home(side.team, home_id))]
        lines.update({line.type: as_text(line.value) for line in side.statistics})
    home, away = by_side[True], by_side[False]
    return tuple(
        Statistic(period="ALL", name=name, home=home.get(name), away=away.get(name))
        for name in dict.fromkeys([*home, *away])
    )
