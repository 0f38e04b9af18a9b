import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.base import (
    Answer,
    Code,
    DecidedBy,
    Limits,
    Match,
    MatchStatus,
    RowError,
    ShapeError,
    Source,
)
from app.sources.football_data import FootballData
from tests.payloads import needs_payloads, payload

SOURCE = FootballData()


def row(status: str = "FINISHED", **changes: object) -> dict[str, object]:
    return {
        "id": 538155,
        "utcDate": "2026-05-24T15:00:00Z",
        "status": status,
        "homeTeam": {"id": 71, "name": "Sunderland AFC"},
        "awayTeam": {"id": 61, "name": "Chelsea FC"},
        "score": {"duration": "REGULAR", "fullTime": {"home": 2, "away": 1}},
        **changes,
    }


def score(duration: str, full: tuple[int, int], **parts: tuple[int | None, int | None]) -> object:
    goals = {name: {"home": home, "away": away} for name, (home, away) in parts.items()}
    return {"duration": duration, "fullTime": {"home": full[0], "away": full[1]}, **goals}


def read(document: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(document).encode()))


def goals(match: Match, name: str) -> tuple[int | None, int | None]:
    return getattr(match, f"home_{name}"), getattr(match, f"away_{name}")


def test_it_asks_for_a_day_by_an_exclusive_end() -> None:
    request = SOURCE.day_request(date(2026, 12, 31))
    path = "https://api.football-data.org/v4/matches"
    assert request.url == f"{path}?dateFrom=2026-12-31&dateTo=2027-01-01"
    assert "2026" not in request.template
    assert SOURCE.detail_request("match", ["5"]).url == f"{path}/5"
    assert SOURCE.detail_request("match", ["5"]).template == f"{path}/{{id}}"


def test_the_token_goes_into_a_header_and_is_not_shown() -> None:
    request = SOURCE.authorise(SOURCE.detail_request("match", ["5"]), "s3cret")
    assert request.headers == {"X-Auth-Token": "s3cret"}
    assert "s3cret" not in repr(request)
    assert not SOURCE.authorise(SOURCE.detail_request("match", ["5"]), None).headers


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({"x-requests-available-minute": "8", "x-requestcounter-reset": "60"}, Limits(8, 60)),
        ({"x-requests-available-minute": "0"}, Limits(0, None)),
        ({"x-requestcounter-reset": "soon"}, Limits(None, None)),
        ({}, Limits()),
    ],
)
def test_the_limits_are_in_the_headers(headers: dict[str, str], limits: Limits) -> None:
    assert SOURCE.read_limits(Answer(200, headers, b"", 1)) == limits


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("SCHEDULED", MatchStatus.TIME_TBD),
        ("TIMED", MatchStatus.SCHEDULED),
        ("IN_PLAY", MatchStatus.LIVE),
        ("EXTRA_TIME", MatchStatus.LIVE),
        ("PENALTY_SHOOTOUT", MatchStatus.LIVE),
        ("PAUSED", MatchStatus.PAUSED),
        ("SUSPENDED", MatchStatus.SUSPENDED),
        ("FINISHED", MatchStatus.FINISHED),
        ("AWARDED", MatchStatus.FINISHED),
        ("POSTPONED", MatchStatus.POSTPONED),
        ("CANCELLED", MatchStatus.CANCELLED),
        ("CANCELED", MatchStatus.CANCELLED),
        ("EATEN", MatchStatus.UNKNOWN),
    ],
)
def test_a_status_is_translated_and_kept(raw: str, status: MatchStatus) -> None:
    match = read(row(raw))
    assert (match.status, match.raw_status) == (status, raw)


@pytest.mark.parametrize("status", ["SCHEDULED", "TIMED"])
def test_before_the_kick_off_there_is_no_score(status: str) -> None:
    match = read(row(status, score=score("REGULAR", (0, 0), halfTime=(0, 0))))
    assert goals(match, "score") == goals(match, "half_time") == goals(match, "regular")
    assert match.home_score is None


def test_ninety_minutes() -> None:
    match = read(row(score=score("REGULAR", (2, 1), halfTime=(1, 0))))
    assert goals(match, "score") == goals(match, "regular") == (2, 1)
    assert goals(match, "half_time") == (1, 0)
    assert match.decided_by is DecidedBy.REGULAR
    assert goals(match, "penalties") == goals(match, "extra") == (None, None)


