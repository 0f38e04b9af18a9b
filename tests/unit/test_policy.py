import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import Sentence
from app.errors.classify import Outcome
from app.errors.policy import POLICIES, Failures, Plan, plan
from app.sources.base import Code, Scope

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR, DAY = 3600, 86_400
TRANSIENT = [
    Code.SERVER_ERROR,
    Code.TIMEOUT_CONNECT,
    Code.TIMEOUT_READ,
    Code.CONN_RESET,
    Code.DNS,
    Code.TRUNCATED,
    Code.INVALID_JSON,
    Code.INTERNAL,
]


def planned(
    code: Code,
    attempts: int = 1,
    *,
    wait_s: float | None = None,
    pauses_before: int = 0,
    now: datetime = NOON,
    chance: float = 1.0,
) -> Plan:
    outcome = Outcome(code, Sentence("x"), Scope.REQUEST, None, wait_s)
    return plan(outcome, attempts, pauses_before=pauses_before, now=now, random=lambda: chance)


def test_every_code_has_a_policy() -> None:
    assert set(POLICIES) == set(Code)


@pytest.mark.parametrize(
    "code", [Code.OK, Code.OK_UNCHANGED, Code.NO_DATA, Code.CANCELLED, Code.PAUSED]
)
def test_what_is_no_error(code: Code) -> None:
    assert not POLICIES[code].is_error
    assert not planned(code).burns_attempt


@pytest.mark.parametrize(
    "code",
    [
        Code.FORBIDDEN_PLAN,
        Code.BAD_REQUEST,
        Code.TLS,
        Code.TOO_LARGE,
        Code.ROW_REJECTED,
        Code.GONE,
        Code.AUTH_INVALID,
    ],
)
def test_what_is_permanent_is_not_asked_again_by_itself(code: Code) -> None:
    decided = planned(code)
    assert (decided.again_s, decided.in_job, decided.burns_attempt) == (None, False, True)
    assert POLICIES[code].is_error


def test_a_bad_key_pauses_the_source_until_somebody_resumes_it() -> None:
    assert planned(Code.AUTH_INVALID).pause_source_s == math.inf


def test_a_block_pauses_six_hours_then_a_day_and_the_item_comes_back_as_the_probe() -> None:
    first = planned(Code.BLOCKED, wait_s=5)
    assert (first.pause_source_s, first.again_s, first.in_job) == (6 * HOUR, 6 * HOUR, False)
    second = planned(Code.BLOCKED, pauses_before=1)
    assert (second.pause_source_s, second.again_s) == (DAY, DAY)
    assert planned(Code.BLOCKED, pauses_before=9).pause_source_s == DAY
    assert planned(Code.BLOCKED, 3, pauses_before=2).again_s is None


@pytest.mark.parametrize(("told", "waits"), [(48, 48), (1, 5), (9999, 3600), (None, 60)])
def test_a_rate_limit_burns_nothing_pauses_the_source_and_stays_in_the_job(
    told: float | None, waits: float
) -> None:
    decided = planned(Code.RATE_LIMITED, 99, wait_s=told, chance=0.0)
    assert decided == Plan(waits, in_job=True, burns_attempt=False, pause_source_s=waits)
    spread = planned(Code.RATE_LIMITED, wait_s=told, chance=1.0).again_s
    assert spread == pytest.approx(waits * 1.1)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (NOON, 12 * HOUR + 300),
        (datetime(2026, 11, 20, 0, 4, tzinfo=UTC), 60),
        (datetime(2026, 11, 20, 0, 5, tzinfo=UTC), DAY),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 360),
    ],
)
def test_a_quota_is_whole_again_at_five_past_midnight_utc(now: datetime, seconds: float) -> None:
    decided = planned(Code.QUOTA_EXHAUSTED, now=now, chance=0.0)
    assert decided == Plan(seconds, in_job=True, burns_attempt=False, pause_source_s=seconds)


