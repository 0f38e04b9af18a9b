import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.base import Answer, DecidedBy, Limits, Match, MatchStatus, RowError, ShapeError
from app.sources.openfootball import OpenFootball
from tests.payloads import needs_payloads, payload

SOURCE = OpenFootball()
ENGLAND = "openfootball/2024-25_en.1.json"
GERMANY = "openfootball/2025-26_de.1.json"
WORLD_CUP = "openfootball/worldcup_2022.json"


def game(**changes: object) -> dict[str, object]:
    teams = {"team1": "Arsenal FC", "team2": "Fulham FC"}
    return {"round": "Matchday 1", "date": "2024-08-16", "time": "20:00", **teams, **changes}


def file_of(*games: Mapping[str, object], name: str = "English Premier League 2024/25") -> str:
    return json.dumps({"name": name, "matches": games})


def read(source: OpenFootball = SOURCE, **changes: object) -> Match:
    (row,) = source.day_rows(file_of(game(**changes)))
    return source.normalise(row)


def recorded(name: str, competition: str) -> list[Match]:
    source = OpenFootball(competition=competition)
    return [source.normalise(raw) for raw in source.day_rows(payload(name).decode())]


def test_a_day_is_asked_for_by_the_file_of_its_season() -> None:
    base = "https://raw.githubusercontent.com/openfootball/football.json/master"
    first = SOURCE.day_request(date(2026, 6, 30))
    assert (first.url, first.template) == (
        f"{base}/2025-26/en.1.json",
        f"{base}/{{season}}/en.1.json",
    )
    turn = OpenFootball("http://127.0.0.1:1/", "tr.1").day_request(date(1999, 7, 1))
    assert turn.url == "http://127.0.0.1:1/1999-00/tr.1.json"


def test_there_are_no_details_no_key_and_no_limits() -> None:
    request = SOURCE.day_request(date(2026, 1, 2))
    assert SOURCE.detail_kinds == ()
    assert SOURCE.authorise(request, "secret") is request
    assert SOURCE.read_limits(Answer(200, {}, b"", 1)) == Limits()
    assert SOURCE.refusal(Answer(404, {}, b"", 1), "404: Not Found") is None
    with pytest.raises(ValueError, match="no event"):
        SOURCE.detail_request("event", ["1"])


def test_of_a_file_the_rows_of_the_day_are_taken_and_those_without_one_kept() -> None:
    text = file_of(game(), game(date="2024-08-17"), {"team1": "A"})
    assert len(SOURCE.day_rows(text)) == 3
    assert len(SOURCE.day_rows(text, date(2024, 8, 17))) == 2
    assert len(SOURCE.day_rows(text, date(2024, 8, 18))) == 1
    with pytest.raises(ShapeError, match="matches"):
        SOURCE.day_rows('{"name": "x"}')


@pytest.mark.parametrize(
    ("time", "competition", "kickoff"),
    [
        ("20:00", "en.1", datetime(2024, 8, 16, 19, 0, tzinfo=UTC)),
        ("20:00", "tr.1", datetime(2024, 8, 16, 17, 0, tzinfo=UTC)),
        ("16:30 UTC-4", "worldcup", datetime(2024, 8, 16, 20, 30, tzinfo=UTC)),
        ("16:30 UTC+5:30", "en.1", datetime(2024, 8, 16, 11, 0, tzinfo=UTC)),
        ("16:30 UTC-3:30", "en.1", datetime(2024, 8, 16, 20, 0, tzinfo=UTC)),
        ("20:00", "worldcup", datetime(2024, 8, 16, tzinfo=UTC)),
        (None, "en.1", datetime(2024, 8, 16, tzinfo=UTC)),
        ("16:30 UTC-99", "en.1", datetime(2024, 8, 16, tzinfo=UTC)),
    ],
)
def test_a_local_time_becomes_utc_where_the_zone_is_known(
    time: str | None, competition: str, kickoff: datetime
) -> None:
    assert read(OpenFootball(competition=competition), time=time).kickoff == kickoff


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, MatchStatus.SCHEDULED),
        ({"time": None}, MatchStatus.TIME_TBD),
        ({"score": {}}, MatchStatus.SCHEDULED),
        ({"score": {"ft": [1, 0]}}, MatchStatus.FINISHED),
        ({"score": [1, 0]}, MatchStatus.FINISHED),
        ({"status": "cancelled"}, MatchStatus.CANCELLED),
        ({"status": "eaten"}, MatchStatus.UNKNOWN),
    ],
)
def test_a_match_is_played_when_it_has_a_score(
    changes: dict[str, object], status: MatchStatus
) -> None:
    assert read(**changes).status is status


