import threading
from collections.abc import Iterator

import pytest
from stage import wait_until

from app.jobs.turns import Turn, Turns


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def first(turns: Turns) -> Iterator[Turn]:
    turn = turns.take("sofascore")
    yield turn
    turn.end()


def in_a_thread(turns: Turns, source: str) -> list[Turn]:
    """Takes a turn; it is in the list once it has one."""
    got: list[Turn] = []
    threading.Thread(target=lambda: got.append(turns.take(source)), daemon=True).start()
    return got


def test_the_second_waits_until_the_first_claims_no_more(turns: Turns, first: Turn) -> None:
    assert not first.is_wanted()
    second = in_a_thread(turns, "sofascore")
    wait_until(first.is_wanted, every=0.001)
    assert second == []
    first.end()
    wait_until(lambda: second, every=0.001)
    assert not second[0].is_wanted()
    second[0].end()


@pytest.mark.usefixtures("first")
def test_who_asks_another_source_does_not_wait(turns: Turns) -> None:
    other = in_a_thread(turns, "espn")
    wait_until(lambda: other, every=0.001)
    other[0].end()


def test_a_turn_that_ends_twice_ends_no_other(turns: Turns, first: Turn) -> None:
    first.end()
    second = turns.take("sofascore")
    first.end()
    third = in_a_thread(turns, "sofascore")
    wait_until(second.is_wanted, every=0.001)
    assert third == [], "it is still the second one's"
    second.end()
    wait_until(lambda: third, every=0.001)
    third[0].end()
