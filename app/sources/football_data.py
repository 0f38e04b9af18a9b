"""football-data.org, v4: its addresses, its token, its statuses, its way with a shoot-out."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from app.core.text import N_
from app.sources import decoding, football_data_details
from app.sources.base import (
    Answer,
    DecidedBy,
    Limits,
    Match,
    MatchStatus,
    Request,
    Verdict,
)
from app.sources.decoding import Goals, as_text, less
from app.sources.details import Detail

_STATUS = {
    "SCHEDULED": MatchStatus.TIME_TBD,  # here it means: the day is known, the time is not
    "TIMED": MatchStatus.SCHEDULED,
    "IN_PLAY": MatchStatus.LIVE,
    "LIVE": MatchStatus.LIVE,
    "EXTRA_TIME": MatchStatus.LIVE,
    "PENALTY_SHOOTOUT": MatchStatus.LIVE,
    "PAUSED": MatchStatus.PAUSED,
    "SUSPENDED": MatchStatus.SUSPENDED,
    "FINISHED": MatchStatus.FINISHED,
    "AWARDED": MatchStatus.FINISHED,
    "POSTPONED": MatchStatus.POSTPONED,
    "CANCELLED": MatchStatus.CANCELLED,
    "CANCELED": MatchStatus.CANCELLED,  # as v2 spells it
}
_DECIDED = {
    "REGULAR": DecidedBy.REGULAR,
    "EXTRA_TIME": DecidedBy.AET,
    "PENALTY_SHOOTOUT": DecidedBy.PENS,
}
_NOT_STARTED = (MatchStatus.SCHEDULED, MatchStatus.TIME_TBD)
_WINNER = {"HOME_TEAM": "home", "AWAY_TEAM": "away", "DRAW": "draw"}
_BY_MATCHDAY = ("REGULAR_SEASON", "LEAGUE_STAGE", "GROUP_STAGE")


class _Goals(msgspec.Struct):
    home: Goals | None = None
    away: Goals | None = None


class _Score(msgspec.Struct, rename="camel"):
    winner: str | None = None
    duration: str | None = None
    full_time: _Goals | None = None
    half_time: _Goals | None = None
    regular_time: _Goals | None = None
    extra_time: _Goals | None = None
    penalties: _Goals | None = None


class _Named(msgspec.Struct):
    id: int | str | None = None
    name: str | None = None


class _Season(msgspec.Struct, rename="camel"):
    start_date: str | None = None
    end_date: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    id: int | str
    utc_date: str
    status: str
    home_team: _Named | None = None
    away_team: _Named | None = None
    score: _Score | None = None
    competition: _Named | None = None
    area: _Named | None = None
    season: _Season | None = None
    matchday: int | str | None = None
    stage: str | None = None


class _Refusal(msgspec.Struct, rename="camel"):
    error_code: int
    message: str | None = None


class FootballData:
    """football-data.org v4: 10 requests a minute with a free key, the competitions of the plan."""

    name = "football_data"
    title = "football-data.org"
    licence_note = N_(
        "Free with a key of one's own for the competitions of the free plan; "
        "see football-data.org for what may be shown and to whom."
    )
    needs_token = True
    needs_permission = False
    default_base_url = "https://api.football-data.org"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ("match", "head2head")

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")

    def day_request(self, day: date) -> Request:
        """Ask for the matches of `day` (UTC). `dateTo` is exclusive: D to D would say none."""
        path = f"{self.base_url}/v4/matches"
        until = day + timedelta(days=1)
        return Request(
            f"{path}?dateFrom={day.isoformat()}&dateTo={until.isoformat()}",
            f"{path}?dateFrom={{day}}&dateTo={{next_day}}",
        )

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for one match or for the earlier encounters of its teams."""
        path, tail = f"{self.base_url}/v4/matches", {"match": "", "head2head": "/head2head"}[kind]
        return Request(f"{path}/{quote(ids[0], safe='')}{tail}", f"{path}/{{id}}{tail}")

    def detail_batch(self, kind: str) -> int:
        """One: every match is an address of its own."""
        del kind
        return 1

    def authorise(self, request: Request, token: str | None) -> Request:
        """The request with the X-Auth-Token header."""
        if token is None:
            return request
        return replace(request, headers={**request.headers, "X-Auth-Token": token})

    def read_limits(self, answer: Answer) -> Limits:
        """X-Requests-Available-Minute and X-RequestCounter-Reset, as recorded from the live API."""
        left = decoding.seconds(answer.headers, "x-requests-available-minute")
        reset_s = decoding.seconds(answer.headers, "x-requestcounter-reset")
        return Limits(None if left is None else int(left), reset_s)

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """Read `{"message": "… request limit. Wait 48 seconds.", "errorCode": 429}`."""
        try:
            refusal = msgspec.json.decode(text, type=_Refusal)
        except (ValueError, RecursionError):
            return None
        known = 300 <= refusal.error_code < 600
        status = refusal.error_code if known else max(answer.status, 400)
        words = refusal.message or ""
        return Verdict(decoding.usual_code(status, words), words, decoding.wait_in(words))

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows under "matches": those of the day that was asked for."""
        del day
        return decoding.rows(text, "matches")

    def normalise(self, row: msgspec.Raw) -> Match:
        """One row as a Match: `country` is the area's name, `season` its years ("2024/25").

        `round` is the matchday of a league or group, the stage of a cup ("QUARTER_FINALS", where
        the matchday only counts the legs). A tie not drawn yet has the teams "?". A SCHEDULED match
        has the right day, and 00:00 UTC until its time is set.
        """
        match = decoding.read_row(row, _Row)
        kickoff = decoding.moment(match.utc_date, "utcDate")
        return msgspec.structs.replace(_match(match, kickoff), **_scores(match))

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The whole answer: v4 sends a match without an envelope, encounters under "matches"."""
        return [decoding.whole(text, "id" if kind == "match" else "matches")]

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """A match with what the plan allows of its details, or the sums of earlier encounters.

        An answer of "head2head" names no match.
        """
        if kind == "head2head":
            return football_data_details.encounters(row)
        return football_data_details.parts(row, self.normalise(row))


