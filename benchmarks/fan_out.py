"""Details of thousands of matches by id, against the replaced design and against the bare client.

Baselines of the same run, on the same server and the same databases: one Celery task per id (two
processes, eight threads), and our own client at the same concurrency with nothing stored. Each has
done some before it is measured: its connections are there, its statements known.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import redis
import sqlalchemy as sa

from app.core.one_core import OneCore
from app.sources.base import Request
from app.sources.http import Client
from app.sources.limits import AT_ONCE
from benchmarks.scene import (
    FIRST_ID,
    POSTGRES,
    REDIS,
    ROOT,
    Cost,
    cpu_of_group,
    empty,
    house,
    server,
    stacks,
)

WARM, WARM_CELERY = 1000, 100  # ids before those that count
WORKERS = (1, 2)  # processes; the bare client is one, Celery has two or eight threads
CELERY = {
    "Celery, 2 processes": ("--pool", "prefork", "--concurrency", "2"),
    "Celery, 8 threads": ("--pool", "threads", "--concurrency", "8"),
}


def run(ids: int, latency_ms: float) -> None:
    """Measure and print."""
    with server(latency_ms) as url:
        print(f"\n{ids} ids, {latency_ms:g} ms latency, {AT_ONCE} requests at once")
        celery = [_say(name, replaced(max(ids // 10, 400), url, name)) for name in _celery()]
        client = _say("our client, nothing stored", bare(ids, url))
        for (name, settings), workers in itertools.product(stacks().items(), WORKERS):
            with house(url, settings, workers) as made:
                made.fetch(WARM, 2 * FIRST_ID)
                cost = _say(f"Fikstür on {name}, {workers}", made.fetch(ids))
            print(f"    x{cost.rate / client.rate:.2f} of our bare client{_against(cost, celery)}")


def _celery() -> list[str]:
    return list(CELERY) if POSTGRES and REDIS else []


def _say(name: str, cost: Cost) -> Cost:
    print(f"{name:34} {cost}", flush=True)
    return cost


def _against(cost: Cost, celery: list[Cost]) -> str:
    if not celery:
        return ""
    best = max(celery, key=lambda each: each.rate)
    return (
        f", x{cost.rate / best.rate:.1f} of the better Celery"
        f" for 1/{best.cpu_per_1000 / cost.cpu_per_1000:.1f} of its CPU"
    )


def bare(ids: int, url: str) -> Cost:
    """Our client asks for every id and throws the answer away; on one core, where it is faster."""
    client, core = Client("benchmark"), OneCore()

    def ask(number: int) -> None:
        client.ask(Request(f"{url}/api/v1/event/{number}", "t"))

    with ThreadPoolExecutor(AT_ONCE, initializer=core.join) as pool:
        list(pool.map(ask, range(2 * FIRST_ID, 2 * FIRST_ID + WARM)))
        began, cpu = time.monotonic(), time.process_time()
        for _ in pool.map(ask, range(FIRST_ID, FIRST_ID + ids)):
            pass
        return Cost(ids, time.monotonic() - began, time.process_time() - cpu)


def replaced(ids: int, url: str, variant: str) -> Cost:
    """The replaced design, from its hundredth row to its last."""
    assert POSTGRES is not None
    assert REDIS is not None
    empty({"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS})
    os.environ |= {"BENCH_BROKER": REDIS, "BENCH_DATABASE": POSTGRES, "BENCH_SOURCE": url}
    from benchmarks import replaced as design  # reads the three

    design.source = url
    design.Base.metadata.create_all(design.engine)
    for number in range(FIRST_ID, FIRST_ID + WARM_CELERY + ids):
        design.fetch.delay(number)
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.replaced", "worker"]
    worker = subprocess.Popen(
        [*command, *CELERY[variant], "--loglevel", "ERROR"],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return _measured(ids, worker.pid)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10)
        redis.Redis.from_url(REDIS).flushdb()


def _measured(ids: int, group: int) -> Cost:
    from benchmarks.replaced import Row, engine

    seen = sa.select(sa.func.count(), sa.func.max(Row.stored_at))
    warm: tuple[int, datetime, float] | None = None
    while True:
        with engine.connect() as connection:
            count, last = connection.execute(seen).one()
        if count >= WARM_CELERY and warm is None:
            warm = count, last, cpu_of_group(group)
        if warm and count == WARM_CELERY + ids:
            before, first, cpu = warm
            return Cost(count - before, (last - first).total_seconds(), cpu_of_group(group) - cpu)
        time.sleep(0.1)
