"""Details of thousands of matches by id: the whole way into the database against the bare client.

Baselines of the same run, on the same sandbox: `requests.get` per id from eight threads, and our
own client at the same concurrency with nothing stored. SQLite always; PostgreSQL and Redis when
FIKSTUR_BENCH_POSTGRES_URL (a database that may be emptied) and FIKSTUR_BENCH_REDIS_URL are set.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import requests
import sqlalchemy as sa

from app.jobs.stream import AT_ONCE
from app.sources.base import Request
from app.sources.http import Client

ROOT = Path(__file__).parent.parent
FIRST_ID = 100_000_000


def run(ids: int, latency_ms: float) -> None:
    """Measure and print."""
    with sandbox(latency_ms) as url:
        print(f"{ids} ids, {latency_ms:g} ms latency, {AT_ONCE} requests at once\n")
        get = rate(ids, 8, lambda number: requests.get(f"{url}/api/v1/event/{number}", timeout=30))
        client = Client("benchmark")
        bare = rate(
            ids, AT_ONCE, lambda number: client.ask(Request(f"{url}/api/v1/event/{number}", "t"))
        )
        print(f"{'requests.get per id, 8 threads':42} {get:8.0f} ids/s")
        print(f"{'our client, nothing stored':42} {bare:8.0f} ids/s")
        for name, settings in stacks().items():
            whole, cpu = fikstur(ids, url, settings)
            print(
                f"{'Fikstür on ' + name:42} {whole:8.0f} ids/s  {cpu:5.2f} CPU s per 1,000"
                f"   x{whole / get:.2f} of requests.get, x{whole / bare:.2f} of the bare client"
            )


def stacks() -> dict[str, dict[str, str]]:
    """The settings of each stack that is there."""
    found: dict[str, dict[str, str]] = {"SQLite": {}}
    postgres = os.environ.get("FIKSTUR_BENCH_POSTGRES_URL")
    redis_url = os.environ.get("FIKSTUR_BENCH_REDIS_URL")
    if postgres and redis_url:
        engine = sa.create_engine(postgres)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
        found["PostgreSQL + Redis"] = {"DATABASE_URL": postgres, "REDIS_URL": redis_url}
    return found


def rate(ids: int, threads: int, ask: Callable[[int], object]) -> float:
    """Requests per second of a function called for every id from so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.monotonic()
        for _ in pool.map(ask, range(FIRST_ID, FIRST_ID + ids)):
            pass
        return ids / (time.monotonic() - started)


def fikstur(ids: int, url: str, settings: dict[str, str]) -> tuple[float, float]:
    """The job from its first claim to its end: ids per second, and the worker's CPU s per 1,000."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environ = {
            **os.environ,
            "DATA_DIR": folder,
            "FIKSTUR_ENV_FILE": os.devnull,
            "FLASK_SKIP_DOTENV": "1",
            "SOURCES": "sandbox",
            "SANDBOX_BASE_URL": url,
            "SECRET_KEY": "a-key-for-benchmarks-that-opens-nothing-01234",
            **dict.fromkeys(
                ("FETCH_UPCOMING_CRON", "FETCH_RESULTS_CRON", "RETRY_ERRORS_CRON", "PRUNE_CRON"),
                "off",
            ),
            **settings,
        }
        flask(environ, "setup")
        worker = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--threads", "2"],
            cwd=ROOT,
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not worker_is_alive(environ):
                time.sleep(0.3)  # its own start is not what is measured
            return _measured(environ, ids, worker.pid)
        finally:
            worker.terminate()
            worker.wait(15)


def _measured(environ: dict[str, str], ids: int, pid: int) -> tuple[float, float]:
    span = f"{FIRST_ID}-{FIRST_ID + ids - 1}"
    kind = ("--source", "sandbox", "--kind", "event", "--json")
    before = cpu_s(pid)
    job = json.loads(flask(environ, "details", "fetch", span, *kind))
    while job["finished_at"] is None:
        time.sleep(0.3)
        job = json.loads(flask(environ, "jobs", "show", str(job["id"]), "--json"))
    if job["items"]["done"] != ids:
        raise SystemExit(f"not all done: {job['items']}")
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return ids / (ended - began).total_seconds(), (cpu_s(pid) - before) / ids * 1000


def worker_is_alive(environ: dict[str, str]) -> bool:
    """Whether a worker has said so."""
    checks = json.loads(flask(environ, "doctor", "--json", may_fail=True))["checks"]
    return any(check["name"] == "worker" and check["ok"] for check in checks)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far; nan where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def flask(environ: dict[str, str], *arguments: str, may_fail: bool = False) -> str:
    """Run a command to its end: what it printed."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode and not may_fail:
        raise SystemExit(done.stderr)
    return done.stdout


@contextmanager
def sandbox(latency_ms: float) -> Iterator[str]:
    """The pretend API on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--no-demo", "--quiet", "--latency-ms", str(latency_ms)]
    process = subprocess.Popen([sys.executable, "-m", "app.sandbox", *options], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/_health").close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)
