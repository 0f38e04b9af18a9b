"""TheSportsDB v1: its addresses with the key in them, its scores as text, its null for none."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from app.core.text import N_
from app.sources import decoding
from app.sources.base import (
    Answer,
    DecidedBy,
    Limits,
    Match,
    MatchStatus,
    Request,
    RowError,
    Verdict,
    with_winner,
)
from app.sources.decoding import Goals, as_text
from app.sources.details import Detail

_KEY = "{key}"
# Lower case. Its own words, and the short ones of API-Football, from which it takes much.
_STATUS = {
    **dict.fromkeys(("not started", "ns", "scheduled"), MatchStatus.SCHEDULED),
    **dict.fromkeys(("tbd", "time to be defined"), MatchStatus.TIME_TBD),
    **dict.fromkeys(
        ("1h", "2h", "et", "p", "live", "first half", "second half", "extra time"),
        MatchStatus.LIVE,
    ),
    **dict.fromkeys(("ht", "bt", "halftime", "half time"), MatchStatus.PAUSED),
    **dict.fromkeys(("susp", "int", "match suspended", "match interrupted"), MatchStatus.SUSPENDED),
    **dict.fromkeys(
        ("match finished", "ft", "aet", "pen", "ap", "awd", "wo", "after extra time"),
        MatchStatus.FINISHED,
    ),
    **dict.fromkeys(("pst", "post", "postponed", "match postponed"), MatchStatus.POSTPONED),
    **dict.fromkeys(("canc", "cancelled", "canceled", "match cancelled"), MatchStatus.CANCELLED),
    **dict.fromkeys(("abd", "abandoned", "match abandoned"), MatchStatus.ABANDONED),
}
_DECIDED = {
    "match finished": DecidedBy.REGULAR,
    "ft": DecidedBy.REGULAR,
    "aet": DecidedBy.AET,
    "after extra time": DecidedBy.AET,
    "pen": DecidedBy.PENS,
    "ap": DecidedBy.PENS,
    "awd": DecidedBy.AWARDED,
    "wo": DecidedBy.AWARDED,
}
_PLAYED = (
    MatchStatus.LIVE,
    MatchStatus.PAUSED,
    MatchStatus.SUSPENDED,
    MatchStatus.FINISHED,
    MatchStatus.ABANDONED,
)
Score = Annotated[str, msgspec.Meta(pattern="^([0-9]{1,3})?$")]


_FIELDS = {
    "id": "idEvent",
    "home": "strHomeTeam",
    "away": "strAwayTeam",
    "home_id": "idHomeTeam",
    "away_id": "idAwayTeam",
    "home_score": "intHomeScore",
    "away_score": "intAwayScore",
    "at": "strTimestamp",
    "day": "dateEvent",
    "hour": "strTime",
    "status": "strStatus",
    "postponed": "strPostponed",
    "league": "strLeague",
    "league_id": "idLeague",
    "season": "strSeason",
    "round": "intRound",
    "country": "strCountry",
}


class _Row(msgspec.Struct, rename=_FIELDS):
    id: str | int
    home: str | None
    away: str | None
    home_id: str | int | None = None
    away_id: str | int | None = None
    home_score: Score | Goals | None = None
    away_score: Score | Goals | None = None
    at: str | None = None
    day: str | None = None
    hour: str | None = None
    status: str | None = None
    postponed: str | None = None
    league: str | None = None
    league_id: str | int | None = None
    season: str | int | None = None
    round: str | int | None = None
    country: str | None = None


class _Refusal(msgspec.Struct):
    error: int
    message: str | None = None


class TheSportsDb:
    """TheSportsDB v1: kept by volunteers; 100 requests a minute.

    Recorded: lists of a league and of a season. Quoted by others: the 429. The key is a part of the
    address, so it is put in last and taken out of whatever an answer repeats. The free key ("3")
    is cut off silently after some rows of a list. Nothing recorded tells how it counts a shoot-out:
    the score is passed on as it comes.
    """

    name = "thesportsdb"
    title = "TheSportsDB"
    licence_note = N_(
        "Kept by volunteers; the free key 3 is for tests and gives shortened lists. "
        "See thesportsdb.com for the terms."
    )
    needs_token = True
    needs_permission = False
    default_base_url = "https://www.thesportsdb.com"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = re.compile(r"(?<=/json/|json\\/)(?!\{key\})[^/\\\s\"'<>]+")
    detail_kinds: tuple[str, ...] = ("event",)

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")
        self._path = f"{self.base_url}/api/v1/json/{_KEY}"

    def day_request(self, day: date) -> Request:
        """Ask for the matches of `day` in UTC; no request before `authorise` puts the key in."""
        path = f"{self._path}/eventsday.php"
        return Request(f"{path}?d={day.isoformat()}&s=Soccer", f"{path}?d={{day}}&s=Soccer")

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for one match. One it does not know is a null list; there is no 404."""
        path = f"{self._path}/lookup{kind}.php"
        return Request(f"{path}?id={quote(ids[0], safe='')}", f"{path}?id={{id}}")

    def detail_batch(self, kind: str) -> int:
        """One: every match is an address of its own."""
        del kind
        return 1

    def authorise(self, request: Request, token: str | None) -> Request:
        """The request with the key in its path; the template stays without."""
        if token is None:
            return request
        return replace(request, url=request.url.replace(_KEY, quote(token, safe=""), 1))

    def read_limits(self, answer: Answer) -> Limits:
        """Nothing: it tells its limits only once they are passed."""
        del answer
        return Limits()

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """Read `{"message": "Rate Limit exceeded. …", "error": 429}`."""
        del answer
        try:
            refusal = msgspec.json.decode(text, type=_Refusal)
        except (ValueError, RecursionError):
            return None
        if not 400 <= refusal.error < 600:
            return None
        words = refusal.message or ""
        return Verdict(decoding.usual_code(refusal.error, words), words)

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows under "events"; null is its way of saying none."""
        del day
        found = decoding.members(text).get("events")
        if found is not None and bytes(found).strip() == b"null":
            return []
        return decoding.rows(text, "events")

    def normalise(self, row: msgspec.Raw) -> Match:
        """One event as a Match.

        The status may be null, as it is for old seasons: with a score the match is finished then,
        without one not started. `season` is "2025-2026".
        """
        event = decoding.read_row(row, _Row)
        score = _score(event.home_score), _score(event.away_score)
        status = _status(event, scored=None not in score)
        if status not in _PLAYED:
            score = None, None
        told = (event.status or "").strip()
        match = Match(
            source_id=str(event.id),
            kickoff=_kickoff(event),
            status=status,
            raw_status=told,
            home=event.home or "?",
            away=event.away or "?",
            home_id=as_text(event.home_id),
            away_id=as_text(event.away_id),
            home_score=score[0],
            away_score=score[1],
            decided_by=_DECIDED.get(told.lower()) if status is MatchStatus.FINISHED else None,
            competition=event.league,
            competition_id=as_text(event.league_id),
            season=as_text(event.season),
            round=as_text(event.round),
            country=event.country or None,
            women=True if "women" in (event.league or "").lower() else None,
        )
        return with_winner(match)

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The rows under "events": one, or none."""
        del kind
        return self.day_rows(text)

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """The match alone."""
        match = self.normalise(row)
        return Detail(match_id=match.source_id, kind=kind, match=match)


def _score(told: str | int | None) -> int | None:
    return None if told in (None, "") else int(told or 0)


def _status(event: _Row, *, scored: bool) -> MatchStatus:
    if (event.postponed or "").lower() == "yes":
        return MatchStatus.POSTPONED
    told = (event.status or "").strip().lower()
    if told:
        return _STATUS.get(told, MatchStatus.UNKNOWN)
    if scored:
        return MatchStatus.FINISHED
    return MatchStatus.SCHEDULED if event.at or event.hour else MatchStatus.TIME_TBD


def _kickoff(event: _Row) -> datetime:
    """`strTimestamp` in UTC; where it is null, day and hour, or 00:00 without an hour."""
    if event.at:
        return decoding.moment(event.at, "strTimestamp")
    if not event.day:
        raise RowError("no time - at `$.strTimestamp`")
    return decoding.moment(f"{event.day}T{event.hour or '00:00:00'}", "dateEvent")
