"""Which core a process's threads share: where others leave most free."""

import itertools
import os
import threading

import pytest

from app.core import one_core
from app.core.one_core import Look, OneCore, Used, better, free_of_others, used_of


def test_what_the_process_does_itself_takes_nothing_from_others() -> None:
    before = Look(100.0, {0: 50.0, 1: 50.0}, own_s=10.0)
    now = Look(102.0, {0: 52.0, 1: 50.5}, own_s=11.9)
    free = free_of_others(before, now, own_core=0)
    assert free == pytest.approx({0: 0.95, 1: 0.75})
    assert better(free, 0) == 0


def test_what_is_used_of_a_core_is_used_by_whoever_it_was() -> None:
    before = Look(100.0, {0: 50.0, 1: 50.0}, own_s=10.0)
    now = Look(102.0, {0: 51.8, 1: 50.5}, own_s=11.0)
    assert used_of(before, now, core=0) == Used(own=pytest.approx(0.5), core=pytest.approx(0.9))
    assert used_of(before, now, core=None) == Used(own=pytest.approx(0.5), core=0)
    assert used_of(before, Look(102.0, {}, own_s=11.0), core=7).core == 0  # where none is told


def test_it_goes_where_more_is_free_and_stays_when_it_gains_little() -> None:
    assert better({0: 0.5, 1: 0.9}, 0) == 1
    assert better({0: 0.85, 1: 0.9}, 0) == 0
    assert better({}, 0) == 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such call")
def test_who_joins_is_on_one_core_and_nobody_else_is() -> None:
    core, seen, before = OneCore(), [], os.sched_getaffinity(0)

    def ask() -> None:
        core.join()
        seen.append(os.sched_getaffinity(0))

    for _ in range(3):
        core.choose()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert [len(cores) for cores in seen] == [1, 1, 1]
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such call")
def test_who_leaves_runs_anywhere_again_and_may_join_again() -> None:
    core, before, seen = OneCore(), os.sched_getaffinity(0), []
    for step in (core.join, core.leave, core.join, core.leave):
        step()
        seen.append(os.sched_getaffinity(0))
    assert [len(cores) for cores in seen[::2]] == [1, 1]
    assert seen[1::2] == [before, before]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no such call")
def test_no_two_workers_take_the_same_core_while_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {900, 901, 902})
    three = [OneCore() for _ in range(3)]
    assert {core._core for core in three} == {900, 901, 902}
    fourth = OneCore()  # there is none left: it shares one
    assert not fourth._is_taken
    left = three.pop()
    free = left._core
    del left  # as if it had ended
    looks = (Look(at, dict.fromkeys((900, 901, 902), 0.0), 0.0) for at in itertools.count(1e9))
    monkeypatch.setattr(one_core, "look", looks.__next__)
    monkeypatch.setattr(one_core, "LOOK_EVERY_S", -1.0)
    fourth.choose()
    assert (fourth._core, fourth._is_taken) == (free, True)