def test_extra_time_counts_on_and_a_shoot_out_does_not() -> None:
    match = read(score={"ht": [2, 0], "ft": [2, 2], "et": [3, 3], "p": [4, 2]})
    assert (match.home_score, match.away_score) == (3, 3)
    assert (match.home_regular, match.home_extra, match.home_penalties) == (2, 1, 4)
    assert match.decided_by is DecidedBy.PENS


def test_a_shoot_out_that_ends_level_is_a_typing_error() -> None:
    match = read(score={"ft": [1, 1], "et": [1, 1], "p": [4, 4]})
    assert (match.home_penalties, match.away_penalties) == (None, None)
    assert (match.decided_by, match.home_score) == (DecidedBy.PENS, 1)


@given(st.sampled_from(["round", "team1", "team2"]), st.from_regex("[A-Zğ]{1,9}", fullmatch=True))
def test_the_id_follows_from_round_and_teams_and_from_nothing_else(field: str, text: str) -> None:
    one = game()
    assert read().source_id == read(date="2025-01-01", score=[1, 1]).source_id
    assert (read(**{field: text}).source_id == read().source_id) == (one[field] == text)


def test_the_file_name_is_competition_and_season() -> None:
    match = read()
    assert (match.competition, match.season) == ("English Premier League", "2024/25")
    (row,) = SOURCE.day_rows(file_of(game(group="Group A"), name="World Cup 2022"))
    cup = SOURCE.normalise(row)
    assert (cup.competition, cup.season, cup.round) == ("World Cup", "2022", "Matchday 1, Group A")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"date": "soon"}, "date"),
        ({"team1": None}, "team1"),
        ({"score": {"ft": [1]}}, "score"),
        ({"score": {"ft": [1, -1]}}, "score"),
        ({"time": "25:00"}, "time"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RowError, match=field):
        read(**changes)


@needs_payloads
@pytest.mark.parametrize(
    ("name", "competition", "count", "finished"),
    [(ENGLAND, "en.1", 380, 380), (GERMANY, "de.1", 306, 225), (WORLD_CUP, "worldcup", 64, 64)],
)
def test_every_recorded_file_is_read_and_every_match_has_an_id_of_its_own(
    name: str, competition: str, count: int, finished: int
) -> None:
    matches = recorded(name, competition)
    assert len(matches) == len({match.source_id for match in matches}) == count
    played = [match for match in matches if match.status is MatchStatus.FINISHED]
    assert len(played) == finished
    for match in matches:
        assert match.status is not MatchStatus.UNKNOWN
        assert (match.home_score is None) == (match.status is not MatchStatus.FINISHED)


@needs_payloads
def test_recorded_shoot_outs_are_not_in_the_score() -> None:
    shoot_outs = [m for m in recorded(WORLD_CUP, "worldcup") if m.decided_by is DecidedBy.PENS]
    assert len(shoot_outs) == 5
    for match in shoot_outs:
        assert match.home_score == match.away_score is not None
        assert match.home_penalties != match.away_penalties


@needs_payloads
def test_the_days_of_a_recorded_file_add_up() -> None:
    text = payload(WORLD_CUP).decode()
    days = {date.fromisoformat(row["date"]) for row in json.loads(text)["matches"]}
    assert sum(len(SOURCE.day_rows(text, day)) for day in days) == 64
    assert len(SOURCE.day_rows(text, date(2022, 12, 18))) == 1


def test_the_row_that_goes_on_holds_the_file_name() -> None:
    (row,) = SOURCE.day_rows(file_of(game()))
    assert json.loads(bytes(row))["file"] == "English Premier League 2024/25"
    assert isinstance(row, msgspec.Raw)


@pytest.mark.parametrize(
    ("changes", "winner"),
    [
        ({"score": {"ft": [2, 1]}}, "home"),
        ({"score": [1, 1]}, "draw"),
        ({"score": {"ft": [1, 1], "et": [1, 2]}}, "away"),
        ({"score": {"ft": [1, 1], "et": [2, 2], "p": [3, 4]}}, "away"),
        ({"score": {"ft": [1, 1], "p": [4, 4]}}, None),
        ({"score": {"ft": [2, 1]}, "status": "abandoned"}, None),
        ({"status": "awarded"}, None),
        ({}, None),
    ],
)
def test_the_final_scores_say_who_has_won(changes: dict[str, object], winner: str | None) -> None:
    assert read(**changes).winner == winner
