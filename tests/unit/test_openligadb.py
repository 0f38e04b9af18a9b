import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.base import Answer, DecidedBy, Limits, Match, MatchStatus, RowError, ShapeError
from app.sources.details import IncidentKind
from app.sources.openligadb import OpenLigaDb
from tests.payloads import needs_payloads, payload

SOURCE = OpenLigaDb()
LEAGUE = "openligadb/getmatchdata_bundesliga-2020-03.json"
EURO = "openligadb/getmatchdata_uefa-em-2020-01.json"


def result(home: int, away: int, kind: str | None = None, **more: object) -> dict[str, object]:
    return {"pointsTeam1": home, "pointsTeam2": away, "resultTypeKind": kind, **more}


def row(*results: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {
        "matchID": 58603,
        "matchDateTimeUTC": "2020-10-02T18:30:00Z",
        "leagueName": "DFB-Pokal",
        "team1": {"teamId": 80, "teamName": "1. FC Union Berlin"},
        "team2": {"teamId": 81, "teamName": "1. FSV Mainz 05"},
        "matchIsFinished": True,
        "matchResults": results,
        **changes,
    }


def read(document: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(document).encode()))


def test_a_day_is_asked_for_by_the_season_of_one_league() -> None:
    base = "https://api.openligadb.de/getmatchdata"
    assert SOURCE.day_request(date(2026, 6, 30)).url == f"{base}/bl1/2025"
    assert SOURCE.day_request(date(2026, 7, 1)).url == f"{base}/bl1/2026"
    cup = OpenLigaDb(league="dfb").day_request(date(2026, 7, 1))
    assert (cup.url, cup.template) == (f"{base}/dfb/2026", f"{base}/dfb/{{season}}")
    match = SOURCE.detail_request("match", ["7/x"])
    assert (match.url, match.template) == (f"{base}/7%2Fx", f"{base}/{{id}}")


def test_it_has_no_key_and_tells_no_limits() -> None:
    request = SOURCE.day_request(date(2026, 1, 2))
    assert SOURCE.authorise(request, "secret") is request
    assert SOURCE.read_limits(Answer(200, {}, b"", 1)) == Limits()
    assert SOURCE.refusal(Answer(200, {}, b"", 1), "[]") is None


def test_of_a_season_the_rows_of_the_day_are_taken_and_those_without_one_kept() -> None:
    text = json.dumps([row(), row(matchDateTimeUTC="2020-10-03T00:00:00Z"), {"matchID": 3}])
    assert len(SOURCE.day_rows(text)) == 3
    assert len(SOURCE.day_rows(text, date(2020, 10, 2))) == 2
    assert len(SOURCE.day_rows(text, date(2020, 10, 4))) == 1


@pytest.mark.parametrize("text", ["{}", "1", "null"])
def test_another_envelope_is_none(text: str) -> None:
    with pytest.raises(ShapeError, match="not a list"):
        SOURCE.day_rows(text)


def test_what_has_results_without_being_finished_is_being_played() -> None:
    assert read(row(result(1, 0, "HalfTime"), matchIsFinished=False)).status is MatchStatus.LIVE
    waiting = read(row(matchIsFinished=False))
    assert (waiting.status, waiting.home_score) == (MatchStatus.SCHEDULED, None)
    unknown = read(row())
    assert (unknown.status, unknown.decided_by) == (MatchStatus.FINISHED, None)


@given(*(st.integers(0, 9) for _ in range(6)))
def test_extra_time_and_shoot_out_count_on_and_are_taken_apart(
    a: int, b: int, c: int, d: int, e: int, f: int
) -> None:
    match = read(
        row(
            result(a, b, "After90Minutes"),
            result(a + c, b + d, "AfterExtraTime"),
            result(a + c + e, b + d + f, "AfterPenalties"),
        )
    )
    assert (match.home_regular, match.away_regular) == (a, b)
    assert (match.home_extra, match.away_extra) == (c, d)
    assert (match.home_score, match.away_score) == (a + c, b + d)
    assert (match.home_penalties, match.away_penalties) == (e, f)
    assert match.decided_by is DecidedBy.PENS


