"""As many threads as help: few when the process is busy, all of them for a slow server."""

import threading
import time

import pytest
from stage import wait_until

from app.core.one_core import OneCore, Used
from app.jobs import askers as askers_module
from app.jobs.askers import FEWEST, LOOK_EVERY_S, Askers, how_many, is_full


def run(tasks: int, most: int, seconds: float) -> tuple[int, int]:
    """Do so many tasks of so many seconds: how many were done, and how many at once at most."""
    askers, lock = Askers("test", most, OneCore()), threading.Lock()
    now = done = highest = 0

    def task() -> None:
        nonlocal now, done, highest
        with lock:
            now += 1
            highest = max(highest, now)
        time.sleep(seconds)
        with lock:
            now -= 1
            done += 1

    for _ in range(tasks):
        askers.give(task)

    def all_done() -> bool:
        askers.wake()
        return done == tasks

    wait_until(all_done, 30, 0.005)
    return done, highest


def test_a_slow_server_gets_all_threads_it_may_have() -> None:
    assert run(tasks=600, most=32, seconds=0.05) == (600, 32)


def test_never_more_than_it_may_have() -> None:
    assert run(tasks=40, most=2, seconds=0.01) == (40, 2)


def test_more_while_there_is_time_and_work_fewer_when_there_is_none() -> None:
    assert how_many(8, 128, full=False, longer=1, waiting=100) > 8
    assert how_many(100, 128, full=False, longer=9, waiting=100) == 128
    assert how_many(8, 128, full=False, longer=1, waiting=0) == 8
    assert how_many(100, 128, full=True, longer=9, waiting=100) < 100


def test_no_time_is_left_in_a_busy_process_or_on_a_core_that_it_fills_with_others() -> None:
    assert is_full(Used(own=0.99, core=0.99))
    assert is_full(Used(own=0.6, core=0.95))
    assert not is_full(Used(own=0.3, core=0.4))
    assert not is_full(Used(own=0.2, core=0.95))  # fewer threads would get even less


def test_who_waits_for_the_server_is_not_too_many() -> None:
    assert how_many(100, 128, full=True, longer=1.1, waiting=100) == 128


def test_never_fewer_than_keep_it_going() -> None:
    assert how_many(FEWEST, 128, full=True, longer=9, waiting=100) == FEWEST
    assert how_many(2, 2, full=True, longer=9, waiting=100) == 2


def do_twenty(askers: Askers) -> list[int]:
    """Which of twenty tasks were done."""
    done: list[int] = []
    for number in range(20):
        askers.give(lambda n=number: done.append(n))
    wait_until(lambda: askers.wake() or len(done) == 20, 10, 0.005)
    return done


def test_one_that_breaks_off_does_not_lose_the_others() -> None:
    askers = Askers("test", 2, OneCore())
    assert sorted(do_twenty(askers)) == list(range(20))


@pytest.mark.parametrize("full", [True, False])
def test_only_where_no_time_is_left_do_they_wait_for_one_who_writes(
    monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    waited = []
    monkeypatch.setattr(askers_module, "let_write", lambda: waited.append(1))
    monkeypatch.setattr(askers_module, "is_full", lambda _used: full)
    askers = Askers("test", 2, OneCore())
    time.sleep(LOOK_EVERY_S)  # then the next look is due
    do_twenty(askers)
    assert len(waited) == (20 if full else 0)
