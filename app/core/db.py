"""The database: engine, model base, aware UTC times, and the two ways to open a transaction."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    event,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core import sqlite_file
from app.core.text import Sentence

T = TypeVar("T")
Row = Mapping[str, Any]  # values by column
FROZEN_S = 15  # no transaction of ours does nothing for so long
BATCH = 500  # rows per statement where many are written or deleted


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC on both engines. SQLite would silently drop the zone; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value!r}: times are aware and in UTC")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SentenceText(TypeDecorator[Sentence]):
    """A `Sentence` in a text column, so that it can be read in any language later."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sentence | None, dialect: Dialect) -> str | None:
        return None if value is None else value.dump()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sentence | None:
        return None if value is None else Sentence.load(value)


# SQLite numbers rows by itself only in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Every table of the house. Constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        Sentence: SentenceText,
        dict[str, Any]: JSON,
    }


db = SQLAlchemy(metadata=Base.metadata)


class db_now(FunctionElement[datetime]):  # noqa: N801  reads as the SQL function it is
    """The database's clock plus some seconds: one clock for all workers, whatever theirs say."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus_s: float = 0) -> None:
        super().__init__(literal(float(plus_s)))


@compiles(db_now, "postgresql")
def _now_on_postgresql(element: db_now, compiler: SQLCompiler, **options: Any) -> str:
    # statement_timestamp() is stable, so an index on the compared column is used.
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(db_now, "sqlite")
def _now_on_sqlite(element: db_now, compiler: SQLCompiler, **options: Any) -> str:
    # The text form UtcDateTime writes: milliseconds, filled up to microseconds.
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


def init_db(app: Flask, url: str, threads: int) -> None:
    """Bind the app to `url`; `threads` is how many may hold a connection at once."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url, threads)
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            sqlite_file.prepare(db.engine)
        else:
            event.listen(db.engine, "connect", _prepare_postgresql)


def _engine_options(url: str, threads: int) -> dict[str, Any]:
    # The connection that was used last first: pages and prepared statements are kept by each.
    pool = {"pool_size": threads + 4, "max_overflow": threads, "pool_use_lifo": True}
    if url.startswith("sqlite"):
        return {**pool, "connect_args": sqlite_file.CONNECT}
    return {
        **pool,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 10},
    }


def keep_few_pages() -> None:
    """Few pages of an SQLite file per connection, for who writes much and has many of them.

    What he reads again the system keeps.
    """
    if db.engine.dialect.name == "sqlite":
        sqlite_file.keep_few_pages(db.engine)


def _prepare_postgresql(connection: Any, _record: object) -> None:
    # A worker frozen in the middle of a transaction keeps its locks; the server ends it for him.
    connection.execute(f"SET idle_in_transaction_session_timeout = '{FROZEN_S}s'")
    connection.commit()


@contextmanager
def transaction() -> Iterator[Session]:
    """One short write transaction: committed at the end, rolled back on any exception.

    Never keep it open while a request is on the wire.
    """
    with Session(_writing(db.engine), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A read-only look at the newest committed state."""
    with Session(db.engine, expire_on_commit=False) as session:
        yield session


def _writing(engine: Engine) -> Engine:
    return engine.execution_options(immediate=True)


def persist(work: Callable[[Session], T], give_up_after_s: float = 20) -> T:
    """Run `work` in a transaction of its own, again when the database was away or busy.

    A commit whose answer got lost is run again too: `work` must be safe to repeat, which the fence
    of the ledger makes it. Raises the last error when `give_up_after_s` have passed.
    """
    give_up_at = time.monotonic() + give_up_after_s
    pause_s = 0.1
    while True:
        try:
            with transaction() as session:
                return work(session)
        except DBAPIError as error:
            if not is_away(error) or time.monotonic() + pause_s > give_up_at:
                raise
        time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311  spreads workers, guards nothing
        pause_s = min(pause_s * 2, 2)


def is_away(error: Exception) -> bool:
    """The database was away, restarting, locked, or broke a deadlock: worth another try."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return "locked" in str(error.orig) or "busy" in str(error.orig)
    code = str(getattr(error.orig, "sqlstate", None) or "")
    lost = isinstance(error, OperationalError) or error.connection_invalidated
    return lost or code.startswith("40")  # 40001 serialization, 40P01 deadlock


def insert_into(session: Session, model: type[Base]) -> Any:
    """INSERT in the engine's own dialect, which knows ON CONFLICT.

    Execute it with a list of dicts: one giant VALUES clause costs ten times as much. It goes to the
    table, not through the mapped class, whose bookkeeping costs as much again.
    """
    return (postgresql if on_postgresql(session) else sqlite).insert(table_of(model))


def on_postgresql(session: Session) -> bool:
    """Whether what follows may be said in PostgreSQL's own words."""
    return session.get_bind().dialect.name == "postgresql"


def table_of(model: type[Base]) -> Table:
    """The table behind a mapped class, for statements about many rows."""
    return cast(Table, model.__table__)


def one_at_a_time(session: Session, what: str) -> None:
    """Hold others who ask for the same `what` until this transaction ends.

    On SQLite there is only one writer anyway.
    """
    if on_postgresql(session):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtext(what))))


def current_time(session: Session) -> datetime:
    """The database's clock, as a value."""
    return session.execute(select(db_now())).scalar_one()


def reachable() -> None:
    """Raise when the database cannot be asked."""
    with reading() as session:
        session.execute(select(1))