def test_extra_time_with_and_without_the_regular_time() -> None:
    for regular in ((1, 1), (None, None)):
        parts = {"regularTime": regular, "extraTime": (1, 0)}
        match = read(row(score=score("EXTRA_TIME", (2, 1), **parts)))
        assert goals(match, "score") == (2, 1)
        assert goals(match, "regular") == (1, 1)
        assert goals(match, "extra") == (1, 0)
        assert match.decided_by is DecidedBy.AET


def test_full_time_includes_the_shoot_out_and_the_score_does_not() -> None:
    parts = {"regularTime": (None, None), "extraTime": (0, 0), "penalties": (3, 4)}
    match = read(row(score=score("PENALTY_SHOOTOUT", (4, 5), **parts)))
    assert goals(match, "score") == goals(match, "regular") == (1, 1)
    assert goals(match, "penalties") == (3, 4)
    assert match.decided_by is DecidedBy.PENS


def test_a_full_time_that_cannot_include_the_shoot_out_is_the_score() -> None:
    parts = {"extraTime": (0, 0), "penalties": (3, 4)}
    assert goals(read(row(score=score("PENALTY_SHOOTOUT", (1, 1), **parts))), "score") == (1, 1)


@given(*(st.integers(0, 20) for _ in range(6)))
def test_a_shoot_out_is_always_taken_off_again(
    a: int, b: int, c: int, d: int, e: int, f: int
) -> None:
    parts = {"regularTime": (a, b), "extraTime": (c, d), "penalties": (e, f)}
    match = read(row(score=score("PENALTY_SHOOTOUT", (a + c + e, b + d + f), **parts)))
    assert goals(match, "score") == (a + c, b + d)
    assert goals(match, "regular") == (a, b)


def test_an_awarded_match_and_a_drawn_one() -> None:
    assert read(row("AWARDED")).decided_by is DecidedBy.AWARDED
    assert read(row(score={"winner": "DRAW", "duration": "EXTRA_TIME"})).winner == "draw"


@pytest.mark.parametrize("team", [None, {}, {"id": None, "name": None}])
def test_a_tie_not_drawn_yet_is_a_row(team: object) -> None:
    match = read(row("SCHEDULED", homeTeam=team, awayTeam=team, score=None))
    assert (match.home, match.away, match.home_id) == ("?", "?", None)


def test_the_other_fields() -> None:
    match = read(
        row(
            id="x",
            area={"name": "England"},
            competition={"id": 2021, "name": "Premier League"},
            season={"startDate": "2025-08-15", "endDate": "2026-05-24"},
            matchday=38,
            stage="REGULAR_SEASON",
            score=None,
        )
    )
    assert match == Match(
        source_id="x",
        kickoff=datetime(2026, 5, 24, 15, tzinfo=UTC),
        status=MatchStatus.FINISHED,
        raw_status="FINISHED",
        home="Sunderland AFC",
        away="Chelsea FC",
        home_id="71",
        away_id="61",
        competition="Premier League",
        competition_id="2021",
        season="2025/26",
        round="38",
        country="England",
    )


@pytest.mark.parametrize(
    ("season", "said"),
    [
        ({"startDate": "2026-03-01", "endDate": "2026-12-01"}, "2026"),
        ({"startDate": "1999-08-01", "endDate": "2000-05-01"}, "1999/00"),
        ({"startDate": "2026-03-01"}, "2026"),
        ({}, None),
        (None, None),
    ],
)
def test_a_season_is_its_years(season: object, said: str | None) -> None:
    assert read(row(season=season)).season == said


@pytest.mark.parametrize(
    ("matchday", "stage", "said"),
    [
        (3, "GROUP_STAGE", "3"),
        (3, None, "3"),
        (1, "QUARTER_FINALS", "QUARTER_FINALS"),
        (None, "FINAL", "FINAL"),
        (None, None, None),
    ],
)
def test_a_round_is_the_matchday_or_the_stage_of_a_cup(
    matchday: int | None, stage: str | None, said: str | None
) -> None:
    assert read(row(matchday=matchday, stage=stage)).round == said


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"utcDate": "tomorrow"}, "utcDate"),
        ({"utcDate": None}, "utcDate"),
        ({"utcDate": "0001-01-01T00:00:00+14:00"}, "utcDate"),
        ({"status": 3}, "status"),
        ({"score": {"fullTime": {"home": "two"}}}, "fullTime"),
        ({"score": {"fullTime": {"home": 10**12}}}, "fullTime"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RowError, match=field):
        read({**row(), **changes})


