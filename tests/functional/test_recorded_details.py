"""All matches of the recorded days by id, with faults: the table adds up, each slice is right."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import settings
from eyes import look
from payloads import PAYLOADS, needs_payloads, payload, sofascore_days
from sqlalchemy import select
from stage import Stage, free_port, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading, transaction
from app.fixtures.details_request import details_plan
from app.fixtures.models import MatchDetail
from app.jobs.models import JobItem, Trigger
from app.sources import pause
from app.sources.limits import AT_ONCE
from app.sources.registry import adapter

pytestmark = needs_payloads(pytest.mark.timeout(300))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path, port: int) -> Iterator[Stage]:
    assert PAYLOADS is not None
    sofascore = {"SOFASCORE_PERMITTED": "1", "SOFASCORE_BASE_URL": f"http://127.0.0.1:{port}"}
    with stage(tmp_path, SOURCES="sofascore", **sofascore, **stack) as made:
        tool = str(PAYLOADS.parent / "tools" / "replay_api.py")
        log = ("--log", str(tmp_path / "answered.jsonl"))
        made.start(tool, "--port", str(port), "--payloads", str(PAYLOADS), *log, name="replay")
        made.worker("--threads", "2")
        wait_until(lambda: "replay on" in made.log_text())
        app = create_app(settings(tmp_path / "data", **stack), edges=False)
        with app.app_context():
            yield made
            db.engine.dispose()


def faults(port: int, *rules: dict[str, object]) -> None:
    url = f"http://127.0.0.1:{port}/_faults"
    request = urllib.request.Request(url, data=json.dumps(rules).encode(), method="PUT")
    urllib.request.urlopen(request).close()


def every_id() -> list[str]:
    days = [json.loads(payload(day)) for day in sofascore_days()]
    return sorted({str(event["id"]) for day in days for event in day["events"]}, key=int)


def keys(job_id: int, *states: str) -> set[str]:
    with reading() as session:
        wanted = select(JobItem.key).where(JobItem.job_id == job_id, JobItem.state.in_(states))
        return set(session.scalars(wanted))


def answered(tmp_path: Path) -> list[tuple[str, int]]:
    """Match id and status of every answer, by the server's own log; a status of 0 is a reset."""
    lines = (tmp_path / "answered.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    return [(line["path"].rsplit("/", 1)[1], line["status"]) for line in told]


def with_code(job_id: int, code: str) -> set[str]:
    with reading() as session:
        wanted = select(JobItem.key).where(JobItem.job_id == job_id, JobItem.state == "failed")
        return set(session.scalars(wanted.where(JobItem.code == code)))


def assert_the_server_says_the_same(job_id: int, answers: list[tuple[str, int]]) -> None:
    last = dict(answers)
    told = {status: {key for key, its in last.items() if its == status} for status in last.values()}
    assert told[200] == keys(job_id, "done")
    assert told[404] == with_code(job_id, "NOT_FOUND")
    assert told[403] == with_code(job_id, "BLOCKED")


def assert_every_slice_is_right(job_id: int, ids: list[str], missing: set[str]) -> None:
    ended = look(job_id)
    failed = keys(job_id, "failed")
    assert missing <= failed
    # One that is missing may have met the block first; the codes are slices of the failed ones.
    assert 1 <= ended.errors["NOT_FOUND"] <= len(missing)
    assert sum(ended.errors.values()) == len(failed)
    with reading() as session:
        stored = set(
            session.scalars(
                select(MatchDetail.source_id).where(MatchDetail.fetched_at.is_not(None))
            )
        )
    assert stored == set(ids) - failed == keys(job_id, "done")


@pytest.mark.usefixtures("scene")
def test_all_recorded_matches_through_faults_a_storm_and_a_block(port: int, tmp_path: Path) -> None:
    ids = every_id()
    missing = {number for number in ids if number.endswith("77")}
    storm = {"match": "/event/", "status": 429, "headers": {"Retry-After": "5"}, "times": 20}
    faults(
        port,
        {"match": "/event/[0-9]*77$", "status": 404},
        {"match": "/event/", "every": 100, "status": 500},
        {"match": "/event/", "every": 200, "action": "reset"},
        storm,
    )
    with reading() as session:
        job = details_plan(session, adapter("sofascore"), ids, ["event"]).job
    assert job is not None
    job_id = tasks.submit(job, by="tester", trigger=Trigger.CLI).job_id

    def half() -> bool:
        report = look(job_id)
        return report.items["done"] > len(ids) / 2

    wait_until(half, 90, 0.2)
    block = {
        "match": "/event/",
        "status": 403,
        "body": {"error": {"code": 403, "reason": "challenge"}},
    }
    faults(port, block)

    def stopped() -> bool:
        report = look(job_id)
        return "BLOCKED" in report.errors and report.items["running"] == 0

    wait_until(stopped, 60, 0.2)
    blocked = look(job_id)
    assert blocked.items["waiting"] > 0, "the block stops the source"
    assert 1 <= blocked.errors["BLOCKED"] <= AT_ONCE, "no more than were on their way"
    before = len(answered(tmp_path))
    time.sleep(2)
    faults(port, {"match": "/event/[0-9]*77$", "status": 404})
    assert len(answered(tmp_path)) == before, "nobody asks until it is resumed"
    with transaction() as session:
        pause.resume(session, "sofascore")
    wait_until(lambda: not look(job_id).is_open, 120, 0.2)
    assert_every_slice_is_right(job_id, ids, missing)
    assert_the_server_says_the_same(job_id, answered(tmp_path))
