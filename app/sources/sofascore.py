"""SofaScore's public JSON (v1): its addresses, its statuses, its way with a shoot-out."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from urllib.parse import quote

import msgspec

from app.core.text import N_
from app.sources import decoding, sofascore_details
from app.sources.base import (
    Answer,
    Code,
    DecidedBy,
    Match,
    MatchStatus,
    OpenSource,
    Request,
    ShapeError,
    Verdict,
)
from app.sources.decoding import Goals, as_text
from app.sources.details import Detail

# Decided on the type first: pairs such as (interrupted, 7) and (finished, 41) were really seen.
_STATUS = {
    "notstarted": MatchStatus.SCHEDULED,
    "delayed": MatchStatus.DELAYED,
    "inprogress": MatchStatus.LIVE,
    "interrupted": MatchStatus.SUSPENDED,
    "suspended": MatchStatus.SUSPENDED,
    "willcontinue": MatchStatus.SUSPENDED,
    "finished": MatchStatus.FINISHED,
    "postponed": MatchStatus.POSTPONED,
    "canceled": MatchStatus.CANCELLED,
}
# The breaks of a running match (half time, before and within extra time), and 90 "Abandoned".
_STATUS_BY_CODE = {
    **{("inprogress", code): MatchStatus.PAUSED for code in (31, 32, 33, 34)},
    ("canceled", 90): MatchStatus.ABANDONED,
}
_DECIDED = {
    100: DecidedBy.REGULAR,
    110: DecidedBy.AET,
    120: DecidedBy.PENS,
    91: DecidedBy.AWARDED,  # "Walkover"
}
_NOT_STARTED = (MatchStatus.SCHEDULED, MatchStatus.TIME_TBD, MatchStatus.DELAYED)
_WINNER = {1: "home", 2: "away", 3: "draw"}


class _Named(msgspec.Struct):
    name: str | None = None
    id: int | str | None = None


class _Team(_Named):
    gender: str | None = None


class _Tournament(_Named, rename="camel"):
    unique_tournament: _Named | None = None
    category: _Named | None = None


class _Score(msgspec.Struct):
    display: Goals | None = None
    period1: Goals | None = None
    normaltime: Goals | None = None
    overtime: Goals | None = None
    extra1: Goals | None = None
    extra2: Goals | None = None
    penalties: Goals | None = None
    aggregated: Goals | None = None

    def extra(self) -> int | None:
        """Goals of the extra time; a few of the rows after extra time say nothing of it."""
        if self.overtime is not None:
            return self.overtime
        if self.extra1 is None or self.extra2 is None:
            return None
        return self.extra1 + self.extra2


class _Status(msgspec.Struct):
    type: str
    code: int | None = None


class _Season(msgspec.Struct):
    year: int | str | None = None


class _Round(msgspec.Struct):
    name: str | None = None
    round: int | str | None = None


class _Event(msgspec.Struct, rename="camel"):
    id: int | str
    start_timestamp: int
    status: _Status
    home_team: _Team
    away_team: _Team
    tournament: _Tournament
    home_score: _Score | None = None
    away_score: _Score | None = None
    season: _Season | None = None
    round_info: _Round | None = None
    winner_code: int | None = None
    is_awarded: bool | None = None
    custom_id: str | None = None


class _Error(msgspec.Struct):
    code: int | str | None = None
    reason: str | None = None
    message: str | None = None


class SofaScore(OpenSource):
    """SofaScore. Its owner has refused permission to others and blocks; blocks are respected."""

    name = "sofascore"
    title = "SofaScore"
    licence_note = N_(
        "No public API: the owner has refused permission to others and blocks. "
        "Only for those who have their own agreement with SofaScore."
    )
    needs_token = False
    needs_permission = True
    default_base_url = "https://api.sofascore.com"
    single_row_means_no_data = True
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ("event", "statistics", "incidents", "lineups")

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")

    def day_request(self, day: date) -> Request:
        """Ask for the list of `day`; half of its rows lie on the days beside it."""
        path = f"{self.base_url}/api/v1/sport/football/scheduled-events"
        return Request(f"{path}/{day.isoformat()}", f"{path}/{{day}}")

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for one match or one of its parts.

        A part that does not exist (yet) is a 404, as is an unknown match: statistics appear with
        the kick-off, line-ups about an hour before it, and small competitions have neither.
        """
        tail = {"event": ""}.get(kind, f"/{kind}")
        path = f"{self.base_url}/api/v1/event"
        return Request(f"{path}/{quote(ids[0], safe='')}{tail}", f"{path}/{{id}}{tail}")

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """Read `{"error": {"code": 403, "reason": "challenge"}}`, which may come with HTTP 200.

        The bodies with "challenge" and "Forbidden" were recorded; both mean that we are blocked.
        """
        if '"error"' not in text:  # spares a good answer a second reading
            return None
        try:
            raw = decoding.members(text).get("error")
            error = msgspec.json.decode(raw, type=_Error) if raw else None
        except (ValueError, ShapeError):
            return None
        if error is None:
            return None
        detail = error.reason or error.message or ""
        return Verdict(
            _refusal_code(error, answer.status, detail), detail, decoding.wait_in(detail)
        )

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows under "events", also those that spill over from the days beside `day`."""
        del day
        return decoding.rows(text, "events")

    def normalise(self, row: msgspec.Raw) -> Match:
        """One event as a Match: `country` is the category's name, `season` the year ("24/25").

        Scores are read from `display`, never `current`: `current` = `display` + `penalties`
        (measured on 779 of 784 scores), and would print 5-4 for a 1-1.
        """
        event = decoding.read_row(row, _Event)
        return _match(event, decoding.epoch(event.start_timestamp, "startTimestamp"))

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The object under "event"; of the other kinds the whole answer."""
        if kind != "event":
            return [decoding.whole(text, *sofascore_details.KEYS[kind])]
        row = decoding.members(text).get("event")
        if row is None or not bytes(row).startswith(b"{"):
            raise ShapeError("“event” is missing or not an object")
        return [row]

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """The match, or the part; statistics, incidents and line-ups do not name their match."""
        if kind != "event":
            return sofascore_details.READERS[kind](row)
        match = self.normalise(row)
        return Detail(match_id=match.source_id, kind=kind, match=match)


