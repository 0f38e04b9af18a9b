"""Servers that go away, a database that is locked, clocks that lie: the job goes on and adds up."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import empty
from eyes import crashes, look, until_done
from servers import OwnPostgres, OwnRedis
from sqlalchemy import func, select
from stage import Stage, wait_until
from streams import LEASE_S, ask, assert_each_once, doubled, streaming, workers_of

import tasks
from app.core.db import current_time, reading
from app.jobs.models import JobEvent

ITEMS = 1000


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    server = OwnRedis()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[OwnPostgres]:
    server = OwnPostgres(tmp_path)
    server.start()
    yield server
    server.crash()


@pytest.mark.redis
@pytest.mark.postgres
def test_redis_may_be_killed_and_come_back_empty(
    own_redis: OwnRedis, migrated_postgres: str, tmp_path: Path
) -> None:
    empty(migrated_postgres)
    stack = {"DATABASE_URL": migrated_postgres, "REDIS_URL": own_redis.url}
    with streaming(stack, tmp_path, latency_ms=300) as scene:
        job_id = ask(ITEMS)
        scene.worker("--threads", "2")
        until_done(job_id, 100)
        own_redis.kill()
        time.sleep(3)
        own_redis.start()
        until_done(job_id, ITEMS, seconds=90)
        assert crashes(job_id) == 0
        assert_each_once(job_id, ITEMS)
        assert_a_new_job_is_heard(scene)


def assert_a_new_job_is_heard(scene: Stage) -> None:
    assert scene.flask("fixtures", "fetch", "2025-05-05", "--wait").returncode == 0


@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
@pytest.mark.redis
@pytest.mark.postgres
def test_postgresql_may_crash_and_restart_in_the_middle(
    own_postgres: OwnPostgres, stack: dict[str, str], tmp_path: Path
) -> None:
    own = {"DATABASE_URL": own_postgres.url, "REDIS_URL": stack["REDIS_URL"]}
    with streaming(own, tmp_path, latency_ms=300) as scene:
        assert scene.flask("setup").returncode == 0
        job_id = ask(ITEMS)
        worker = scene.worker("--threads", "2")
        until_done(job_id, 100)
        own_postgres.crash()
        time.sleep(2)
        own_postgres.start()
        until_done(job_id, ITEMS, seconds=90)
        assert worker.poll() is None, "it outlived the server"
        assert_each_once(job_id, ITEMS)


@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_sqlite_may_be_locked_for_ten_seconds_by_somebody_else(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=300) as scene:
        job_id = ask(ITEMS)
        worker = scene.worker("--threads", "2")
        until_done(job_id, 100)
        path = Path(scene.environ["DATA_DIR"]) / "fikstur.db"
        somebody = sqlite3.connect(path, isolation_level=None, timeout=20)
        somebody.execute("BEGIN IMMEDIATE")
        before = look(job_id).items["done"]
        time.sleep(10)
        assert look(job_id).items["done"] == before, "it was locked indeed"
        somebody.execute("COMMIT")
        somebody.close()
        until_done(job_id, before + 1, seconds=LEASE_S)
        until_done(job_id, ITEMS, seconds=90)
        assert worker.poll() is None
        assert crashes(job_id) == 0, "nobody died"
        assert_each_once(job_id, ITEMS)


def test_bells_rung_many_times_and_out_of_order_change_nothing(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=100) as scene:
        first, second = ask(200), ask(500)  # 300 of the second are not in the first
        queue = tasks.queue.build_huey(
            stack.get("REDIS_URL"), Path(scene.environ["DATA_DIR"]), "fikstur"
        )
        bells = [("fetch_details", second)] * 5 + [("fetch_details", first)] * 5
        # Of a job that is not there, and by another task's name.
        for kind, job_id in [*bells, ("fetch_details", 999_999), ("fetch_day", first)]:
            message = tasks.huey._registry.string_to_task(f"tasks.{kind}")((job_id,))
            queue.storage.enqueue(tasks.huey.serialize_task(message))
        scene.worker("--threads", "4")
        scene.worker("--threads", "4")
        until_done(first, 200)
        until_done(second, 300)
        assert doubled(first) == doubled(second) == 0
        assert crashes(first) == crashes(second) == 0
        with reading() as session:
            claims = func.count().label("claims")
            twice = (
                select(JobEvent.item_id)
                .where(JobEvent.event == "claimed")
                .group_by(JobEvent.item_id)
                .having(claims > 1)
            )
            assert session.scalars(twice).all() == [], "nothing was handed out twice"


def test_a_worker_whose_clock_is_ten_minutes_off_takes_nothing_from_others(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=1500) as scene:
        job_id = ask(ITEMS)
        ahead, behind = (
            scene.start("tests/chaos/worker_whose_clock_is_off.py", offset, name="clock")
            for offset in ("600", "-600")
        )
        scene.worker("--threads", "2")
        wait_until(lambda: len(workers_of(job_id)) == 3)
        until_done(job_id, ITEMS, seconds=90)
        assert ahead.poll() is behind.poll() is None
        assert crashes(job_id) == 0
        assert_each_once(job_id, ITEMS)
        with reading() as session:
            now = current_time(session)
            times = select(func.min(JobEvent.at), func.max(JobEvent.at))
            first, last = session.execute(times.where(JobEvent.job_id == job_id)).one()
        assert now - timedelta(minutes=5) < first <= last <= now
