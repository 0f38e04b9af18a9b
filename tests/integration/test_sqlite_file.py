"""SQLite has one writer at a time: how the others wait for him, and what they leave to him."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.core import sqlite_file
from app.core.db import db, is_away, persist, reading, transaction
from app.sources.models import SourceState

pytestmark = [
    pytest.mark.usefixtures("app"),
    pytest.mark.parametrize("engine", ["sqlite"], indirect=True),
]


@contextmanager
def written_elsewhere() -> Iterator[sqlite3.Connection]:
    """Somebody who has taken the lock, and keeps it until he is rolled back."""
    path = db.engine.url.database or ""
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        yield somebody


def patience_ms() -> int:
    with db.engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that has written and is not over."""
    with transaction() as session:
        session.add(SourceState(source="x"))
        session.flush()
        yield


def write() -> None:
    with writing():
        pass


@pytest.fixture
def _impatient(app: Flask) -> None:
    """Connections wait for a fifth of a second."""
    del app
    sa.event.listen(db.engine, "connect", lambda file, _: file.execute("PRAGMA busy_timeout=200"))
    db.engine.dispose()


@pytest.mark.usefixtures("_impatient")
def test_who_comes_in_vain_hears_it_as_of_any_database_and_may_try_again() -> None:
    with written_elsewhere() as somebody:
        with pytest.raises(OperationalError, match="locked") as error:
            write()
        assert is_away(error.value)
        somebody.rollback()
        write()
    assert patience_ms() == 200, "who reads is still patient"


def test_what_is_wrong_otherwise_is_said_at_once() -> None:
    with db.engine.connect().execution_options(immediate=True) as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(OperationalError, match="within a transaction"):
            sqlite_file._begin(connection)
    write()


def test_one_who_waits_writes_as_soon_as_he_can(app: Flask) -> None:
    def wait() -> None:
        with app.app_context():
            persist(lambda session: session.add(SourceState(source="waited")))

    with ThreadPoolExecutor(1) as pool, written_elsewhere() as somebody:
        waiting = pool.submit(wait)
        with pytest.raises(NotYetError):
            waiting.result(0.3)
        somebody.rollback()
        waiting.result(10)
    with reading() as session:
        assert session.get(SourceState, "waited") is not None
    assert patience_ms() == sqlite_file.BUSY_TIMEOUT_S * 1000


def waits() -> bool:
    """Whether another thread is kept by one who writes for now."""
    thread = threading.Thread(target=sqlite_file.let_write, daemon=True)
    thread.start()
    thread.join(0.2)
    return thread.is_alive()


def test_nobody_is_in_the_way_of_one_who_writes() -> None:
    assert not waits()
    with writing():
        assert waits()
        with reading() as other:
            other.execute(sa.select(SourceState))
        assert waits(), "one who read and is done is not the one who writes"
    assert not waits()


def test_nor_kept_by_one_who_reads_or_broke_off() -> None:
    with reading() as session:
        session.execute(sa.select(SourceState))
        assert not waits()
    with pytest.raises(ZeroDivisionError), writing():
        raise ZeroDivisionError
    assert not waits()


def test_nor_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "LONG_S", 0.1)
    with writing():
        began = time.monotonic()
        sqlite_file.let_write()
        assert time.monotonic() - began >= 0.1
        assert not waits(), "the others need not find out too"
