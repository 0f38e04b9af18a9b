"""Statements about hundreds of rows at once, which must cost no more than a few."""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Dialect,
    Integer,
    Table,
    Text,
    TypeDecorator,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine, UserDefinedType

from app.core.db import Base, UtcDateTime, insert_into, on_postgresql, table_of

Row = Mapping[str, Any]


class _Array(UserDefinedType[str]):
    """An array of PostgreSQL that is given as the text PostgreSQL writes for it."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def get_col_spec(self, **_: Any) -> str:
        """The name of the type."""
        return self.spec


class _Listed(TypeDecorator[Any]):
    """A list as one bound text: an array on PostgreSQL, JSON on SQLite.

    Of a list, PostgreSQL's driver would look at each value for itself.
    """

    impl = Text
    cache_ok = True
    array = "TEXT[]"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind = _Array(self.array) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if dialect.name != "postgresql":
            return json.dumps(value)
        return "{" + ",".join(map(self.quoted, value)) + "}"

    @staticmethod
    def quoted(value: Any) -> str:
        """One value in the text of an array."""
        escaped = value.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'


class _Texts(_Listed):
    cache_ok = True


class _Numbers(_Listed):
    cache_ok = True
    array = "BIGINT[]"

    @staticmethod
    def quoted(value: Any) -> str:
        """A number is as it is."""
        return str(value)


class one_of(FunctionElement[bool]):  # noqa: N801  reads as the condition it is
    """A column is one of these numbers or texts: one bound value, however many they are.

    An IN with a few hundred parameters costs more to prepare than to run.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Any, values: Collection[int] | Collection[str]) -> None:
        kind = _Numbers() if isinstance(column.type, Integer) else _Texts()
        super().__init__(column, literal(list(values), kind))

    def self_group(self, against: Any = None) -> "one_of":
        """Itself: SQLAlchemy would write `… = 1` on SQLite, and no index would be used."""
        del against
        return self


@compiles(one_of, "postgresql")
def _one_of_on_postgresql(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} = ANY ({values}))"


@compiles(one_of, "sqlite")
def _one_of_on_sqlite(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({values})))"  # noqa: S608  our own column


class fetched_one_by_one(one_of):  # noqa: N801  reads as the condition it is
    """The same for keys of some thousand rows: each is looked up, whatever order they come in.

    PostgreSQL would rather read along the index of that order until enough of them have come by,
    for tens of milliseconds. It does not see how many stand in a JSON, and reckons with a hundred.
    """

    inherit_cache = True

    def __init__(self, column: Any, values: Collection[int]) -> None:
        FunctionElement.__init__(self, column, literal(json.dumps(list(values)), Text()))


@compiles(fetched_one_by_one, "postgresql")
def _fetched_on_postgresql(
    element: fetched_one_by_one, compiler: SQLCompiler, **options: Any
) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    each = f"json_array_elements_text(CAST({values} AS json))"
    return f"({column} IN (SELECT CAST(e.value AS bigint) FROM {each} AS e(value)))"  # noqa: S608


def append(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Add rows, all with the same columns. COPY on PostgreSQL: a third of what INSERT costs."""
    if rows and on_postgresql(session):
        _copy(session, table_of(model), table_of(model).name, rows)
    elif rows:
        session.execute(insert(table_of(model)), list(rows))


def append_numbered(session: Session, model: type[Base], rows: Sequence[Row]) -> list[int]:
    """The same, and the id that each row got."""
    table = table_of(model)
    if not rows:
        return []
    if not on_postgresql(session):
        statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
        return list(session.scalars(statement, list(rows)))
    numbers = func.nextval(func.pg_get_serial_sequence(table.name, "id"))
    ids = list(session.scalars(select(numbers).select_from(func.generate_series(1, len(rows)))))
    _copy(session, table, table.name, [{**row, "id": i} for row, i in zip(rows, ids, strict=True)])
    return ids


def merge(
    session: Session,
    model: type[Base],
    rows: Sequence[Row],
    key: Sequence[str],
    overwritten: Sequence[str],
) -> None:
    """Add rows, or overwrite these columns of the one there is with the same key.

    On PostgreSQL they are copied into a table of this connection first and go on from there in one
    statement.
    """
    if not rows:
        return
    if on_postgresql(session):
        _merge_copied(session, table_of(model), rows, key, overwritten)
        return
    statement = insert_into(session, model)
    news = {name: statement.excluded[name] for name in overwritten}
    session.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_=news), list(rows)
    )


def _merge_copied(
    session: Session,
    table: Table,
    rows: Sequence[Row],
    key: Sequence[str],
    overwritten: Sequence[str],
) -> None:
    quote = session.connection().dialect.identifier_preparer.quote
    columns = ", ".join(map(quote, rows[0]))
    news = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in overwritten)
    staged = f"staged_{table.name}"
    _execute(
        session,
        f"CREATE TEMP TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS"  # noqa: S608
        f" AS SELECT * FROM {table.name} WITH NO DATA",
    )
    _copy(session, table, staged, rows)
    _execute(
        session,
        f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {staged}"  # noqa: S608
        f" ON CONFLICT ({', '.join(map(quote, key))}) DO UPDATE SET {news}",
    )
    _execute(session, f"DELETE FROM {staged}")  # noqa: S608  names of our own tables all


def _execute(session: Session, words: str) -> None:
    """In words, as SQLAlchemy has none for COPY and what goes with it."""
    session.connection().exec_driver_sql(words)


def _copy(session: Session, table: Table, into: str, rows: Sequence[Row]) -> None:
    connection = session.connection()
    names = list(rows[0])
    quoted = ", ".join(map(connection.dialect.identifier_preparer.quote, names))
    tellers = [_teller(table.c[name].type, connection.dialect) for name in names]
    told = [(place, tell) for place, tell in enumerate(tellers) if tell]
    driver: Any = connection.connection.driver_connection
    words = f"COPY {into} ({quoted}) FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(words) as out:
            for row in rows:
                values = [row[name] for name in names]
                for place, tell in told:
                    values[place] = tell(values[place])
                out.write_row(values)
    except driver.Error as error:
        if driver.closed:
            connection.invalidate()
        # As SQLAlchemy reports what goes wrong with its own statements.
        raise DBAPIError.instance(
            words, None, error, driver.Error, connection_invalidated=driver.closed
        ) from error


def _teller(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """How a value of this type is told to the driver; None: as it is."""
    tell = kind.dialect_impl(dialect).bind_processor(dialect)
    if tell is None or not isinstance(kind, UtcDateTime):
        return tell
    # In a batch most times are the same moment, and to put one into words costs as much as a row.
    return functools.lru_cache(maxsize=16)(lambda at: str(tell(at)) if at else None)
