"""API-Football v3: its addresses, its key, its way of saying no with HTTP 200."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from app.core.text import N_
from app.sources import api_football_details, decoding
from app.sources.base import (
    Answer,
    Code,
    DecidedBy,
    Limits,
    Match,
    MatchStatus,
    Request,
    RowError,
    ShapeError,
    Verdict,
)
from app.sources.decoding import Goals, as_text
from app.sources.details import Detail

WINDOW_S = 60.0  # the allowance by the minute; no header says when it is whole again
BATCH = 20
_ANEW = time(0, 5, tzinfo=UTC)  # the day's allowance is new at 00:00 UTC, and a little later surely

_STATUS = {
    "TBD": MatchStatus.TIME_TBD,
    "NS": MatchStatus.SCHEDULED,
    **dict.fromkeys(("1H", "2H", "ET", "P", "LIVE"), MatchStatus.LIVE),
    **dict.fromkeys(("HT", "BT"), MatchStatus.PAUSED),
    **dict.fromkeys(("SUSP", "INT"), MatchStatus.SUSPENDED),
    **dict.fromkeys(("FT", "AET", "PEN", "AWD", "WO"), MatchStatus.FINISHED),
    "PST": MatchStatus.POSTPONED,
    "CANC": MatchStatus.CANCELLED,
    "ABD": MatchStatus.ABANDONED,
}
_DECIDED = {
    "FT": DecidedBy.REGULAR,
    "AET": DecidedBy.AET,
    "PEN": DecidedBy.PENS,
    "AWD": DecidedBy.AWARDED,
    "WO": DecidedBy.AWARDED,
}
_NOT_PLAYED = (
    MatchStatus.TIME_TBD,
    MatchStatus.SCHEDULED,
    MatchStatus.POSTPONED,
    MatchStatus.CANCELLED,
)
# The keys of `errors`, lower case, the gravest first; any other names a wrong parameter.
_REFUSALS = {
    "token": Code.AUTH_INVALID,
    "access": Code.AUTH_INVALID,  # the account is suspended
    "ip": Code.AUTH_INVALID,  # the key is bound to other addresses
    "plan": Code.FORBIDDEN_PLAN,
    "requests": Code.QUOTA_EXHAUSTED,
    "ratelimit": Code.RATE_LIMITED,
    "bug": Code.SERVER_ERROR,
}


class _Status(msgspec.Struct):
    short: str


class _Fixture(msgspec.Struct):
    id: int | str
    status: _Status
    timestamp: int | None = None
    date: str | None = None


class _League(msgspec.Struct):
    id: int | str | None = None
    name: str | None = None
    country: str | None = None
    season: int | str | None = None
    round: str | None = None


class _Team(msgspec.Struct):
    id: int | str | None = None
    name: str | None = None
    winner: bool | None = None


class _Teams(msgspec.Struct):
    home: _Team
    away: _Team


class _Goals(msgspec.Struct):
    home: Goals | None = None
    away: Goals | None = None


class _Score(msgspec.Struct):
    halftime: _Goals | None = None
    fulltime: _Goals | None = None
    extratime: _Goals | None = None
    penalty: _Goals | None = None


class _Row(msgspec.Struct):
    fixture: _Fixture
    teams: _Teams
    league: _League | None = None
    goals: _Goals | None = None
    score: _Score | None = None


class ApiFootball:
    """API-Football v3: all leagues of a day in one answer; 10 requests a minute, 100 a day free.

    Recorded: lists, a batch with all details, three refusals. Quoted by others: the refusals for
    the minute and for the day come with HTTP 200; over the limit it may also answer 10 to 15 s late
    instead of refusing (api-sports/public-roadmap#100). `goals` has no shoot-out in it.
    """

    name = "api_football"
    title = "API-Football"
    licence_note = N_(
        "With a key of one's own; the free plan gives 100 requests a day and some seasons only. "
        "See api-football.com for what may be shown and to whom."
    )
    needs_token = True
    needs_permission = False
    default_base_url = "https://v3.football.api-sports.io"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ("fixture",)

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")

    def day_request(self, day: date) -> Request:
        """Ask for the matches of `day` in UTC."""
        path = f"{self.base_url}/fixtures"
        return Request(
            f"{path}?date={day.isoformat()}&timezone=UTC", f"{path}?date={{day}}&timezone=UTC"
        )

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for up to 20 matches with their events, line-ups and statistics.

        A match it does not know is absent from the answer; there is no 404.
        """
        del kind
        path = f"{self.base_url}/fixtures"
        named = "-".join(quote(one, safe="") for one in ids)
        return Request(f"{path}?ids={named}", f"{path}?ids={{ids}}")

    def detail_batch(self, kind: str) -> int:
        """Up to 20 ids, joined by dashes."""
        del kind
        return BATCH

    def authorise(self, request: Request, token: str | None) -> Request:
        """The request with the x-apisports-key header."""
        if token is None:
            return request
        return replace(request, headers={**request.headers, "x-apisports-key": token})

    def read_limits(self, answer: Answer) -> Limits:
        """What is left of the day's allowance when that is nothing, else of the minute's."""
        day = decoding.seconds(answer.headers, "x-ratelimit-requests-remaining")
        if day == 0:
            return Limits(0, _until_the_day_is_new(answer.headers))
        minute = decoding.seconds(answer.headers, "x-ratelimit-remaining")
        return Limits() if minute is None else Limits(int(minute), WINDOW_S)

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """Read `{"errors": {"rateLimit": "Too many requests. …"}}`, which comes with HTTP 200.

        No errors are an empty list, for PHP does not tell it from an empty object.
        """
        errors = _errors(text)
        if not errors:
            return None
        known = next((key for key in _REFUSALS if key in errors), next(iter(errors)))
        code = _REFUSALS.get(known, Code.BAD_REQUEST)
        spent = code is Code.QUOTA_EXHAUSTED
        wait_s = _until_the_day_is_new(answer.headers) if spent else None
        return Verdict(code, errors[known], wait_s)

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows under "response": those of the day that was asked for."""
        del day
        return decoding.rows(text, "response")

    def normalise(self, row: msgspec.Raw) -> Match:
        """One fixture as a Match: `season` is the year it begins in, women's teams end in " W"."""
        match = decoding.read_row(row, _Row)
        status = _STATUS.get(match.fixture.status.short, MatchStatus.UNKNOWN)
        return msgspec.structs.replace(_match(match, status), **_scores(match, status))

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The rows under "response", one for each match."""
        del kind
        return decoding.rows(text, "response")

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """The match with its events, line-ups and statistics."""
        del kind
        return api_football_details.parts(row, self.normalise(row))


def _errors(text: str) -> dict[str, str]:
    """The errors of an answer by the lower case of their keys; empty when there are none."""
    try:
        raw = decoding.members(text).get("errors")
        errors = msgspec.json.decode(raw, type=dict[str, object] | list[object]) if raw else {}
    except (ValueError, ShapeError):
        return {}
    if isinstance(errors, list):
        errors = {str(place): words for place, words in enumerate(errors)}
    return {key.lower(): str(words) for key, words in errors.items()}


def _until_the_day_is_new(headers: Mapping[str, str]) -> float | None:
    """Seconds from when the answer was sent until the day's allowance is new; None: no Date."""
    sent = decoding.sent_at(headers)
    if sent is None:
        return None
    anew = datetime.combine(sent.date(), _ANEW)
    return ((anew if sent < anew else anew + timedelta(days=1)) - sent).total_seconds()


def _match(row: _Row, status: MatchStatus) -> Match:
    home, away, league = row.teams.home, row.teams.away, row.league or _League()
    return Match(
        source_id=str(row.fixture.id),
        kickoff=_kickoff(row.fixture),
        status=status,
        raw_status=row.fixture.status.short,
        home=home.name or "?",
        away=away.name or "?",
        home_id=as_text(home.id),
        away_id=as_text(away.id),
        competition=league.name,
        competition_id=as_text(league.id),
        season=as_text(league.season),
        round=league.round,
        country=league.country,
        women=any((team.name or "").endswith(" W") for team in (home, away)),
        winner=_winner(row.teams, status),
        decided_by=_DECIDED.get(row.fixture.status.short),
    )


def _kickoff(fixture: _Fixture) -> datetime:
    if fixture.timestamp is not None:
        return decoding.epoch(fixture.timestamp, "fixture.timestamp")
    if fixture.date is None:
        raise RowError("no time - at `$.fixture.timestamp`")
    return decoding.moment(fixture.date, "fixture.date")


def _winner(teams: _Teams, status: MatchStatus) -> str | None:
    """While a match runs, the side that is ahead is called the winner; that is not passed on."""
    if status is not MatchStatus.FINISHED:
        return None
    if teams.home.winner or teams.away.winner:
        return "home" if teams.home.winner else "away"
    return "draw" if teams.home.winner is None and teams.away.winner is None else None


def _scores(row: _Row, status: MatchStatus) -> dict[str, int | None]:
    """Both sides' scores by the names of `Match`; none where nothing was played."""
    if status in _NOT_PLAYED:
        return {}
    score = row.score or _Score()
    by_name = {
        "score": row.goals,
        "half_time": score.halftime,
        "regular": score.fulltime,
        "extra": score.extratime,
        "penalties": score.penalty,
    }
    return {
        f"{side}_{name}": getattr(goals or _Goals(), side)
        for name, goals in by_name.items()
        for side in ("home", "away")
    }
