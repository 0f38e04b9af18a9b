import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import Sentence
from app.errors.classify import MESSAGES, Outcome, Wants, classify
from app.sources.api_football import ApiFootball
from app.sources.base import Answer, Code, Failure, Scope, Source
from app.sources.football_data import FootballData
from app.sources.registry import ADAPTERS, adapter
from app.sources.sandbox import Sandbox
from app.sources.sofascore import SofaScore
from app.sources.thesportsdb import TheSportsDb
from tests.payloads import needs_payloads, payload, sofascore_days

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TEN_MINUTES_ON = "Fri, 20 Nov 2026 12:10:00 GMT"  # by the clock of who answers
SOFASCORE, FOOTBALL_DATA, SANDBOX = SofaScore(), FootballData(), Sandbox()
BLOCK_PAGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def event(number: int) -> dict[str, object]:
    return {
        "id": number,
        "startTimestamp": 1_746_644_400,
        "status": {"type": "notstarted", "code": 0},
        "homeTeam": {"name": "A"},
        "awayTeam": {"name": "B"},
        "tournament": {"name": "C"},
    }


def day(count: int, *more: object) -> dict[str, object]:
    return {"events": [*(event(number) for number in range(count)), *more]}


def test_details_are_of_the_match_that_was_asked_for() -> None:
    wants = Wants.details("event", ["9"])
    outcome = said({"event": event(9)}, wants=wants, source=SOFASCORE)
    (detail,) = outcome.details
    assert (detail.match_id, detail.kind, detail.match) == ("9", "event", outcome.matches[0])
    other = said({"event": event(10)}, wants=wants, source=SOFASCORE)
    assert (other.code, other.details, other.matches) == (Code.SCHEMA_MISSING_KEY, (), ())
    assert "another match (10)" in other.message.to("en")


def test_a_part_that_is_empty_is_told_and_no_error() -> None:
    outcome = said({"statistics": []}, wants=Wants.details("statistics", ["9"]))
    (detail,) = outcome.details
    assert (outcome.code, detail.match_id, detail.missing) == (Code.OK, "9", ("statistics",))
    assert outcome.matches == ()


def test_of_a_batch_one_bad_row_is_refused_alone() -> None:
    good = {
        "fixture": {"id": 1, "timestamp": 0, "status": {"short": "NS"}},
        "teams": {"home": {}, "away": {}},
    }
    wants = Wants.details("fixture", ["1", "2", "3"])
    outcome = said({"errors": [], "response": [good, {}]}, source=ApiFootball(), wants=wants)
    assert (outcome.code, outcome.count, len(outcome.rejected)) == (Code.ROW_REJECTED, 2, 1)
    assert [detail.match_id for detail in outcome.details] == ["1"]
    empty = said({"errors": [], "response": []}, source=ApiFootball(), wants=wants)
    assert empty.code is Code.NO_DATA


def test_a_key_in_the_address_is_in_nothing_that_is_shown() -> None:
    address = "/api/v1/json/s3cret/eventsday.php"
    bodies = [f"The requested URL {address} was not found", f"<title>404 {address}</title>"]
    bodies += [f'{{"path": "{address}"}}', f'{{"path": "{address}"}}'.replace("/", "\\/")]
    for body in bodies:
        for status in (200, 302, 403, 404, 500):
            outcome = said(body, status, {"location": address}, TheSportsDb())
            shown = f"{outcome.message} {outcome.message.dump()} {outcome.evidence}"
            assert "s3cret" not in shown
            assert status == 200 or "{key}" in shown or "\ufffd" in shown


def said(
    body: object = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    source: Source = SANDBOX,
    **asked: Any,
) -> Outcome:
    """Classify an answer; `body` is bytes, a text, or what becomes JSON."""
    raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
    raw = raw.encode() if isinstance(raw, str) else raw
    asked = {"wants": Wants.day(), "last_good": None, "now": NOW, **asked}
    return classify(source, Answer(status, headers or {}, raw, 5), **asked)


def test_a_list_is_its_matches() -> None:
    outcome = said(day(3), last_good=4)
    assert (outcome.code, outcome.scope, outcome.http_status) == (Code.OK, Scope.REQUEST, 200)
    assert [match.source_id for match in outcome.matches] == ["0", "1", "2"]
    assert outcome.count == 3
    assert "body" not in outcome.evidence


