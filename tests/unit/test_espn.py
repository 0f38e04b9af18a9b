import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
import pytest

from app.sources.base import Answer as Heard
from app.sources.base import DecidedBy, Limits, Match, MatchStatus, RowError, ShapeError
from app.sources.details import IncidentKind
from app.sources.espn import Espn
from tests.payloads import needs_payloads, payload

SOURCE = Espn()
RECORDED = {
    "scoreboard_all-leagues_50__ha-teamtracker": 50,
    "scoreboard_live__eirikeg1": 3,
    "scoreboard_scheduled__eirikeg1": 4,
}


def side(which: str, score: str | None = "1", **changes: object) -> dict[str, object]:
    team = {"id": which[0], "displayName": which.title()}
    return {"homeAway": which, "team": team, "score": score, "winner": False, **changes}


def row(
    status: str = "STATUS_FULL_TIME",
    home: Mapping[str, object] | None = None,
    away: Mapping[str, object] | None = None,
    state: str = "post",
    **changes: object,
) -> dict[str, object]:
    game = {
        "competitors": [away or side("away"), home or side("home")],
        "status": {"type": {"name": status, "state": state}},
    }
    return {
        "id": "740898",
        "uid": "s:600~l:700~e:740898",
        "date": "2026-03-21T12:45Z",
        "season": {"year": 2025, "slug": "2025-26-english-premier-league"},
        "competitions": [{**game, **changes}],
    }


def read(document: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(document).encode()))


def recorded(name: str) -> list[Match]:
    text = payload(f"espn/{name}.json").decode()
    return [SOURCE.normalise(raw) for raw in SOURCE.day_rows(text)]


def test_it_asks_for_a_day_and_for_a_summary() -> None:
    base = "https://site.api.espn.com/apis/site/v2/sports/soccer/all"
    day = SOURCE.day_request(date(2026, 1, 2))
    assert day.url == f"{base}/scoreboard?limit=1000&dates=20260102"
    assert day.template == f"{base}/scoreboard?limit=1000&dates={{day}}"
    match = SOURCE.detail_request("summary", ["1/2"])
    assert (match.url, match.template) == (
        f"{base}/summary?event=1%2F2",
        f"{base}/summary?event={{id}}",
    )


def test_it_has_no_key_and_tells_no_limits() -> None:
    request = SOURCE.day_request(date(2026, 1, 2))
    assert SOURCE.authorise(request, "secret") is request
    assert SOURCE.read_limits(Heard(200, {}, b"", 1)) == Limits()
    assert SOURCE.refusal(Heard(200, {}, b"", 1), "{}") is None


@pytest.mark.parametrize(
    ("name", "status", "decided_by"),
    [
        ("STATUS_SCHEDULED", MatchStatus.SCHEDULED, None),
        ("STATUS_DELAYED", MatchStatus.DELAYED, None),
        ("STATUS_FIRST_HALF", MatchStatus.LIVE, None),
        ("STATUS_SHOOTOUT", MatchStatus.LIVE, None),
        ("STATUS_FIRST_EXTRA", MatchStatus.LIVE, None),
        ("STATUS_HALFTIME_ET", MatchStatus.PAUSED, None),
        ("STATUS_END_OF_EXTRATIME", MatchStatus.PAUSED, None),
        ("STATUS_HALFTIME", MatchStatus.PAUSED, None),
        ("STATUS_SUSPENDED", MatchStatus.SUSPENDED, None),
        ("STATUS_FULL_TIME", MatchStatus.FINISHED, DecidedBy.REGULAR),
        ("STATUS_FINAL_AET", MatchStatus.FINISHED, DecidedBy.AET),
        ("STATUS_FINAL_PEN", MatchStatus.FINISHED, DecidedBy.PENS),
        ("STATUS_FINAL_AGT", MatchStatus.FINISHED, None),
        ("STATUS_POSTPONED", MatchStatus.POSTPONED, None),
        ("STATUS_CANCELED", MatchStatus.CANCELLED, None),
        ("STATUS_ABANDONED", MatchStatus.ABANDONED, None),
        ("STATUS_EATEN", MatchStatus.UNKNOWN, None),
    ],
)
def test_a_status_is_translated_and_kept(
    name: str, status: MatchStatus, decided_by: DecidedBy | None
) -> None:
    match = read(row(name))
    assert (match.status, match.raw_status, match.decided_by) == (status, name, decided_by)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("STATUS_SCHEDULED", "pre"),
        ("STATUS_POSTPONED", "post"),
        ("STATUS_CANCELED", "post"),
        ("STATUS_DELAYED", "pre"),
        ("STATUS_EATEN", "pre"),
    ],
)
def test_nil_nil_of_a_match_not_played_is_no_score(name: str, state: str) -> None:
    match = read(row(name, side("home", "0"), side("away", "0"), state))
    assert (match.home_score, match.away_score, match.winner) == (None, None, None)


@pytest.mark.parametrize("name", ["STATUS_EATEN", "STATUS_DELAYED", "STATUS_FINAL_AGT"])
@pytest.mark.parametrize("state", ["in", "post"])
def test_a_match_that_was_played_keeps_its_score_whatever_its_status(name: str, state: str) -> None:
    match = read(row(name, side("home", "3"), side("away", "1"), state))
    assert (match.home_score, match.away_score) == (3, 1)


def test_a_time_not_set_yet() -> None:
    assert read(row("STATUS_SCHEDULED", timeValid=False)).status is MatchStatus.TIME_TBD


