"""Statements about hundreds of rows at once, which must cost no more than a few."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Dialect,
    Integer,
    Select,
    Table,
    Text,
    TypeDecorator,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine, UserDefinedType

from app.core.db import Base, Row, on_postgresql, table_of
from app.core.told import copy, execute, insert_told


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
    on_postgresql = "({column} = ANY ({values}))"
    on_sqlite = "({column} IN (SELECT value FROM json_each({values})))"

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
    return element.on_postgresql.format(column=column, values=values)


@compiles(one_of, "sqlite")
def _one_of_on_sqlite(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return element.on_sqlite.format(column=column, values=values)


class fetched_one_by_one(one_of):  # noqa: N801  reads as the condition it is
    """The same for keys of some thousand rows: each is looked up, whatever order they come in.

    PostgreSQL would rather read along the index of that order until enough of them have come by,
    for tens of milliseconds. It does not see how many stand in a JSON, and reckons with a hundred.
    """

    inherit_cache = True
    on_postgresql = (
        "({column} IN (SELECT CAST(e.value AS bigint)"
        " FROM json_array_elements_text(CAST({values} AS json)) AS e(value)))"
    )

    def __init__(self, column: Any, values: Collection[int]) -> None:
        FunctionElement.__init__(self, column, literal(json.dumps(list(values)), Text()))


class looked_up(one_of):  # noqa: N801  reads as the condition it is
    """The same for some hundreds that a query finds: each is looked up.

    By IN, PostgreSQL would rather read the whole table.
    """

    inherit_cache = True
    on_postgresql = "({column} = ANY (ARRAY{values}))"
    on_sqlite = "({column} IN {values})"

    def __init__(self, column: Any, found: Select[int]) -> None:
        FunctionElement.__init__(self, column, found.scalar_subquery())


def append(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Add rows, all with the same columns: a third of what an INSERT each costs."""
    if rows and on_postgresql(session):
        copy(session, table_of(model), table_of(model).name, rows)
    elif rows:
        insert_told(session, table_of(model), rows)


def append_numbered(session: Session, model: type[Base], rows: Sequence[Row]) -> list[int]:
    """The same, and the id that each row got."""
    if not rows:
        return []
    ids = list(_new_numbers(session, table_of(model), len(rows)))
    append(session, model, [{**row, "id": i} for row, i in zip(rows, ids, strict=True)])
    return ids


def _new_numbers(session: Session, table: Table, count: int) -> Iterable[int]:
    if on_postgresql(session):
        # Found once, not for each number: finding it takes fifty times as long as counting on.
        sequence = select(func.pg_get_serial_sequence(table.name, "id")).scalar_subquery()
        numbers = func.nextval(cast(sequence, postgresql.REGCLASS))
        return session.scalars(select(numbers).select_from(func.generate_series(1, count)))
    # As SQLite numbers by itself. Nobody else can: the transaction holds the only writer's lock.
    last: int = session.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return range(last + 1, last + 1 + count)


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
    quote = session.connection().dialect.identifier_preparer.quote
    news = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in overwritten)
    unless_new = f"ON CONFLICT ({', '.join(map(quote, key))}) DO UPDATE SET {news}"
    if on_postgresql(session):
        _merge_copied(session, table_of(model), rows, unless_new)
    else:
        insert_told(session, table_of(model), rows, unless_new)


def _merge_copied(session: Session, table: Table, rows: Sequence[Row], unless_new: str) -> None:
    quote = session.connection().dialect.identifier_preparer.quote
    columns = ", ".join(map(quote, rows[0]))
    staged = f"staged_{table.name}"
    execute(
        session,
        f"CREATE TEMP TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS"  # noqa: S608
        f" AS SELECT * FROM {table.name} WITH NO DATA",
    )
    copy(session, table, staged, rows)
    execute(
        session,
        f"INSERT INTO {table.name} ({columns})"  # noqa: S608
        f" SELECT {columns} FROM {staged} {unless_new}",
    )
    execute(session, f"DELETE FROM {staged}")  # noqa: S608  names of our own tables all
