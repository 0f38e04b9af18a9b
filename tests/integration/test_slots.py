"""One limit for many processes, on both ways of counting."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from conftest import REDIS, ROOT
from filelock import FileLock
from stage import wait_until

from app.core import slots as slots_module
from app.core.slots import Slots, SlotsAwayError
from app.sources.limiter import Limiter
from app.sources.limits import Rate

ASKING = """
import json, sys, threading, time
from pathlib import Path
from app.core.slots import Slots, SlotsAwayError
redis_url, folder = sys.argv[1] or None, Path(sys.argv[2])
rates, until = json.loads(sys.argv[3]), float(sys.argv[4])
slots, times = Slots(redis_url, folder), []
def ask():
    while time.time() < until:
        try:
            got, _ = slots.take("shared", rates, 1)
        except SlotsAwayError:
            got = 0
        times.extend([time.time()] * got)
        time.sleep(0.002)
threads = [threading.Thread(target=ask) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
slots.close()
print(json.dumps(times))
"""


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.redis)])
def redis_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Both ways of counting; Redis begins empty."""
    if request.param == "file":
        yield None
        return
    if not REDIS:
        pytest.skip("FIKSTUR_TEST_REDIS_URL is not set")
    client = redis.Redis.from_url(REDIS)
    client.flushdb()
    yield REDIS
    client.close()


@pytest.fixture
def make(redis_url: str | None, tmp_path: Path) -> Iterator[Callable[[], Slots]]:
    """More slots on the same count, as another process would have them."""
    made: list[Slots] = []

    def another() -> Slots:
        made.append(Slots(redis_url, tmp_path))
        return made[-1]

    yield another
    for slots in made:
        slots.close()


def ask_from_processes(
    redis_url: str | None, folders: list[Path], rates: list[tuple[int, float]], seconds: float
) -> list[float]:
    until = str(time.time() + 1.5 + seconds)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING, redis_url or "", str(folder), json.dumps(rates), until],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for folder in folders
    ]
    told = [process.communicate(timeout=60)[0] for process in started]
    assert all(process.returncode == 0 for process in started)
    return sorted(at for line in told for at in json.loads(line))


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(1 for at in times if first <= at < first + seconds) for first in times)


@pytest.mark.parametrize(("rate", "seconds"), [((5, 3.0), 3.0), ((10, 1.0), 3.0)])
def test_two_processes_share_one_limit(
    redis_url: str | None, tmp_path: Path, rate: tuple[int, float], seconds: float
) -> None:
    times = ask_from_processes(redis_url, [tmp_path, tmp_path], [rate], seconds)
    requests, window_s = rate
    # A time is noted after the slot was given: the last digits are noise of the measurement.
    assert requests <= most_within(times, window_s * 0.99) <= requests + 1
    assert most_within(times, seconds) <= requests * seconds / window_s + 1


def test_control_two_that_do_not_share_get_twice_as_much(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    times = ask_from_processes(None, folders, [(5, 3.0)], 3.0)
    assert most_within(times, 3.0) >= 9


def test_all_that_is_wanted_as_far_as_there_is_and_then_the_time_of_the_next(make) -> None:
    slots, other = make(), make()
    assert slots.take("a", [(5, 2.0)], 3) == (3, 0.0)
    got, wait_s = other.take("a", [(5, 2.0)], 7)
    assert got == 2
    got, wait_s = slots.take("a", [(5, 2.0)], 1)
    assert got == 0
    assert 1.5 < wait_s <= 2.1
    assert slots.take("b", [(5, 2.0)], 1) == (1, 0.0), "another source has its own"
    time.sleep(wait_s)
    assert other.take("a", [(5, 2.0)], 1) == (1, 0.0)


def test_every_rate_holds_and_a_slower_one_holds_at_once(make) -> None:
    slots = make()
    assert slots.take("a", [(2, 0.2), (3, 60.0)], 2)[0] == 2
    time.sleep(0.3)
    assert slots.take("a", [(2, 0.2), (3, 60.0)], 2)[0] == 1
    got, wait_s = slots.take("a", [(2, 0.2), (3, 60.0)], 1)
    if wait_s < 1:  # the short one refused first
        time.sleep(0.3)
        got, wait_s = slots.take("a", [(2, 0.2), (3, 60.0)], 1)
    assert got == 0
    assert wait_s > 50
    assert make().take("c", [(10, 60.0)], 5)[0] == 5
    assert slots.take("c", [(5, 60.0)], 1)[0] == 0


def test_no_thread_is_left_running(make) -> None:
    before = threading.active_count()
    make().take("a", [(5, 1.0)], 1)
    assert threading.active_count() == before


def test_what_is_past_is_swept(make, redis_url: str | None, monkeypatch) -> None:
    monkeypatch.setattr(slots_module, "SWEEP_S", 0.0)
    slots = make()
    for _ in range(3):
        slots.take("a", [(5, 0.1)], 5)
        time.sleep(0.15)
    assert slots._buckets["a"].count() <= 5


@pytest.mark.redis
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)
def test_a_redis_that_was_restarted_is_used_again(make, redis_url: str) -> None:
    slots = make()
    many = [(500, 1.0)]
    slots.take("a", many, 1)
    client = redis.Redis.from_url(redis_url)

    def is_away() -> bool:
        client.script_flush()  # what a restart does to the script that counts
        try:
            slots.take("a", many, 1)
        except SlotsAwayError:
            return True
        return False  # somebody beside us on this server loaded the same one in between

    wait_until(is_away, 10, 0.01)
    client.close()
    assert slots.take("a", many, 1)[0] == 1


def test_while_redis_is_away_each_process_goes_on_alone_and_soon(tmp_path: Path) -> None:
    slots = Slots("redis://127.0.0.1:9/0", tmp_path)
    limiter = Limiter(slots, {"a": (Rate(9, 60),)})
    began = time.monotonic()
    assert limiter.grant("a", 5).granted == 1
    assert limiter.grant("a", 5).granted == 0
    assert time.monotonic() - began < 2
    limiter.close()


def test_a_stopped_process_that_holds_the_lock_of_the_file_holds_nobody_for_long(
    tmp_path: Path,
) -> None:
    slots = Slots(None, tmp_path)
    slots.take("a", [(5, 1.0)], 1)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / "limits.db.lock"):
            held.set()
            let_go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(5)
    began = time.monotonic()
    with pytest.raises(SlotsAwayError):
        slots.take("a", [(5, 1.0)], 1)
    assert time.monotonic() - began < 3
    let_go.set()
    holder.join()
    slots.close()
