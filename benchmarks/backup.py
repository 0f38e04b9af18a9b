"""What a backup costs against pg_dump -Fc, in memory, and how long a restore stops who writes.

PostgreSQL gets a database of its own for the run, SQLite a file with the same rows. Everything that
is compared is measured in the same run, one after the other, each in a process of its own, the
best of some rounds. `python -m benchmarks backup --mb 125 500 --rounds 3`
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import sqlalchemy as sa

from app.backups.archive import opened, verify
from app.backups.depot import Depot, tell_nobody
from app.backups.keys import Keys
from app.backups.manifest import Type
from app.backups.places import Place
from app.backups.restore import Terms, restore
from app.backups.schema import head, migrate
from app.backups.scratch import fill as load
from app.backups.write import Order, create
from benchmarks.scene import POSTGRES, ROOT, _peak_mb, own_database
from benchmarks.stored import fill

SIZES_MB = (125, 500)
ROUNDS = 3
WRITES_PER_S = 50
SECRET = "a-key-for-benchmarks-that-opens-nothing-01234"
# The bars of docs/backup-format.md.
BARS = {
    "time against pg_dump -Fc": 0.35,
    "size against pg_dump -Fc": 0.92,
    "age overhead": 1.10,
    "peak memory, MB": 160.0,
    "peak memory, largest against smallest": 1.25,
    "stop of a restore on PostgreSQL, s": 1.0,
    "stop of a restore on SQLite, s": 1.0,
    "SQLite under writes against idle": 2.0,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run in a process of its own came to."""

    seconds: float
    size: int
    peak_mb: float

    def __str__(self) -> str:
        told = f"{self.seconds:7.2f} s  {self.size / 2**20:7.1f} MB"
        return f"{told}  peak {self.peak_mb:4.0f} MB" if self.peak_mb else told


def run(sizes: Sequence[int] = SIZES_MB, rounds: int = ROUNDS) -> None:
    """Measure and print, at the end each figure beside its bar."""
    if not POSTGRES or not shutil.which("pg_dump"):
        raise SystemExit("set FIKSTUR_BENCH_POSTGRES_URL, and install pg_dump: it is compared with")
    found: dict[str, float] = {}
    peaks = [_one_size(mb, rounds, found) for mb in sorted(sizes)]
    found["peak memory, MB"] = max(peaks)
    found["peak memory, largest against smallest"] = peaks[-1] / peaks[0]
    print(f"\n{sorted(sizes)[-1]} MB, load average {os.getloadavg()[0]:.1f}")
    for name, bar in BARS.items():
        value = found[name]
        print(f"{name:40} {value:8.3f}   bar {bar:6.2f}   {'ok' if value <= bar else 'MISSED'}")


