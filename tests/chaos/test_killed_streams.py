"""Two thousand details, workers killed again and again: each is stored once, nothing is lost."""

import signal
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from subprocess import Popen

import pytest
import redis
from eyes import back_s, by_the_ledgers_clock, crashes, events, in_hand, look, until_done
from sqlalchemy import select
from stage import kill, pids_of, wait_until
from streams import (
    LEASE_S,
    alive,
    ask,
    asked_for,
    assert_each_once,
    claimed_again,
    faults,
    lose_bells,
    streaming,
    workers_of,
)

from app.core.db import reading
from app.jobs.models import JobEvent, JobItem

ITEMS, KILLS = 2000, 20


def test_twenty_kills_lose_nothing_and_double_nothing(
    stack: dict[str, str], tmp_path: Path
) -> None:
    """Two workers, of threads and of processes; every second one of them dies, and another comes.

    The limit makes the job last: 200 a second, so that no kill comes too late.
    """
    with streaming(stack, tmp_path, SANDBOX_LIMITS="20/0.1") as scene:
        job_id = ask(ITEMS)
        ways = cycle([("--threads", "2"), ("--processes", "2")])
        living = [scene.worker(*next(ways)), scene.worker(*next(ways))]
        done, lost, dead = 0, Counter[str](), set[int]()
        for _ in range(KILLS):
            done = until_done(job_id, done + 40).items["done"]
            victim = living.pop(0)
            pids = pids_of(victim)
            dead |= pids
            kill(victim)
            lost.update(in_hand(job_id, pids).values())
            living.append(scene.worker(*next(ways)))
        report = until_done(job_id, ITEMS, seconds=120)
        assert report.job.state == "DONE"
        assert_each_once(job_id, ITEMS)
        again = claimed_again(job_id)
        assert again == crashes(job_id) + events(job_id, "gave_back"), "every re-run is explained"
        assert crashes(job_id) > 0, "somebody had something in hand"
        times = asked_for(tmp_path)
        assert len(times) == ITEMS
        repeated = Counter({match_id: asked - 1 for match_id, asked in times.items()})
        # A machine that stands still for a lease looks like a death to the ledger, and is told so.
        stalled = Counter(lost_by_living(job_id, dead))
        unexplained = repeated - (lost + stalled)
        assert not unexplained, "nothing is asked again but what was in hand at a kill"


def lost_by_living(job_id: int, dead: set[int]) -> list[str]:
    """The keys of the items that were taken back from workers that were not killed."""
    taken_back = (
        select(JobItem.key, JobEvent.worker)
        .join(JobEvent, JobEvent.item_id == JobItem.id)
        .where(JobItem.job_id == job_id, JobEvent.event == "crashed")
    )
    with reading() as session:
        rows = session.execute(taken_back).all()
    return [row.key for row in rows if int(row.worker.split(":")[-2]) not in dead]


def test_a_killed_hand_of_hundreds_is_done_again_within_two_leases(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=150) as scene:
        victim, heir = scene.worker("--threads", "2"), scene.worker("--threads", "2")
        wait_until(lambda: alive() == 2)
        job_id = ask(ITEMS)
        until_done(job_id, 200)
        wait_until(lambda: in_hand(job_id, {heir.pid}), every=0.02)
        wait_until(lambda: len(in_hand(job_id, {victim.pid})) > 100, every=0.02)
        killed_at = by_the_ledgers_clock()
        kill(victim)
        lost = in_hand(job_id, {victim.pid})
        assert lost
        until_done(job_id, ITEMS, seconds=90)
        taken_back = back_s(lost, killed_at, "crashed")
        assert len(taken_back) == crashes(job_id) == len(lost)
        assert max(taken_back) < 2 * LEASE_S
        assert_each_once(job_id, ITEMS)
        assert look(job_id).items["quarantined"] == 0


def test_two_workers_share_the_job_and_a_stop_gives_back(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=400) as scene:
        # Slower than a stop may take: whoever is stopped has such a request on its way.
        faults(scene, {"match": "/event/", "every": 10, "times": ITEMS, "delay_s": 6})
        first = scene.worker("--threads", "2")
        scene.worker("--threads", "2")
        wait_until(lambda: alive() == 2)
        job_id = ask(ITEMS)
        wait_until(lambda: len(workers_of(job_id)) == 2)
        wait_until(lambda: len(in_hand(job_id, {first.pid})) > 20, every=0.02)
        time.sleep(0.3)  # they are on their way
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0
        faults(scene)
        assert events(job_id, "gave_back") > 0
        until_done(job_id, ITEMS, seconds=90)
        assert crashes(job_id) == 0
        assert_each_once(job_id, ITEMS)


def test_a_stream_that_slept_past_its_lease_leaves_no_effect(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=200) as scene:
        job_id = ask(ITEMS)
        sleeper = scene.worker("--threads", "2")
        until_done(job_id, 100)
        scene.freeze(sleeper)
        slept_until = time.monotonic() + 3 * LEASE_S
        scene.worker("--threads", "2")
        until_done(job_id, ITEMS, seconds=90)
        time.sleep(max(slept_until - time.monotonic(), 0))
        sleeper.send_signal(signal.SIGCONT)
        until_done(job_id, ITEMS, seconds=120)
        time.sleep(1.5)
        assert crashes(job_id) > 0, "the sleeper held something"
        assert_each_once(job_id, ITEMS)
        assert look(job_id).job.state == "DONE"


@pytest.mark.redis
@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
def test_the_queue_may_be_wiped_twice(stack: dict[str, str], tmp_path: Path) -> None:
    with streaming(stack, tmp_path, latency_ms=200) as scene:
        job_id = ask(ITEMS)
        client = redis.Redis.from_url(stack["REDIS_URL"])
        lose_bells(job_id, client)
        scene.worker("--threads", "2")
        for enough in (200, 800):
            until_done(job_id, enough)
            client.flushdb()
        client.close()
        until_done(job_id, ITEMS, seconds=90)
        assert_each_once(job_id, ITEMS)


def test_an_item_that_kills_its_worker_is_quarantined_and_the_rest_is_done(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path) as scene:
        job_id = ask(300)
        poisoned = "tests/chaos/worker_that_dies_of_one_id.py"
        for _ in range(8):
            worker = scene.start(poisoned, name="poisoned")
            wait_until(lambda w=worker: w.poll() is not None or not look(job_id).is_open, 60)
            if not look(job_id).is_open:
                break
        items = look(job_id).items
        assert (items["quarantined"], items["done"]) == (1, 299)
        with reading() as session:
            bad = select(JobItem.key, JobItem.crashes).where(JobItem.state == "quarantined")
            assert session.execute(bad).all() == [("100000150", 3)]
        assert look(job_id).job.state == "FAILED"
        assert_stays_alive(worker)


def assert_stays_alive(worker: Popen[bytes]) -> None:
    time.sleep(1)
    assert worker.poll() is None, "what is quarantined is not handed out again"
