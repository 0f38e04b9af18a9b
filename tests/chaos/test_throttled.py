"""A source that refuses, asked by a worker whose clock lies: it is left alone all the same."""

import json
import urllib.request
from pathlib import Path

import pytest
from eyes import events, look, until_done
from stage import Stage, wait_until
from streams import ask, streaming

from app.core.db import current_time, reading
from app.sources.models import SourceState

ITEMS = 300


def faults(scene: Stage, *rules: dict[str, object]) -> None:
    address = f"http://127.0.0.1:{scene.environ['SANDBOX_PORT']}/_faults"
    request = urllib.request.Request(address, json.dumps(rules).encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status < 300


def seconds_left() -> float:
    with reading() as session:
        state = session.get(SourceState, "sandbox")
        if state is None or state.paused_until is None:
            return 0
        return (state.paused_until - current_time(session)).total_seconds()


@pytest.mark.parametrize("offset", ["-600", "600"])
def test_a_worker_whose_clock_is_off_waits_as_long_as_it_was_told(
    stack: dict[str, str], tmp_path: Path, offset: str
) -> None:
    with streaming(stack, tmp_path, latency_ms=50) as scene:
        told = {"Retry-After": "7"}
        faults(scene, {"match": "/event/", "status": 429, "headers": told})
        job_id = ask(ITEMS)
        scene.start("tests/chaos/worker_whose_clock_is_off.py", offset, name="clock")
        wait_until(lambda: seconds_left() > 0)
        assert seconds_left() <= 8
        faults(scene)
        until_done(job_id, 1)
        assert seconds_left() <= 0, "nothing went out before"
        until_done(job_id, ITEMS)
        assert look(job_id).items["done"] == ITEMS
        assert events(job_id, "gave_back") <= ITEMS
