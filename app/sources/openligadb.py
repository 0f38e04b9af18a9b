"""OpenLigaDB: one league's season as a list, results by their kinds, goals as they fell."""

import re
from collections.abc import Sequence
from datetime import date
from urllib.parse import quote

import msgspec

from app.core.text import N_
from app.sources import decoding
from app.sources.base import (
    DecidedBy,
    Match,
    MatchStatus,
    OpenSource,
    Request,
    RowError,
    with_winner,
)
from app.sources.decoding import Goals, as_text, less
from app.sources.details import Detail, Incident, IncidentKind, missing, with_sides

LEAGUE = "bl1"
_SEASON_BEGINS = 7  # July
_HALF, _REGULAR, _EXTRA, _PENALTIES = (
    "HalfTime",
    "After90Minutes",
    "AfterExtraTime",
    "AfterPenalties",
)
_KINDS = (_HALF, _REGULAR, _EXTRA, _PENALTIES)
# Older answers have no kind; the names are chosen by whoever keeps the league.
_NAMES = (("halb", _HALF), ("elfm", _PENALTIES), ("verl", _EXTRA), ("90", _REGULAR))
_TYPES = {1: _HALF, 2: _REGULAR}


class _Result(msgspec.Struct):
    points_team1: Goals | None = msgspec.field(name="pointsTeam1", default=None)
    points_team2: Goals | None = msgspec.field(name="pointsTeam2", default=None)
    type_id: int | None = msgspec.field(name="resultTypeID", default=None)
    kind: str | None = msgspec.field(name="resultTypeKind", default=None)
    name: str | None = msgspec.field(name="resultName", default=None)


class _Team(msgspec.Struct, rename="camel"):
    team_id: int | str | None = None
    team_name: str | None = None


class _Group(msgspec.Struct, rename="camel"):
    group_name: str | None = None


class _Goal(msgspec.Struct):
    home: int | None = msgspec.field(name="scoreTeam1", default=None)
    away: int | None = msgspec.field(name="scoreTeam2", default=None)
    minute: int | None = msgspec.field(name="matchMinute", default=None)
    scorer: str | None = msgspec.field(name="goalGetterName", default=None)
    penalty: bool | None = msgspec.field(name="isPenalty", default=None)
    own: bool | None = msgspec.field(name="isOwnGoal", default=None)
    comment: str | None = None


class _When(msgspec.Struct):
    at: str = msgspec.field(name="matchDateTimeUTC")


class _Row(msgspec.Struct, rename="camel"):
    team1: _Team
    team2: _Team
    id: int | str = msgspec.field(name="matchID")
    at: str = msgspec.field(name="matchDateTimeUTC")
    match_is_finished: bool = False
    match_results: list[_Result] | None = None
    goals: list[_Goal] | None = None
    group: _Group | None = None
    league_name: str | None = None
    league_shortcut: str | None = None
    league_season: int | str | None = None


class OpenLigaDb(OpenSource):
    """OpenLigaDB: German leagues and some tournaments, kept by volunteers; no key.

    Recorded: a matchday and a tournament. There is no list of a day over all leagues, so one
    league's season is asked for and its rows of the day are taken; the season begins in July.
    Kinds of results ("AfterExtraTime") are as programs of others read them; a result after a
    shoot-out goes on counting from the score (OpenLigaDB-Samples issue 127), and it may be absent.
    """

    name = "openligadb"
    title = "OpenLigaDB"
    licence_note = N_(
        "Open Database License (ODbL): free to use and to pass on with the source named; "
        "kept by volunteers, so ask rarely."
    )
    needs_token = False
    needs_permission = False
    default_base_url = "https://api.openligadb.de"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ("match",)

    def __init__(self, base_url: str | None = None, league: str = LEAGUE) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")
        self.league = league

    def day_request(self, day: date) -> Request:
        """Ask for the league's season in which `day` lies."""
        path = f"{self.base_url}/getmatchdata/{quote(self.league, safe='')}"
        season = day.year if day.month >= _SEASON_BEGINS else day.year - 1
        return Request(f"{path}/{season}", f"{path}/{{season}}")

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for one match."""
        path = f"{self.base_url}/get{kind}data"
        return Request(f"{path}/{quote(ids[0], safe='')}", f"{path}/{{id}}")

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows of the season that begin on `day` in UTC."""
        rows = decoding.listed(text)
        return rows if day is None else [row for row in rows if _day_of(row) in (day, None)]

    def normalise(self, row: msgspec.Raw) -> Match:
        """One match: `round` is the name of its group ("3. Spieltag", "Gruppenphase")."""
        match = decoding.read_row(row, _Row)
        return with_winner(msgspec.structs.replace(_match(match), **_scores(match)))

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """The whole answer; null is a match that does not exist."""
        del kind
        return [] if text.strip() == "null" else [decoding.whole(text, "matchID")]

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """The match and its goals."""
        match = self.normalise(row)
        goals = _goals(decoding.read_row(row, _Row).goals or [])
        return Detail(
            match_id=match.source_id,
            kind=kind,
            match=match,
            incidents=goals,
            missing=missing(incidents=goals),
        )


