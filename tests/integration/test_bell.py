"""The bell: what is rung for, what hears it, and what must not hang on it."""

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from factories import a_job, items_of, overdue
from flask import Flask
from huey import SqliteHuey
from stage import wait_until

import tasks
from app.core import queue
from app.core.db import current_time, reading, transaction
from app.jobs.models import Job
from app.jobs.steward import (
    Duty,
    Steward,
    duties_of,
    duties_of_all,
    ring_waiting,
    run_due,
)
from app.jobs.worker import Worker

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def huey(tmp_path: Path) -> Iterator[SqliteHuey]:
    """A queue of its own that knows the tasks of the house."""
    made = queue.build_huey(None, tmp_path)
    made._registry = tasks.huey._registry
    with closing(made.storage):
        yield made


def test_a_job_of_a_kind_nobody_here_knows_does_not_silence_the_others(huey: SqliteHuey) -> None:
    unknown, known = a_job(kind="of_another_version"), a_job()
    ring_waiting(functools.partial(queue.ring, huey))
    assert [task.args[0] for task in huey.pending()] == [known, known]
    with reading() as session:
        assert session.get_one(Job, known).rung_at is not None
        assert session.get_one(Job, unknown).rung_at is None


def test_a_queue_that_does_not_answer_is_asked_once_and_left_alone_for_a_while(
    huey: SqliteHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, tried = [a_job(), a_job(), a_job()], []

    def hangs() -> int:
        tried.append(1)
        raise TimeoutError

    ring = functools.partial(queue.ring, huey)
    with monkeypatch.context() as patch:
        patch.setattr(huey, "pending_count", hangs)
        ring_waiting(ring)
        ring_waiting(ring)
    assert len(tried) == 1
    monkeypatch.setattr(queue, "_quiet_until", {})  # the while is over
    ring_waiting(ring)
    assert {task.args[0] for task in huey.pending()} == set(jobs)


def test_a_bell_that_hangs_costs_no_lease(app: Flask) -> None:
    worker = Worker(lease_s=0.4)
    job_id = a_job()
    worker.claim(job_id, ["fetch_day"], deadline_s=300)
    first = items_of(job_id)[0].lease_until
    let_go = threading.Event()
    hanging = Duty("ring", functools.partial(let_go.wait, 10))
    both = [Steward(duties_of(worker), app.app_context), Steward([hanging], app.app_context)]
    for steward in both:
        steward.start()
    try:
        wait_until(lambda: items_of(job_id)[0].lease_until > first, 5)
    finally:
        let_go.set()
        for steward in both:
            steward.stop()


def test_what_only_the_holder_can_do_is_not_done_where_bells_are_rung() -> None:
    process = object.__new__(tasks.Process)
    process.worker, process.live = Worker(30), SimpleNamespace(follow_now=None)
    names = {duty.name for duty in process.duties()}
    assert "ring for what waits" in names
    assert not names & {duty.name for duty in duties_of(process.worker)}


def work_at(bell: tuple[str, int], app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The jobs that a thread works on, in order, when it hears that bell."""
    worked: list[int] = []

    def work_on(job_id: int) -> bool:
        worked.append(job_id)
        return True

    process = SimpleNamespace(app=app, work_on=work_on)
    monkeypatch.setattr(tasks, "this_process", lambda: process)
    monkeypatch.setattr(tasks, "ring", lambda _kind, job_id: worked.append(-job_id))
    tasks.work(*bell)
    return worked


def test_an_urgent_job_passes_a_queue_full_of_bells_for_another(
    app: Flask, huey: SqliteHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, urgent, most_urgent, paused = a_job(), a_job(), a_job(), a_job()
    with transaction() as session:
        for job_id, priority in ((urgent, 8), (most_urgent, 9), (paused, 9)):
            session.get_one(Job, job_id).priority = priority
        session.get_one(Job, paused).paused_at = current_time(session)
    assert queue.ring(huey, "fetch_range", usual, queue.MOST_BELLS)
    assert not queue.ring(huey, "fetch_range", most_urgent), "there is no room for its own bell"
    bell = huey.dequeue().args[0]
    in_order = [most_urgent, -most_urgent, urgent, -urgent, usual, -usual]
    assert work_at(("fetch_range", bell), app, monkeypatch) == in_order
    assert work_at(("fetch_range", 999_999), app, monkeypatch) == [999_999, -999_999]


def test_who_cannot_renew_his_own_leases_takes_back_none() -> None:
    worker, nobody = Worker(lease_s=0.2), Worker(lease_s=30)
    (lost,) = nobody.claim(a_job(), ["fetch_day"], deadline_s=300)
    overdue(lost)
    duties = duties_of_all(lambda _kind, _id, _times: True, worker)
    time.sleep(0.15)  # as while the database was away
    run_due(duties, at=1.0)
    assert items_of(lost.job_id)[0].state == "running"
    worker.renew()
    run_due(duties, at=3.0)
    assert items_of(lost.job_id)[0].state == "waiting"


def test_a_stream_at_work_keeps_nobody_from_the_heavy_items_of_its_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heavy: list[int] = []

    def work_on(_worker: Worker, job_id: int, _handlers: object) -> bool:
        heavy.append(job_id)
        return True

    monkeypatch.setattr(tasks, "work_on", work_on)
    process = object.__new__(tasks.Process)
    process.worker, process.handlers = Worker(30), {}
    process.streams = SimpleNamespace(is_at=lambda _: True, work_on=lambda _: False)
    assert process.work_on(7)
    assert heavy == [7]