def _match(row: _Row, kickoff: datetime) -> Match:
    status = _STATUS.get(row.status, MatchStatus.UNKNOWN)
    score = row.score or _Score()
    home, away = row.home_team or _Named(), row.away_team or _Named()
    competition, area = row.competition or _Named(), row.area or _Named()
    return Match(
        source_id=str(row.id),
        kickoff=kickoff,
        status=status,
        raw_status=row.status,
        home=home.name or "?",
        away=away.name or "?",
        home_id=as_text(home.id),
        away_id=as_text(away.id),
        competition=competition.name,
        competition_id=as_text(competition.id),
        season=_season(row.season),
        round=_round(row),
        country=area.name,
        winner=_WINNER.get(score.winner or ""),
        decided_by=_decided_by(row, score, status),
    )


def _decided_by(row: _Row, score: _Score, status: MatchStatus) -> DecidedBy | None:
    if row.status == "AWARDED":
        return DecidedBy.AWARDED
    return _DECIDED.get(score.duration or "") if status is MatchStatus.FINISHED else None


def _scores(row: _Row) -> dict[str, int | None]:
    """Both sides' scores by the names of `Match`; none before the kick-off."""
    score, status = row.score or _Score(), _STATUS.get(row.status)
    if status in _NOT_STARTED:
        return {}
    shown = _shown(score)
    extra = score.extra_time or _Goals()
    regular = score.regular_time or _Goals()
    half, penalties = score.half_time or _Goals(), score.penalties or _Goals()
    if score.duration in ("EXTRA_TIME", "PENALTY_SHOOTOUT"):
        # `regularTime` was seen null beside an extra time; the rest is then the 90 minutes.
        regular = _Goals(
            _either(regular.home, less(shown.home, extra.home)),
            _either(regular.away, less(shown.away, extra.away)),
        )
    elif status is MatchStatus.FINISHED:
        regular = shown
    by_name = {
        "score": shown,
        "half_time": half,
        "regular": regular,
        "extra": extra,
        "penalties": penalties,
    }
    return {
        f"{side}_{name}": getattr(goals, side)
        for name, goals in by_name.items()
        for side in ("home", "away")
    }


def _shown(score: _Score) -> _Goals:
    """The score without the shoot-out. v4's `fullTime` includes it, v2's did not.

    A subtraction that goes below zero is the second kind, and then `fullTime` is the score already.
    """
    full = score.full_time or _Goals()
    pens = score.penalties
    if score.duration != "PENALTY_SHOOTOUT" or pens is None:
        return full
    home, away = less(full.home, pens.home), less(full.away, pens.away)
    return full if home is None or away is None else _Goals(home, away)


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def _season(season: _Season | None) -> str | None:
    """ "2024/25" from August to May, "2026" within one year."""
    found = re.match(r"\d{4}", (season and season.start_date) or "")
    if not found:
        return None
    ends = re.match(r"\d{4}", (season and season.end_date) or "")
    return found[0] if not ends or ends[0] == found[0] else f"{found[0]}/{ends[0][2:]}"


def _round(row: _Row) -> str | None:
    if row.matchday is not None and (row.stage is None or row.stage in _BY_MATCHDAY):
        return str(row.matchday)
    return row.stage or as_text(row.matchday)