def _day_of(row: msgspec.Raw) -> date | None:
    try:
        return decoding.moment(decoding.read_row(row, _When).at, "matchDateTimeUTC").date()
    except RowError:
        return None


def _match(row: _Row) -> Match:
    return Match(
        source_id=str(row.id),
        kickoff=decoding.moment(row.at, "matchDateTimeUTC"),
        status=_status(row),
        raw_status=f"matchIsFinished/{str(row.match_is_finished).lower()}",
        home=row.team1.team_name or "?",
        away=row.team2.team_name or "?",
        home_id=as_text(row.team1.team_id),
        away_id=as_text(row.team2.team_id),
        decided_by=_decided_by(row),
        competition=row.league_name,
        competition_id=row.league_shortcut,
        season=as_text(row.league_season),
        round=row.group.group_name if row.group else None,
        women=True if "frauen" in (row.league_name or "").lower() else None,
    )


def _status(row: _Row) -> MatchStatus:
    """Nobody says that a match has begun; results or goals do."""
    if row.match_is_finished:
        return MatchStatus.FINISHED
    return MatchStatus.LIVE if row.match_results or row.goals else MatchStatus.SCHEDULED


def _decided_by(row: _Row) -> DecidedBy | None:
    results = _results(row)
    if not row.match_is_finished or not results:
        return None
    if _PENALTIES in results:
        return DecidedBy.PENS
    return DecidedBy.AET if _EXTRA in results else DecidedBy.REGULAR


def _results(row: _Row) -> dict[str, tuple[int | None, int | None]]:
    found = {_kind(one): (one.points_team1, one.points_team2) for one in row.match_results or []}
    return {kind: pair for kind, pair in found.items() if kind}


def _kind(result: _Result) -> str:
    if result.kind in _KINDS:
        return result.kind or ""
    name = (result.name or "").lower()
    by_name = next((kind for part, kind in _NAMES if part in name), "")
    return by_name or _TYPES.get(result.type_id or 0, "")


def _scores(row: _Row) -> dict[str, int | None]:
    """Both sides' scores by the names of `Match`."""
    results = _results(row)
    scores: dict[str, int | None] = {}
    for place, side in enumerate(("home", "away")):
        half, regular, late, kicked = (results.get(kind, (None, None))[place] for kind in _KINDS)
        score = regular if late is None else late
        scores[f"{side}_half_time"] = half
        scores[f"{side}_regular"] = regular
        scores[f"{side}_score"] = score
        scores[f"{side}_extra"] = less(late, regular)
        scores[f"{side}_penalties"] = less(kicked, score)
    return scores


def _goals(goals: list[_Goal]) -> tuple[Incident, ...]:
    """The goals as they fell; whose each is tells the score alone."""
    in_order = sorted(goals, key=lambda one: (one.home or 0) + (one.away or 0))
    found = [_incident(goal) for goal in in_order]
    kicks = {place for place, goal in enumerate(in_order) if _is_kick(goal)}
    return tuple(
        msgspec.structs.replace(one, kind=IncidentKind.PENALTY) if place in kicks else one
        for place, one in enumerate(with_sides(found))
    )


def _is_kick(goal: _Goal) -> bool:
    """Of a shoot-out, whose count goes on from the score."""
    return "elfmeterschie" in (goal.comment or "").lower()


def _incident(goal: _Goal) -> Incident:
    return Incident(
        kind=IncidentKind.GOAL,
        detail="penalty" if goal.penalty else "ownGoal" if goal.own else goal.comment,
        minute=goal.minute,
        player=goal.scorer or None,
        home_score=goal.home,
        away_score=goal.away,
    )
