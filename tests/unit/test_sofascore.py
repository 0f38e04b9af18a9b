import contextlib
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
from app.sources.sandbox import Sandbox
from app.sources.sofascore import SofaScore
from tests.payloads import needs_payloads, payload, sofascore_days

SOURCE = SofaScore()


def event(status: tuple[str, int] = ("finished", 100), **changes: object) -> dict[str, object]:
    team = {"name": "Galatasaray", "id": 3061, "gender": "M"}
    return {
        "id": 7,
        "startTimestamp": 1_746_644_400,
        "status": {"type": status[0], "code": status[1]},
        "homeTeam": team,
        "awayTeam": {"name": "Fenerbahçe", "id": 3052, "gender": "M"},
        "tournament": {"name": "Süper Lig", "id": 62, "category": {"name": "Türkiye"}},
        **changes,
    }


def read(row: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(row).encode()))


def scores(**home: int) -> dict[str, object]:
    return {"homeScore": home, "awayScore": dict.fromkeys(home, 0)}


def test_it_asks_for_a_day_and_for_a_match() -> None:
    day = SOURCE.day_request(date(2026, 11, 20))
    path = "https://api.sofascore.com/api/v1/sport/football/scheduled-events"
    assert (day.url, day.template) == (f"{path}/2026-11-20", f"{path}/{{day}}")
    match = SOURCE.detail_request("event", ["12/../3?x"])
    assert match.url == "https://api.sofascore.com/api/v1/event/12%2F..%2F3%3Fx"
    assert match.template == "https://api.sofascore.com/api/v1/event/{id}"


def test_it_has_no_token_and_tells_no_limits() -> None:
    request = SOURCE.detail_request("event", ["1"])
    assert SOURCE.authorise(request, "secret") is request
    assert SOURCE.read_limits(Answer(200, {"x-ratelimit-remaining": "3"}, b"", 1)) == Limits()


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("notstarted", 0, MatchStatus.SCHEDULED),
        ("delayed", 61, MatchStatus.DELAYED),
        ("inprogress", 6, MatchStatus.LIVE),
        ("inprogress", 20, MatchStatus.LIVE),
        ("inprogress", 31, MatchStatus.PAUSED),
        ("inprogress", 34, MatchStatus.PAUSED),
        ("inprogress", 50, MatchStatus.LIVE),
        ("interrupted", 7, MatchStatus.SUSPENDED),
        ("suspended", 81, MatchStatus.SUSPENDED),
        ("willcontinue", 140, MatchStatus.SUSPENDED),
        ("finished", 41, MatchStatus.FINISHED),
        ("finished", 91, MatchStatus.FINISHED),
        ("postponed", 60, MatchStatus.POSTPONED),
        ("canceled", 70, MatchStatus.CANCELLED),
        ("canceled", 93, MatchStatus.CANCELLED),
        ("canceled", 90, MatchStatus.ABANDONED),
        ("abducted", 999, MatchStatus.UNKNOWN),
    ],
)
def test_the_type_decides_first_and_the_code_second(
    kind: str, code: int, status: MatchStatus
) -> None:
    match = read(event((kind, code)))
    assert (match.status, match.raw_status) == (status, f"{kind}/{code}")


@pytest.mark.parametrize(
    ("code", "decided_by"),
    [
        (100, DecidedBy.REGULAR),
        (110, DecidedBy.AET),
        (120, DecidedBy.PENS),
        (91, DecidedBy.AWARDED),
        (41, None),
    ],
)
def test_how_it_was_decided(code: int, decided_by: DecidedBy | None) -> None:
    assert read(event(("finished", code))).decided_by is decided_by


def test_a_match_decided_at_a_table_is_finished_although_its_type_says_cancelled() -> None:
    match = read(event(("canceled", 70), isAwarded=True, **scores(display=3)))
    assert (match.status, match.decided_by) == (MatchStatus.FINISHED, DecidedBy.AWARDED)
    assert match.home_score == 3


