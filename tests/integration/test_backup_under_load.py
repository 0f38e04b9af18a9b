"""A backup while others write 50 times a second and files come and go: done, one instant."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from depots import a_depot, an_archive, insert, put, rows_of
from stage import ROOT

from app.backups.archive import opened, verify
from app.backups.depot import Depot
from app.backups.drill import drill
from app.backups.manifest import Manifest
from app.backups.places import Place

PER_S = 50
WORK = """
import os, sys, time
from pathlib import Path
import sqlalchemy as sa
url, media, per_s, turn = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
engine = sa.create_engine(url)
fire = sa.text("INSERT INTO schedule_fire (schedule, due_at, fired_at) VALUES (:name, :at, :at)")
state = sa.text("INSERT INTO source_state (source, pauses, factor) VALUES (:name, 0, 1)")
number, began = 0, time.monotonic()
while True:
    name = f"w{turn}-{number:06}"
    with engine.begin() as connection:
        connection.execute(fire, {"name": name, "at": "2026-01-01 00:00:00.000000"})
        connection.execute(state, {"name": name})
    (media / f"{name}.part").write_bytes(os.urandom(20_000))
    (media / f"{name}.part").replace(media / f"{name}.bin")
    (media / f"w{turn}-{number - 20:06}.bin").unlink(missing_ok=True)
    if number == 20:
        print("going", flush=True)
    number += 1
    time.sleep(max(0, began + number / per_s - time.monotonic()))
"""


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Depot:
    """Ten megabytes of rows that cannot be compressed, and a hundred files."""
    made = a_depot(tmp_path, Place(database_url), media=tmp_path / "media")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fixed = {**dict.fromkeys(("source", "kind", "key", "sha256"), "s"), "fetched_at": at}
    fixed |= {"http_status": 200, "size": 20_000}
    insert(made.live, "raw_answer", *({"body": os.urandom(20_000), **fixed} for _ in range(500)))
    put(made.media, {f"old/{number}.bin": os.urandom(20_000) for number in range(100)})
    return made


@contextmanager
def others_at_work(depot: Depot, turn: int) -> Iterator[None]:
    """Somebody else, in a process of his own."""
    command = [sys.executable, "-c", WORK, depot.live.url, str(depot.media), str(PER_S), str(turn)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"going\n"
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def manifest_of(path: Path) -> Manifest:
    with opened(path) as archive:
        return archive.manifest


def names(path: Path, table: str) -> set[bytes]:
    """The first text of each row."""
    lines = b"".join(rows_of(path, table)).splitlines()
    return {line.split(b'"')[1] for line in lines}


def test_it_ends_and_holds_one_instant_of_rows_and_files(depot: Depot) -> None:
    """How long it takes is measured by the benchmark."""
    made = []
    for turn in range(2):
        with others_at_work(depot, turn):
            made.append(an_archive(depot))
    for path in made:
        told = manifest_of(path).media
        assert (told.missing_refs, told.skipped) == (0, 0)
        assert told.files >= 100 + 15  # one comes and one goes while they are counted
        fires = names(path, "schedule_fire")
        states = names(path, "source_state")
        assert fires == states
        assert len(fires) >= 20
    with opened(made[-1]) as archive:
        assert verify(archive)
    with depot.locked():
        drill(depot, made[-1])
