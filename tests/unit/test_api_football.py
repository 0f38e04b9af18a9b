import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from app.sources.api_football import ApiFootball
from app.sources.base import Answer, Code, DecidedBy, Limits, Match, MatchStatus, RowError
from app.sources.details import Detail, IncidentKind
from tests.payloads import needs_payloads, payload

SOURCE = ApiFootball()
PENALTIES = "api-football/fixtures-cl-penalties__syurchen93.json"
LIVE = "api-football/fixtures_live_2024-05-11__arghyanath_246.json"
EVENING = "Fri, 20 Nov 2026 23:00:00 GMT"


def row(short: str = "FT", **changes: object) -> dict[str, object]:
    return {
        "fixture": {"id": 5, "timestamp": 1_710_360_000, "status": {"short": short}},
        "teams": {"home": {"id": 1, "name": "Galatasaray"}, "away": {"id": 2, "name": "Inter"}},
        "goals": {"home": 0, "away": 0},
        **changes,
    }


def read(document: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(document).encode()))


def recorded(name: str) -> list[Match]:
    return [SOURCE.normalise(raw) for raw in SOURCE.day_rows(payload(name).decode())]


def batch() -> dict[str, Detail]:
    rows = SOURCE.detail_rows("fixture", payload(PENALTIES).decode())
    return {detail.match_id: detail for detail in (SOURCE.detail("fixture", raw) for raw in rows)}


def test_it_asks_for_a_day_and_for_twenty_matches_at_once() -> None:
    base = "https://v3.football.api-sports.io/fixtures"
    day = SOURCE.day_request(date(2026, 11, 20))
    assert (day.url, day.template) == (
        f"{base}?date=2026-11-20&timezone=UTC",
        f"{base}?date={{day}}&timezone=UTC",
    )
    some = SOURCE.detail_request("fixture", ["1", "2&x"])
    assert (some.url, some.template) == (f"{base}?ids=1-2%26x", f"{base}?ids={{ids}}")
    assert SOURCE.detail_batch("fixture") == 20


def test_the_key_goes_into_a_header() -> None:
    request = SOURCE.authorise(SOURCE.detail_request("fixture", ["5"]), "s3cret")
    assert request.headers == {"x-apisports-key": "s3cret"}
    assert "s3cret" not in request.url + repr(request)


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, Limits()),
        ({"x-ratelimit-remaining": "7"}, Limits(7, 60)),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-requests-remaining": "3"}, Limits(7, 60)),
        ({"x-ratelimit-requests-remaining": "0"}, Limits(0, None)),
        ({"x-ratelimit-requests-remaining": "0", "date": EVENING}, Limits(0, 3900)),
    ],
)
def test_the_limits_of_the_minute_and_of_the_day(headers: dict[str, str], limits: Limits) -> None:
    assert SOURCE.read_limits(Answer(200, headers, b"", 1)) == limits


@pytest.mark.parametrize(
    ("errors", "code", "wait_s"),
    [
        ({"rateLimit": "Too many requests."}, Code.RATE_LIMITED, None),
        (
            {"requests": "You have reached the request limit for the day"},
            Code.QUOTA_EXHAUSTED,
            3900,
        ),
        ({"token": "Error/Missing application key."}, Code.AUTH_INVALID, None),
        ({"access": "Your account is suspended"}, Code.AUTH_INVALID, None),
        ({"plan": "Free plans do not have access to this season"}, Code.FORBIDDEN_PLAN, None),
        ({"bug": "This is on our side"}, Code.SERVER_ERROR, None),
        ({"required": "At least one parameter is required."}, Code.BAD_REQUEST, None),
        ({"date": "The Date field must be valid", "token": "no"}, Code.AUTH_INVALID, None),
        (["something"], Code.BAD_REQUEST, None),
    ],
)
def test_it_refuses_with_http_200(errors: Any, code: Code, wait_s: float | None) -> None:
    text = json.dumps({"errors": errors, "response": []})
    verdict = SOURCE.refusal(Answer(200, {"date": EVENING}, b"", 1), text)
    assert verdict is not None
    assert (verdict.code, verdict.wait_s) == (code, wait_s)
    assert verdict.detail


@pytest.mark.parametrize(
    "text", ['{"errors": []}', '{"errors": {}}', "{}", '{"errors": 1}', "[", ""]
)
def test_no_refusal_is_none(text: str) -> None:
    assert SOURCE.refusal(Answer(200, {}, b"", 1), text) is None


@pytest.mark.parametrize(
    ("short", "status", "decided_by"),
    [
        ("TBD", MatchStatus.TIME_TBD, None),
        ("NS", MatchStatus.SCHEDULED, None),
        ("2H", MatchStatus.LIVE, None),
        ("P", MatchStatus.LIVE, None),
        ("BT", MatchStatus.PAUSED, None),
        ("INT", MatchStatus.SUSPENDED, None),
        ("FT", MatchStatus.FINISHED, DecidedBy.REGULAR),
        ("AET", MatchStatus.FINISHED, DecidedBy.AET),
        ("PEN", MatchStatus.FINISHED, DecidedBy.PENS),
        ("WO", MatchStatus.FINISHED, DecidedBy.AWARDED),
        ("PST", MatchStatus.POSTPONED, None),
        ("CANC", MatchStatus.CANCELLED, None),
        ("ABD", MatchStatus.ABANDONED, None),
        ("???", MatchStatus.UNKNOWN, None),
    ],
)
def test_a_status_is_translated_and_kept(
    short: str, status: MatchStatus, decided_by: DecidedBy | None
) -> None:
    match = read(row(short))
    assert (match.status, match.raw_status, match.decided_by) == (status, short, decided_by)