def test_without_kinds_the_names_tell() -> None:
    named = [("Halbzeit", 0, 9), ("nach 90 Minuten", 1, 3), ("nach Verlängerung", 2, 4)]
    results = [
        {**result(goals, 0), "resultName": name, "resultTypeID": number}
        for name, goals, number in named
    ]
    match = read(row(*results))
    assert (match.home_half_time, match.home_regular, match.home_score) == (0, 1, 2)
    assert match.decided_by is DecidedBy.AET


def test_the_goals_of_a_shoot_out_are_kicks() -> None:
    goals = [
        {"scoreTeam1": 1, "scoreTeam2": 1, "isPenalty": True, "comment": "Elfmeterschießen"},
        {"scoreTeam1": 0, "scoreTeam2": 1, "matchMinute": 5, "isOwnGoal": True},
    ]
    (raw,) = SOURCE.detail_rows("match", json.dumps(row(goals=goals)))
    first, second = SOURCE.detail("match", raw).incidents
    assert (first.kind, first.home, first.detail) == (IncidentKind.GOAL, False, "ownGoal")
    assert (second.kind, second.home) == (IncidentKind.PENALTY, True)


def test_a_match_that_does_not_exist_is_null() -> None:
    assert SOURCE.detail_rows("match", "null") == []
    with pytest.raises(ShapeError, match="matchID"):
        SOURCE.detail_rows("match", "{}")


@pytest.mark.parametrize("field", ["matchID", "matchDateTimeUTC", "team1", "matchResults"])
def test_a_row_that_cannot_be_read_names_the_field(field: str) -> None:
    with pytest.raises(RowError, match=field):
        read({**row(), field: "x" if field == "matchDateTimeUTC" else 1.5})


@needs_payloads
@pytest.mark.parametrize(("name", "count"), [(LEAGUE, 9), (EURO, 36)])
def test_every_recorded_list_is_read_row_by_row(name: str, count: int) -> None:
    matches = [SOURCE.normalise(raw) for raw in SOURCE.day_rows(payload(name).decode())]
    assert len(matches) == len({match.source_id for match in matches}) == count
    for match in matches:
        assert (match.status, match.decided_by) == (MatchStatus.FINISHED, DecidedBy.REGULAR)
        assert match.home_score == match.home_regular is not None
        assert match.home_half_time is not None
        assert match.home_half_time <= match.home_score


@needs_payloads
def test_the_days_of_a_recorded_list_add_up() -> None:
    text = payload(LEAGUE).decode()
    counts = [len(SOURCE.day_rows(text, date(2020, 10, day))) for day in (1, 2, 3, 4, 5)]
    assert counts == [0, 1, 6, 2, 0]


@needs_payloads
def test_recorded_goals_lead_to_the_score() -> None:
    for raw in SOURCE.day_rows(payload(EURO).decode()):
        detail = SOURCE.detail("match", raw)
        assert detail.match is not None
        assert detail.match.women is None
        sides = [one.home for one in detail.incidents]
        scored = sides.count(True), sides.count(False)
        assert scored == (detail.match.home_score, detail.match.away_score)
        assert detail.missing == (() if detail.incidents else ("incidents",))


@needs_payloads
def test_the_first_recorded_goal_of_the_tournament_was_an_own_goal() -> None:
    raw = SOURCE.day_rows(payload(EURO).decode())[0]
    detail = SOURCE.detail("match", raw)
    assert detail.match is not None
    assert detail.match.kickoff == datetime(2021, 6, 11, 19, 0, tzinfo=UTC)
    assert (detail.incidents[0].detail, detail.incidents[0].home) == ("ownGoal", False)


@pytest.mark.parametrize(
    ("late", "winner"),
    [
        ({}, "draw"),
        ({"AfterExtraTime": (2, 3)}, "away"),
        ({"AfterExtraTime": (2, 2), "AfterPenalties": (6, 5)}, "home"),
        ({"AfterPenalties": (None, None)}, None),
    ],
)
def test_the_final_scores_say_who_has_won(
    late: dict[str, tuple[int | None, int | None]], winner: str | None
) -> None:
    results = [
        {"resultTypeKind": kind, "pointsTeam1": home, "pointsTeam2": away}
        for kind, (home, away) in {"After90Minutes": (1, 1), **late}.items()
    ]
    assert read(row(*results)).winner == winner
    assert read(row(*results, matchIsFinished=False)).winner is None
