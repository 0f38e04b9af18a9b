"""As many threads as help: few for a fast server, all of them for a slow one."""

import threading
import time

from stage import wait_until

from app.jobs.askers import FEWEST, Askers


def run(tasks: int, most: int, seconds: float) -> tuple[int, int]:
    """Do so many tasks of so many seconds: how many were done, and how many at once at most."""
    askers, lock = Askers("test", most), threading.Lock()
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
    assert run(tasks=400, most=32, seconds=0.05) == (400, 32)


def test_never_more_than_it_may_have_and_at_first_few() -> None:
    assert run(tasks=40, most=4, seconds=0.01) == (40, 4)
    askers = Askers("test", 64)
    assert askers.enough == FEWEST


def test_one_that_breaks_off_does_not_lose_the_others() -> None:
    askers, done = Askers("test", 2), []
    for number in range(20):
        askers.give(lambda n=number: done.append(n))
    wait_until(lambda: askers.wake() or len(done) == 20, 10, 0.005)
    assert sorted(done) == list(range(20))
