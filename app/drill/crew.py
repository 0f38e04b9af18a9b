"""The processes of a drill: started with an environment of their own, killed, never left behind."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.core.text import N_, RequestError

T = TypeVar("T")
HOUSE = Path(__file__).parent.parent.parent
START_S = 60.0  # for what others wait for
POLL_S = 0.05
# What a Python and a PostgreSQL client need of ours; nothing of the instance's settings.
_KEPT = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
    "HOME",
    "USERPROFILE",
    "APPDATA",
    "TEMP",
    "TMP",
    "TMPDIR",
)


def clean_environ(own: Mapping[str, str]) -> dict[str, str]:
    """`own` on top of the little that every process needs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT or name.startswith("PG")
    }
    settings = {
        "PYTHONUTF8": "1",
        "FLASK_SKIP_DOTENV": "1",
        "FIKSTUR_ENV_FILE": os.devnull,
        "SECRET_KEY": secrets.token_hex(32),
        "LANGUAGE": "en",
        "LOG_LEVEL": "warning",
    }
    return {**kept, **settings, **own}


@dataclass(frozen=True, slots=True)
class Member:
    """One process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int | None:
        """Of the process that works; None until it has said so."""
        first, end, _ = self.said().partition("\n")
        return int(first) if end and first.isdigit() else None

    def said(self) -> str:
        """Everything it printed."""
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """As kill -9 does: no word to it, and whatever it had begun stays as it is."""
        if sys.platform == "win32":
            with suppress(OSError):  # it may be gone
                os.kill(self.pid or self.process.pid, signal.SIGTERM)  # there: TerminateProcess
            self.process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdin:
            self.process.stdin.close()


class Crew:
    """Starts processes; all of them are dead after `close`."""

    def __init__(self, logs: Path, check: Callable[[], None]) -> None:
        self._logs = logs
        self.check = check  # raises when the drill is to stop
        self._started: list[Member] = []

    def start(self, environ: Mapping[str, str], *command: str) -> Member:
        """Start `python -m command`, alone in its group so that a Ctrl-C is for us only."""
        log = self._logs / f"{len(self._started)}.log"
        alone: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603  our own program, our own arguments
                [sys.executable, "-m", "app.drill.child", *command],
                cwd=HOUSE,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                **alone,
            )
        member = Member(process, log)
        self._started.append(member)
        return member

    def run(self, environ: Mapping[str, str], *command: str) -> None:
        """Run a command to its end. RequestError with its last words when it fails."""
        member = self.start(environ, *command)
        self.wait(lambda: member.process.poll() is not None)
        if member.process.returncode:
            raise broken(member)

    def until_said(self, member: Member, find: Callable[[str], str | None]) -> str:
        """Wait until it has printed what `find` looks for. RequestError when it ends before."""

        def found() -> str | None:
            if member.process.poll() is not None:
                raise broken(member)
            return find(member.said())

        return self.wait(found) or ""

    def wait(self, until: Callable[[], T]) -> T:
        """The first value of `until` that is true. RequestError when there is none for a minute."""
        give_up_at = time.monotonic() + START_S
        while not (value := until()):
            self.check()
            if time.monotonic() > give_up_at:
                raise RequestError(
                    N_("A process of the drill did not get ready within %(seconds)s seconds."),
                    seconds=round(START_S),
                )
            time.sleep(POLL_S)
        return value

    def close(self) -> None:
        """Kill what still lives; one that resists does not save the others."""
        with ExitStack() as stack:
            for member in self._started:
                stack.callback(member.kill)


def broken(member: Member) -> RequestError:
    """What to say of a process that ended by itself."""
    lines = member.said().strip().splitlines()[1:] or ["-"]
    return RequestError(
        N_("A process of the drill ended by itself with exit code %(code)s: %(reason)s"),
        code=member.process.returncode,
        reason=lines[-1][:300],
    )