@pytest.mark.parametrize(
    ("status", "words", "code", "wait_s"),
    [
        (429, "You reached your request limit. Wait 48 seconds.", Code.RATE_LIMITED, 48),
        (403, "restricted and apparently not within your permissions.", Code.FORBIDDEN_PLAN, None),
        (400, "Your API token is invalid.", Code.AUTH_INVALID, None),
        (400, "Specified period must not exceed 10 days.", Code.BAD_REQUEST, None),
        (404, "The resource you are looking for does not exist.", Code.NOT_FOUND, None),
    ],
)
def test_a_refusal_is_read_from_message_and_error_code_even_with_a_200(
    status: int, words: str, code: Code, wait_s: float | None
) -> None:
    for http_status in (status, 200):
        text = json.dumps({"message": words, "errorCode": status})
        verdict = SOURCE.refusal(Answer(http_status, {}, b"", 1), text)
        assert verdict is not None
        assert (verdict.code, verdict.detail, verdict.wait_s) == (code, words, wait_s)


@pytest.mark.parametrize("text", ['{"matches": []}', "<html>", "[]", '{"errorCode": "x"}', ""])
def test_no_refusal_is_none(text: str) -> None:
    assert SOURCE.refusal(Answer(200, {}, b"", 1), text) is None


def test_a_match_is_the_whole_answer() -> None:
    source: Source = SOURCE
    (row,) = source.detail_rows("match", '{"id": 1, "x": [NaN]}')
    assert json.loads(bytes(row)) == {"id": 1, "x": [None]}
    with pytest.raises(ShapeError, match="id"):
        source.detail_rows("match", '{"message": "x"}')


@needs_payloads
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("v4_Competition-2001-Matches__einar-hansen.json", 185),
        ("v4_Competition-2002-Matches__einar-hansen.json", 306),
        ("v4_Matches__einar-hansen.json", 34),
        ("v4_PL-matches__rahul.json", 10),
        ("v4_PL_scheduled_109__taminororo.json", 109),
    ],
)
def test_every_recorded_list_is_read_row_by_row(name: str, count: int) -> None:
    text = payload(f"football-data.org/{name}").decode()
    matches = [SOURCE.normalise(raw) for raw in SOURCE.day_rows(text)]
    assert [match.source_id for match in matches] == [str(r["id"]) for r in rows_of(text)]
    assert len(matches) == count
    assert all(match.status is not MatchStatus.UNKNOWN for match in matches)
    assert all(m.home_score is None for m in matches if m.raw_status in ("TIMED", "SCHEDULED"))


@needs_payloads
def test_in_the_recorded_champions_league_a_shoot_out_prints_1_1_and_not_4_5() -> None:
    text = payload("football-data.org/v4_Competition-2001-Matches__einar-hansen.json").decode()
    matches = {m.source_id: m for m in map(SOURCE.normalise, SOURCE.day_rows(text))}
    assert goals(matches["418481"], "score") == (1, 1)
    shoot_outs = [m for m in matches.values() if m.decided_by is DecidedBy.PENS]
    extra_times = [m for m in matches.values() if m.decided_by is DecidedBy.AET]
    assert (len(shoot_outs), len(extra_times)) == (3, 8)
    for match in shoot_outs:
        assert goals(match, "penalties") != (None, None)
    for match in shoot_outs + extra_times:
        assert added(goals(match, "regular"), goals(match, "extra")) == goals(match, "score")


@needs_payloads
def test_the_recorded_detail_is_read_and_the_old_version_does_not_break_it() -> None:
    text = payload("football-data.org/v4_Match-418531__einar-hansen.json").decode()
    assert SOURCE.normalise(*SOURCE.detail_rows("match", text)).home_score == 2
    old = payload("football-data.org/v2_matches_SA_md1__rbucchi.json").decode()
    assert len([SOURCE.normalise(raw) for raw in SOURCE.day_rows(old)]) == 10


def rows_of(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["matches"]
    return found


def added(
    one: tuple[int | None, int | None], two: tuple[int | None, int | None]
) -> tuple[int, int]:
    return (one[0] or 0) + (two[0] or 0), (one[1] or 0) + (two[1] or 0)
