from collections import Counter
from datetime import date
from types import SimpleNamespace

import pytest

from app.fixtures.calendar import LEVELS, State, cells, state_of


def row(matches: int, code: str = "OK", *, stored: bool = True) -> SimpleNamespace:
    return SimpleNamespace(id=7, matches=matches, code=code, stored=stored)


@pytest.mark.parametrize(
    ("code", "in_hand", "state"),
    [
        (None, False, State.NEVER),
        (None, True, State.RUNNING),
        ("OK", False, State.STORED),
        ("OK_UNCHANGED", False, State.STORED),
        ("ROW_REJECTED", False, State.STORED),  # the other rows are stored
        ("NO_DATA", False, State.NO_DATA),
        ("SERVER_ERROR", False, State.ERROR),
        ("SUSPECT_EMPTY", False, State.ERROR),
        ("OK", True, State.RUNNING),
    ],
)
def test_what_the_last_look_means(code: str | None, in_hand: bool, state: State) -> None:
    assert state_of(code, in_hand=in_hand) is state


def test_a_year_has_all_its_days_and_a_leap_year_one_more() -> None:
    assert [len(cells(year, {}, set())) for year in (2023, 2024, 1900, 2000)] == [
        365,
        366,
        365,
        366,
    ]
    days = cells(2024, {}, {date(2024, 2, 29)})
    assert Counter(cell.state for cell in days) == {State.NEVER: 365, State.RUNNING: 1}
    assert (days[0].day, days[-1].day) == (date(2024, 1, 1), date(2024, 12, 31))


def test_the_fullest_day_is_the_warmest_and_one_match_is_seen() -> None:
    known = {
        date(2025, 1, 1): row(200),
        date(2025, 1, 2): row(1),
        date(2025, 1, 3): row(0),
        date(2025, 1, 4): row(150, "SERVER_ERROR"),
        date(2025, 1, 5): row(0, "DNS", stored=False),
    }
    found = cells(2025, known, set())[:5]
    assert [cell.level for cell in found] == [LEVELS, 1, 0, 0, 0]
    assert [cell.day_id for cell in found] == [7, 7, 7, 7, None]  # nothing to open on the last