def test_a_match_named_twice_is_there_once_as_it_was_said_last() -> None:
    later = {**event(0), "homeTeam": {"name": "Z"}}
    outcome = said(day(2, later))
    assert outcome.count == 3
    assert {match.source_id: match.home for match in outcome.matches} == {"0": "Z", "1": "A"}


def test_a_single_match_is_a_row() -> None:
    outcome = said(
        {"event": event(9)}, wants=Wants.details("event", ["9"]), source=SOFASCORE, last_good=50
    )
    assert (outcome.code, outcome.count, outcome.matches[0].source_id) == (Code.OK, 1, "9")


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_without_an_answer_the_failure_is_the_code(code: Code) -> None:
    outcome = classify(
        SANDBOX, Failure(code, "why", 5, 77), wants=Wants.day(), last_good=3, now=NOW
    )
    assert (outcome.code, outcome.http_status, outcome.matches) == (code, None, ())
    assert outcome.evidence == {"detail": "why", "bytes": 77}


@pytest.mark.parametrize(
    ("status", "last_good", "code"),
    [
        (304, 9, Code.OK_UNCHANGED),
        (204, None, Code.NO_DATA),
        (204, 0, Code.NO_DATA),
        (204, 9, Code.SUSPECT_EMPTY),
    ],
)
def test_an_answer_without_a_body(status: int, last_good: int | None, code: Code) -> None:
    assert said("", status, last_good=last_good).code is code


@pytest.mark.parametrize(
    ("status", "body", "code", "scope"),
    [
        (400, "no", Code.BAD_REQUEST, Scope.REQUEST),
        (401, "", Code.AUTH_INVALID, Scope.CREDENTIAL),
        (403, "", Code.BLOCKED, Scope.PROVIDER),
        (403, BLOCK_PAGE, Code.BLOCKED, Scope.PROVIDER),
        (403, '{"message": "within your permissions"}', Code.FORBIDDEN_PLAN, Scope.REQUEST),
        (403, '{"message": "invalid token"}', Code.AUTH_INVALID, Scope.CREDENTIAL),
        (404, "", Code.NOT_FOUND, Scope.REQUEST),
        (404, BLOCK_PAGE, Code.BLOCKED, Scope.PROVIDER),
        (404, "<html>no such page</html>", Code.NOT_FOUND, Scope.REQUEST),
        (405, "", Code.BAD_REQUEST, Scope.REQUEST),
        (408, "", Code.TIMEOUT_READ, Scope.REQUEST),
        (410, "", Code.GONE, Scope.REQUEST),
        (425, "", Code.SERVER_ERROR, Scope.REQUEST),
        (422, "", Code.BAD_REQUEST, Scope.REQUEST),
        (429, "", Code.RATE_LIMITED, Scope.PROVIDER),
        (429, '{"message": "daily quota reached"}', Code.QUOTA_EXHAUSTED, Scope.PROVIDER),
        (500, "", Code.SERVER_ERROR, Scope.REQUEST),
        (429, BLOCK_PAGE, Code.BLOCKED, Scope.PROVIDER),
        (499, "Time Out", Code.SERVER_ERROR, Scope.REQUEST),
        (503, BLOCK_PAGE, Code.BLOCKED, Scope.PROVIDER),
        (503, "Please solve this captcha", Code.BLOCKED, Scope.PROVIDER),
        (503, "<html>Access denied</html>", Code.SERVER_ERROR, Scope.REQUEST),
        (503, '{"message": "just a moment"}', Code.SERVER_ERROR, Scope.REQUEST),
        (599, "", Code.SERVER_ERROR, Scope.REQUEST),
    ],
)
def test_a_status_has_its_code_and_scope(status: int, body: str, code: Code, scope: Scope) -> None:
    outcome = said(body, status, last_good=100)
    assert (outcome.code, outcome.scope, outcome.http_status) == (code, scope, status)
    assert outcome.matches == ()


def test_a_second_404_is_gone() -> None:
    assert said("", 404, not_found_before=True).code is Code.GONE
    error = {"error": {"code": 404}}
    assert said(error, 200, source=SOFASCORE, not_found_before=True).code is Code.GONE
    assert said("", 500, not_found_before=True).code is Code.SERVER_ERROR


