"""Forks for each line it is sent, and lets the child do some work and die at a step of it.

A step is one that the work tells, or `before …` or `after …` a function, by its full name.
What was imported once need not be again: a child is there in milliseconds.
"""

import json
import os
import pkgutil
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, "tests")

from conftest import settings
from depots import a_depot

from app import create_app
from app.backups import restore as restoring
from app.backups.places import Place
from app.backups.restore import Terms
from app.backups.work import bench_of, handlers
from app.jobs.runner import work_on
from app.jobs.worker import Worker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def telling(step: str) -> Callable[[str, int, int], None]:
    return lambda at, _done, _of: die() if at == step else None


def die_around(step: str) -> None:
    """Replace the function that the step names by one that dies before or after it."""
    when, _, name = step.partition(" ")
    if when not in ("before", "after"):
        return
    owner, _, attribute = name.rpartition(".")
    place = pkgutil.resolve_name(owner)
    real = getattr(place, attribute)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            real(*arguments, **named)
        die()

    setattr(place, attribute, deadly)


def exchange(told: dict[str, Any]) -> None:
    """A restore, or the undo of one."""
    depot = a_depot(Path(told["folder"]), Place(told["url"]), keys=Path(told["keys"]))
    tell = telling(told["step"])
    with depot.locked():
        if told["archive"]:
            restoring.restore(depot, Path(told["archive"]), Terms("tester"), tell)
        else:
            restoring.undo(depot, "tester", tell)


def job(told: dict[str, Any]) -> None:
    """A job of the ledger, as a worker does it."""
    config = settings(Path(told["folder"]), DATABASE_URL=told["url"])
    with create_app(config, edges=False).app_context():
        known = handlers(bench_of(config, telling(told["step"])))
        work_on(Worker(60), told["job"], known)


def child(told: dict[str, Any]) -> None:
    if most := told.get("most_bytes"):  # of a file: what would be longer meets a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    die_around(told["step"])
    {"exchange": exchange, "job": job}[told["what"]](told)


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 0
            try:
                child(json.loads(line))
            except BaseException:  # noqa: BLE001
                status = 1
            os._exit(status)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