def test_a_shoot_out_is_not_in_the_score() -> None:
    match = read(
        event(("finished", 120), **scores(current=5, display=1, normaltime=1, penalties=4))
    )
    assert (match.home_score, match.home_penalties, match.home_regular) == (1, 4, 1)


@pytest.mark.parametrize(
    ("parts", "extra"),
    [
        ({"overtime": 2, "extra1": 1, "extra2": 1}, 2),
        ({"extra1": 1, "extra2": 0}, 1),
        ({"extra2": 1}, None),
        ({}, None),
    ],
)
def test_extra_time_is_said_in_three_ways(parts: dict[str, int], extra: int | None) -> None:
    assert read(event(("finished", 110), **scores(display=3, **parts))).home_extra == extra


@pytest.mark.parametrize("status", [("notstarted", 0), ("delayed", 61)])
def test_before_the_kick_off_there_is_no_score_but_the_aggregate(status: tuple[str, int]) -> None:
    match = read(event(status, **scores(display=0, current=0, period1=0, aggregated=2)))
    assert (match.home_score, match.away_score, match.home_half_time) == (None, None, None)
    assert match.home_aggregate == 2


@pytest.mark.parametrize("score", [{}, None, {"current": 0}])
def test_an_empty_score_is_none(score: object) -> None:
    match = read(event(homeScore=score, awayScore=score))
    assert (match.home_score, match.away_score) == (None, None)


def test_the_other_fields() -> None:
    match = read(
        event(
            id="abc",
            customId="RsUH",
            winnerCode=2,
            season={"year": "24/25", "id": 61644},
            roundInfo={"round": 28, "name": "Semifinals"},
            tournament={
                "name": "Champions League, Knockout Phase",
                "category": {"name": "Europe"},
                "uniqueTournament": {"name": "Champions League", "id": 7},
            },
            homeTeam={"name": None, "gender": "F"},
        )
    )
    assert match == Match(
        source_id="abc",
        custom_id="RsUH",
        kickoff=datetime(2025, 5, 7, 19, 0, tzinfo=UTC),
        status=MatchStatus.FINISHED,
        raw_status="finished/100",
        home="?",
        away="Fenerbahçe",
        away_id="3052",
        winner="away",
        decided_by=DecidedBy.REGULAR,
        competition="Champions League",
        competition_id="7",
        season="24/25",
        round="Semifinals",
        country="Europe",
        women=True,
    )


def test_a_round_without_a_name_is_its_number_and_a_tournament_may_stand_alone() -> None:
    match = read(event(roundInfo={"round": 3}))
    assert (match.round, match.competition, match.competition_id) == ("3", "Süper Lig", "62")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"startTimestamp": "soon"}, "startTimestamp"),
        ({"startTimestamp": 10**18}, "startTimestamp"),
        ({"homeTeam": []}, "homeTeam"),
        ({"status": {"code": 100}}, "type"),
        ({"homeScore": {"display": -1}}, "display"),
        ({"homeScore": {"display": 10**12}}, "display"),
        ({"tournament": None}, "tournament"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RowError, match=field):
        read({**event(), **changes})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(event())), json_values)
def test_whatever_a_field_holds_the_row_is_read_or_refused(field: str, value: Any) -> None:
    with contextlib.suppress(RowError):
        read({**event(), field: value})


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (403, {"error": {"code": 403, "reason": "challenge"}}, Code.BLOCKED),
        (200, {"error": {"code": 403, "reason": "Forbidden"}}, Code.BLOCKED),
        (200, {"error": {"reason": "challenge"}}, Code.BLOCKED),
        (200, {"error": {"code": "404", "message": "Not Found"}}, Code.NOT_FOUND),
        (200, {"error": {"code": 429, "reason": "Too many"}}, Code.RATE_LIMITED),
        (200, {"error": {"code": 503}}, Code.SERVER_ERROR),
        (200, {"error": {"code": 1}}, Code.SERVER_ERROR),
    ],
)
def test_a_refusal_in_the_body_counts_whatever_the_status(
    status: int, body: object, code: Code
) -> None:
    verdict = SOURCE.refusal(Answer(status, {}, b"", 1), json.dumps(body))
    assert verdict is not None
    assert verdict.code is code


