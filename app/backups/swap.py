"""The exchange: the live database's content for another's, at once, for everybody, or not at all.

SQLite: the new content is brought beside the old one, and they exchange their root pages (`roots`).
Where the live file has other tables, or none, nobody of this version is at work in it: there the
backup API writes over it, and the old content is copied aside while it holds the writer's lock.
PostgreSQL: the tables change schemas in one transaction that has locked all of them first. Without
the locks a transaction under way would write its second half into the other database.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.backups import roots
from app.backups.depot import Tell, tell_nobody
from app.backups.places import Place
from app.backups.schema import LEFT_OUT
from app.core.text import N_, RequestError

PATIENCE_S = 30.0  # to get the lock
LOCK_WAIT_MS = 800  # at a time: whoever comes meanwhile waits behind us
PAGES = 1024  # per step of SQLite's backup; nobody writes to the source, so it never starts anew


def swap(live: Place, new: Place, keep: str | Path, mark: int, tell: Tell = tell_nobody) -> float:
    """Put the content of `new` in place of the live one's, which is kept; seconds of standstill.

    `keep` is a file (SQLite) or a schema (PostgreSQL). RequestError when the lock cannot be had;
    then nothing has changed. `mark` tells the new content from the old one (SQLite).
    """
    if live.on_sqlite:
        if _is_broken(live.file):
            _set_aside(live.file, Path(keep))
        try:
            if roots.fits(live.file, new.file):
                return _swap_roots(live.file, new.file, Path(keep), mark, tell)
            return _swap_file(live.file, new.file, Path(keep), mark)
        except sqlite3.Error as error:
            if str(error) == "database is locked":
                raise busy() from error
            raise RequestError(
                N_("The database could not be exchanged (%(reason)s); it is as it was."),
                reason=error,
            ) from error
    return _swap_tables(live, new, str(keep))


def settle_swap(live: Place, keep: str | Path, mark: int) -> bool:
    """Whether an exchange that was cut off happened; what was left to do of it is done."""
    happened = has_swapped(live, keep, mark)
    if live.on_sqlite and live.file.exists() and roots.has_twins(live.file):
        if happened:
            _keep_old(live.file, Path(keep))
        else:
            roots.clear(live.file, PATIENCE_S)
    return happened


def has_swapped(live: Place, keep: str | Path, mark: int) -> bool:
    """Whether an exchange that was cut off happened."""
    if live.on_sqlite:
        if not live.file.exists():
            return False
        with closing(sqlite3.connect(live.file)) as file:
            return bool(file.execute("PRAGMA user_version").fetchone()[0] == mark)
    with live.connect() as connection:
        return str(keep) in sa.inspect(connection).get_schema_names()


def busy() -> RequestError:
    """Nobody let go of the lock."""
    return RequestError(
        N_(
            "The database was busy for %(seconds)s s without a pause; nothing was changed. "
            "Stop the workers, or try again in a quieter moment."
        ),
        seconds=int(PATIENCE_S),
    )


# --- SQLite ---------------------------------------------------------------------------------------


def _is_broken(live: Path) -> bool:
    """Whether SQLite itself says that this is no database: then nobody is at work in it."""
    try:
        with closing(sqlite3.connect(live)) as file:
            file.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
    return False


def _set_aside(live: Path, keep: Path) -> None:
    """Under undo/ for whoever wants to look into it; what is then kept for undo is empty."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{live}{ending}").replace(f"{keep}.broken{ending}")


def _swap_roots(live: Path, new: Path, keep: Path, mark: int, tell: Tell) -> float:
    logged = roots.last_of_log(live)
    try:
        longest = roots.bring_beside(live, new, PATIENCE_S, tell)
        stopped_s = roots.exchange(live, new, mark, PATIENCE_S, logged)
    except BaseException:
        with suppress(sqlite3.Error):  # else the next restore does it
            roots.clear(live, PATIENCE_S)
        raise
    _keep_old(live, keep)
    return max(longest, stopped_s)


