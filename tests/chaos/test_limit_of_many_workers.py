"""Two workers, one limit: together they keep it, and they use it."""

from datetime import datetime
from pathlib import Path

import pytest
from conftest import settings
from sqlalchemy import select
from stage import free_port, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading
from app.fixtures.request import fetch_request, parse_day
from app.jobs.audit import imbalances
from app.jobs.models import Trigger
from app.jobs.report import job_report
from app.sources.models import RequestLog

DAYS, REQUESTS, SECONDS = 30, 4, 1.0


def most_within(times: list[datetime], seconds: float) -> int:
    return max(sum(1 for at in times if 0 <= (at - t).total_seconds() < seconds) for t in times)


@pytest.mark.parametrize("limit", [f"{REQUESTS}/{SECONDS:g}"])
def test_two_workers_keep_one_limit_and_use_it(
    stack: dict[str, str], tmp_path: Path, limit: str
) -> None:
    port = str(free_port())
    own = {"SANDBOX_PORT": port, "SOURCES": "sandbox", "SANDBOX_LIMITS": limit, **stack}
    with stage(tmp_path, **own) as scene:
        scene.start("-m", "app.sandbox", "--port", port, "--no-demo", name="sandbox")
        scene.until_listens(port)
        app = create_app(settings(Path(scene.environ["DATA_DIR"]), **stack), edges=False)
        with app.app_context():
            with reading() as session:
                days = (parse_day("2025-05-05"), parse_day("2025-06-03"))
                request = fetch_request(session, ["sandbox"], *days).job
            job_id = tasks.submit(request, by="tester", trigger=Trigger.CLI).job_id
            for _ in range(2):
                scene.worker("--threads", "4")

            def ended() -> bool:
                with reading() as session:
                    return not job_report(session, job_id).is_open

            wait_until(ended, 60)
            with reading() as session:
                times = sorted(session.scalars(select(RequestLog.at)))
                assert imbalances(session) == []
            db.engine.dispose()
    assert len(times) == DAYS
    # The log has the time of writing, not of sending: a little of it is noise.
    assert most_within(times, SECONDS * 0.9) <= REQUESTS + 2
    took_s = (times[-1] - times[0]).total_seconds()
    ideal_s = (DAYS / REQUESTS - 1) * SECONDS
    assert ideal_s * 0.9 <= took_s <= ideal_s * 2 + 3
