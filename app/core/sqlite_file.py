"""SQLite as we use it: how a connection is made, and how writers come to their turn.

There is one writer at a time on the whole machine. So one who waits asks often, and while one
writes the other threads of his process can leave the interpreter to him (`let_write`): he is done
in a third of the time, and the next process can begin.
"""

import sqlite3
import threading
import time

from sqlalchemy import Connection, Engine, event

BUSY_TIMEOUT_S = 30
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


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once with "database is locked" when
    # somebody wrote in between, whatever the timeout: writers take the lock at the start.
    if _writes(connection):
        _take_the_lock(connection)
        _nobody_writes.clear()
    else:
        connection.exec_driver_sql("BEGIN")


def _take_the_lock(connection: Connection) -> None:
    """As SQLite would by itself, only that it looks again after 25 to 100 ms."""
    file: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    _be_patient(file, 0)
    try:
        while (error := _begin_now(file)) and _is_busy(error) and time.monotonic() < give_up_at:
            time.sleep(TRY_EVERY_S)
        if error:
            connection.exec_driver_sql(WRITE)  # once more, to hear it as SQLAlchemy tells it
    finally:
        _be_patient(file, BUSY_TIMEOUT_S)


def _begin_now(file: sqlite3.Connection) -> sqlite3.OperationalError | None:
    try:
        file.execute(WRITE)
    except sqlite3.OperationalError as error:
        return error
    return None


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _be_patient(file: sqlite3.Connection, seconds: float) -> None:
    file.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")


def _end(connection: Connection) -> None:
    if _writes(connection):
        _nobody_writes.set()


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("immediate", False))