def _keep_old(live: Path, keep: Path) -> None:
    try:
        roots.keep_old(live, keep, PATIENCE_S)
    except (sqlite3.Error, OSError) as error:
        raise RequestError(
            N_(
                "The database was exchanged, but what it replaced could not be put aside "
                "(%(reason)s). Nothing of it is lost: make room; the next restore, undo or prune "
                "puts it aside."
            ),
            reason=error,
        ) from error


def _swap_file(live: Path, new: Path, keep: Path, mark: int) -> float:
    with (
        closing(sqlite3.connect(new)) as source,
        closing(sqlite3.connect(live, timeout=1)) as target,
        closing(_Kept(live, keep)) as kept,
    ):
        source.execute(f"PRAGMA user_version = {int(mark)}")
        target.execute("PRAGMA synchronous=FULL")
        # As the application has it; only so can the old content be read while the lock is held.
        target.execute("PRAGMA journal_mode=WAL")
        step = _Steps(kept)
        # Never all of it in the first step: after that one the old content must be aside.
        half = source.execute("PRAGMA page_count").fetchone()[0] // 2
        source.backup(target, pages=max(1, min(PAGES, half)), progress=step)
        return step.locked_s


class _Steps:
    """Called after each step of the backup: the first that worked holds the writer's lock."""

    def __init__(self, kept: "_Kept") -> None:
        self._kept = kept
        self._give_up_at = time.monotonic() + PATIENCE_S
        self._locked_at: float | None = None

    @property
    def locked_s(self) -> float:
        return time.monotonic() - (self._locked_at or time.monotonic())

    def __call__(self, status: int, _remaining: int, _total: int) -> None:
        if self._locked_at is not None:
            return
        if status == sqlite3.SQLITE_OK:
            self._locked_at = time.monotonic()
            self._kept.complete()
        elif time.monotonic() > self._give_up_at:
            raise busy()


class _Kept:
    """A copy of the live file, made before the lock is had, and again if somebody wrote since."""

    def __init__(self, live: Path, keep: Path) -> None:
        self._live, self._keep = live, keep
        self._watcher = sqlite3.connect(live)
        self._version = self._data_version()
        _copy(live, keep)

    def complete(self) -> None:
        """Nobody can write now: make sure that the copy is what is being replaced."""
        if self._data_version() != self._version:
            _copy(self._live, self._keep)

    def close(self) -> None:
        self._watcher.close()

    def _data_version(self) -> int:
        """Another number whenever another connection has committed something."""
        return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])


def _copy(live: Path, keep: Path) -> None:
    """The committed content: readers do not see what the lock's holder has not committed."""
    keep.unlink(missing_ok=True)
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(keep)) as target:
        source.backup(target, pages=-1)
    keep.chmod(0o600)


# --- PostgreSQL -----------------------------------------------------------------------------------


def _swap_tables(live: Place, new: Place, keep: str) -> float:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            with live.connect() as connection:
                return _exchange(connection, new.schema or "", keep)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", "") not in LOCKED:
                raise
            if time.monotonic() > give_up_at:
                raise busy() from error
        time.sleep(0.2)  # let those pass who waited behind us


LOCKED = ("55P03", "40P01")  # lock not available, deadlock


def _exchange(connection: sa.Connection, new: str, keep: str) -> float:
    run: Callable[[str], Any] = connection.exec_driver_sql
    here = str(run("SELECT current_schema()").scalar_one())
    inspector = sa.inspect(connection)
    arriving = inspector.get_table_names(schema=new)
    leaving = sorted(set(arriving) & set(inspector.get_table_names(schema=here)))
    if not set(arriving) >= LEFT_OUT:
        raise ValueError(f"{new} holds no database of ours")
    began = time.monotonic()
    run(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'")
    if leaving:
        run("LOCK TABLE " + ", ".join(f'"{here}"."{name}"' for name in leaving))
    run(f'CREATE SCHEMA "{keep}"')
    for name in leaving:
        run(f'ALTER TABLE "{here}"."{name}" SET SCHEMA "{keep}"')
    for name in arriving:
        run(f'ALTER TABLE "{new}"."{name}" SET SCHEMA "{here}"')
    connection.commit()
    return time.monotonic() - began
