"""How far the work on backups has come: a small file for each item in hand, beside the archives.

Not in the database: a restore replaces it, and a line a second is no business of the ledger.
"""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from app.jobs.moves import Claim

FOLDER = "progress"
EVERY_S = 0.5
FORGOTTEN_S = 60  # since the last word of it


class Progress(msgspec.Struct, kw_only=True):
    """The step an item is at; `of` is 0 when nobody knows how much there is to do."""

    job_id: int
    kind: str
    step: str
    done: int
    of: int
    size: int = 0  # bytes that went by since the step began; 0 where it is not counted in bytes
    began_at: float  # this step, in seconds since 1970
    at: float

    @property
    def percent(self) -> int | None:
        """Of this step."""
        return min(100 * self.done // self.of, 100) if self.of else None

    @property
    def rate(self) -> float | None:
        """Bytes per second."""
        seconds = self.at - self.began_at
        return self.size / seconds if self.size and seconds > 0 else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the end of this step, if it goes on as it began."""
        if not (self.of and self.done):
            return None
        return max((self.at - self.began_at) * (self.of - self.done) / self.done, 0.0)


# Steps whose `done` is a number of bytes.
IN_BYTES = frozenset({"hashes", "contents", "upload", "download", "read_back"})


class Board:
    """Where one item says how far it is; a context: nothing stands there afterwards.

    "table match" and "table audit_log" are one step, `table`: done are tables, of all there are.
    Told without a number of all (`of` 0), `done` are bytes of the one in hand.
    """

    def __init__(self, folder: Path, claim: Claim) -> None:
        self._path = folder / FOLDER / f"{claim.item_id}.json"
        self._told = Progress(
            job_id=claim.job_id, kind=claim.kind, step="", done=0, of=0, began_at=0.0, at=0.0
        )
        self._before = self._last = 0  # bytes of those that are done, and of the one in hand
        self._written_at = 0.0

    def tell(self, step: str, done: int, of: int) -> None:
        """Write it down, twice a second at most. A full disk is not what work ends of."""
        self._note(step, done, of, time.time())
        if abs(self._told.at - self._written_at) < EVERY_S:
            return
        self._written_at = self._told.at
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = self._path.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(self._told))
            beside.replace(self._path)

    def _note(self, step: str, done: int, of: int, at: float) -> None:
        told, name = self._told, step.partition(" ")[0]
        if name != told.step.partition(" ")[0]:
            told.began_at, told.done, told.of, told.size = at, 0, 0, 0
        if step != told.step or done < self._last:  # another one, or another part of it
            self._before = told.size
        told.step, told.at = step, at
        if of:
            told.done, told.of = done, of
        if name in IN_BYTES:
            told.size = done
        elif not of:
            told.size, self._last = self._before + done, done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def in_hand(folder: Path) -> Sequence[Progress]:
    """What is being worked on, the oldest job first. What was not heard of for long is not."""
    found = []
    for path in (folder / FOLDER).glob("*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            told = msgspec.json.decode(path.read_bytes(), type=Progress)
            if abs(time.time() - told.at) < FORGOTTEN_S:
                found.append(told)
    return sorted(found, key=lambda one: one.job_id)