def test_a_redirect_elsewhere_names_the_place_without_its_query() -> None:
    headers = {"location": "https://user:secret@login.example/x?token=secret"}
    outcome = said("", 302, headers)
    assert outcome.code is Code.SERVER_ERROR
    assert "login.example" in str(outcome.message)
    assert "secret" not in str(outcome.message)


@pytest.mark.parametrize("body", [BLOCK_PAGE, "Please solve this captcha", "Access denied"])
def test_a_page_where_json_is_due_is_a_block(body: str) -> None:
    outcome = said(body, 200, {"content-type": "text/html"}, last_good=100)
    assert (outcome.code, outcome.scope) == (Code.BLOCKED, Scope.PROVIDER)
    assert outcome.evidence["body"] == body[:200]


def test_a_gatekeeper_that_names_itself_is_a_block_whatever_the_status() -> None:
    outcome = said("", 202, {"x-amzn-waf-action": "challenge"})
    assert outcome.code is Code.BLOCKED
    assert said("", 503, {"cf-mitigated": "challenge"}).code is Code.BLOCKED


def test_json_under_the_content_type_of_a_page_is_json() -> None:
    assert said(day(2), headers={"content-type": "text/html"}).code is Code.OK


@pytest.mark.parametrize(
    ("body", "words"),
    [("", "empty"), ("  \n", "empty"), ('{"events": [1', "line 1"), ("ok", "line")],
)
def test_no_json_is_invalid_json(body: str, words: str) -> None:
    outcome = said(body)
    assert outcome.code is Code.INVALID_JSON
    assert words in str(outcome.message)


@pytest.mark.parametrize(
    ("body", "wants", "named"),
    [
        ("{}", Wants.day(), "events"),
        ('{"events": null}', Wants.day(), "events"),
        ("[]", Wants.day(), "list"),
        ("{}", Wants.details("event", ["1"]), "event"),
    ],
)
def test_json_of_another_shape_names_the_key(body: str, wants: Wants, named: str) -> None:
    outcome = said(body, wants=wants, last_good=10)
    assert outcome.code is Code.SCHEMA_MISSING_KEY
    assert named in str(outcome.message)


@pytest.mark.parametrize(
    ("count", "last_good", "code"),
    [
        (0, None, Code.NO_DATA),
        (0, 0, Code.NO_DATA),
        (0, 1, Code.SUSPECT_EMPTY),
        (49, 100, Code.SUSPECT_EMPTY),
        (50, 100, Code.OK),
        (1, 2, Code.OK),
        (1, None, Code.OK),
        (200, 100, Code.OK),
    ],
)
def test_less_than_half_of_the_last_good_list_is_suspect(
    count: int, last_good: int | None, code: Code
) -> None:
    outcome = said(day(count), last_good=last_good)
    assert (outcome.code, outcome.count) == (code, count)
    assert len(outcome.matches) == (count if code is Code.OK else 0)


@pytest.mark.parametrize(
    ("good", "bad", "code"),
    [
        (5, 95, Code.SCHEMA_MISSING_KEY),
        (49, 1, Code.SCHEMA_MISSING_KEY),
        (50, 50, Code.ROW_REJECTED),
        (0, 100, Code.SCHEMA_MISSING_KEY),
    ],
)
def test_rows_that_cannot_be_read_do_not_count_as_matches(good: int, bad: int, code: Code) -> None:
    outcome = said(day(good, *({"id": n} for n in range(bad))), last_good=100)
    assert (outcome.code, outcome.count, len(outcome.rejected)) == (code, good + bad, bad)
    assert len(outcome.matches) == (good if code is Code.ROW_REJECTED else 0)


def test_the_same_match_again_and_again_is_one_match() -> None:
    outcome = said({"events": [event(1)] * 100}, last_good=100)
    assert (outcome.code, outcome.matches) == (Code.SUSPECT_EMPTY, ())
    assert "only 1 of the 100 matches" in str(outcome.message)
    mixed = said({"events": [event(1)] * 60 + [{}] * 40}, last_good=100)
    assert (mixed.code, len(mixed.rejected)) == (Code.SUSPECT_EMPTY, 40)
    assert said({"events": [event(1)] * 100}).code is Code.OK


