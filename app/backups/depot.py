"""Where backups live: the folder of archives, its lock, its staging, and what made them."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import filelock
import sqlalchemy as sa

from app.backups.keys import Keys
from app.backups.places import Place
from app.core.text import N_, RequestError

ROOM = 1.2  # free space asked for, by what is to be written
_FILE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]{0,39})_(?P<at>\d{8}T\d{6}Z)_(?P<type>[a-z]{1,20})_[0-9a-f]{8}\.zip"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")

Tell = Callable[[str, int, int], None]  # step, done, of how many (0: nobody knows); may raise


class LockedError(RequestError):
    """Somebody else is at work on the backups."""


def _locked() -> LockedError:
    return LockedError(N_("Another backup, drill or restore is running: wait until it has ended."))


def tell_nobody(_step: str, _done: int, _of: int) -> None:
    """For callers without an audience."""


@dataclass(frozen=True, slots=True)
class Depot:
    """Everything backups need to know of their house."""

    folder: Path
    keys: Keys
    live: Place
    settings: Mapping[str, object]  # those that may be shown
    secret_key: str = field(repr=False)
    identity_file: Path | None = None
    undo_days: int = 7
    media: Path | None = None  # the folder of other people's files; it need not exist

    @property
    def staging(self) -> Path:
        """For what is not finished; whoever holds the lock may empty it."""
        return self.folder / "staging"

    @property
    def trash(self) -> Path:
        """What was pruned, for a day."""
        return self.folder / "trash"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The only one at work on the folder; begins with an empty staging.

        LockedError when somebody else is. The lock of a process that was killed is free.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise _locked() from error
        try:
            self._clear()
            with self._locked_on_server():
                yield
        finally:
            self._clear()
            lock.release()

    @contextmanager
    def _locked_on_server(self) -> Iterator[None]:
        """PostgreSQL may be shared by machines that do not share the folder."""
        if self.live.on_sqlite:
            yield
            return
        with self.live.connect() as connection:
            lock = sa.text("SELECT pg_try_advisory_lock(hashtext('fikstur backups'))")
            if not connection.execute(lock).scalar_one():
                raise _locked()
            connection.commit()  # the lock is the session's: it ends with the connection
            yield

    def _clear(self) -> None:
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(mode=0o700, exist_ok=True)

    def archives(self) -> list[Path]:
        """Every file that is named as an archive, by name."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if is_archive_name(path.name))

    def refuse_without_room(self, size: int) -> None:
        """RequestError when `size` more bytes and some air do not fit beside the archives."""
        free = shutil.disk_usage(self.folder).free
        if free < size * ROOM:
            raise RequestError(
                N_("Only %(free)s MB are free in %(folder)s; %(need)s are needed. Make room."),
                free=free // 2**20,
                folder=self.folder,
                need=int(size * ROOM) // 2**20 + 1,
            )


def media_folder(depot: Depot) -> Path:
    """Where the media files are; RequestError when nobody has said where."""
    if depot.media is None:
        raise RequestError(N_("There is no media folder: set MEDIA_DIR."))
    return depot.media


def is_archive_name(name: str) -> bool:
    """NAME_YYYYMMDDTHHMMSSZ_TYPE_ID8.zip"""
    return _FILE.fullmatch(name) is not None


def said_by_name(name: str) -> tuple[str, datetime] | None:
    """Type and time of an archive, as its file name says them; None when it is no such name."""
    found = _FILE.fullmatch(name)
    if found is None:
        return None
    try:
        at = datetime.strptime(found["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # a 13th month
        return None
    return found["type"], at


def checked_name(name: str) -> str:
    """The name for a backup, or a RequestError that says what it may be."""
    if _NAME.fullmatch(name) is None:
        raise RequestError(
            N_(
                "“%(name)s” cannot name a backup: 1 to 40 letters (a-z), digits and hyphens, "
                "beginning with a letter or digit."
            ),
            name=name,
        )
    return name


def sync_folder(folder: Path) -> None:
    """Make renames in it survive a power cut; Windows needs and knows no such thing."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
