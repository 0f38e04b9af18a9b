"""Workers killed, stopped and frozen in the middle of 57 days: nothing lost, nothing twice."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from conftest import settings
from eyes import back_s, by_the_ledgers_clock, crashes, events, in_hand, look, until_done
from flask import Flask
from payloads import PAYLOADS, needs_payloads
from sqlalchemy import func, select
from stage import ROOT, Stage, free_port, kill, stage, wait_until
from streams import lose_bells

import tasks
from app import create_app
from app.core.db import db, reading
from app.fixtures.models import FixtureDay, RawAnswer
from app.fixtures.request import fetch_request, parse_day
from app.jobs.models import JobEvent, Trigger

FIRST, LAST, DAYS = "2025-05-05", "2025-06-30", 57
LEASE_S = 3


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    """A migrated stack with a slow sandbox, no worker yet."""
    port = str(free_port())
    with stage(tmp_path, SANDBOX_PORT=port, SOURCES="sandbox", **stack) as made:
        sandbox = ("-m", "app.sandbox", "--port", port, "--no-demo", "--latency-ms", "300")
        made.start(*sandbox, name="sandbox")
        made.until_listens(port)
        yield made


@pytest.fixture
def books(scene: Stage, stack: dict[str, str]) -> Iterator[Flask]:
    """An app that looks into the same database."""
    app = create_app(settings(Path(scene.environ["DATA_DIR"]), **stack), edges=False)
    with app.app_context():
        yield app
        db.engine.dispose()


def ask(source: str = "sandbox") -> int:
    """Ask for the 57 days; the bell is the steward's business."""
    with reading() as session:
        request = fetch_request(session, [source], parse_day(FIRST), parse_day(LAST)).job
    return tasks.submit(request, by="tester", trigger=Trigger.CLI).job_id


def assert_each_day_once(job_id: int) -> None:
    with reading() as session:
        days = select(FixtureDay.date, func.count()).group_by(FixtureDay.date)
        assert [n for _, n in session.execute(days)] == [1] * DAYS
        raws = select(func.count()).select_from(RawAnswer).group_by(RawAnswer.key)
        assert session.scalars(raws).all() == [1] * DAYS
        ends = (
            select(func.count())
            .where(JobEvent.job_id == job_id, JobEvent.event == "done")
            .group_by(JobEvent.item_id)
        )
        assert session.scalars(ends).all() == [1] * DAYS


@pytest.mark.usefixtures("books")
def test_a_killed_workers_days_are_done_by_the_next_one_each_once(scene: Stage) -> None:
    job_id = ask()
    victim = scene.worker("--threads", "4")
    until_done(job_id, 8)
    kill(victim)
    victim, heir = scene.worker("--threads", "4"), scene.worker("--threads", "4")
    wait_until(
        # One look at each: near the end, and both at work. Two waits would meet a done job.
        lambda: (
            look(job_id).items["waiting"] < 25
            and in_hand(job_id, {victim.pid})
            and in_hand(job_id, {heir.pid})
        ),
        every=0.01,
    )
    killed_at = by_the_ledgers_clock()
    kill(victim)
    lost = in_hand(job_id, {victim.pid})
    report = until_done(job_id, DAYS)
    assert report.job.state == "DONE"
    assert_each_day_once(job_id)
    assert 1 <= crashes(job_id) <= 8
    assert crashes(job_id) == events(job_id, "crashed"), "every re-run is explained"
    again = back_s(lost, killed_at, "claimed")
    assert len(again) == len(lost) > 0
    assert max(again) < 2 * LEASE_S


