import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
import pytest

from app.sources.base import (
    Answer,
    Code,
    DecidedBy,
    Limits,
    Match,
    MatchStatus,
    RowError,
    ShapeError,
)
from app.sources.thesportsdb import TheSportsDb
from tests.payloads import needs_payloads, payload

SOURCE = TheSportsDb()
SEASON = "thesportsdb/eventsseason.php_id=4328_s=2014-2015.json"
NEXT = "thesportsdb/eventsnextleague.php_id=4328.json"


def row(**changes: object) -> dict[str, object]:
    return {
        "idEvent": "441425",
        "strHomeTeam": "West Ham",
        "strAwayTeam": "Tottenham",
        "intHomeScore": "0",
        "intAwayScore": "1",
        "strTimestamp": "2026-01-06T20:00:00",
        "strStatus": "Match Finished",
        "strPostponed": "no",
        **changes,
    }


def read(document: Mapping[str, object]) -> Match:
    return SOURCE.normalise(msgspec.Raw(json.dumps(document).encode()))


def recorded(name: str) -> list[Match]:
    return [SOURCE.normalise(raw) for raw in SOURCE.day_rows(payload(name).decode())]


def test_the_key_is_put_into_the_path_last_and_never_into_the_template() -> None:
    base = "https://www.thesportsdb.com/api/v1/json"
    requests = [
        (
            SOURCE.day_request(date(2026, 1, 2)),
            f"{base}/s3%2Fcret/eventsday.php?d=2026-01-02&s=Soccer",
        ),
        (SOURCE.detail_request("event", ["5&x"]), f"{base}/s3%2Fcret/lookupevent.php?id=5%26x"),
    ]
    for request, url in requests:
        ready = SOURCE.authorise(request, "s3/cret")
        assert ready.url == url
        assert ready.template == request.template
        assert "cret" not in ready.template + repr(ready.headers)
        assert "{key}" in request.url


def test_it_tells_no_limits() -> None:
    assert SOURCE.read_limits(Answer(200, {"x-ratelimit-remaining": "3"}, b"", 1)) == Limits()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            '{"message": "Rate Limit exceeded. Please keep below 100", "error": 429}',
            Code.RATE_LIMITED,
        ),
        ('{"message": "Invalid API key", "error": 403}', Code.AUTH_INVALID),
        ('{"events": null}', None),
        ('{"error": 0}', None),
        ("Invalid", None),
    ],
)
def test_a_refusal_is_read_from_error_and_message(text: str, code: Code | None) -> None:
    verdict = SOURCE.refusal(Answer(200, {}, b"", 1), text)
    assert (verdict and verdict.code) == code


@pytest.mark.parametrize("text", ['{"events": null}', '{"events": []}', '{"events":  null }'])
def test_null_is_its_way_of_saying_none(text: str) -> None:
    assert SOURCE.day_rows(text) == SOURCE.detail_rows("event", text) == []


def test_another_envelope_is_none() -> None:
    with pytest.raises(ShapeError, match="events"):
        SOURCE.day_rows('{"event": []}')


@pytest.mark.parametrize(
    ("told", "status", "decided_by"),
    [
        ("Not Started", MatchStatus.SCHEDULED, None),
        ("NS", MatchStatus.SCHEDULED, None),
        ("TBD", MatchStatus.TIME_TBD, None),
        ("1H", MatchStatus.LIVE, None),
        ("HT", MatchStatus.PAUSED, None),
        ("Match Finished", MatchStatus.FINISHED, DecidedBy.REGULAR),
        ("FT", MatchStatus.FINISHED, DecidedBy.REGULAR),
        ("AET", MatchStatus.FINISHED, DecidedBy.AET),
        ("PEN", MatchStatus.FINISHED, DecidedBy.PENS),
        ("Postponed", MatchStatus.POSTPONED, None),
        ("ABD", MatchStatus.ABANDONED, None),
        ("Eaten", MatchStatus.UNKNOWN, None),
    ],
)
def test_a_status_is_translated_and_kept(
    told: str, status: MatchStatus, decided_by: DecidedBy | None
) -> None:
    match = read(row(strStatus=told))
    assert (match.status, match.raw_status, match.decided_by) == (status, told, decided_by)


def test_without_a_status_the_score_tells() -> None:
    unplayed = {"intHomeScore": None, "intAwayScore": "", "strStatus": None}
    assert read(row(strStatus=None)).status is MatchStatus.FINISHED
    assert read(row(**unplayed)).status is MatchStatus.SCHEDULED
    timeless = {**unplayed, "strTimestamp": None, "dateEvent": "2026-01-06"}
    assert read(row(**timeless)).status is MatchStatus.TIME_TBD
    assert read(row(**timeless)).kickoff == datetime(2026, 1, 6, tzinfo=UTC)


def test_postponed_is_said_apart_and_then_nothing_was_played() -> None:
    match = read(row(strPostponed="yes", intHomeScore="0", intAwayScore="0", strStatus="NS"))
    assert (match.status, match.home_score) == (MatchStatus.POSTPONED, None)
    assert read(row(strStatus="Not Started", intHomeScore="0")).home_score is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"idEvent": None}, "idEvent"),
        ({"intHomeScore": "two"}, "intHomeScore"),
        ({"strTimestamp": "soon"}, "strTimestamp"),
        ({"strTimestamp": None}, "strTimestamp"),
        ({"strTimestamp": None, "dateEvent": "2026-01-06", "strTime": "x"}, "dateEvent"),
    ],
)
def test_a_row_that_cannot_be_read_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(RowError, match=field):
        read({**row(), **changes})


def test_details_are_the_match() -> None:
    (raw,) = SOURCE.detail_rows("event", json.dumps({"events": [row(strLeague="Women's Cup")]}))
    detail = SOURCE.detail("event", raw)
    assert detail.match is not None
    assert (detail.match_id, detail.match.women, detail.missing) == ("441425", True, ())


@needs_payloads
def test_a_recorded_season_without_any_status_is_finished() -> None:
    matches = recorded(SEASON)
    assert len(matches) == len({match.source_id for match in matches}) == 15
    assert {match.status for match in matches} == {MatchStatus.FINISHED}
    assert all(match.home_score is not None for match in matches)
    assert (matches[0].home_score, matches[0].away_score) == (0, 1)
    assert matches[0].kickoff == datetime(2014, 8, 16, 14, 0, tzinfo=UTC)


@needs_payloads
def test_the_recorded_next_match_has_no_score() -> None:
    (match,) = recorded(NEXT)
    assert (match.status, match.home_score, match.women) == (MatchStatus.SCHEDULED, None, None)
    assert (match.season, match.round, match.country) == ("2025-2026", "21", "England")


@pytest.mark.parametrize(
    ("changes", "winner"),
    [
        ({}, "away"),
        ({"intHomeScore": "1"}, "draw"),
        ({"intHomeScore": "1", "strStatus": "PEN"}, None),
        ({"intHomeScore": "2", "strStatus": "AET"}, "home"),
        ({"strStatus": "2H"}, None),
        ({"intHomeScore": None}, None),
    ],
)
def test_the_final_score_says_who_has_won(changes: dict[str, object], winner: str | None) -> None:
    assert read(row(**changes)).winner == winner
