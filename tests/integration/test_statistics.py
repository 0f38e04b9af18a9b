"""PostgreSQL learns in time what became of its tables, whatever its own housekeeping does."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from stage import wait_until
from statements import statements

from app.core.db import db, reading, transaction
from app.core.statistics import gather_statistics

pytestmark = pytest.mark.usefixtures("app")

ROWS = 3000


def on_postgresql(test: Callable[..., None]) -> Callable[..., None]:
    """With a log that nobody has ever looked at."""
    one = pytest.mark.parametrize("engine", ["postgres"], indirect=True)(test)
    return pytest.mark.postgres(pytest.mark.usefixtures("_unknown")(one))


def fill(rows: int = ROWS) -> None:
    filled = sa.text(
        "INSERT INTO request_log (at, source, template, key, code, bytes, elapsed_ms, attempt)"
        " SELECT now(), 'sandbox', 't', n, 'OK', 1, 1, 1 FROM generate_series(1, :rows) AS n"
    )
    with transaction() as session:
        session.execute(filled, {"rows": rows})
    wait_until(lambda: changed() >= rows)  # the server counts a moment later


def changed() -> int:
    """How many rows of the log are others than when it was last looked at."""
    return _of_the_log("n_mod_since_analyze", "pg_stat_user_tables", "relname")


def known() -> int:
    """Of how many of its columns something is known."""
    return _of_the_log("count(*)", "pg_stats", "tablename")


def _of_the_log(what: str, view: str, name: str) -> int:
    ours = f"{name} = 'request_log' AND schemaname = current_schema()"  # a restore may keep another
    with reading() as session:
        found = session.scalar(sa.text(f"SELECT {what} FROM {view} WHERE {ours}"))
        return found or 0


@pytest.fixture
def _unknown(app: Flask) -> None:
    """The table as after a migration: nobody has ever looked at it, nothing is counted."""
    del app
    with transaction() as session:
        session.execute(sa.text("ANALYZE request_log"))
    wait_until(lambda: changed() == 0)
    with transaction() as session:
        of_the_log = "starelid = 'request_log'::regclass"
        session.execute(sa.text(f"DELETE FROM pg_statistic WHERE {of_the_log}"))


@on_postgresql
def test_a_table_that_became_another_is_looked_at_once() -> None:
    fill()
    assert known() == 0
    gather_statistics()
    assert known() > 0
    wait_until(lambda: changed() == 0)


@on_postgresql
def test_a_few_rows_are_left_to_its_own_housekeeping() -> None:
    fill(500)
    gather_statistics()
    assert known() == 0


@on_postgresql
def test_nobody_is_waited_for() -> None:
    fill()
    with db.engine.connect() as somebody:
        somebody.execute(sa.text("LOCK TABLE request_log IN SHARE UPDATE EXCLUSIVE MODE"))
        gather_statistics()
        somebody.rollback()
    assert known() == 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_sqlite_has_no_need_of_it(app: Flask) -> None:
    with statements() as asked:
        gather_statistics()
    assert [statement for statement in asked if "pg_" in statement or "ANALYZE" in statement] == []