@pytest.mark.usefixtures("books")
def test_control_without_taking_back_the_killed_workers_days_are_never_done(scene: Stage) -> None:
    job_id = ask()
    victim = scene.worker("--threads", "4")
    until_done(job_id, 8)
    kill(victim)
    scene.start(str(ROOT / "tests" / "chaos" / "worker_that_takes_nothing_back.py"), name="control")
    wait_until(lambda: look(job_id).items["waiting"] == 0)
    time.sleep(2 * LEASE_S)
    assert look(job_id).items["running"] >= 1
    assert look(job_id).items["done"] < DAYS


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_clean_stop_leaves_nothing_in_hand_and_counts_nothing(
    scene: Stage, number: signal.Signals
) -> None:
    job_id = ask()
    worker = scene.worker("--threads", "4")
    until_done(job_id, 8)
    worker.send_signal(number)
    assert worker.wait(8) == 0
    report = look(job_id)
    assert report.items["running"] == 0
    assert report.items["done"] < DAYS
    scene.worker("--threads", "4")
    until_done(job_id, DAYS)
    assert crashes(job_id) == 0
    assert_each_day_once(job_id)


@pytest.mark.usefixtures("books")
def test_the_plain_huey_consumer_works_and_gives_back_when_told_to_stop(scene: Stage) -> None:
    job_id = ask()
    consumer = str(Path(sys.executable).parent / "huey_consumer")
    if not Path(consumer).exists():
        consumer += ".py"
    # Its own default: SIGTERM means "at once".
    plain = scene.start(consumer, "tasks.huey", "-w", "4", "-m", "0.1", name="huey")
    until_done(job_id, 8)
    plain.send_signal(signal.SIGTERM)
    plain.wait(10)
    assert look(job_id).items["running"] == 0
    scene.start(consumer, "tasks.huey", "-w", "4", "-m", "0.1", name="huey")
    until_done(job_id, DAYS)
    assert crashes(job_id) == 0
    assert_each_day_once(job_id)


@pytest.mark.usefixtures("books")
def test_worker_processes_share_a_job_and_survive_the_death_of_one(scene: Stage) -> None:
    job_id = ask()
    worker = scene.worker("--processes", "3")
    until_done(job_id, 8)
    kill_a_child_of(worker.pid)
    until_done(job_id, DAYS)
    assert_each_day_once(job_id)
    assert crashes(job_id) <= 1
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def kill_a_child_of(pid: int) -> None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


@pytest.mark.usefixtures("books")
def test_a_worker_that_slept_past_its_lease_leaves_no_effect_when_it_wakes(scene: Stage) -> None:
    job_id = ask()
    sleeper = scene.worker("--threads", "4")
    until_done(job_id, 8)
    scene.freeze(sleeper)
    scene.worker("--threads", "4")
    until_done(job_id, DAYS)
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    assert crashes(job_id) > 0, "the sleeper held something"
    assert_each_day_once(job_id)
    assert look(job_id).job.state == "DONE"


@pytest.mark.redis
@pytest.mark.parametrize("stack", ["postgres+redis"], indirect=True)
@pytest.mark.usefixtures("books")
def test_a_wiped_queue_costs_nothing(scene: Stage, stack: dict[str, str]) -> None:
    job_id = ask()
    client = redis.Redis.from_url(stack["REDIS_URL"])
    lose_bells(job_id, client)
    scene.worker("--threads", "4")
    for enough in (5, 15):
        until_done(job_id, enough)
        client.flushdb()
    client.close()
    until_done(job_id, DAYS)
    assert_each_day_once(job_id)
    assert crashes(job_id) == 0


@needs_payloads
def test_killed_in_the_middle_of_the_recorded_days(stack: dict[str, str], tmp_path: Path) -> None:
    assert PAYLOADS is not None
    port = str(free_port())
    sofascore = {"SOFASCORE_PERMITTED": "1", "SOFASCORE_BASE_URL": f"http://127.0.0.1:{port}"}
    with stage(tmp_path, SOURCES="sofascore", **sofascore, **stack) as scene:
        tool = str(PAYLOADS.parent / "tools" / "replay_api.py")
        scene.start(tool, "--port", port, "--payloads", str(PAYLOADS), name="replay")
        wait_until(lambda: "replay on" in scene.log_text())
        app = create_app(settings(tmp_path / "data", **stack), edges=False)
        with app.app_context():
            job_id = ask("sofascore")
            victim = scene.worker("--threads", "4")
            until_done(job_id, 10)
            kill(victim)
            scene.worker("--threads", "4")
            until_done(job_id, DAYS, seconds=120)
            assert_each_day_once(job_id)
            db.engine.dispose()