def _one_size(mb: int, rounds: int, found: dict[str, float]) -> float:
    """All of it at one size; the peak memory of a backup of PostgreSQL."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, own_database() as url:
        folder = Path(name)
        size = _seeded(url, mb)
        print(f"\nPostgreSQL, {size / 2**20:.0f} MB, best of {rounds}", flush=True)
        costs = _against_pg_dump(folder, url, rounds)
        dump, plain, closed = (costs[name] for name in ("pg_dump -Fc", "plain", "age"))
        found["time against pg_dump -Fc"] = closed.seconds / dump.seconds
        found["size against pg_dump -Fc"] = closed.size / dump.size
        found["age overhead"] = closed.seconds / plain.seconds
        archive = _depot(folder / "plain", url).archives()[0]
        found["stop of a restore on PostgreSQL, s"] = _stop(folder / "plain", url, archive)
        _sqlite(folder, archive, rounds, found)
        return closed.peak_mb


def _against_pg_dump(folder: Path, url: str, rounds: int) -> dict[str, Cost]:
    _encrypt(folder / "age")
    costs: dict[str, list[Cost]] = {"pg_dump -Fc": [], "plain": [], "age": []}
    for _ in range(rounds):
        costs["pg_dump -Fc"].append(_pg_dump(url, folder / "dump"))
        for kind in ("plain", "age"):
            costs[kind].append(_backup(folder / kind, url))
    best = {kind: min(some, key=lambda cost: cost.seconds) for kind, some in costs.items()}
    for kind, cost in best.items():
        print(f"  {kind:14} {cost}", flush=True)
    return best


def _sqlite(folder: Path, archive: Path, rounds: int, found: dict[str, float]) -> None:
    """The same rows in a file: a backup while somebody writes, and a restore likewise."""
    live = Place.in_file(folder / "live.db")
    with opened(archive) as one:
        load(one, live, tell_nobody)
    with live.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    print(f"SQLite, {live.file.stat().st_size / 2**20:.0f} MB", flush=True)
    depot = folder / "sqlite"
    idle = min(_backup(depot, live.url).seconds for _ in range(rounds))
    with _writer(live.url) as writes:
        busy = min(_backup(depot, live.url).seconds for _ in range(rounds))
    told = f"{len(writes)} writes meanwhile, the longest waited {max(writes):.3f} s"
    print(
        f"  backup idle {idle:.2f} s, at {WRITES_PER_S} writes/s {busy:.2f} s; {told}", flush=True
    )
    found["SQLite under writes against idle"] = busy / idle
    found["stop of a restore on SQLite, s"] = _stop(folder / "plain", live.url, archive)


def _stop(folder: Path, url: str, archive: Path) -> float:
    """Restore while somebody writes: the longest that a write had to wait."""
    depot = _depot(folder, url)
    with _writer(url) as writes, depot.locked():
        entry = restore(depot, archive, Terms("benchmark"))
    some = sorted(writes)
    usual = statistics.median(some) * 1000
    print(
        f"  restore {entry.seconds:.1f} s, locked {entry.stopped_s:.3f} s; {len(some)} writes, "
        f"median {usual:.1f} ms, the longest {some[-1]:.3f} s",
        flush=True,
    )
    return some[-1]


# --- in processes of their own --------------------------------------------------------------------


def _pg_dump(url: str, to: Path) -> Cost:
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    began = time.monotonic()
    subprocess.run(["pg_dump", "-Fc", "-f", str(to), plain], check=True)
    with to.open("rb") as file:
        os.fsync(file.fileno())  # as a backup does
    return Cost(time.monotonic() - began, to.stat().st_size, 0.0)


def _backup(folder: Path, url: str) -> Cost:
    done = _child("create", str(folder), url, stdout=subprocess.PIPE)
    out, _ = done.communicate()
    if done.returncode:
        raise SystemExit(f"the backup failed: {done.returncode}")
    return Cost(**json.loads(out))


def _child(*arguments: str, **pipes: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.backup", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def _create(folder: str, url: str) -> None:
    """Child: an archive, timed; only the newest of its folder stays."""
    depot = _depot(Path(folder), url)
    began = time.monotonic()
    with depot.locked():
        path = create(depot, Order(uuid.uuid4().hex, "bench", Type.FULL))
    seconds, peak = time.monotonic() - began, _peak_mb(os.getpid())
    with opened(path) as archive:
        verify(archive)
    for other in depot.archives():
        if other != path:
            other.unlink()
    print(json.dumps({"seconds": seconds, "size": path.stat().st_size, "peak_mb": peak}))


@contextmanager
def _writer(url: str) -> Iterator[list[float]]:
    """Somebody who commits so many times a second; at the end how long each took."""
    waits: list[float] = []
    writer = _child("write", url, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout
    writer.stdout.readline()  # it has begun
    try:
        yield waits
    finally:
        out, _ = writer.communicate("stop\n")
        waits += json.loads(out)


def _write(url: str) -> None:
    """Child: a commit every so often until told to stop, each as the application makes it."""
    import threading

    stopped, waits = threading.Event(), []
    threading.Thread(target=lambda: (sys.stdin.readline(), stopped.set()), daemon=True).start()
    engine = sa.create_engine(url, connect_args={"timeout": 60} if "sqlite" in url else {})
    add = sa.text("INSERT INTO source_state (source, pauses) VALUES (:name, 0)")
    with engine.connect() as connection:
        if "sqlite" in url:
            connection.exec_driver_sql("PRAGMA synchronous = FULL")
            connection.commit()
        print("begun", flush=True)
        while not stopped.wait(1 / WRITES_PER_S):
            began = time.monotonic()
            connection.execute(add, {"name": uuid.uuid4().hex})
            connection.commit()
            waits.append(time.monotonic() - began)
    print(json.dumps(waits))


# --- the databases --------------------------------------------------------------------------------


def _depot(folder: Path, url: str) -> Depot:
    return Depot(folder / "backups", Keys(folder / "keys"), Place(url), {}, SECRET)


def _encrypt(folder: Path) -> None:
    keys = folder / "keys"
    keys.mkdir(parents=True)
    recipients = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2)]
    (keys / "recipients.txt").write_text("\n".join(recipients))


def _seeded(url: str, mb: int) -> int:
    """Of so many megabytes, as fetching leaves it; its size in bytes."""
    with Place(url).connect() as connection:
        migrate(connection, head())
    return fill(url, mb)


if __name__ == "__main__":
    {"create": _create, "write": _write}[sys.argv[1]](*sys.argv[2:])
