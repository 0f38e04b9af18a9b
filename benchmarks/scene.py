"""What the benchmarks share: the server, the stacks, Fikstür's own commands, what a run costs."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

ROOT = Path(__file__).parent.parent
FIRST_ID = 100_000_000
MOST_IDS = 20_000  # in one job
POSTGRES = os.environ.get("FIKSTUR_BENCH_POSTGRES_URL")
REDIS = os.environ.get("FIKSTUR_BENCH_REDIS_URL")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run came to."""

    ids: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Ids per second."""
        return self.ids / self.seconds

    @property
    def cpu_per_1000(self) -> float:
        """CPU seconds of the workers per 1,000 ids."""
        return self.cpu_s / self.ids * 1000

    def __str__(self) -> str:
        return f"{self.rate:8.0f} ids/s  {self.cpu_per_1000:6.2f} CPU s per 1,000"


@contextmanager
def server(latency_ms: float) -> Iterator[str]:
    """The answering server on a free port: its address."""
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.server", str(port), str(latency_ms)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server of the benchmark did not start")


def stacks() -> dict[str, dict[str, str]]:
    """The settings of each stack that is there."""
    found: dict[str, dict[str, str]] = {"SQLite": {}}
    if POSTGRES and REDIS:
        found["PostgreSQL + Redis"] = {"DATABASE_URL": POSTGRES, "REDIS_URL": REDIS}
    return found


@contextmanager
def own_database() -> Iterator[str]:
    """A PostgreSQL database beside the one that is named, empty, gone afterwards: its URL."""
    name = f"fikstur_bench_{uuid.uuid4().hex[:8]}"
    server = sa.create_engine(POSTGRES or "", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            url = sa.make_url(POSTGRES or "").set(database=name)
            yield url.render_as_string(hide_password=False)
        finally:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def empty(settings: Mapping[str, str]) -> None:
    """Everything there is in the databases of these settings goes."""
    if "DATABASE_URL" in settings:
        engine = sa.create_engine(settings["DATABASE_URL"])
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
    if "REDIS_URL" in settings:
        redis.Redis.from_url(settings["REDIS_URL"]).flushdb()


class House:
    """A Fikstür of its own on an empty stack, with workers that can be started and measured."""

    def __init__(self, folder: str, url: str, settings: Mapping[str, str]) -> None:
        empty(settings)
        self.environ = {
            **os.environ,
            "DATA_DIR": folder,
            "FIKSTUR_ENV_FILE": os.devnull,
            "FLASK_SKIP_DOTENV": "1",
            "LANGUAGE": "en",
            "SOURCES": "sandbox",
            "SANDBOX_BASE_URL": url,
            "SECRET_KEY": "a-key-for-benchmarks-that-opens-nothing-01234",
            **dict.fromkeys(
                ("FETCH_UPCOMING_CRON", "FETCH_RESULTS_CRON", "RETRY_ERRORS_CRON", "PRUNE_CRON"),
                "off",
            ),
            **settings,
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self.flask("setup")
        self.engine = sa.create_engine(
            settings.get("DATABASE_URL", f"sqlite:///{Path(folder) / 'fikstur.db'}")
        )

    def start_workers(self, count: int = 1) -> None:
        """Start them and wait until they say that they live: their start is not measured."""
        for _ in range(count):
            command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--threads", "2"]
            self.workers.append(
                subprocess.Popen(command, cwd=ROOT, env=self.environ, stderr=subprocess.DEVNULL)
            )
        while self._living() < len(self.workers):
            time.sleep(0.3)

    def _living(self) -> int:
        checks = self.flask_json("doctor", may_fail=True)["checks"]
        said = next(check["message"] for check in checks if check["name"] == "worker")
        return int(said.split()[0]) if said[0].isdigit() else 0

    def fetch(self, ids: int, first: int = FIRST_ID) -> Cost:
        """Details of so many ids, from the first claim of the first job to the end of the last."""
        before = self.cpu_s()
        jobs = [
            self.flask_json("details", "fetch", f"{start}-{min(start + MOST_IDS, first + ids) - 1}")
            for start in range(first, first + ids, MOST_IDS)
        ]
        ended = [self._until_ended(job["id"]) for job in jobs]
        if sum(job["items"]["done"] for job in ended) != ids:
            raise SystemExit(f"not all done: {[job['items'] for job in ended]}")
        began = min(datetime.fromisoformat(job["started_at"]) for job in ended)
        over = max(datetime.fromisoformat(job["finished_at"]) for job in ended)
        return Cost(ids, (over - began).total_seconds(), self.cpu_s() - before)

    def _until_ended(self, job_id: int) -> Any:
        """Looks with one statement: a command a second would take a core from the workers."""
        over = sa.text("SELECT finished_at FROM job WHERE id = :id")
        while True:
            with self.engine.connect() as connection:
                if connection.execute(over, {"id": job_id}).scalar() is not None:
                    return self.flask_json("jobs", "show", str(job_id))
            time.sleep(0.2)

    def cpu_s(self) -> float:
        """CPU seconds of all workers so far."""
        return sum(cpu_s(worker.pid) for worker in self.workers)

    def peak_mb(self) -> float:
        """The most memory one of the workers ever held."""
        return max(_peak_mb(worker.pid) for worker in self.workers)

    def flask_json(self, *arguments: str, may_fail: bool = False) -> Any:
        """What a command prints with --json."""
        if arguments[:2] == ("details", "fetch"):
            arguments = (*arguments, "--source", "sandbox", "--kind", "event")
        return json.loads(self.flask(*arguments, "--json", may_fail=may_fail))

    def flask(self, *arguments: str, may_fail: bool = False) -> str:
        """Run a command to its end: what it printed."""
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode and not may_fail:
            raise SystemExit(done.stderr)
        return done.stdout

    def close(self) -> None:
        """End the workers."""
        self.engine.dispose()
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)


@contextmanager
def house(url: str, settings: Mapping[str, str], workers: int = 1) -> Iterator[House]:
    """A Fikstür that fetches from `url`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = House(folder, url, settings)
        try:
            made.start_workers(workers)
            yield made
        finally:
            made.close()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its ended children; nan where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def cpu_of_group(group: int) -> float:
    """CPU seconds of all living processes of a process group."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