@pytest.mark.parametrize("short", ["NS", "TBD", "PST", "CANC"])
def test_what_was_not_played_has_no_score(short: str) -> None:
    match = read(row(short, score={"halftime": {"home": 0, "away": 0}}))
    assert (match.home_score, match.away_score, match.home_half_time) == (None, None, None)


def test_the_leader_of_a_running_match_is_no_winner() -> None:
    teams = {"home": {"name": "A", "winner": True}, "away": {"name": "B", "winner": False}}
    assert read(row("2H", teams=teams)).winner is None
    assert read(row("FT", teams=teams)).winner == "home"
    assert read(row("FT")).winner == "draw"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"fixture": {"id": 1, "status": {}}}, "short"),
        ({"fixture": {"id": 1, "status": {"short": "NS"}}}, "timestamp"),
        ({"fixture": {"id": 1, "status": {"short": "NS"}, "date": "soon"}}, "date"),
        ({"teams": {}}, "teams"),
        ({"goals": {"home": -1}}, "goals"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RowError, match=field):
        read({**row(), **changes})


@needs_payloads
def test_no_recorded_row_is_refused_and_all_statuses_are_known() -> None:
    matches = recorded(LIVE) + recorded(PENALTIES)
    assert len(matches) == 248
    assert all(match.status is not MatchStatus.UNKNOWN for match in matches)
    assert all(match.home_score is not None for match in matches)


@needs_payloads
def test_recorded_womens_teams_are_told_by_their_names() -> None:
    women = [match for match in recorded(LIVE) if match.women]
    assert len(women) == 6
    assert all(match.home.endswith(" W") or match.away.endswith(" W") for match in women)


@needs_payloads
def test_a_recorded_shoot_out_is_not_in_the_score() -> None:
    match = next(match for match in recorded(PENALTIES) if match.source_id == "1149519")
    assert (match.home_score, match.away_score) == (2, 1)
    assert (match.home_regular, match.away_regular) == (2, 1)
    assert (match.home_penalties, match.away_penalties) == (3, 2)
    assert (match.decided_by, match.winner) == (DecidedBy.PENS, "home")
    assert match.kickoff == datetime(2024, 3, 13, 20, 0, tzinfo=UTC)
    assert (match.season, match.round, match.women) == ("2023", "Round of 16", False)


@needs_payloads
def test_a_recorded_batch_has_all_details_of_each_match() -> None:
    details = batch()
    assert set(details) == {"1149519", "1149523"}
    for detail in details.values():
        assert detail.missing == ()
        assert [lineup.side for lineup in detail.lineups] == ["home", "away"]
        for lineup in detail.lineups:
            assert sum(not player.substitute for player in lineup.players) == 11
        names = {line.name: line for line in detail.statistics}
        ball = names["Ball Possession"]
        assert int((ball.home or "")[:-1]) + int((ball.away or "")[:-1]) == 100


@needs_payloads
def test_the_kicks_of_a_recorded_shoot_out_are_in_order_and_no_goals() -> None:
    detail = batch()["1149519"]
    assert detail.match is not None
    kicks = [one for one in detail.incidents if one.kind is IncidentKind.PENALTY]
    scored = [one.home for one in kicks if one.detail == "Penalty"]
    assert [one.added for one in kicks] == list(range(1, 10))
    assert (scored.count(True), scored.count(False)) == (3, 2)
    goals = [one.home for one in detail.incidents if one.kind is IncidentKind.GOAL]
    assert (goals.count(True), goals.count(False)) == (2, 1)


@needs_payloads
def test_a_recorded_own_goal_is_on_the_side_that_it_counts_for() -> None:
    found = 0
    for raw in SOURCE.day_rows(payload(LIVE).decode()):
        detail = SOURCE.detail("fixture", raw)
        goals = [one for one in detail.incidents if one.kind is IncidentKind.GOAL]
        if detail.match is None or not any(one.detail == "Own Goal" for one in goals):
            continue
        sides = [one.home for one in goals]
        scored = detail.match.home_score, detail.match.away_score
        assert (sides.count(True), sides.count(False)) == scored
        found += 1
    assert found == 7


@needs_payloads
def test_who_comes_on_in_a_recorded_substitution_was_on_the_bench() -> None:
    for detail in batch().values():
        named = [player for lineup in detail.lineups for player in lineup.players]
        last_names = {player.name.split()[-1] for player in named if player.substitute}
        changes = [one for one in detail.incidents if one.kind is IncidentKind.SUBSTITUTION]
        assert changes
        assert all((one.player or "").split()[-1] in last_names for one in changes)


@needs_payloads
def test_a_row_of_a_recorded_list_lacks_what_only_a_batch_has() -> None:
    raw = SOURCE.day_rows(payload(LIVE).decode())[0]
    detail = SOURCE.detail("fixture", raw)
    assert {"statistics", "lineups"} <= set(detail.missing)


@needs_payloads
@pytest.mark.parametrize("name", ["injuries-error", "team-leipzig-error", "venue-camp-nou-error"])
def test_the_recorded_errors_are_wrong_parameters(name: str) -> None:
    text = payload(f"api-football/error_{name}__syurchen93.json").decode()
    verdict = SOURCE.refusal(Answer(200, {}, b"", 1), text)
    assert verdict is not None
    assert verdict.code is Code.BAD_REQUEST
