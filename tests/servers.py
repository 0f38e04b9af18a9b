"""A Redis and a PostgreSQL of a test's own, to be stopped, killed and started again."""

import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from stage import free_port, wait_until


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """A server of this process, in a thread of its own: its port."""
    with server:
        server.daemon_threads = True  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class OwnRedis:
    """redis-server that keeps nothing: whoever starts it again finds it empty."""

    def __init__(self) -> None:
        self.program = shutil.which("redis-server") or pytest.skip("there is no redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ("--port", str(self.port), "--save", "", "--appendonly", "no")
        self.process = subprocess.Popen(
            [self.program, "--bind", "127.0.0.1", *options], stdout=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


class OwnPostgres:
    """A cluster in a folder, run by a user who may: the server refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "postgres"
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        self.folder.mkdir()
        self.logs = folder / "postgres.log"
        self._own(folder)
        self._run("initdb", "-D", str(self.folder), "-U", "postgres", "-A", "trust", "-N")

    def _own(self, folder: Path) -> None:
        """Let the server's user into the folder, and give him what he writes."""
        self.logs.touch()
        if os.geteuid() == 0:
            for path in (self.folder, self.logs):
                shutil.chown(path, "postgres")
            for parent in (folder, *folder.parents[:3]):
                parent.chmod(parent.stat().st_mode | 0o011)

    def start(self) -> None:
        listen = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -p {self.port}"
        self._run(
            "pg_ctl", "-D", str(self.folder), "-w", "-l", str(self.logs), "-o", listen, "start"
        )

    def crash(self) -> None:
        """As a power cut: no clean end, recovery at the next start."""
        self._run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, _program(program), *arguments],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=60,
        )


def _program(name: str) -> str:
    """Debian keeps them out of the way."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(kept[-1]) if kept else shutil.which(name)
    return found or pytest.skip(f"there is no {name}")
