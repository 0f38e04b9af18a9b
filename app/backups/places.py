"""Databases to read from and to load into: the live one, and scratch ones beside it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from app.core.sqlite_file import BUSY_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Place:
    """A database: an SQLite file, or one schema of a PostgreSQL database (None: the usual one)."""

    url: str
    schema: str | None = None

    @property
    def on_sqlite(self) -> bool:
        return sa.make_url(self.url).get_backend_name() == "sqlite"

    @property
    def engine_name(self) -> str:
        return "sqlite" if self.on_sqlite else "postgresql"

    @property
    def file(self) -> Path:
        """Of SQLite."""
        return Path(sa.make_url(self.url).database or "")

    @classmethod
    def in_file(cls, path: Path) -> "Place":
        """An SQLite file."""
        return cls(sa.URL.create("sqlite", database=str(path)).render_as_string())

    @contextmanager
    def connect(self, *, snapshot: bool = False) -> Iterator[sa.Connection]:
        """A connection of its own that begins its transaction with the first statement.

        With `snapshot` it sees one instant, however long it reads, and cannot write.
        """
        engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=self._options())
        if self.on_sqlite:
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin)
        elif snapshot:
            engine = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def _options(self) -> dict[str, Any]:
        if self.on_sqlite:
            return {"timeout": BUSY_TIMEOUT_S}
        # A long COPY is not idle, but what is between two of them may be; times must read as ISO.
        options = "-c TimeZone=UTC -c DateStyle=ISO -c idle_in_transaction_session_timeout=0"
        if self.schema:
            options += f" -c search_path={self.schema}"
        return {"connect_timeout": 10, "options": options}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.create_function("base64_of", 1, _base64, deterministic=True)
    connection.create_function("float_of", 1, float_text, deterministic=True)
    connection.create_function("time_of", 1, time_text, deterministic=True)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def float_text(value: float | None) -> str | None:
    """A float with the 17 digits that make it exact; as PostgreSQL's to_char with EEEE."""
    if value is None:
        return None
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:.16e}"


def time_text(value: str | None) -> str | None:
    """A time not written by the application, as PostgreSQL would show it; nonsense stays."""
    try:
        at = datetime.fromisoformat(value or "")
    except (TypeError, ValueError):
        return value
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return at.isoformat(" ", "microseconds").rstrip("0").rstrip(".")


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of a database; None when it has no tables of ours."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    return rows[0] if len(rows) == 1 else None


def server_version(connection: sa.Connection) -> str:
    """As the server says it."""
    name = "sqlite_version()" if connection.dialect.name == "sqlite" else "version()"
    return str(connection.exec_driver_sql(f"SELECT {name}").scalar_one())[:100]