@pytest.mark.parametrize("text", ['{"events": []}', '{"error": null}', '{"error": "x"}', "<", "[]"])
def test_no_refusal_is_none(text: str) -> None:
    assert SOURCE.refusal(Answer(200, {}, b"", 1), text) is None


def test_a_match_is_under_event() -> None:
    (row,) = SOURCE.detail_rows("event", '{"event": {"id": 1}}')
    assert bytes(row) == b'{"id": 1}'
    for text in ("{}", '{"event": null}', '{"event": []}', "[]"):
        with pytest.raises(ShapeError):
            SOURCE.detail_rows("event", text)


def test_the_sandbox_speaks_the_same_shape_under_its_own_name() -> None:
    sandbox: Source = Sandbox()
    assert (sandbox.name, sandbox.needs_permission, sandbox.needs_token) == (
        "sandbox",
        False,
        False,
    )
    assert not sandbox.single_row_means_no_data
    assert sandbox.day_request(date(2026, 1, 2)).url.startswith("http://127.0.0.1:8899/api/v1/")
    assert sandbox.normalise(msgspec.Raw(json.dumps(event()).encode())).home == "Galatasaray"


@needs_payloads
@pytest.mark.parametrize("name", sofascore_days())
def test_every_recorded_day_is_read_row_by_row(name: str) -> None:
    text = payload(name).decode()
    rows = json.loads(text)["events"]
    matches = [SOURCE.normalise(row) for row in SOURCE.day_rows(text)]
    assert [match.source_id for match in matches] == [str(row["id"]) for row in rows]
    for match, row in zip(matches, rows, strict=True):
        assert match.status is not MatchStatus.UNKNOWN
        assert match.home != "?"
        assert match.kickoff is not None
        assert match.kickoff.timestamp() == row["startTimestamp"]


@needs_payloads
def test_in_the_recorded_days_no_match_has_a_score_before_it_starts() -> None:
    waiting = [match for match, row in recorded() if row["status"]["type"] == "notstarted"]
    assert waiting
    assert all(match.home_score is None and match.away_score is None for match in waiting)


@needs_payloads
def test_in_the_recorded_days_a_shoot_out_is_the_difference_to_current() -> None:
    shoot_outs = [(m, row) for m, row in recorded() if m.decided_by is DecidedBy.PENS]
    assert len(shoot_outs) > 100
    for match, row in shoot_outs:
        assert match.home_score is not None
        assert match.home_penalties is not None
        assert match.home_score + match.home_penalties == row["homeScore"]["current"]


@needs_payloads
@pytest.mark.parametrize(
    "name",
    [
        "sofascore/scheduled-events__SoccerHut__2023-10.json.gz",
        "sofascore/scheduled-events__akkradet__2025-11-12_87.json",
        "sofascore/scheduled-events__akkradet__2025-12-26.json",
        "sofascore/scheduled-events__moisuc__108.json",
        "sofascore/live-events__moisuc__23.json",
    ],
)
def test_days_of_other_years_and_the_live_feed_are_read_too(name: str) -> None:
    text = payload(name).decode()
    matches = [SOURCE.normalise(row) for row in SOURCE.day_rows(text)]
    assert len(matches) == len(json.loads(text)["events"]) > 20


@needs_payloads
def test_a_recorded_match_detail_is_read() -> None:
    text = payload("sofascore/event-detail__eirikeg1.json").decode()
    match = SOURCE.normalise(*SOURCE.detail_rows("event", text))
    assert match.source_id == str(json.loads(text)["event"]["id"])


def recorded() -> list[tuple[Match, dict[str, Any]]]:
    texts = [payload(name).decode() for name in sofascore_days()]
    return [
        (SOURCE.normalise(raw), row)
        for text in texts
        for raw, row in zip(SOURCE.day_rows(text), json.loads(text)["events"], strict=True)
    ]
