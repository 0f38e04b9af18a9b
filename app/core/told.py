"""Rows told to a database many at a time: COPY on PostgreSQL, long INSERTs on SQLite.

In words, as SQLAlchemy has none for the one and takes four times as long for the other. Rows name
every column that has no default in the database itself.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from app.core.db import Row, UtcDateTime

ROWS_EACH = 64  # in an INSERT; more is hardly quicker, and statements are kept prepared
Teller = Callable[[Any], Any]


def copy(session: Session, table: Table, into: str, rows: Sequence[Row]) -> None:
    """COPY rows of `table` into it, or into another of the same columns."""
    connection = session.connection()
    names = list(rows[0])
    quoted = ", ".join(map(connection.dialect.identifier_preparer.quote, names))
    values = _values(table, names, connection.dialect)
    driver: Any = connection.connection.driver_connection
    words = f"COPY {into} ({quoted}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(words) as out:
            for row in rows:
                out.write_row(values(row))
    except driver.Error as error:
        if driver.closed:
            connection.invalidate()
        # As SQLAlchemy reports what goes wrong with its own statements.
        raise DBAPIError.instance(
            words, None, error, driver.Error, connection_invalidated=driver.closed
        ) from error


def insert_told(session: Session, table: Table, rows: Sequence[Row], unless_new: str = "") -> None:
    """INSERT rows, many in a statement.

    A statement for each would take the interpreter back after each row, and a hundred threads want
    it too; all that time nobody else could write.
    """
    connection = session.connection()
    names = list(rows[0])
    columns = ", ".join(map(connection.dialect.identifier_preparer.quote, names))
    into = f"INSERT INTO {table.name} ({columns}) VALUES"
    places = f"({', '.join('?' * len(names))})"
    values = _values(table, names, connection.dialect)
    even = len(rows) - len(rows) % ROWS_EACH
    for some, each in ((rows[:even], ROWS_EACH), (rows[even:], 1)):
        told = [
            tuple(itertools.chain.from_iterable(map(values, some[start : start + each])))
            for start in range(0, len(some), each)
        ]
        if told:
            connection.exec_driver_sql(f"{into} {', '.join([places] * each)} {unless_new}", told)


def _values(table: Table, names: Sequence[str], dialect: Dialect) -> Callable[[Row], list[Any]]:
    """What turns a row into its values as the driver takes them, in the order of `names`."""
    tellers = [_teller(table.c[name].type, dialect) for name in names]
    told = [(place, tell) for place, tell in enumerate(tellers) if tell]

    def values(row: Row) -> list[Any]:
        found = [row[name] for name in names]
        for place, tell in told:
            found[place] = tell(found[place])
        return found

    return values


def execute(session: Session, words: str) -> None:
    """A statement in words, without parameters."""
    session.connection().exec_driver_sql(words)


def _teller(kind: TypeEngine[Any], dialect: Dialect) -> Teller | None:
    """How a value of this type is told to the driver; None: as it is."""
    tell = kind.dialect_impl(dialect).bind_processor(dialect)
    if tell is None or not isinstance(kind, UtcDateTime):
        return tell
    # In a batch most times are the same moment, and to put one into words costs as much as a row.
    return functools.lru_cache(maxsize=16)(lambda at: str(tell(at)) if at else None)
