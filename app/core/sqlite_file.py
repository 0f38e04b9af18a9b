"""SQLite as we use it: how a connection is made, and how writers come to their turn.

There is one writer at a time on the whole machine. So one who waits asks often, and while one
writes the other threads of his process can leave the interpreter to him (`let_write`): he is done
in a third of the time, and the next process can begin.
"""

import sqlite3
import threading
import time
from typing import cast

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

BUSY_TIMEOUT_S = 30
CONNECT = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}  # how the driver is called
TRY_EVERY_S = 0.003
WRITE = "BEGIN IMMEDIATE"
LONG_S = 1.0  # nobody is waited for longer: a writer in no hurry, or one that broke off unheard

_nobody_writes = threading.Event()  # in this process
_nobody_writes.set()


def prepare(engine: Engine) -> None:
    """See to the connections and transactions of an engine."""
    event.listen(engine, "connect", _connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "commit", _end)  # heard before the commit reaches the disk: soon enough
    event.listen(engine, "rollback", _end)


def let_write() -> None:
    """Wait while another thread of this process writes."""
    if not _nobody_writes.is_set() and not _nobody_writes.wait(LONG_S):
        _nobody_writes.set()


def _connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut
    connection.execute("PRAGMA foreign_keys=ON")


def keep_few_pages(engine: Engine) -> None:
    """Let connections made from now on keep half a megabyte of the file instead of two."""
    event.listen(engine, "connect", lambda file, _record: file.execute("PRAGMA cache_size=-500"))


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once with "database is locked" when
    # somebody wrote in between, whatever the timeout: writers take the lock at the start.
    if _writes(connection):
        try:
            begin_to_write(cast(sqlite3.Connection, connection.connection.driver_connection))
        except sqlite3.OperationalError as error:
            raise OperationalError(WRITE, None, error) from error
        _nobody_writes.clear()
    else:
        connection.exec_driver_sql("BEGIN")


def begin_to_write(file: sqlite3.Connection) -> None:
    """Begin a transaction that holds the lock; wait for it as long as the connection is patient.

    As SQLite would by itself, only that it looks again after 25 to 100 ms. sqlite3.OperationalError
    when the time is up, or something else is wrong.
    """
    patience_ms: int = file.execute("PRAGMA busy_timeout").fetchone()[0]
    give_up_at = time.monotonic() + patience_ms / 1000
    _be_patient(file, 0)
    try:
        while _is_taken(file, give_up_at):
            time.sleep(TRY_EVERY_S)
    finally:
        _be_patient(file, patience_ms)


def _is_taken(file: sqlite3.Connection, give_up_at: float) -> bool:
    try:
        file.execute(WRITE)
    except sqlite3.OperationalError as error:
        is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        if not is_busy or time.monotonic() > give_up_at:
            raise
        return True
    return False


def _be_patient(file: sqlite3.Connection, milliseconds: int) -> None:
    file.execute(f"PRAGMA busy_timeout={milliseconds}")


def _end(connection: Connection) -> None:
    if _writes(connection):
        _nobody_writes.set()


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("immediate", False))
