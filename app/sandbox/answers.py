"""Matches in the shapes of two providers: SofaScore's lists and events, football-data.org's v4."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from app.sandbox.names import Competition, Country, Kind, Team, slug
from app.sandbox.play import AWAY, HALF_TIME, HOME, Fate, State
from app.sandbox.season import Match, goals, winner

Json = dict[str, Any]

_AWARDED_GOALS = 3
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FIRST_TOURNAMENT_ID = 1001
_FIRST_UNIQUE_TOURNAMENT_ID = 201
_FIRST_AREA_ID = 2001


def encode(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


# SofaScore


def day_list(matches: Sequence[Match], now: int) -> Json:
    return {"events": [event(played, now) for played in matches]}


def event(played: Match, now: int) -> Json:
    seen = played.state(now)
    row: Json = {
        "tournament": _tournament(played.competition),
        "season": _sofascore_season(played),
        "roundInfo": _round(played),
        "customId": _custom_id(played.id),
        "status": {"code": seen.code, "description": seen.description, "type": seen.type},
        "homeTeam": _sofascore_team(played.home),
        "awayTeam": _sofascore_team(played.away),
        "homeScore": _sofascore_score(played, HOME, seen),
        "awayScore": _sofascore_score(played, AWAY, seen),
        "id": played.id,
        "slug": f"{played.home.slug}-{played.away.slug}",
        "startTimestamp": played.kickoff,
        "finalResultOnly": False,
    }
    if seen.type == "finished":
        row["winnerCode"] = {HOME: 1, AWAY: 2, None: 3}[winner(played, now)]
    return row


def _tournament(competition: Competition) -> Json:
    category = {
        "name": competition.area,
        "slug": slug(competition.area),
        "country": _country(competition.country),
    }
    name = {"name": competition.name, "slug": slug(competition.name)}
    return {
        **name,
        "id": _FIRST_TOURNAMENT_ID + competition.number,
        "category": category,
        "uniqueTournament": {
            **name,
            "id": _FIRST_UNIQUE_TOURNAMENT_ID + competition.number,
            "category": category,
        },
    }


def _country(country: Country | None) -> Json:
    """Empty for Europe and the World, as there."""
    if country is None:
        return {}
    return {"alpha2": country.alpha2, "alpha3": country.alpha3, "name": country.name}


def _sofascore_season(played: Match) -> Json:
    label = played.season.label
    name = f"{played.competition.name} {label}"
    return {"id": played.season.id, "name": name, "year": label}


def _round(played: Match) -> Json:
    if played.competition.kind is Kind.CUP:
        return {"round": 6, "name": "Round of 32", "slug": "round-of-32"}
    return {"round": played.round}


def _custom_id(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number, len(_LETTERS))
        letters += _LETTERS[rest]
    return letters


def _sofascore_team(team: Team) -> Json:
    return {
        "id": team.id,
        "name": team.name,
        "shortName": team.short_name,
        "slug": team.slug,
        "nameCode": team.code,
        "gender": team.gender,
        "national": team.national,
        "country": _country(team.country),
    }


def _sofascore_score(played: Match, side: int, seen: State) -> Json:
    if not seen.started:
        return _walkover_score(played, side) if seen.type == "finished" else {}
    told, shown = played.story, goals(played, side, seen)
    score: Json = {
        "current": shown,
        "display": shown,
        "period1": told.scored(side, 1, min(45, seen.minute)),
        "normaltime": told.scored(side, 1, min(90, seen.minute)),
    }
    if seen.minute > 45:
        score["period2"] = told.scored(side, 46, min(90, seen.minute))
    if seen.minute > 90:
        score["overtime"] = told.scored(side, 91, seen.minute)
    if told.shootout and seen.over:
        # theirs, and the reason why "current" is not the result
        score["penalties"] = told.shootout[side]
        score["current"] = shown + told.shootout[side]
    return score


def _walkover_score(played: Match, side: int) -> Json:
    given = _AWARDED_GOALS if played.story.awarded_to == side else 0
    return {"current": given, "display": given}


def with_broken_row(body: bytes) -> bytes:
    """A day's list with one row that cannot be read; any other answer as it is."""
    try:
        rows = json.loads(body)["events"]
        row = dict(rows[len(rows) // 2], homeTeam=None)
    except (ValueError, TypeError, LookupError):
        return body
    row.pop("startTimestamp", None)
    rows[len(rows) // 2] = row
    return encode({"events": rows})


# football-data.org v4

_STATUS = {
    0: "TIMED",
    6: "IN_PLAY",
    7: "IN_PLAY",
    HALF_TIME: "PAUSED",
    41: "IN_PLAY",
    42: "IN_PLAY",
    50: "IN_PLAY",
    60: "POSTPONED",
    70: "CANCELLED",
    90: "CANCELLED",  # v4 has no word for abandoned
    91: "AWARDED",
    100: "FINISHED",
    110: "FINISHED",
    120: "FINISHED",
}
_WINNER = {HOME: "HOME_TEAM", AWAY: "AWAY_TEAM", None: "DRAW"}


def v4_list(matches: Sequence[Match], first: date, last: date, now: int) -> Json:
    rows = [v4_match(played, now) for played in matches]
    result: Json = {"count": len(rows)}
    if rows:
        played = sum(row["status"] == "FINISHED" for row in rows)
        days = {"first": rows[0]["utcDate"][:10], "last": rows[-1]["utcDate"][:10]}
        result.update(days, played=played)
    filters = {"dateFrom": first.isoformat(), "dateTo": last.isoformat(), "permission": "TIER_ONE"}
    return {"filters": filters, "resultSet": result, "matches": rows}


def v4_match(played: Match, now: int) -> Json:
    seen, cup = played.state(now), played.competition.kind is Kind.CUP
    return {
        "area": _area(played.competition),
        "competition": _v4_competition(played.competition),
        "season": _v4_season(played),
        "id": played.id,
        "utcDate": _iso(played.kickoff, played.day),
        "status": _STATUS[seen.code],
        "matchday": None if cup else played.round,
        "stage": "LAST_32" if cup else "REGULAR_SEASON",
        "group": None,
        # not the clock: a match that is over must read the same at every ask
        "lastUpdated": _iso(played.kickoff, played.day),
        "homeTeam": _v4_team(played.home),
        "awayTeam": _v4_team(played.away),
        "score": _v4_score(played, seen, now),
        "odds": {"msg": "Activate Odds-Package in User-Panel to retrieve odds."},
        "referees": [],
    }


def _area(competition: Competition) -> Json:
    country = competition.country
    code = country.alpha3 if country else competition.area[:3].upper()
    # any stable number will do, as long as an area has only one
    number = int.from_bytes(code.encode(), "big") % 900
    return {"id": _FIRST_AREA_ID + number, "name": competition.area, "code": code, "flag": None}


def _v4_competition(competition: Competition) -> Json:
    return {
        "id": _FIRST_UNIQUE_TOURNAMENT_ID + competition.number,
        "name": competition.name,
        "code": f"S{competition.number + 1:02}",
        "type": "CUP" if competition.kind is Kind.CUP else "LEAGUE",
        "emblem": None,
    }


def _v4_season(played: Match) -> Json:
    season = played.season
    return {
        "id": season.id,
        "startDate": season.first_day.isoformat(),
        "endDate": season.last_day.isoformat(),
        "currentMatchday": played.round,
        "winner": None,
    }


def _v4_team(team: Team) -> Json:
    return {
        "id": team.id,
        "name": team.name,
        "shortName": team.short_name,
        "tla": team.code,
        "crest": None,
    }


def _iso(moment: int, day: date) -> str:
    """By hand: the years 1 to 1969 have no timestamp on every system."""
    clock = datetime.fromtimestamp(moment % 86400, UTC)
    return f"{day.isoformat()}T{clock:%H:%M}:00Z"


def _v4_score(played: Match, seen: State, now: int) -> Json:
    told = played.story
    won = _WINNER[winner(played, now)] if seen.type == "finished" else None
    score: Json = {"winner": won, "duration": "REGULAR"}
    score["fullTime"] = _pair(_full_time(played, side, seen) for side in (HOME, AWAY))
    half_known = seen.started and (seen.minute > 45 or seen.code == HALF_TIME)
    score["halfTime"] = _pair(
        told.scored(side, 1, 45) if half_known else None for side in (HOME, AWAY)
    )
    if seen.minute <= 90:
        return score
    score["duration"] = "EXTRA_TIME"
    score["regularTime"] = _pair(told.scored(side, 1, 90) for side in (HOME, AWAY))
    score["extraTime"] = _pair(told.scored(side, 91, seen.minute) for side in (HOME, AWAY))
    if told.shootout and seen.over:
        score["duration"] = "PENALTY_SHOOTOUT"
        score["penalties"] = _pair(told.shootout)
    return score


def _full_time(played: Match, side: int, seen: State) -> int | None:
    """In v4 the penalties are counted in."""
    if played.story.fate is Fate.WALKOVER and seen.over:
        return int(_walkover_score(played, side)["display"])
    if not seen.started:
        return None
    shootout = played.story.shootout if seen.over else None
    return goals(played, side, seen) + (shootout[side] if shootout else 0)


def _pair(values: Any) -> Json:
    home, away = values
    return {"home": home, "away": away}
