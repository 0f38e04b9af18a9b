"""The real programs as processes: workers that can be killed, the sandbox, the recorded API."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], Any], seconds: float = 30, every: float = 0.1) -> Any:
    """The condition's value once it is true; fails when it does not become so in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {condition}")


@dataclass
class Stage:
    """A configuration of its own, and everything that was started with it."""

    environ: dict[str, str]
    logs: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def flask(
        self, *arguments: str, timeout: float = 60, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
            cwd=ROOT,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str, **more: Any) -> Any:
        """The JSON a command prints; fails with its words when it does not end well."""
        done = self.flask(*arguments, "--json", **more)
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str, name: str = "process", **more: str) -> subprocess.Popen[bytes]:
        """Start `python …` as the leader of a process group, so that all of it can be killed."""
        log = (self.logs / f"{name}-{len(self.started)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**self.environ, **more},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.close()
        self.started.append(process)
        return process

    def worker(self, *options: str, **more: str) -> subprocess.Popen[bytes]:
        """Start `flask worker`."""
        return self.start("-m", "flask", "--app", "wsgi", "worker", *options, name="worker", **more)

    def until_listens(self, port: str, seconds: float = 30) -> None:
        """Wait for the one that was started on this port of this machine."""

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(port))) == 0

        wait_until(listens, seconds, 0.02)

    def log_text(self) -> str:
        """Everything the processes said."""
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.logs.iterdir()))

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        """Stop it until SIGCONT where it holds no SQLite file: nobody else could write to that."""
        while True:
            process.send_signal(signal.SIGSTOP)
            if all(is_writable(file) for file in Path(self.environ["DATA_DIR"]).glob("*.db")):
                return
            process.send_signal(signal.SIGCONT)
            time.sleep(0.05)

    def close(self) -> None:
        """Kill whatever still lives."""
        for process in self.started:
            kill(process)


def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to the whole group of a process; -9 is waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    if number == signal.SIGKILL:
        process.wait(10)


def pids_of(process: subprocess.Popen[bytes]) -> set[int]:
    """It and its children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return {process.pid, *map(int, children.read_text().split())}


def is_writable(file: Path, within_s: float = 2) -> bool:
    """Whether somebody else could write into that SQLite file."""
    with contextlib.closing(sqlite3.connect(file, timeout=within_s)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
    return True


@contextmanager
def stage(tmp_path: Path, **settings: str) -> Iterator[Stage]:
    """A stage with these settings; nothing it started outlives it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    plain = {
        name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "HOME") if name in os.environ
    }
    environ = {
        **plain,
        "PYTHONUTF8": "1",
        "FLASK_SKIP_DOTENV": "1",
        "FIKSTUR_ENV_FILE": os.devnull,
        "DATA_DIR": str(tmp_path / "data"),
        "SECRET_KEY": "a-key-for-tests-that-opens-nothing-0123456789",
        "LANGUAGE": "en",
        "LEASE_SECONDS": "3",
        "FETCH_UPCOMING_CRON": "off",
        "FETCH_RESULTS_CRON": "off",
        "RETRY_ERRORS_CRON": "off",
        "PRUNE_CRON": "off",
        **settings,
    }
    made = Stage(environ, logs)
    try:
        yield made
    finally:
        made.close()
