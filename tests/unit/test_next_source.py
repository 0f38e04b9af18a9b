from datetime import UTC, datetime, timedelta

import pytest

from app.core.text import Sentence
from app.errors.policy import IN_JOB_S
from app.jobs.failover import Gate, later, next_source, open_after, why_closed
from app.sources.base import Code
from app.sources.pace import SLOWEST
from app.sources.pause import UNTIL_RESUMED

ORDER = ["a", "b", "c"]
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
SOON, LATE = NOW + timedelta(seconds=60), NOW + timedelta(seconds=IN_JOB_S + 1)
WHY = Sentence("why")


@pytest.mark.parametrize(
    ("order", "source", "left"),
    [
        (ORDER, "a", ["b", "c"]),
        (ORDER, "b", ["c"]),
        (ORDER, "c", []),
        (ORDER, "x", []),
        (ORDER, None, []),
        ((), "a", []),
    ],
)
def test_what_is_left_of_the_order(order: list[str], source: str | None, left: list[str]) -> None:
    assert later(order, source) == left


@pytest.mark.parametrize(
    ("source", "closed", "after_failure", "instead_of_waiting"),
    [
        ("a", set(), "b", "b"),
        ("a", {"a"}, "b", "b"),
        ("a", {"b"}, "c", "c"),
        ("a", {"b", "c"}, "b", None),
        ("b", {"a"}, "c", "c"),
        ("c", set(), None, None),
        ("x", set(), None, None),
    ],
)
def test_who_is_next(
    source: str, closed: set[str], after_failure: str | None, instead_of_waiting: str | None
) -> None:
    assert next_source(ORDER, source, closed) == after_failure
    assert open_after(ORDER, source, closed) == instead_of_waiting


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        (Gate("a"), None),
        (Gate("a", paused_until=NOW, code=Code.BLOCKED), None),
        (Gate("a", paused_until=SOON, code=Code.BLOCKED), Code.BLOCKED),
        (Gate("a", paused_until=SOON, code=Code.BREAKER_OPEN), Code.BREAKER_OPEN),
        (Gate("a", paused_until=UNTIL_RESUMED, code="PAUSED"), "PAUSED"),
        (Gate("a", paused_until=LATE, code=Code.QUOTA_EXHAUSTED), Code.QUOTA_EXHAUSTED),
        (Gate("a", paused_until=SOON, code=Code.RATE_LIMITED), None),
        (Gate("a", paused_until=LATE, code=Code.RATE_LIMITED), Code.RATE_LIMITED),
        (Gate("a", SOON, None, Code.RATE_LIMITED, factor=SLOWEST), Code.RATE_LIMITED),
        (Gate("a", SOON, None, Code.RATE_LIMITED, factor=SLOWEST * 2), None),
        (Gate("a", free_at=SOON), None),
        (Gate("a", paused_until=SOON, code=Code.SERVER_ERROR), None),
        (Gate("a", paused_until=LATE, code=Code.SERVER_ERROR), Code.SERVER_ERROR),
        (Gate("a", free_at=LATE), Code.RATE_LIMITED),
        (Gate("a", paused_until=NOW, free_at=LATE, code=Code.BLOCKED), Code.RATE_LIMITED),
        (Gate("a", paused_until=SOON, free_at=LATE, code="PAUSED"), "PAUSED"),
    ],
)
def test_what_is_not_worth_waiting_for(gate: Gate, code: str | None) -> None:
    why = why_closed(gate, NOW)
    assert (why and why.code) == code


def test_it_says_why() -> None:
    paused = why_closed(Gate("a", SOON, None, "PAUSED", message=WHY), NOW)
    assert paused is not None
    assert paused.message is WHY
    used_up = why_closed(Gate("a", free_at=LATE), NOW)
    assert used_up is not None
    assert str(used_up.message).startswith("Its limit is used up until ")
    assert used_up.message.values == {"until": LATE}