@pytest.mark.parametrize("status", ["STATUS_FINAL_PEN", "STATUS_FULL_TIME"])
def test_a_shoot_out_is_not_in_the_score(status: str) -> None:
    lines = [{"displayValue": "1"}, {"value": 0.0}, {"value": 1}, {"value": 0}, {"value": 4}]
    home = side("home", "2", shootoutScore=4, winner=True, linescores=lines)
    match = read(row(status, home, side("away", "2", shootoutScore=3, linescores=lines)))
    assert (match.home_score, match.home_penalties, match.away_penalties) == (2, 4, 3)
    assert (match.home_half_time, match.home_regular, match.home_extra) == (1, 1, 1)
    assert (match.decided_by, match.winner) == (DecidedBy.PENS, "home")


def test_the_slug_is_the_competition_or_the_round() -> None:
    match = read(row())
    assert (match.competition, match.round, match.season) == (
        "english premier league",
        None,
        "2025",
    )
    assert (match.competition_id, match.winner) == ("700", "draw")
    semifinal = read({**row(), "season": {"year": 2026, "slug": "semifinals"}})
    assert (semifinal.competition, semifinal.round) == (None, "semifinals")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "id"),
        ({"date": "soon"}, "date"),
        ({"competitions": []}, "competitions"),
        ({"competitions": [{"competitors": [side("home")]}]}, "away"),
        ({"competitions": [{"competitors": [side("home", "-1"), side("away")]}]}, "score"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], words: str) -> None:
    with pytest.raises(RowError, match=words):
        read({**row(), **changes})


def summary(**parts: object) -> str:
    header = {
        "id": "740898",
        "competitions": row()["competitions"],
        "league": {"id": "700", "name": "English Premier League"},
        "season": {"year": 2025},
    }
    header["competitions"] = [{**header["competitions"][0], "date": "2026-03-21T12:45Z"}]  # type: ignore[index]
    return json.dumps({"header": header, **parts})


def test_a_summary_is_a_match_with_its_details() -> None:
    goal = {
        "type": {"text": "Goal - Header"},
        "clock": {"displayValue": "45'+2'"},
        "team": {"id": "h"},
        "participants": [{"athlete": {"displayName": "A"}}, {"athlete": {"displayName": "B"}}],
    }
    kick = {"type": {"text": "Penalty - Scored"}, "shootout": True, "team": {"id": "a"}}
    player = {"athlete": {"id": 3, "displayName": "A"}, "jersey": "9", "starter": True}
    rosters = [{"homeAway": "home", "formation": "4-3-3", "roster": [player]}, {"homeAway": "away"}]
    lines = [{"name": "totalShots", "label": "SHOTS", "displayValue": "16"}]
    teams = [{"homeAway": "home", "team": {"id": "h"}, "statistics": lines}]
    text = summary(keyEvents=[goal, kick], rosters=rosters, boxscore={"teams": teams})
    (raw,) = SOURCE.detail_rows("summary", text)
    detail = SOURCE.detail("summary", raw)
    assert detail.match is not None
    assert (detail.match_id, detail.match.competition) == ("740898", "English Premier League")
    assert detail.match.kickoff == datetime(2026, 3, 21, 12, 45, tzinfo=UTC)
    first, second = detail.incidents
    assert (first.kind, first.minute, first.added, first.home) == (IncidentKind.GOAL, 45, 2, True)
    assert (first.player, first.other) == ("A", "B")
    assert (second.kind, second.home, second.minute) == (IncidentKind.PENALTY, False, None)
    (lineup,) = detail.lineups
    assert (lineup.side, lineup.players[0].number, lineup.players[0].substitute) == (
        "home",
        9,
        False,
    )
    assert [(one.name, one.home, one.away) for one in detail.statistics] == [("SHOTS", "16", None)]
    assert detail.missing == ()


def test_empty_rosters_are_missing_line_ups() -> None:
    (raw,) = SOURCE.detail_rows("summary", summary(rosters=[{"homeAway": "home", "roster": []}]))
    assert SOURCE.detail("summary", raw).missing == ("statistics", "incidents", "lineups")


def test_a_summary_without_its_header_is_none() -> None:
    with pytest.raises(ShapeError, match="header"):
        SOURCE.detail_rows("summary", "{}")
    (raw,) = SOURCE.detail_rows("summary", '{"header": [1]}')
    with pytest.raises(RowError, match="header"):
        SOURCE.detail("summary", raw)


@needs_payloads
@pytest.mark.parametrize(("name", "count"), RECORDED.items())
def test_every_recorded_list_is_read_row_by_row(name: str, count: int) -> None:
    matches = recorded(name)
    assert len(matches) == len({match.source_id for match in matches}) == count
    for match in matches:
        assert match.status is not MatchStatus.UNKNOWN
        assert (match.home_score is None) == (match.status is not MatchStatus.FINISHED)
        assert (match.winner is None) == (match.home_score is None)


@needs_payloads
def test_recorded_womens_matches_are_told_by_the_league_and_others_are_not_guessed() -> None:
    flags = [match.women for match in recorded("scoreboard_all-leagues_50__ha-teamtracker")]
    assert (flags.count(True), flags.count(None)) == (4, 46)


@needs_payloads
def test_a_recorded_score_is_what_was_counted() -> None:
    match = recorded("scoreboard_all-leagues_50__ha-teamtracker")[0]
    assert (match.source_id, match.home_score, match.away_score) == ("740898", 2, 1)
