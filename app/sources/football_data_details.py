"""What football-data.org v4 says of a match beyond its score, which depends on the plan.

Fields as in docs.football-data.org/general/v4/match.html; the free plan's answers, which were
recorded, have none of them.
"""

from collections.abc import Iterator

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
    with_sides,
)


class _Person(msgspec.Struct, rename="camel"):
    id: int | str | None = None
    name: str | None = None
    position: str | None = None
    shirt_number: int | str | None = None


class _Team(msgspec.Struct):
    id: int | str | None = None
    formation: str | None = None
    lineup: list[_Person] | None = None
    bench: list[_Person] | None = None
    statistics: dict[str, int | float | str | None] | None = None


class _Goals(msgspec.Struct):
    home: int | None = None
    away: int | None = None


class _Event(msgspec.Struct, rename="camel"):
    minute: int | None = None
    injury_time: int | None = None
    team: _Person | None = None
    type: str | None = None  # of a goal: REGULAR, OWN, PENALTY
    scorer: _Person | None = None
    assist: _Person | None = None
    score: _Goals | None = None
    player: _Person | None = None
    card: str | None = None
    player_in: _Person | None = None
    player_out: _Person | None = None
    scored: bool | None = None


class _Row(msgspec.Struct, rename="camel"):
    home_team: _Team | None = None
    away_team: _Team | None = None
    goals: list[_Event] | None = None
    bookings: list[_Event] | None = None
    substitutions: list[_Event] | None = None
    penalties: list[_Event] | None = None


class _Sums(msgspec.Struct):
    wins: int | None = None
    draws: int | None = None
    losses: int | None = None


class _Aggregates(msgspec.Struct, rename="camel"):
    number_of_matches: int = 0
    home_team: _Sums | None = None
    away_team: _Sums | None = None


class _Encounters(msgspec.Struct):
    aggregates: _Aggregates | None = None


def parts(row: msgspec.Raw, match: Match) -> Detail:
    """A match with its goals, bookings, substitutions, penalties, line-ups and statistics."""
    told = read_row(row, _Row)
    teams = (("home", told.home_team or _Team()), ("away", told.away_team or _Team()))
    statistics = _statistics(teams[0][1], teams[1][1])
    incidents = _incidents(told, match.home_id)
    lineups = tuple(_lineup(side, team) for side, team in teams if team.lineup)
    return Detail(
        match_id=match.source_id,
        kind="match",
        match=match,
        statistics=statistics,
        incidents=incidents,
        lineups=lineups,
        missing=missing(statistics=statistics, incidents=incidents, lineups=lineups),
    )


def encounters(row: msgspec.Raw) -> Detail:
    """The sums of the earlier encounters; the encounters themselves are in the raw answer."""
    sums = read_row(row, _Encounters).aggregates or _Aggregates()
    home, away = sums.home_team or _Sums(), sums.away_team or _Sums()
    lines = tuple(
        Statistic(
            period="HEAD2HEAD",
            name=name,
            home=as_text(getattr(home, name)),
            away=as_text(getattr(away, name)),
        )
        for name in ("wins", "draws", "losses")
        if sums.number_of_matches
    )
    return Detail(match_id="", kind="head2head", statistics=lines, missing=missing(head2head=lines))


def _statistics(home: _Team, away: _Team) -> tuple[Statistic, ...]:
    ours, theirs = home.statistics or {}, away.statistics or {}
    return tuple(
        Statistic(
            period="ALL", name=name, home=as_text(ours.get(name)), away=as_text(theirs.get(name))
        )
        for name in dict.fromkeys([*ours, *theirs])
    )


def _incidents(told: _Row, home_id: str | None) -> tuple[Incident, ...]:
    """In the order of time; the kicks of a shoot-out have no minute and come last."""
    found = [*_all_of(told, home_id)]
    found.sort(key=lambda one: (one.minute is None, one.minute or 0, one.added or 0))
    return tuple(with_sides(found))


def _all_of(told: _Row, home_id: str | None) -> Iterator[Incident]:
    for kind, events in (
        (IncidentKind.GOAL, told.goals),
        (IncidentKind.CARD, told.bookings),
        (IncidentKind.SUBSTITUTION, told.substitutions),
        (IncidentKind.PENALTY, told.penalties),
    ):
        for event in events or ():
            yield _incident(kind, event, home_id)


def _incident(kind: IncidentKind, event: _Event, home_id: str | None) -> Incident:
    team_id = as_text(event.team.id) if event.team else None
    who = event.scorer or event.player or event.player_in or _Person()
    other = event.assist or event.player_out or _Person()
    score = event.score or _Goals()
    return Incident(
        kind=kind,
        detail=event.type or event.card or _kicked(event),
        minute=event.minute,
        added=event.injury_time,
        home=None if team_id is None or home_id is None else team_id == home_id,
        player=who.name,
        other=other.name,
        home_score=score.home,
        away_score=score.away,
    )


def _kicked(event: _Event) -> str | None:
    return None if event.scored is None else "scored" if event.scored else "missed"


def _lineup(side: str, team: _Team) -> Lineup:
    named = [(one, False) for one in team.lineup or ()] + [(one, True) for one in team.bench or ()]
    players = tuple(
        Player(
            name=one.name or "?",
            player_id=as_text(one.id),
            number=number(one.shirt_number),
            position=one.position,
            substitute=substitute,
        )
        for one, substitute in named
    )
    return Lineup(side=side, formation=team.formation, players=players)