@pytest.mark.parametrize(
    ("last_good", "code"),
    [
        (None, Code.NO_DATA),
        (0, Code.NO_DATA),
        (1, Code.NO_DATA),
        (2, Code.SUSPECT_EMPTY),
        (50, Code.SUSPECT_EMPTY),
    ],
)
def test_where_a_single_row_means_none_it_is_none(last_good: int | None, code: Code) -> None:
    outcome = said(day(1), source=SOFASCORE, last_good=last_good)
    assert (outcome.code, outcome.count, outcome.matches) == (code, 1, ())


def test_a_bad_row_is_refused_alone() -> None:
    bad = {"id": 5, "homeTeam": "x" * 900}
    outcome = said(day(2, bad))
    assert (outcome.code, outcome.count, len(outcome.matches)) == (Code.ROW_REJECTED, 3, 2)
    (rejected,) = outcome.rejected
    assert "Timestamp" in rejected.reason or "homeTeam" in rejected.reason
    assert rejected.excerpt.startswith('{"id": 5')
    assert len(rejected.excerpt) == 500
    assert str(outcome.message).startswith("1 of 3 rows")


def test_when_no_row_can_be_read_the_provider_has_changed() -> None:
    outcome = said({"events": [{"id": 1}, {"id": 2}]})
    assert (outcome.code, outcome.count) == (Code.SCHEMA_MISSING_KEY, 2)
    assert len(outcome.rejected) == 2


def test_a_refusal_in_a_200_is_read_as_its_code_and_not_as_a_missing_key() -> None:
    outcome = said({"error": {"code": 403, "reason": "challenge"}}, 200, source=SOFASCORE)
    assert (outcome.code, outcome.scope) == (Code.BLOCKED, Scope.PROVIDER)
    assert str(outcome.message) == (
        "SofaScore refused the request (HTTP 200: challenge). "
        "It is paused; nothing stored was touched."
    )


@pytest.mark.parametrize(
    ("headers", "message", "wait_s"),
    [
        ({"retry-after": "30", "x-requestcounter-reset": "20"}, "Wait 48 seconds.", 30),
        ({"x-requestcounter-reset": "20"}, "Wait 48 seconds.", 48),
        ({"x-requestcounter-reset": "20"}, "Slow down.", 20),
        ({}, "Slow down.", 60),
        ({"retry-after": "0"}, "Slow down.", 5),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:40 GMT"}, "", 40),
        ({"retry-after": "Fri, 20 Nov 2026 12:10:40 GMT", "date": TEN_MINUTES_ON}, "", 40),
        ({"retry-after": "999999999999"}, "", 3600),
        ({"retry-after": "soon"}, "", 60),
    ],
)
def test_a_rate_limit_waits_as_header_body_counter_or_window_say(
    headers: dict[str, str], message: str, wait_s: float
) -> None:
    body = {"message": message, "errorCode": 429}
    outcome = said(body, 429, headers, source=FOOTBALL_DATA)
    assert (outcome.code, outcome.wait_s) == (Code.RATE_LIMITED, wait_s)
    assert f" {wait_s:g} s" in str(outcome.message)


def test_other_codes_wait_only_when_they_are_told_to() -> None:
    assert said("", 503).wait_s is None
    assert said("", 503, {"retry-after": "7200"}).wait_s == 3600
    assert said("", 503, {"retry-after": "0"}).wait_s == 0
    assert said("", 403).wait_s is None
    assert said("", 403, {"retry-after": "0"}).wait_s == 5
    assert said("", 404, {"retry-after": "9"}).wait_s is None
    daily = said("daily limit", 429, {"x-requestcounter-reset": "20"}, source=FOOTBALL_DATA)
    assert (daily.code, daily.wait_s) == (Code.QUOTA_EXHAUSTED, None)
    told = said("daily limit", 429, {"retry-after": "30000"})
    assert told.wait_s == 30000


def test_the_evidence_is_the_beginning_of_the_body_and_how_it_was_read() -> None:
    body = ("Fenerbahçe\x00" + "x" * 500).encode("cp1252")
    outcome = said(body, 200, {"content-type": "text/plain"})
    assert outcome.evidence == {
        "body": "Fenerbahçe\ufffd" + "x" * 189,
        "encoding": "cp1252",
        "content_type": "text/plain",
        "bytes": 511,
    }


