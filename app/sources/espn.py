"""ESPN's site API (v2): its addresses, its statuses, its "0"-"0" for what was not played."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated
from urllib.parse import quote

import msgspec

from app.core.text import N_
from app.sources import decoding, espn_details
from app.sources.base import (
    DecidedBy,
    Match,
    MatchStatus,
    OpenSource,
    Request,
    RowError,
    ShapeError,
)
from app.sources.decoding import Goals, as_text, less
from app.sources.details import Detail

_STATUS = {
    "STATUS_SCHEDULED": MatchStatus.SCHEDULED,
    "STATUS_TBD": MatchStatus.TIME_TBD,
    **dict.fromkeys(("STATUS_DELAYED", "STATUS_RAIN_DELAY"), MatchStatus.DELAYED),
    **dict.fromkeys(
        (
            "STATUS_FIRST_HALF",
            "STATUS_SECOND_HALF",
            "STATUS_IN_PROGRESS",
            "STATUS_OVERTIME",
            "STATUS_EXTRA_TIME",
            "STATUS_FIRST_EXTRA",
            "STATUS_SHOOTOUT",
        ),
        MatchStatus.LIVE,
    ),
    **dict.fromkeys(
        (
            "STATUS_HALFTIME",
            "STATUS_HALFTIME_ET",
            "STATUS_END_PERIOD",
            "STATUS_END_OF_PERIOD",
            "STATUS_END_OF_REGULATION",
            "STATUS_END_OF_EXTRATIME",
        ),
        MatchStatus.PAUSED,
    ),
    "STATUS_SUSPENDED": MatchStatus.SUSPENDED,
    **dict.fromkeys(
        (
            "STATUS_FULL_TIME",
            "STATUS_FINAL",
            "STATUS_FINAL_AET",
            "STATUS_FINAL_PEN",
            "STATUS_FINAL_AGT",  # on aggregate; whether after extra time it does not say
        ),
        MatchStatus.FINISHED,
    ),
    "STATUS_FORFEIT": MatchStatus.FINISHED,
    "STATUS_POSTPONED": MatchStatus.POSTPONED,  # its `state` says "post", as if it were over
    "STATUS_CANCELED": MatchStatus.CANCELLED,
    "STATUS_ABANDONED": MatchStatus.ABANDONED,
}
_DECIDED = {
    "STATUS_FULL_TIME": DecidedBy.REGULAR,
    "STATUS_FINAL": DecidedBy.REGULAR,
    "STATUS_FINAL_AET": DecidedBy.AET,
    "STATUS_FINAL_PEN": DecidedBy.PENS,
    "STATUS_FORFEIT": DecidedBy.AWARDED,
}
_NOT_PLAYED = (
    MatchStatus.SCHEDULED,
    MatchStatus.TIME_TBD,
    MatchStatus.POSTPONED,
    MatchStatus.CANCELLED,
)
_NOBODY_KNOWS = (MatchStatus.DELAYED, MatchStatus.UNKNOWN)  # the state alone tells
_MOST = 1000  # without a limit the list may be cut off
Score = Annotated[str, msgspec.Meta(pattern="^([0-9]{1,3})?$")]


class _Type(msgspec.Struct):
    name: str
    state: str | None = None


class _Status(msgspec.Struct):
    type: _Type


class _Team(msgspec.Struct, rename="camel"):
    id: str | int | None = None
    display_name: str | None = None


class _Line(msgspec.Struct, rename="camel"):
    value: float | None = None
    display_value: str | None = None


class _Side(msgspec.Struct, rename="camel"):
    home_away: str
    team: _Team
    score: Score | Goals | None = None
    shootout_score: Goals | None = None
    winner: bool | None = None
    linescores: list[_Line] | None = None


class _Competition(msgspec.Struct, rename="camel"):
    competitors: list[_Side]
    status: _Status | None = None
    date: str | None = None
    time_valid: bool | None = None
    alt_game_note: str | None = None


class _Season(msgspec.Struct):
    year: int | str | None = None
    slug: str | None = None


class _League(msgspec.Struct):
    id: str | int | None = None
    name: str | None = None


class _Row(msgspec.Struct):
    """An event of the scoreboard, or the header of a summary, which names its league."""

    id: str | int
    competitions: list[_Competition]
    date: str | None = None
    uid: str | None = None
    season: _Season | None = None
    league: _League | None = None


class Espn(OpenSource):
    """ESPN: no key and no documents; all leagues it shows in one answer.

    Recorded: scoreboards of many leagues and of one. A day is one of the eastern United States. It
    answers 200 with an empty list where there is nothing. "0"-"0" stands for matches not played
    (recorded: scheduled and postponed). The score has no shoot-out in it. Not recorded, only seen
    in programs of others: live and shoot-out statuses, the summary.
    """

    name = "espn"
    title = "ESPN"
    licence_note = N_(
        "An undocumented interface of espn.com without published terms for programs; "
        "its limits are unknown. Ask rarely, and do not publish what it says."
    )
    needs_token = False
    needs_permission = False
    default_base_url = "https://site.api.espn.com"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ("summary",)

    def __init__(self, base_url: str | None = None) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")
        self._path = f"{self.base_url}/apis/site/v2/sports/soccer/all"

    def day_request(self, day: date) -> Request:
        """Ask for the matches of `day` in the east of the United States."""
        query = f"limit={_MOST}&dates="
        path = f"{self._path}/scoreboard?{query}"
        return Request(f"{path}{day:%Y%m%d}", f"{path}{{day}}")

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for the summary of one match."""
        path = f"{self._path}/{kind}?event="
        return Request(f"{path}{quote(ids[0], safe='')}", f"{path}{{id}}")

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows under "events": those of the day that was asked for."""
        del day
        return decoding.rows(text, "events")

    def normalise(self, row: msgspec.Raw) -> Match:
        """One event as a Match.

        The scoreboard names no league but in the slug of the season: with a year before it
        ("2025-26-laliga") that is the competition, else the round ("semifinals").
        """
        event = decoding.read_row(row, _Row)
        if not event.competitions:
            raise RowError("no competition - at `$.competitions`")
        game = event.competitions[0]
        home, away = _side(game, "home"), _side(game, "away")
        match = _match(event, game, home, away)
        if not _was_played(game, match.status):
            return match
        return msgspec.structs.replace(
            match, **_scores("home", home, match), **_scores("away", away, match)
        )

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The whole answer; "header" is the match."""
        del kind
        return [decoding.whole(text, "header")]

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """The match with its key events, line-ups and statistics."""
        del kind
        try:
            header = decoding.members(bytes(row).decode())["header"]
            decoding.members(bytes(header).decode())
        except ShapeError as error:
            raise RowError("no object - at `$.header`") from error
        return espn_details.parts(row, self.normalise(header))