def _refusal_code(error: _Error, status: int, detail: str) -> Code:
    said = str(error.code or "")
    code = int(said) if re.fullmatch(r"[3-5][0-9]{2}", said) else status
    if code in (401, 403) or detail.lower() in ("challenge", "forbidden"):
        return Code.BLOCKED  # there is no token that could be wrong, and no plan
    return decoding.usual_code(code, detail) if code >= 300 else Code.SERVER_ERROR


def _match(event: _Event, kickoff: datetime) -> Match:
    status = _status(event)
    competition = event.tournament.unique_tournament or event.tournament
    category = event.tournament.category or _Named()
    season, round_ = event.season or _Season(), event.round_info or _Round()
    return Match(
        source_id=str(event.id),
        custom_id=event.custom_id,
        kickoff=kickoff,
        status=status,
        raw_status=f"{event.status.type}/{event.status.code}",
        home=event.home_team.name or "?",
        away=event.away_team.name or "?",
        home_id=as_text(event.home_team.id),
        away_id=as_text(event.away_team.id),
        competition=competition.name,
        competition_id=as_text(competition.id),
        season=as_text(season.year),
        round=round_.name or as_text(round_.round),
        country=category.name,
        women={"F": True, "M": False}.get(event.home_team.gender or ""),
        winner=_WINNER.get(event.winner_code or 0),
        decided_by=_decided_by(event, status),
        **_scores(event, status),
    )


def _status(event: _Event) -> MatchStatus:
    if event.is_awarded:
        return MatchStatus.FINISHED  # decided at a table; its type may still be "canceled"
    kind = event.status.type
    by_code = _STATUS_BY_CODE.get((kind, event.status.code or 0))
    return by_code or _STATUS.get(kind, MatchStatus.UNKNOWN)


def _decided_by(event: _Event, status: MatchStatus) -> DecidedBy | None:
    if event.is_awarded:
        return DecidedBy.AWARDED
    return _DECIDED.get(event.status.code or 0) if status is MatchStatus.FINISHED else None


def _scores(event: _Event, status: MatchStatus) -> dict[str, int | None]:
    """Both sides' scores by the names of `Match`; before the kick-off only the aggregate counts."""
    scores: dict[str, int | None] = {}
    for side, score in (("home", event.home_score), ("away", event.away_score)):
        if score is None:
            continue
        scores[f"{side}_aggregate"] = score.aggregated
        if status not in _NOT_STARTED:
            scores[f"{side}_score"] = score.display
            scores[f"{side}_half_time"] = score.period1
            scores[f"{side}_regular"] = score.normaltime
            scores[f"{side}_extra"] = score.extra()
            scores[f"{side}_penalties"] = score.penalties
    return scores
