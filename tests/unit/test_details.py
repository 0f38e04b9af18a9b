import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from app.errors.classify import Outcome, Wants, classify
from app.sources.base import Answer, Code, MatchStatus, RowError, ShapeError
from app.sources.details import Detail, IncidentKind, missing, number
from app.sources.football_data import FootballData
from app.sources.http import Client
from app.sources.sandbox import Sandbox
from app.sources.sofascore import SofaScore
from tests.payloads import needs_payloads, payload

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 21)
PAST, FUTURE = date(2026, 11, 20), date(2026, 12, 20)
SOFASCORE, FOOTBALL_DATA = SofaScore(), FootballData()
BUNDLES = ["bundle_12436559__osegonte", "bundle_13200232__osegonte"]


def read(kind: str, document: object) -> Detail:
    (row,) = SOFASCORE.detail_rows(kind, json.dumps(document))
    return SOFASCORE.detail(kind, row)


def bundle(name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(payload(f"sofascore/detail/{name}.json"))
    return found


# --- values ---


def test_what_is_empty_is_missing_by_its_name() -> None:
    assert missing(statistics=(), incidents=(1,), lineups=()) == ("statistics", "lineups")


@pytest.mark.parametrize(
    ("told", "shirt"), [(7, 7), ("10", 10), ("", None), ("x", None), ("²", None), (None, None)]
)
def test_a_shirt_number_may_be_text(told: int | str | None, shirt: int | None) -> None:
    assert number(told) == shirt


# --- SofaScore ---


@pytest.mark.parametrize("kind", SOFASCORE.detail_kinds)
def test_each_kind_has_an_address_and_one_match_a_request(kind: str) -> None:
    request = SOFASCORE.detail_request(kind, ["12/3"])
    tail = "" if kind == "event" else f"/{kind}"
    assert request.url == f"https://api.sofascore.com/api/v1/event/12%2F3{tail}"
    assert request.template == f"https://api.sofascore.com/api/v1/event/{{id}}{tail}"
    assert SOFASCORE.detail_batch(kind) == 1


@pytest.mark.parametrize(
    ("kind", "document", "absent"),
    [
        ("statistics", {"statistics": []}, ("statistics",)),
        ("incidents", {"incidents": []}, ("incidents",)),
        ("lineups", {"home": {}, "away": {"players": []}}, ("lineups",)),
    ],
)
def test_an_empty_part_is_missing(kind: str, document: object, absent: tuple[str, ...]) -> None:
    assert read(kind, document).missing == absent


@pytest.mark.parametrize("kind", ["statistics", "incidents", "lineups"])
def test_another_envelope_is_none(kind: str) -> None:
    with pytest.raises(ShapeError, match="missing"):
        SOFASCORE.detail_rows(kind, "{}")
    (row,) = SOFASCORE.detail_rows(kind, f'{{"{kind}": 1, "home": 1, "away": 1}}')
    with pytest.raises(RowError):
        SOFASCORE.detail(kind, row)


def test_incidents_of_every_kind_are_told_oldest_first() -> None:
    rows = [
        {"incidentType": "period", "text": "FT", "time": 90, "addedTime": 999},
        {"incidentType": "penaltyShootout", "incidentClass": "missed", "isHome": True},
        {"incidentType": "varDecision", "incidentClass": "goalAwarded", "time": 80},
        {"incidentType": "inGamePenalty", "incidentClass": "missed", "time": 70},
        {"incidentType": "injuryTime", "length": 4, "time": 45},
        {"incidentType": "streaker", "time": 3},
    ]
    found = read("incidents", {"incidents": rows}).incidents
    assert [one.kind for one in found] == [
        IncidentKind.OTHER,
        IncidentKind.INJURY_TIME,
        IncidentKind.PENALTY,
        IncidentKind.VAR,
        IncidentKind.PENALTY,
        IncidentKind.PERIOD,
    ]
    assert (found[0].detail, found[1].added) == ("streaker", 4)
    assert (found[-1].detail, found[-1].added, found[-1].home) == ("FT", None, None)


@needs_payloads
@pytest.mark.parametrize("name", BUNDLES)
def test_recorded_incidents_add_up(name: str) -> None:
    """Whoever recorded these changed the match's score and turned the sides around."""
    recorded = bundle(name)
    incidents = read("incidents", recorded["incidents"]["incidents"]).incidents
    goals = [one for one in incidents if one.kind is IncidentKind.GOAL]
    changes = [one for one in incidents if one.kind is IncidentKind.SUBSTITUTION]
    sides = [one.home for one in goals]
    assert (sides.count(True), sides.count(False)) == (goals[-1].home_score, goals[-1].away_score)
    assert all(one.player and one.other for one in changes)
    assert all(one.kind is not IncidentKind.OTHER for one in incidents)


def test_an_own_goal_counts_for_the_side_whose_score_it_raised() -> None:
    own = {"incidentType": "goal", "incidentClass": "ownGoal", "isHome": True}
    (goal,) = read("incidents", {"incidents": [{**own, "homeScore": 0, "awayScore": 1}]}).incidents
    assert goal.home is False
    (bare,) = read("incidents", {"incidents": [own]}).incidents
    assert bare.home is True


@needs_payloads
def test_recorded_statistics_and_incidents_of_a_live_match_are_read() -> None:
    text = payload("sofascore/statistics__eirikeg1.json").decode()
    lines = read("statistics", json.loads(text)).statistics
    ball = next(line for line in lines if line.name == "Ball possession")
    assert (ball.period, ball.group, ball.home, ball.away) == (
        "ALL",
        "Match overview",
        "44%",
        "56%",
    )
    told = json.loads(payload("sofascore/incidents__eirikeg1.json"))
    assert [one.kind for one in read("incidents", told).incidents] == [IncidentKind.PERIOD]


# --- football-data.org ---


def test_football_data_asks_for_earlier_encounters_too() -> None:
    request = FOOTBALL_DATA.detail_request("head2head", ["5"])
    path = "https://api.football-data.org/v4/matches"
    assert request.url == f"{path}/5/head2head"
    assert request.template == f"{path}/{{id}}/head2head"


@needs_payloads
def test_the_recorded_match_of_the_free_plan_lacks_all_parts() -> None:
    text = payload("football-data.org/v4_Match-418531__einar-hansen.json").decode()
    (row,) = FOOTBALL_DATA.detail_rows("match", text)
    detail = FOOTBALL_DATA.detail("match", row)
    assert (detail.match_id, detail.missing) == ("418531", ("statistics", "incidents", "lineups"))
    assert detail.match == FOOTBALL_DATA.normalise(row)


def test_what_a_larger_plan_tells_is_read() -> None:
    home = {
        "id": 1,
        "name": "A",
        "formation": "4-4-2",
        "lineup": [{"id": 3, "name": "Three", "position": "Goalkeeper", "shirtNumber": 30}],
        "bench": [{"id": 4, "name": "Four"}],
        "statistics": {"corner_kicks": 3},
    }
    goal = {"minute": 28, "type": "PENALTY", "team": {"id": 2}, "scorer": {"name": "Six"}}
    goal["score"] = {"home": 0, "away": 1}
    document = {
        "id": 9,
        "utcDate": "2022-02-27T16:05:00Z",
        "status": "FINISHED",
        "homeTeam": home,
        "awayTeam": {"id": 2, "name": "B"},
        "goals": [goal],
        "bookings": [{"minute": 5, "team": {"id": 1}, "player": {"name": "X"}, "card": "YELLOW"}],
        "penalties": [{"player": {"name": "Y"}, "team": {"id": 1}, "scored": False}],
        "substitutions": [
            {"minute": 60, "playerIn": {"name": "In"}, "playerOut": {"name": "Out"}, "team": {}}
        ],
    }
    (row,) = FOOTBALL_DATA.detail_rows("match", json.dumps(document))
    detail = FOOTBALL_DATA.detail("match", row)
    card, scored, change, kick = detail.incidents
    assert (card.kind, card.detail, card.home) == (IncidentKind.CARD, "YELLOW", True)
    assert (scored.player, scored.home, scored.away_score) == ("Six", False, 1)
    assert (change.player, change.other, change.home) == ("In", "Out", None)
    assert (kick.kind, kick.detail) == (IncidentKind.PENALTY, "missed")
    (lineup,) = detail.lineups
    assert [player.substitute for player in lineup.players] == [False, True]
    (line,) = detail.statistics
    assert (line.name, line.home, line.away) == ("corner_kicks", "3", None)
    assert detail.missing == ()


@pytest.mark.parametrize(
    ("aggregates", "absent"),
    [
        ({"numberOfMatches": 3, "homeTeam": {"wins": 2, "draws": 1, "losses": 0}}, ()),
        ({"numberOfMatches": 0}, ("head2head",)),
        (None, ("head2head",)),
    ],
)
def test_earlier_encounters_are_sums(aggregates: object, absent: tuple[str, ...]) -> None:
    text = json.dumps({"resultSet": {}, "aggregates": aggregates, "matches": []})
    (row,) = FOOTBALL_DATA.detail_rows("head2head", text)
    detail = FOOTBALL_DATA.detail("head2head", row)
    assert (detail.match_id, detail.match, detail.missing) == ("", None, absent)
    if not absent:
        wins = detail.statistics[0]
        assert (wins.period, wins.name, wins.home, wins.away) == ("HEAD2HEAD", "wins", "2", None)


# --- the sandbox, running ---


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    command = [sys.executable, "-m", "app.sandbox", "--port", "0", "--no-demo"]
    command += ["--today", TODAY.isoformat()]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout
            found = re.search(r":(\d+) ", process.stdout.readline())
            assert found
            yield Sandbox(f"http://127.0.0.1:{found[1]}")
        finally:
            process.kill()


def ask(sandbox: Sandbox, wants: Wants, day: date = PAST) -> Outcome:
    client = Client("Fikstur tests")
    try:
        of_day = sandbox.day_request(day)
        request = sandbox.detail_request(wants.kind, wants.ids) if wants.kind else of_day
        answer = client.ask(request)
    finally:
        client.close()
    assert isinstance(answer, Answer)
    return classify(sandbox, answer, wants=wants, last_good=None, now=datetime.now(UTC))


def test_the_sandbox_gives_every_kind_of_detail_of_a_match_that_was_played(
    sandbox: Sandbox,
) -> None:
    listed = ask(sandbox, Wants.day(PAST)).matches
    match = next(m for m in listed if m.status is MatchStatus.FINISHED and m.home_score)
    details = {}
    for kind in sandbox.detail_kinds:
        outcome = ask(sandbox, Wants.details(kind, [match.source_id]))
        assert outcome.code is Code.OK
        (details[kind],) = outcome.details
        assert (details[kind].match_id, details[kind].missing) == (match.source_id, ())
    assert details["event"].match == match
    assert {line.period for line in details["statistics"].statistics} == {"ALL", "1ST", "2ND"}
    goals = [one for one in details["incidents"].incidents if one.kind is IncidentKind.GOAL]
    assert len(goals) == (match.home_score or 0) + (match.away_score or 0)
    minutes = [one.minute or 0 for one in details["incidents"].incidents]
    assert minutes == sorted(minutes)
    assert [lineup.side for lineup in details["lineups"].lineups] == ["home", "away"]
    for lineup in details["lineups"].lineups:
        assert sum(not player.substitute for player in lineup.players) == 11
        assert (lineup.confirmed, lineup.formation) == (True, "4-4-2")


def test_parts_of_a_match_that_is_weeks_away_are_not_there_yet(sandbox: Sandbox) -> None:
    match = next(m for m in ask(sandbox, Wants.day(FUTURE), FUTURE).matches if m.home_score is None)
    for kind in ("statistics", "incidents", "lineups"):
        outcome = ask(sandbox, Wants.details(kind, [match.source_id]))
        assert (outcome.code, outcome.http_status) == (Code.NOT_FOUND, 404)
    assert ask(sandbox, Wants.details("event", [match.source_id])).code is Code.OK


def test_details_can_be_written_and_read_again() -> None:
    document = {"home": {"players": [{"player": {"name": "Ü"}}]}, "away": {}}
    detail = read("lineups", document)
    packed = msgspec.json.encode(detail)
    assert msgspec.json.decode(packed, type=Detail) == detail
