"""kill -9 and a full disk at every step of a backup, a restore and an undo, on both engines.

The live data are wholly old or wholly new, the catalogue has no half row, the lock is free, and
what was left behind is gone when somebody works next.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import settings
from depots import a_depot, an_archive, hashes, insert
from flask import Flask
from stage import ROOT

from app import create_app
from app.backups import catalogue
from app.backups import restore as restoring
from app.backups.depot import Depot
from app.backups.journal import Journal, Step
from app.backups.models import GOOD
from app.backups.places import Place
from app.backups.request import create_request
from app.backups.restore import Terms, restore, undo
from app.backups.roots import TWIN
from app.backups.work import bench_of, handlers
from app.core.db import db, persist, transaction
from app.jobs.ledger import reap
from app.jobs.models import ItemState, JobItem, Trigger
from app.jobs.runner import work_on
from app.jobs.submit import submit
from app.jobs.worker import Worker

pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks and sends POSIX signals")
BY = Terms("tester")


class Mortal:
    """A process that forks children which die where they are told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "tests/chaos/dies_at_a_step.py"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, what: str, step: str, **more: Any) -> int:
        """How the child ended: the number of a signal is below zero."""
        assert self.process.stdin
        assert self.process.stdout
        told = {"what": what, "step": step, **more}
        self.process.stdin.write(json.dumps(told, default=str) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    made = Mortal()
    yield made
    made.close()


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Iterator[Depot]:
    """A depot beside an empty, migrated database of each engine."""
    made = a_depot(tmp_path, Place(database_url))
    yield made
    drop_schemas(made.live)


def schemas(place: Place) -> list[str]:
    with place.connect() as connection:
        return [name for name in sa.inspect(connection).get_schema_names() if "fikstur" in name]


def drop_schemas(place: Place) -> None:
    for name in [] if place.on_sqlite else schemas(place):
        with place.connect() as connection:
            connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
            connection.commit()


def remember(place: Place, *names: str) -> None:
    insert(place, "source_state", *({"source": name} for name in names))


def data(place: Place) -> dict[str, str]:
    """Of everything that a restore takes back: the log is not."""
    return {name: value for name, value in hashes(place).items() if name != "audit_log"}


def left_over(depot: Depot) -> list[str]:
    """Files, schemas and tables that no successful restore explains."""
    found = [path.name for path in depot.staging.iterdir()]
    found += [path.name for path in depot.folder.rglob("*.partial")]
    if depot.live.on_sqlite:
        with depot.live.connect() as connection:
            names = sa.inspect(connection).get_table_names()
        return found + [name for name in names if name.startswith(TWIN)]
    return found + [name for name in schemas(depot.live) if "scratch" in name]


def telling_steps(steps: list[str]) -> Any:
    """Remember each step once; of a step per table those of one table are enough."""

    def tell(step: str, _done: int, _of: int) -> None:
        table = step.partition(" ")[2]
        if step not in steps and table in ("", "source_state"):
            steps.append(step)

    return tell


# Where no step is told: inside the exchange, and between it and its end.
INSIDE_SQLITE = [
    "before app.backups.roots._exchange_roots",
    "after app.backups.roots._exchange_roots",
    "before app.backups.roots.keep_old",
    "before app.backups.roots.sync_folder",
]
INSIDE_POSTGRES = ["before app.backups.swap._exchange"]
AFTER = ["before app.backups.restore._amiss"]


def inside(depot: Depot) -> list[str]:
    return INSIDE_SQLITE if depot.live.on_sqlite else INSIDE_POSTGRES


def settled(depot: Depot) -> None:
    """What the next restore, undo or prune does first; it gets the lock."""
    with depot.locked():
        restoring.settle(depot)
    assert left_over(depot) == []
    assert not [e for e in Journal(depot.folder).entries() if e.step is Step.SWAPPING]


def back_again(depot: Depot) -> None:
    with depot.locked():
        undo(depot, "tester")


def the_stage(depot: Depot) -> tuple[Path, dict[str, str], dict[str, Any], list[str]]:
    """An archive of before, the live data of now, how a child finds them, and all told steps."""
    remember(depot.live, "old")
    path = an_archive(depot)
    remember(depot.live, "new")
    now, steps = data(depot.live), []
    with depot.locked():
        restore(depot, path, BY, telling_steps(steps))
    back_again(depot)
    assert data(depot.live) == now
    keys = depot.keys.folder
    return path, now, {"folder": depot.folder.parent, "url": depot.live.url, "keys": keys}, steps


def names(place: Place) -> list[str]:
    with place.connect() as connection:
        return sorted(connection.execute(sa.text("SELECT source FROM source_state")).scalars())


def test_a_restore_killed_at_any_step_leaves_the_old_or_the_new(
    depot: Depot, mortal: Mortal
) -> None:
    path, before, where, steps = the_stage(depot)
    assert {"hashes", "contents", "load source_state", "compare source_state"} <= {*steps}
    assert {"migrate", "swap"} <= {*steps}
    seen = set()
    for step in [*steps, *inside(depot), *AFTER]:
        assert mortal("exchange", step, archive=path, **where) == -signal.SIGKILL, step
        assert names(depot.live) in (["old"], ["new", "old"]), step
        settled(depot)
        if names(depot.live) == ["old"]:
            seen.add("new")
            back_again(depot)
        assert data(depot.live) == before, step
        assert left_over(depot) == [], step
    assert seen == {"new"}  # the negative control: some of them died after the exchange


def test_an_undo_killed_at_any_step_leaves_the_old_or_the_new(depot: Depot, mortal: Mortal) -> None:
    path, before, where, _steps = the_stage(depot)
    with depot.locked():
        restore(depot, path, BY)
    for step in ["swap", *inside(depot), *AFTER]:
        assert mortal("exchange", step, archive=None, **where) == -signal.SIGKILL, step
        settled(depot)
        if names(depot.live) == ["old"]:
            back_again(depot)
        assert data(depot.live) == before, step
        back_again(depot)
        assert names(depot.live) == ["old"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_killed_while_a_file_with_other_tables_is_written_over(
    depot: Depot, mortal: Mortal
) -> None:
    """There no roots can be exchanged: the live file is of another version, or damaged."""
    path, before, where, _steps = the_stage(depot)
    for step in ("before app.backups.swap._Kept.complete", "after app.backups.swap._swap_file"):
        with depot.live.connect() as connection:
            connection.execute(sa.text("CREATE TABLE IF NOT EXISTS of_another_version (x)"))
            connection.commit()
        assert mortal("exchange", step, archive=path, **where) == -signal.SIGKILL, step
        settled(depot)
        if names(depot.live) == ["old"]:
            back_again(depot)
        assert data(depot.live) == before, step


def test_a_restore_that_finds_the_disk_full_leaves_the_old_or_the_new(
    depot: Depot, mortal: Mortal
) -> None:
    path, before, where, steps = the_stage(depot)
    for full_at in steps:

        def fill_up(step: str, _done: int, _of: int, full_at: str = full_at) -> None:
            if step == full_at:
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space"), depot.locked():
            restore(depot, path, BY, fill_up)
        assert data(depot.live) == before, full_at
        assert left_over(depot) == [], full_at
    live = depot.live.file.stat().st_size if depot.live.on_sqlite else 0
    for most in [4096, 100_000, live + 4096, live + 65_536] if live else [4096]:
        mortal("exchange", "", archive=path, most_bytes=most, **where)
        settled(depot)
        if names(depot.live) == ["old"]:  # it was what is kept that had no room; now it has
            back_again(depot)
        assert data(depot.live) == before, most


# --- a backup, as a job ---------------------------------------------------------------------------


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    made = create_app(settings(tmp_path, DATABASE_URL=database_url), edges=False)
    with made.app_context():
        yield made
        db.session.remove()
        db.engine.dispose()
    drop_schemas(Place(database_url))


def a_job(name: str) -> int:
    with transaction() as session:
        request = create_request(name)
        return submit(session, request, by="tester", trigger=Trigger.CLI).job_id


def worked_on(house: Flask, job_id: int, steps: list[str]) -> None:
    bench = bench_of(house.config["FIKSTUR"], telling_steps(steps))
    work_on(Worker(60), job_id, handlers(bench))


def taken_back(job_id: int) -> None:
    """As when the dead worker's lease has run out."""
    past = sa.update(JobItem).where(JobItem.job_id == job_id)
    persist(lambda session: session.execute(past.values(lease_until=sa.text("'2001-01-01'"))))
    persist(reap)


def state_of(job_id: int) -> str:
    with transaction() as session:
        return session.scalars(sa.select(JobItem.state).where(JobItem.job_id == job_id)).one()


def test_a_backup_killed_at_any_step_is_made_once_by_the_next_worker(
    house: Flask, mortal: Mortal, tmp_path: Path
) -> None:
    depot, steps = bench_of(house.config["FIKSTUR"]).depot, []
    remember(depot.live, "old")
    worked_on(house, a_job("first"), steps)
    wanted = {"snapshot", "table source_state", "settings", "manifest", "rename", "hashes"}
    assert {*steps} >= wanted | {"contents", "load source_state", "compare source_state", "migrate"}
    unnamed = ["before app.backups.write.sync_folder", "before app.backups.work._finish"]
    where = {"folder": tmp_path, "url": depot.live.url}
    made_anew = ["table source_state", *unnamed]
    for step in [*steps, *unnamed]:
        job_id = a_job("again")
        assert mortal("job", step, job=job_id, **where) == -signal.SIGKILL, step
        assert all(row.state in GOOD for row in catalogue.all_backups()), step
        with depot.locked():
            assert list(depot.staging.iterdir()) == [], step
        taken_back(job_id)
        if step in made_anew:
            worked_on(house, job_id, [])
            assert state_of(job_id) == ItemState.DONE, step
    rows = catalogue.all_backups()
    assert len(rows) == 1 + len(made_anew)
    assert {row.state for row in rows} == {"drilled"}
    assert left_over(depot) == []


def test_a_backup_that_finds_the_disk_full_fails_with_a_sentence(
    house: Flask, mortal: Mortal, tmp_path: Path
) -> None:
    depot, steps = bench_of(house.config["FIKSTUR"]).depot, []
    worked_on(house, a_job("first"), steps)
    whole = depot.archives()[0].stat().st_size
    for step in steps:

        def fill_up(at: str, _done: int, _of: int, step: str = step) -> None:
            if at == step:
                raise OSError(28, "No space left on device")

        job_id = a_job("full")
        bench = bench_of(house.config["FIKSTUR"], fill_up)
        work_on(Worker(60), job_id, handlers(bench))
        assert state_of(job_id) == ItemState.FAILED, step
        assert left_over(depot) == [], step
    where = {"folder": tmp_path, "url": depot.live.url}
    for most in (1, whole // 2, whole - 1):
        job_id = a_job("cut")
        assert mortal("job", "", job=job_id, most_bytes=most, **where) in (0, 1)
        assert left_over(depot) == []
        assert [row.state for row in catalogue.all_backups() if row.name == "cut"] == []