def test_every_sentence_can_be_stored_and_said_in_both_languages() -> None:
    cases = [said(body, status, source=source) for body, status, source in samples()]
    for outcome in cases:
        sentence = Sentence.load(outcome.message.dump())
        assert str(sentence) == str(outcome.message)
        assert "%(" not in str(sentence)
        assert sentence.to("en")
        assert sentence.to("tr")
        assert outcome.message.values["source"]
        json.dumps(outcome.evidence)


def samples() -> list[tuple[object, int, Source]]:
    bodies: list[object] = [
        "",
        BLOCK_PAGE,
        day(0),
        day(1),
        day(2, {}),
        {"events": [{}]},
        "50 % off",
    ]
    statuses = (200, 204, 302, 304, 400, 401, 403, 404, 418, 429, 500)
    sources: tuple[Source, ...] = (SOFASCORE, FOOTBALL_DATA)
    return [(b, status, source) for b in bodies for status in statuses for source in sources]


BEGINNINGS = [
    *(b'{"events":[', b'{"error":{"code":', b'{"matches":', b"[{}]", b"null", b"[1]"),
    *(b'{"events":null}', b'{"events":[{}]}', b'{"event":{}}', b'{"header":1}', b'{"id":{}}'),
    *(b'{"errors":[],"response":[1]}', b'{"errors":{"token":1}}', b'{"matchID":1}'),
    *(b'{"statistics":{}}', b'{"incidents":[{}]}', b'{"home":1,"away":{}}'),
]


def everything() -> list[tuple[Source, Wants]]:
    """Each source with all that can be asked of it."""
    sources = [adapter(name) for name in ADAPTERS]
    days = [(source, Wants.day(date(2026, 11, 20))) for source in sources]
    kinds = [(source, kind) for source in sources for kind in source.detail_kinds]
    return days + [(source, Wants.details(kind, ["1"])) for source, kind in kinds]


@given(
    st.binary(max_size=80) | st.sampled_from(BEGINNINGS),
    st.integers(200, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "content-type", "location", "x-requestcounter-reset"]),
        st.text(max_size=20),
    ),
    st.none() | st.integers(0, 100),
)
def test_every_answer_is_classified(
    body: bytes, status: int, headers: dict[str, str], last_good: int | None
) -> None:
    for source, wants in everything():
        outcome = said(body, status, headers, source, wants=wants, last_good=last_good)
        assert str(outcome.message)
        assert outcome.wait_s is None or 0 <= outcome.wait_s <= 86_400
        json.dumps(outcome.evidence)


@needs_payloads
def test_the_attested_refusals_of_our_sources_get_their_codes() -> None:
    attested = json.loads(payload("errors/attested.json"))
    sources: dict[str, Source] = {
        "sofascore": SOFASCORE,
        "football-data.org": FOOTBALL_DATA,
        "api-football": ApiFootball(),
        "thesportsdb": TheSportsDb(),
    }
    codes = []
    for entry in attested:
        source = sources[entry["provider"].split()[0]]
        body = "" if entry["body"] is None else entry["body"]
        headers = {name.lower(): text for name, text in entry.get("headers", {}).items()}
        codes.append(said(body, entry["http"], headers, source).code)
    assert codes == [
        Code.BLOCKED,
        Code.BLOCKED,
        Code.RATE_LIMITED,
        Code.FORBIDDEN_PLAN,
        Code.BAD_REQUEST,
        Code.NO_DATA,
        Code.NO_DATA,
        Code.RATE_LIMITED,
        Code.QUOTA_EXHAUSTED,
        Code.BAD_REQUEST,
        Code.RATE_LIMITED,
        Code.NO_DATA,
    ]


@needs_payloads
def test_the_block_that_once_replaced_good_data_is_a_block_even_as_a_200() -> None:
    body = payload("sofascore/error-403-challenge__akkradet.json")
    for status in (200, 403):
        assert said(body, status, source=SOFASCORE, last_good=87).code is Code.BLOCKED


@needs_payloads
def test_all_recorded_days_are_good_to_the_last_row() -> None:
    outcomes = [said(payload(name), source=SOFASCORE) for name in sofascore_days()]
    assert {outcome.code for outcome in outcomes} == {Code.OK}
    assert sum(outcome.count for outcome in outcomes) == sum(len(o.matches) for o in outcomes)
    assert not any(outcome.rejected for outcome in outcomes)
