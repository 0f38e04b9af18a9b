import pytest

from app.core.text import Sentence
from app.errors.fingerprint import LENGTH, fingerprint, normalised

TOLD = "%(source)s does not know this (HTTP %(status)s: %(detail)s)."


def of(detail: str, status: int = 404, source: str = "sandbox", code: str = "NOT_FOUND") -> str:
    values = {"source": source, "status": status, "detail": detail}
    return fingerprint(source, code, status, Sentence(TOLD, values))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("event 14025088", "event 7"),
        ("day 2025-05-05", "day 2024-11-30"),
        ("after 1,234 bytes", "after 98 bytes"),
        ("12:30:15", "9:05"),
        ("request 5f2b9c1e-77aa-4c21-9b0e-1c2d3e4f5a6b", "request 0a1b2c3d-0000-4c21-9b0e-9"),
    ],
)
def test_what_numbers_something_does_not_split_a_group(one: str, other: str) -> None:
    assert of(one) == of(other)
    assert len(of(one)) == LENGTH


def test_what_says_something_else_does() -> None:
    known = {
        of("event 1"),
        of("player 1"),
        of("event 1", status=410),
        of("event 1", source="espn"),
        of("event 1", code="GONE"),
    }
    assert len(known) == 5


def test_words_are_left_alone() -> None:
    assert normalised("Bad facade, deadbeef-like decade.") == "Bad facade, deadbeef-like decade."
    assert normalised("“a1b2c3d4e5”, 5/9, v2") == "“#”, #, v#"
