import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.base import Code
from app.sources.breaker import (
    FAILURES,
    GOOD,
    LONGEST_S,
    MOST_FAILURES,
    SHORTEST_S,
    State,
    open_for_s,
    state_of,
)

COUNTS = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("failures", "opens", "paused", "seconds"),
    [
        (1, 0, False, None),
        (9, 0, False, None),
        (10, 0, False, 60),
        (11, 0, False, 60),
        (11, 1, True, None),  # was on the wire when it opened
        (12, 1, False, 120),  # the probe
        (13, 2, False, 240),
        (17, 6, False, 3600),
        (500, 400, False, 3600),
        (10, 0, True, None),  # paused for another reason
    ],
)
def test_when_and_for_how_long_it_opens(
    failures: int, opens: int, paused: bool, seconds: float | None
) -> None:
    assert open_for_s(failures, opens, paused=paused) == seconds


@given(COUNTS, COUNTS)
def test_a_paused_source_is_never_opened_again(failures: int, opens: int) -> None:
    assert open_for_s(failures, opens, paused=True) is None


@given(COUNTS, COUNTS)
def test_it_opens_for_a_minute_to_an_hour_and_never_shorter_than_before(
    failures: int, opens: int
) -> None:
    seconds = open_for_s(failures, opens, paused=False)
    if seconds is None:
        assert (opens, failures < MOST_FAILURES) == (0, True)
    else:
        assert SHORTEST_S <= seconds <= LONGEST_S
        assert (open_for_s(failures, opens + 1, paused=False) or 0) >= seconds


def test_the_states() -> None:
    assert state_of(0, paused=True) is State.CLOSED
    assert state_of(1, paused=True) is State.OPEN
    assert state_of(1, paused=False) is State.HALF_OPEN


def test_only_trouble_of_the_server_counts_and_a_refusal_says_nothing_of_it() -> None:
    assert not FAILURES & GOOD
    silent = {Code.BLOCKED, Code.RATE_LIMITED, Code.INTERNAL, Code.INVALID_JSON, Code.TLS}
    assert not silent & (FAILURES | GOOD)
