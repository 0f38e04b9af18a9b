"""The same chaos where a part of the house is missing: it must go wrong, else tests prove nothing.

The reaper's control stands in test_killed_workers.py, that of the state machine beside it.
"""

import signal
import time
from pathlib import Path

from eyes import look, until_done
from stage import Stage, kill, stage, wait_until
from streams import LEASE_S, ask, doubled, streaming

ITEMS = 600


def effects(scene: Stage) -> int:
    return len(list(Path(scene.environ["DATA_DIR"]).glob("effect-*")))


def test_plain_huey_tasks_are_lost_with_their_worker(stack: dict[str, str], tmp_path: Path) -> None:
    plain = "tests/chaos/plain_huey.py"
    with stage(tmp_path, **stack) as scene:
        assert scene.start(plain, "ask", "200").wait(30) == 0
        for enough in (40, 80, 120):
            victim = scene.start(plain, "work")
            wait_until(lambda n=enough: effects(scene) >= n)
            kill(victim)
        scene.start(plain, "work")
        wait_until(lambda: effects(scene) > 160)
        before = -1
        while effects(scene) != before:  # until nothing comes any more
            before = effects(scene)
            time.sleep(2)
        assert before < 200, "what was in the hands of the killed is gone for good"


def test_without_the_fence_a_sleeper_that_wakes_does_it_again(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with streaming(stack, tmp_path, latency_ms=1000) as scene:
        job_id = ask(ITEMS)
        sleeper = scene.start("tests/chaos/worker_without_fence.py", name="fenceless")
        wait_until(lambda: look(job_id).items["running"] > 100)
        time.sleep(0.3)  # its requests are on their way, none has come back
        scene.freeze(sleeper)
        time.sleep(LEASE_S + 1)
        scene.worker("--threads", "2")
        until_done(job_id, ITEMS, seconds=90)
        assert doubled(job_id) == 0
        sleeper.send_signal(signal.SIGCONT)
        wait_until(lambda: doubled(job_id) > 0, 30)