def _side(game: _Competition, which: str) -> _Side:
    found = next((side for side in game.competitors if side.home_away == which), None)
    if found is None:
        raise RowError(f"no {which} side - at `$.competitions[0].competitors`")
    return found


def _match(event: _Row, game: _Competition, home: _Side, away: _Side) -> Match:
    raw_status = game.status.type.name if game.status else ""
    status = _STATUS.get(raw_status, MatchStatus.UNKNOWN)
    if status is MatchStatus.SCHEDULED and game.time_valid is False:
        status = MatchStatus.TIME_TBD
    season, slug = event.season or _Season(), (event.season or _Season()).slug or ""
    competition, round_ = _named(event, slug)
    league = event.league or _League()
    return Match(
        source_id=str(event.id),
        kickoff=decoding.moment(event.date or game.date or "", "date"),
        status=status,
        raw_status=raw_status,
        home=home.team.display_name or "?",
        away=away.team.display_name or "?",
        home_id=as_text(home.team.id),
        away_id=as_text(away.team.id),
        competition=competition,
        competition_id=as_text(league.id) or _league_in(event.uid or ""),
        season=as_text(season.year),
        round=game.alt_game_note or round_,
        women=True if "women" in f"{slug} {competition}".lower() else None,
        winner=_winner(home, away, status),
        decided_by=_decided_by(raw_status, home, away),
    )


def _named(event: _Row, slug: str) -> tuple[str | None, str | None]:
    """The competition and the round, as far as league and slug tell them."""
    after_year = re.fullmatch(r"[0-9]{4}(?:-[0-9]{2,4})?-(.+)", slug)
    named = event.league.name if event.league else None
    if after_year:
        return named or after_year[1].replace("-", " "), None
    return named, slug.replace("-", " ") or None


def _league_in(uid: str) -> str | None:
    """The league's id in "s:600~l:700~e:740898"."""
    found = re.search(r"~l:([0-9]+)", uid)
    return found[1] if found else None


def _winner(home: _Side, away: _Side, status: MatchStatus) -> str | None:
    if status is not MatchStatus.FINISHED:
        return None
    if home.winner or away.winner:
        return "home" if home.winner else "away"
    return "draw" if home.winner is False and away.winner is False else None


def _decided_by(raw_status: str, home: _Side, away: _Side) -> DecidedBy | None:
    """By the status; a shoot-out counts also where that only says "full time"."""
    decided = _DECIDED.get(raw_status)
    kicked = home.shootout_score is not None and away.shootout_score is not None
    if decided is DecidedBy.REGULAR and kicked and home.shootout_score != away.shootout_score:
        return DecidedBy.PENS
    return decided


def _was_played(game: _Competition, status: MatchStatus) -> bool:
    """Else "0"-"0" is no score."""
    if status in _NOBODY_KNOWS:
        return game.status is not None and game.status.type.state in ("in", "post")
    return status not in _NOT_PLAYED


def _scores(which: str, side: _Side, match: Match) -> dict[str, int | None]:
    """One side's scores by the names of `Match`."""
    score = int(side.score) if side.score not in (None, "") else None
    halves = [_goals(line) for line in side.linescores or []]
    regular = _sum(halves[:2]) if len(halves) > 1 else None
    if match.decided_by is DecidedBy.REGULAR:
        regular = score
    late = match.decided_by in (DecidedBy.AET, DecidedBy.PENS)
    return {
        f"{which}_score": score,
        f"{which}_half_time": halves[0] if halves else None,
        f"{which}_regular": regular,
        f"{which}_extra": less(score, regular) if late else None,
        f"{which}_penalties": side.shootout_score,
    }


def _goals(line: _Line) -> int | None:
    text = line.display_value if line.value is None else f"{line.value:.0f}"
    return int(text) if text and re.fullmatch(r"[0-9]{1,3}", text) else None


def _sum(goals: list[int | None]) -> int | None:
    known = [one for one in goals if one is not None]
    return sum(known) if len(known) == len(goals) else None
