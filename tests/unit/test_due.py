from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.schedules.fire import due_to_fire, last_due

ISTANBUL, BERLIN = "Europe/Istanbul", "Europe/Berlin"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def test_a_crontab_speaks_local_time() -> None:
    assert last_due("0 6 * * *", ISTANBUL, utc(2025, 6, 1, 12)) == utc(2025, 6, 1, 3)


def test_the_minute_itself_is_due() -> None:
    assert last_due("*/5 * * * *", ISTANBUL, utc(2025, 6, 1, 12, 5)) == utc(2025, 6, 1, 12, 5)
    just_before = utc(2025, 6, 1, 12, 4, 59)
    assert last_due("*/5 * * * *", ISTANBUL, just_before) == utc(2025, 6, 1, 12, 0)


def test_a_schedule_that_never_fired_does_not_catch_up_but_takes_a_fresh_time() -> None:
    at = utc(2025, 6, 1, 12, 0, 30)
    assert due_to_fire("0 * * * *", ISTANBUL, at, None) == utc(2025, 6, 1, 12)
    assert due_to_fire("0 * * * *", ISTANBUL, at + timedelta(minutes=10), None) is None


def test_after_a_night_off_the_latest_missed_time_fires_and_only_that() -> None:
    fired = utc(2025, 6, 1, 20)
    at = utc(2025, 6, 2, 7, 30)
    due = due_to_fire("0 * * * *", ISTANBUL, at, fired)
    assert due == utc(2025, 6, 2, 7)
    assert due_to_fire("0 * * * *", ISTANBUL, at, due) is None


def test_a_local_time_that_exists_twice_fires_once() -> None:
    # 26 October 2025: 02:30 happens at 00:30 and 01:30 UTC.
    minutes = [utc(2025, 10, 25, 23) + timedelta(minutes=n) for n in range(240)]
    assert len({last_due("30 2 * * *", BERLIN, at) for at in minutes}) == 2  # the 25th's and one


def test_a_local_time_that_does_not_exist_fires_at_the_next_valid_minute() -> None:
    # 30 March 2025: the clock jumps from 02:00 to 03:00.
    due = last_due("30 2 * * *", BERLIN, utc(2025, 3, 30, 12))
    assert due >= utc(2025, 3, 30, 1)


@given(
    st.integers(0, 6 * 366 * 24 * 60).map(
        lambda minutes: utc(2024, 1, 1) + timedelta(minutes=minutes)
    ),
    st.sampled_from(["*/5 * * * *", "0 * * * *", "0 6 * * *", "30 2 * * *", "15 3 * * 1"]),
    st.sampled_from([ISTANBUL, BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_the_last_due_time_is_never_in_the_future_and_is_its_own_last(
    at: datetime, crontab: str, zone: str
) -> None:
    due = last_due(crontab, zone, at)
    assert due <= at
    assert last_due(crontab, zone, due) == due


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", ISTANBUL])
def test_every_day_of_a_year_fires_exactly_once(zone: str) -> None:
    """Looking every half hour as the steward would, over both changes of the clock."""
    at, last = utc(2025, 1, 1), utc(2025, 1, 1)
    fires: list[datetime] = []
    while at < utc(2026, 1, 1):
        if due := due_to_fire("30 2 * * *", zone, at, last):
            fires.append(due)
            last = due
        at += timedelta(minutes=30)
    assert 364 <= len(fires) <= 366
    gaps = {later - earlier for earlier, later in pairwise(fires)}
    assert max(gaps) <= timedelta(hours=25)
    assert min(gaps) >= timedelta(hours=22, minutes=30)
