"""A restore and its undo while workers are at it: nothing lost, nothing twice, in either ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import settings
from eyes import until_done
from flask import Flask
from sqlalchemy import func, select
from stage import Stage, free_port, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading
from app.fixtures.models import FixtureDay
from app.fixtures.request import fetch_request, parse_day
from app.jobs.models import OPEN_JOB, Job, JobEvent, Trigger

FIRST, LAST, DAYS = "2025-05-05", "2025-06-30", 57


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Stage]:
    """A migrated stack with a slow sandbox, no worker yet."""
    port = str(free_port())
    with stage(tmp_path, SANDBOX_PORT=port, SOURCES="sandbox", **stack) as made:
        sandbox = ("-m", "app.sandbox", "--port", port, "--no-demo", "--latency-ms", "150")
        made.start(*sandbox, name="sandbox")
        made.until_listens(port)
        yield made


@pytest.fixture
def books(scene: Stage, stack: dict[str, str]) -> Iterator[Flask]:
    """An app that looks into the same database."""
    app = create_app(settings(Path(scene.environ["DATA_DIR"]), **stack), edges=False)
    with app.app_context():
        yield app
        if db.engine.dialect.name == "postgresql":
            with db.engine.connect() as connection:
                for name in sa.inspect(connection).get_schema_names():
                    if name.startswith("fikstur_"):
                        connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
                connection.commit()
        db.engine.dispose()


def assert_all_ended_and_each_day_once(scene: Stage, job_id: int) -> None:
    wait_until(lambda: not open_jobs(), seconds=60)
    with reading() as session:
        days = select(FixtureDay.date, func.count()).group_by(FixtureDay.date)
        assert [n for _, n in session.execute(days)] == [1] * DAYS
        ends = (
            select(func.count())
            .where(JobEvent.job_id == job_id, JobEvent.event == "done")
            .group_by(JobEvent.item_id)
        )
        assert session.scalars(ends).all() == [1] * DAYS
        assert set(session.scalars(select(Job.state))) <= {"DONE", "CANCELLED"}
    audit = scene.flask("jobs", "audit")
    assert audit.returncode == 0, audit.stdout


def open_jobs() -> list[str]:
    with reading() as session:
        return list(session.scalars(select(Job.kind).where(Job.state.in_(OPEN_JOB))))


@pytest.mark.usefixtures("books")
def test_workers_go_on_in_whatever_ledger_is_put_before_them(scene: Stage) -> None:
    with reading() as session:
        request = fetch_request(session, ["sandbox"], parse_day(FIRST), parse_day(LAST)).job
    job_id = tasks.submit(request, by="tester", trigger=Trigger.CLI).job_id
    scene.worker("--threads", "4")
    until_done(job_id, 5)
    made = scene.json("backup", "create", "--name", "midway")
    assert made["state"] == "drilled"
    until_done(job_id, 25)
    entry = scene.json("backup", "restore", made["file"], "--force")
    assert entry["state"] == "done"
    until_done(job_id, DAYS)
    assert_all_ended_and_each_day_once(scene, job_id)
    assert scene.json("backup", "undo", "--force")["what"] == "undo"
    until_done(job_id, DAYS)
    assert_all_ended_and_each_day_once(scene, job_id)
    assert "Traceback" not in scene.log_text()
    assert "unexpected error" not in scene.log_text()
