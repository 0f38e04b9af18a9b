"""Which tables a revision of the database has, as the migrations say; the same on both engines."""

import functools
import threading
from enum import StrEnum
from pathlib import Path

import msgspec
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"

# The catalogue describes the folder of archives, which no restore changes: it is carried over. So
# are what is known of copies elsewhere and what people were told of.
CARRIED = ("backup", "backup_copy", "backup_incident")
LEFT_OUT = frozenset({*CARRIED, "alembic_version"})

_one_migration = threading.Lock()  # Alembic's `op` is one per process


class Kind(StrEnum):
    """What a column holds, whatever an engine calls its type."""

    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"  # a moment in UTC
    DATE = "date"
    JSON = "json"  # kept as the text it is
    BYTES = "bytes"


class Column(msgspec.Struct, frozen=True):
    """One column."""

    name: str
    kind: Kind


class Table(msgspec.Struct, frozen=True):
    """One table; `key` are the columns of its primary key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


class Schema(msgspec.Struct, frozen=True):
    """The tables of a revision, parents before their children."""

    revision: str
    tables: tuple[Table, ...]


@functools.cache
def head() -> str:
    """The revision this code works with."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return revision


def is_known(revision: str) -> bool:
    """Whether this code can bring a database of that revision up to date."""
    return any(script.revision == revision for script in _scripts().walk_revisions())


@functools.cache
def schema_at(revision: str) -> Schema:
    """The tables of a revision, learnt by migrating an empty database in memory."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        migrate(connection, revision)
        metadata = sa.MetaData()
        metadata.reflect(connection)
    engine.dispose()
    tables = [table for table in metadata.sorted_tables if table.name not in LEFT_OUT]
    return Schema(revision, tuple(map(_described, tables)))


def migrate(connection: sa.Connection, revision: str) -> None:
    """Bring the database behind `connection` up to `revision`, and commit."""
    scripts = _scripts()

    def steps(current: str, _context: object) -> object:
        return scripts._upgrade_revs(revision, current)

    with _one_migration, EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, render_as_batch=True)
        with environment.begin_transaction():
            environment.run_migrations()
        connection.commit()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS))


def _described(table: sa.Table) -> Table:
    columns = tuple(Column(str(column.name), kind_of(column.type)) for column in table.columns)
    return Table(str(table.name), columns, tuple(str(column.name) for column in table.primary_key))


_KINDS = (  # the first that fits: a DateTime is no Date, a JSON no String
    (sa.Boolean, Kind.BOOLEAN),
    (sa.Float, Kind.FLOAT),
    (sa.Integer, Kind.INTEGER),
    (sa.DateTime, Kind.TIME),
    (sa.Date, Kind.DATE),
    (sa.JSON, Kind.JSON),
    (sa.LargeBinary, Kind.BYTES),
    (sa.String, Kind.TEXT),
)


def kind_of(column_type: sa.types.TypeEngine[object]) -> Kind:
    """The kind of a reflected type; TypeError when no backup of ours can hold it."""
    for known, kind in _KINDS:
        if isinstance(column_type, known):
            return kind
    raise TypeError(f"backups do not know columns of type {column_type!r}")
