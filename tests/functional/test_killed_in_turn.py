"""A real worker is killed while days go from source to source: nothing lost, nothing double."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import settings
from eyes import events, look, until_done
from flask import Flask
from sqlalchemy import func, select
from stage import Stage, free_port, kill, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading
from app.errors.models import FixtureError
from app.fixtures.models import FixtureDay
from app.fixtures.request import fetch_request, parse_day
from app.jobs.models import JobEvent, Trigger

DAYS = 31
ORDER = ["sofascore", "football_data"]


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    """One slow sandbox is both sources; as sofascore it knows no day at all."""
    port = str(free_port())
    here = f"http://127.0.0.1:{port}"
    sources = {"SOFASCORE_BASE_URL": here, "FOOTBALL_DATA_BASE_URL": here}
    more = {"SOFASCORE_PERMITTED": "1", "FOOTBALL_DATA_TOKEN": "not-a-real-token"}
    plan = tmp_path / "faults.json"
    plan.write_text(json.dumps([{"match": "/api/v1/", "status": 404}]), encoding="utf-8")
    with stage(tmp_path, SOURCES=",".join(ORDER), **sources, **more, **stack) as made:
        slow = ("--no-demo", "--latency-ms", "150", "--faults", str(plan))
        made.start("-m", "app.sandbox", "--port", port, *slow, name="sandbox")
        made.until_listens(port)
        yield made


@pytest.fixture
def books(scene: Stage, stack: dict[str, str]) -> Iterator[Flask]:
    """An app that looks into the same database."""
    app = create_app(settings(Path(scene.environ["DATA_DIR"]), **stack), edges=False)
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.mark.usefixtures("books")
def test_a_worker_killed_between_two_sources_leaves_nothing_double(scene: Stage) -> None:
    first, last = parse_day("2025-05-01"), parse_day("2025-05-31")
    with reading() as session:
        request = fetch_request(session, ORDER, first, last, failover=True).job
    assert request is not None
    job_id = tasks.submit(request, by="tester", trigger=Trigger.CLI).job_id
    victim = scene.worker("--threads", "4")
    wait_until(lambda: events(job_id, "failed_over") >= 5, every=0.02)
    kill(victim)
    assert look(job_id).items["done"] < DAYS
    scene.worker("--threads", "4")
    report = until_done(job_id, DAYS)
    assert (report.job.state, report.answered_by) == ("DONE", {"football_data": DAYS})
    for event in ("failed_over", "done"):
        assert events(job_id, event) == DAYS
        assert items_with(job_id, event) == DAYS, "each item once"
    with reading() as session:
        days = select(FixtureDay.source, func.count()).group_by(FixtureDay.source)
        assert dict([*map(tuple, session.execute(days))]) == dict.fromkeys(ORDER, DAYS)
        errors = select(FixtureError.source, FixtureError.attempts)
        assert session.execute(errors).all() == [("sofascore", 1)] * DAYS


def items_with(job_id: int, event: str) -> int:
    with reading() as session:
        items = select(func.count(JobEvent.item_id.distinct()))
        return session.scalar(items.where(JobEvent.job_id == job_id, JobEvent.event == event)) or 0
