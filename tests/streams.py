"""Thousands of details on real workers: the stage, asking, and what must be true at the end."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from conftest import settings
from sqlalchemy import func, select
from stage import Stage, free_port, stage

import tasks
from app import create_app
from app.core.db import current_time, db, reading, transaction
from app.fixtures.details_request import details_plan
from app.fixtures.models import Match, MatchDetail, RawAnswer
from app.jobs.models import Job, JobEvent, JobItem, Trigger
from app.jobs.report import live_workers
from app.sources.registry import adapter

FIRST_ID = 100_000_000
LEASE_S = 3


@contextmanager
def streaming(
    stack: dict[str, str], tmp_path: Path, latency_ms: int = 60, **more: str
) -> Iterator[Stage]:
    """A migrated stack with a sandbox that logs what it is asked, and an app that looks into it.

    No worker yet.
    """
    port = str(free_port())
    with stage(tmp_path, SANDBOX_PORT=port, SOURCES="sandbox", **stack, **more) as made:
        log = str(tmp_path / "asked.jsonl")
        options = ("--port", port, "--no-demo", "--latency-ms", str(latency_ms), "--log", log)
        made.start("-m", "app.sandbox", *options, name="sandbox")
        made.until_listens(port)
        app = create_app(settings(Path(made.environ["DATA_DIR"]), **stack), edges=False)
        with app.app_context():
            try:
                yield made
            finally:
                db.engine.dispose()


def ask(items: int) -> int:
    """Submit details of so many matches: the job's id. The bell is the steward's business."""
    ids = [str(FIRST_ID + n) for n in range(items)]
    with reading() as session:
        job = details_plan(session, adapter("sandbox"), ids, ["event"]).job
    assert job is not None
    return tasks.submit(job, by="tester", trigger=Trigger.CLI).job_id


def lose_bells(job_id: int, client: redis.Redis) -> None:
    """Wipe the queue before anybody listens: only the steward's ringing again can begin the job."""
    client.flushdb()
    with transaction() as session:
        session.get_one(Job, job_id).rung_at = current_time(session)


def faults(scene: Stage, *rules: dict[str, object]) -> None:
    """What the sandbox spoils from now on."""
    url = f"http://127.0.0.1:{scene.environ['SANDBOX_PORT']}/_faults"
    plan = urllib.request.Request(url, data=json.dumps(rules).encode(), method="PUT")
    urllib.request.urlopen(plan).close()


def asked(tmp_path: Path) -> Counter[str]:
    """How often the sandbox was asked for what, by its own log."""
    lines = (tmp_path / "asked.jsonl").read_text("utf-8").splitlines()
    return Counter(json.loads(line)["path"] for line in lines)


def asked_for(tmp_path: Path) -> Counter[str]:
    """The same by match id."""
    return Counter({path.rsplit("/", 1)[1]: times for path, times in asked(tmp_path).items()})


def doubled(job_id: int) -> int:
    """Items of the job that were done more than once."""
    ends = (
        select(JobEvent.item_id)
        .where(JobEvent.job_id == job_id, JobEvent.event == "done")
        .group_by(JobEvent.item_id)
        .having(func.count() > 1)
    )
    with reading() as session:
        return len(session.scalars(ends).all())


def assert_each_once(job_id: int, items: int) -> None:
    """Every item was done once, and its effect is there once."""
    with reading() as session:
        for table in (Match, MatchDetail, RawAnswer):
            assert session.scalar(select(func.count()).select_from(table)) == items
        ends = (
            select(func.count())
            .where(JobEvent.job_id == job_id, JobEvent.event == "done")
            .group_by(JobEvent.item_id)
        )
        assert session.scalars(ends).all() == [1] * items


def claimed_again(job_id: int) -> int:
    """How often an item was claimed beyond its first time."""
    with reading() as session:
        fences = session.scalars(select(JobItem.fence).where(JobItem.job_id == job_id))
        return sum(fence - 1 for fence in fences if fence)


def alive() -> int:
    """How many workers say that they live."""
    with reading() as session:
        return len(live_workers(session))


def workers_of(job_id: int) -> set[str]:
    """Who has claimed items of the job so far."""
    with reading() as session:
        names = select(JobEvent.worker).where(
            JobEvent.job_id == job_id, JobEvent.event == "claimed"
        )
        return set(session.scalars(names.distinct()))
