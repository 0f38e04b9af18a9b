import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import RequestError
from app.fixtures.request import days_between, parse_day


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)))
def test_a_day_reads_as_it_is_written(day: date) -> None:
    assert parse_day(day.isoformat()) == day


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024-11-051", "is not a date"),
        ("2024-11-35", "not a day of the calendar"),
        ("2023-02-29", "not a day of the calendar"),
        ("20241105", "is not a date"),
        ("05.11.2024", "is not a date"),
        ("", "is not a date"),
        ("٢٠٢٤-١١-٠٥", "is not a date"),
        ("1899-12-31", "outside what can be fetched"),
        ("9999-12-31", "outside what can be fetched"),
    ],
)
def test_what_is_not_a_day_is_a_sentence_that_names_it(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as refused:
        parse_day(text)
    assert text in str(refused.value)


@given(st.text(max_size=20))
def test_any_text_is_a_day_or_a_sentence(text: str) -> None:
    with contextlib.suppress(RequestError):
        assert parse_day(text).isoformat() == text.strip()


def test_a_range_has_both_its_ends() -> None:
    days = days_between(date(2025, 5, 5), date(2025, 6, 30))
    assert (len(days), days[0], days[-1]) == (57, date(2025, 5, 5), date(2025, 6, 30))


def test_a_backwards_or_endless_range_is_a_sentence() -> None:
    with pytest.raises(RequestError, match="before it begins"):
        days_between(date(2025, 5, 6), date(2025, 5, 5))
    with pytest.raises(RequestError, match="73414 days; at most 3700"):
        days_between(date(1900, 1, 1), date(2100, 12, 31))
