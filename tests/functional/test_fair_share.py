"""A small job that comes later is not stuck behind a huge one, though one worker does both."""

from pathlib import Path

from eyes import look, until_done
from streams import FIRST_ID, ask, streaming

import tasks
from app.core.db import reading
from app.fixtures.details_request import details_plan
from app.fixtures.request import fetch_request, parse_day
from app.jobs.models import Trigger
from app.sources.registry import adapter

HUGE, SMALL = 3000, 5


def small_job() -> int:
    ids = [str(FIRST_ID + HUGE + n) for n in range(SMALL)]
    with reading() as session:
        job = details_plan(session, adapter("sandbox"), ids, ["event"]).job
    assert job is not None
    return tasks.submit(job, by="tester", trigger=Trigger.CLI).job_id


def a_day() -> int:
    day = parse_day("2025-05-05")
    with reading() as session:
        job = fetch_request(session, ["sandbox"], day, day).job
    return tasks.submit(job, by="tester", trigger=Trigger.CLI).job_id


def test_a_small_job_passes_a_huge_one(stack: dict[str, str], tmp_path: Path) -> None:
    with streaming(stack, tmp_path, latency_ms=500) as scene:
        huge = ask(HUGE)
        scene.worker("--threads", "2")
        until_done(huge, 50)
        small, day = small_job(), a_day()
        until_done(small, SMALL)
        until_done(day, 1)
        assert look(huge).items["done"] < HUGE * 0.9


def test_a_small_job_passes_a_huge_one_though_slots_are_few(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=50, SANDBOX_LIMITS="4/1") as scene:
        huge = ask(HUGE)
        scene.worker("--threads", "2")
        until_done(huge, 2)
        before, small = look(huge).items["done"], small_job()
        until_done(small, SMALL, seconds=20)
        passed = look(huge).items["done"] - before
        assert passed <= 3 * SMALL, "they take turns"