def test_a_quota_is_whole_again_when_the_provider_says() -> None:
    assert planned(Code.QUOTA_EXHAUSTED, wait_s=1200).pause_source_s == 1200


def test_a_paused_item_waits_in_its_job_and_pauses_nothing() -> None:
    assert planned(Code.PAUSED, 50, wait_s=300) == Plan(
        300, in_job=True, burns_attempt=False, pause_source_s=None
    )


@pytest.mark.parametrize(
    ("code", "retries"),
    [
        (Code.SERVER_ERROR, 5),
        (Code.TIMEOUT_CONNECT, 4),
        (Code.TIMEOUT_READ, 4),
        (Code.CONN_RESET, 4),
        (Code.DNS, 4),
        (Code.TRUNCATED, 3),
        (Code.INTERNAL, 3),
    ],
)
def test_a_network_error_is_tried_again_within_the_job(code: Code, retries: int) -> None:
    for attempts in range(1, retries + 1):
        at_least, at_most = planned(code, attempts, chance=0), planned(code, attempts, chance=1)
        assert at_least.again_s == 2
        assert at_most.again_s is not None
        assert 2 < at_most.again_s <= 120
        assert at_most.in_job
    assert not planned(code, retries + 1).in_job


@pytest.mark.parametrize("code", TRANSIENT)
def test_after_the_attempts_it_goes_on_slowly_outside_the_job(code: Code) -> None:
    last = POLICIES[code].max_attempts
    tail = [planned(code, last + n) for n in range(5)]
    assert [step.again_s for step in tail] == [HOUR, 6 * HOUR, DAY, DAY, DAY]
    assert not any(step.in_job for step in tail)


def test_a_server_that_says_how_long_is_not_asked_earlier() -> None:
    assert planned(Code.SERVER_ERROR, wait_s=100, chance=0.0) == Plan(100, True, True, None)
    assert planned(Code.SERVER_ERROR, wait_s=900, chance=0.0) == Plan(900, False, True, None)
    assert planned(Code.SERVER_ERROR, wait_s=0, chance=0.0).again_s == 2


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (Code.INVALID_JSON, [30, 300]),
        (Code.SCHEMA_MISSING_KEY, [600, None]),
        (Code.SUSPECT_EMPTY, [900, HOUR, 6 * HOUR, None]),
        (Code.NOT_FOUND, [DAY, None]),
    ],
)
def test_waits_of_their_own(code: Code, waits: list[float | None]) -> None:
    decided = [planned(code, attempts) for attempts in range(1, len(waits) + 1)]
    assert [step.again_s for step in decided] == waits
    assert [step.in_job for step in decided] == [w is not None and w <= 120 for w in waits]


@given(
    st.sampled_from(list(Code)),
    st.integers(0, 50),
    st.none() | st.floats(0, 86_400),
    st.integers(0, 9),
    st.floats(0, 1),
)
def test_a_plan_is_always_possible(
    code: Code, attempts: int, wait_s: float | None, pauses_before: int, chance: float
) -> None:
    decided = planned(code, attempts, wait_s=wait_s, pauses_before=pauses_before, chance=chance)
    if decided.in_job:
        assert decided.again_s is not None
        assert decided.again_s <= 120 or not decided.burns_attempt
    if decided.again_s is not None:
        assert decided.again_s >= 2
        assert decided.pause_source_s is None or decided.pause_source_s <= decided.again_s


def test_each_code_is_counted_by_itself_but_passing_trouble_is_one() -> None:
    assert Failures().now(Code.TIMEOUT_READ) == 1
    assert Failures("TIMEOUT_READ", 3).now(Code.TIMEOUT_READ) == 4
    assert Failures("TIMEOUT_READ", 3).now(Code.SERVER_ERROR) == 4
    assert Failures("TIMEOUT_READ", 3).now(Code.BLOCKED) == 1
    assert Failures("BLOCKED", 2).now(Code.TIMEOUT_READ) == 1
    assert Failures("of another program", 2).now("of another program") == 3
