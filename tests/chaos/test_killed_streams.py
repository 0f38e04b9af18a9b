"""Two thousand details, workers killed again and again: each is stored once, nothing is lost."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from conftest import settings
from eyes import crashes, events, look, until_done
from flask import Flask
from sqlalchemy import func, select
from stage import Stage, free_port, kill, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading
from app.fixtures.details_request import details_plan
from app.fixtures.models import Match, MatchDetail, RawAnswer
from app.jobs.models import JobEvent, JobItem, Trigger
from app.jobs.report import live_workers
from app.sources.registry import adapter

FIRST_ID, ITEMS, KILLS = 100_000_000, 2000, 6
LEASE_S = 3
pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    """A migrated stack with a sandbox that logs what it is asked, no worker yet."""
    port = str(free_port())
    with stage(tmp_path, SANDBOX_PORT=port, SOURCES="sandbox", **stack) as made:
        log = str(tmp_path / "asked.jsonl")
        options = ("--port", port, "--no-demo", "--latency-ms", "60", "--log", log)
        made.start("-m", "app.sandbox", *options, name="sandbox")
        assert made.flask("setup").returncode == 0
        yield made


@pytest.fixture
def books(scene: Stage, stack: dict[str, str]) -> Iterator[Flask]:
    """An app that looks into the same database."""
    app = create_app(settings(Path(scene.environ["DATA_DIR"]), **stack), edges=False)
    with app.app_context():
        yield app
        db.engine.dispose()


def ask() -> int:
    ids = [str(FIRST_ID + n) for n in range(ITEMS)]
    with reading() as session:
        job = details_plan(session, adapter("sandbox"), ids, ["event"]).job
    assert job is not None
    return tasks.submit(job, by="tester", trigger=Trigger.CLI).job_id


def asked(tmp_path: Path) -> Counter[str]:
    lines = (tmp_path / "asked.jsonl").read_text("utf-8").splitlines()
    return Counter(json.loads(line)["path"] for line in lines)


def assert_each_once(job_id: int) -> None:
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(MatchDetail)) == ITEMS
        assert session.scalar(select(func.count()).select_from(Match)) == ITEMS
        assert session.scalar(select(func.count()).select_from(RawAnswer)) == ITEMS
        ends = (
            select(func.count())
            .where(JobEvent.job_id == job_id, JobEvent.event == "done")
            .group_by(JobEvent.item_id)
        )
        assert session.scalars(ends).all() == [1] * ITEMS


def both_are_alive() -> bool:
    with reading() as session:
        return len(live_workers(session)) == 2


def claimed_again(job_id: int) -> int:
    """How often an item was claimed beyond its first time."""
    with reading() as session:
        fences = session.scalars(select(JobItem.fence).where(JobItem.job_id == job_id))
        return sum(fence - 1 for fence in fences)


def test_kills_lose_nothing_and_double_nothing(scene: Stage, tmp_path: Path) -> None:
    job_id = ask()
    done = 0
    for _ in range(KILLS):
        victim = scene.worker("--threads", "2")
        done = until_done(job_id, done + 150).items["done"]
        kill(victim)
    scene.worker("--threads", "2")
    report = until_done(job_id, ITEMS, seconds=90)
    assert report.job.state == "DONE"
    assert_each_once(job_id)
    again = claimed_again(job_id)
    assert again == crashes(job_id) + events(job_id, "gave_back"), "every re-run is explained"
    repeated = sum(asked(tmp_path).values()) - ITEMS
    assert 0 <= repeated <= again, "nothing is asked again but what was in hand at a kill"


def test_two_workers_share_the_job_and_a_stop_gives_back(scene: Stage) -> None:
    first = scene.worker("--threads", "2")
    scene.worker("--threads", "2")
    wait_until(both_are_alive)
    job_id = ask()
    until_done(job_id, 300)
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0
    until_done(job_id, ITEMS, seconds=90)
    assert crashes(job_id) == 0
    assert_each_once(job_id)
    with reading() as session:
        workers = session.scalars(
            select(JobItem.worker).where(JobItem.job_id == job_id).distinct()
        ).all()
    assert len(workers) == 2


def test_a_stream_that_slept_past_its_lease_leaves_no_effect(
    scene: Stage, stack: dict[str, str]
) -> None:
    job_id = ask()
    sleeper = scene.worker("--threads", "2")
    until_done(job_id, 300)
    sleeper.send_signal(signal.SIGSTOP)
    scene.worker("--threads", "2")
    if stack:  # PostgreSQL frees what a frozen transaction holds; SQLite's one writer keeps it
        until_done(job_id, ITEMS, seconds=90)
    else:
        time.sleep(3 * LEASE_S)
    sleeper.send_signal(signal.SIGCONT)
    until_done(job_id, ITEMS, seconds=120)
    time.sleep(1.5)
    assert_each_once(job_id)
    assert look(job_id).job.state == "DONE"


@pytest.mark.redis
@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
def test_the_queue_may_be_wiped_twice(scene: Stage, stack: dict[str, str]) -> None:
    job_id = ask()
    scene.worker("--threads", "2")
    client = redis.Redis.from_url(stack["REDIS_URL"])
    for enough in (200, 800):
        until_done(job_id, enough)
        client.flushdb()
    client.close()
    until_done(job_id, ITEMS, seconds=90)
    assert_each_once(job_id)
