import contextlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources import decoding
from app.sources.base import Code, RowError, ShapeError
from app.sources.sofascore import _Named

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding_and_is_taken_off(encoding: str) -> None:
    text, said = decoding.to_text('{"a": "Qəbələ"}'.encode(encoding), "text/plain; charset=cp1252")
    assert (text, said) == ('{"a": "Qəbələ"}', encoding)


def test_the_declared_charset_counts_before_utf_8() -> None:
    body = "Beşiktaş".encode("iso-8859-9")
    assert decoding.to_text(body, 'application/json; charset="ISO-8859-9"') == (
        "Beşiktaş",
        "iso-8859-9",
    )


def test_without_a_mark_and_a_charset_it_is_utf_8_or_else_cp1252() -> None:
    assert decoding.to_text("Fenerbahçe".encode()) == ("Fenerbahçe", "utf-8")
    assert decoding.to_text("Fenerbahçe".encode("cp1252")) == ("Fenerbahçe", "cp1252")


@pytest.mark.parametrize("charset", ["klingon", "hex", "unicode_escape", "utf-7777", "cp0"])
def test_a_charset_that_is_none_is_not_believed(charset: str) -> None:
    assert decoding.to_text(b"{}", f"application/json; charset={charset}") == ("{}", "utf-8")


@given(st.binary(max_size=200), st.text(max_size=40))
def test_every_body_gives_a_text(body: bytes, content_type: str) -> None:
    text, encoding = decoding.to_text(body, content_type)
    assert isinstance(text, str)
    assert encoding


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=4))
def test_members_are_those_of_the_object(document: dict[str, int]) -> None:
    found = decoding.members(json.dumps(document))
    assert {key: json.loads(bytes(raw)) for key, raw in found.items()} == document


@given(st.text(max_size=60))
def test_a_text_is_members_or_one_of_two_errors(text: str) -> None:
    with contextlib.suppress(ValueError, ShapeError):
        decoding.members(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"events": [{"a": NaN}, {"a": 1}], "x": -Infinity}',
        '{"events": [{"a": "one\x01"}, {}]}',
        '{"events": [{"a": "\\ud83d"}, {}]}',
    ],
)
def test_what_providers_send_although_it_is_no_json_survives(text: str) -> None:
    assert len(decoding.rows(text, "events")) == 2


@pytest.mark.parametrize("text", ["", "{", '{"events": [1', "[" * 100_000, '{"a":' * 100_000])
def test_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each parser has its own words
        decoding.rows(text, "events")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "list"),
        ('"x"', "str"),
        ("{}", "events"),
        ('{"events": null}', "events"),
        ('{"events": {}}', "events"),
    ],
)
def test_json_of_another_shape_is_a_shape_error_that_names_the_key(text: str, named: str) -> None:
    with pytest.raises(ShapeError, match=named):
        decoding.rows(text, "events")


def test_a_row_that_no_database_would_keep_is_refused() -> None:
    (row,) = decoding.rows('{"events": [{"name": "a\\u0000b"}]}', "events")
    with pytest.raises(RowError, match="zero"):
        decoding.read_row(row, _Named)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 12:01:30 GMT", 90),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 20 Nov 2026 12:00:10 -0000", 10),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert decoding.parse_retry_after(value, NOW) == seconds


@given(st.integers(0, 10**7))
def test_a_retry_after_date_comes_back_as_its_distance(seconds: int) -> None:
    value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert decoding.parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_gives_seconds_or_nothing(value: str) -> None:
    told = decoding.parse_retry_after(value, NOW)
    assert told is None or told >= 0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("You reached your request limit. Wait 48 seconds.", 48),
        ("please wait for 2 minutes", 120),
        ("Waiting 3 s", None),
        ("nothing of it", None),
    ],
)
def test_a_sentence_may_say_how_long_to_wait(words: str, seconds: float | None) -> None:
    assert decoding.wait_in(words) == seconds


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("<!DOCTYPE html><title>x</title>", True),
        ('\n<?xml version="1.0"?><html lang="en">', True),
        ("Please solve this captcha", True),
        ('{"text": "<html>captcha"}', False),
        ("<matches/>", False),
        ("", False),
    ],
)
def test_a_page_is_told_from_data(text: str, page: bool) -> None:
    assert decoding.is_page(text) is page


@pytest.mark.parametrize(
    ("status", "words", "code"),
    [
        (302, "", Code.SERVER_ERROR),
        (400, "Specified period must not exceed 10 days.", Code.BAD_REQUEST),
        (400, "Your API token is invalid.", Code.AUTH_INVALID),
        (400, "Unexpected token < in JSON", Code.BAD_REQUEST),
        (401, "", Code.AUTH_INVALID),
        (403, "Your API token is not valid for v2.", Code.AUTH_INVALID),
        (403, "apparently not within your permissions", Code.FORBIDDEN_PLAN),
        (403, "<html>access to this api key page is restricted", Code.BLOCKED),
        (403, "Forbidden", Code.BLOCKED),
        (404, "", Code.NOT_FOUND),
        (418, "", Code.BAD_REQUEST),
        (422, "", Code.BAD_REQUEST),
        (429, "below 100 requests per 1 minute", Code.RATE_LIMITED),
        (429, "You have reached the request limit for the day", Code.QUOTA_EXHAUSTED),
        (500, "", Code.SERVER_ERROR),
        (527, "", Code.SERVER_ERROR),
    ],
)
def test_the_usual_meaning_of_a_status(status: int, words: str, code: Code) -> None:
    assert decoding.usual_code(status, words) is code
