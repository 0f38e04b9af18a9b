"""Scratch databases beside the live one, and an archive loaded into one and proven equal."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.backups import rows
from app.backups.archive import Archive, as_table
from app.backups.depot import Depot, Tell
from app.backups.layout import DamagedError
from app.backups.places import Place
from app.backups.schema import Kind, Table, head, is_known, migrate, schema_at
from app.core.text import N_, RequestError

_PREFIX = "fikstur_scratch_"


@contextmanager
def scratch(depot: Depot, name: str) -> Iterator[Place]:
    """An empty database of the live one's engine, gone afterwards. Hold the depot's lock."""
    place = new_scratch(depot, name)
    try:
        yield place
    finally:
        drop(place)


def new_scratch(depot: Depot, name: str) -> Place:
    """An empty SQLite file in staging, or a schema of the live PostgreSQL database."""
    if depot.live.on_sqlite:
        return Place.in_file(depot.staging / f"{name}.db")
    drop_left_over(depot)
    place = Place(depot.live.url, f"{_PREFIX}{name}")
    try:
        with depot.live.connect() as connection:
            connection.exec_driver_sql(f'CREATE SCHEMA "{place.schema}"')
            connection.commit()
    except DBAPIError as error:
        raise RequestError(
            N_(
                "The database user may not make a scratch schema (%(reason)s). "
                "Grant it: GRANT CREATE ON DATABASE … TO …"
            ),
            reason=str(error.orig).partition("\n")[0],
        ) from error
    return place


def drop(place: Place) -> None:
    """Remove a scratch database."""
    if place.on_sqlite:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{place.file}{ending}").unlink(missing_ok=True)
    else:
        drop_schema(place.url, place.schema or "")


def drop_schema(url: str, schema: str) -> None:
    """Remove a schema of ours with all that is in it."""
    if not re.fullmatch(r"fikstur_[a-z]+_\w+", schema):
        raise ValueError(f"{schema!r} is no schema of ours")
    with Place(url).connect() as connection:
        connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        connection.commit()


def drop_left_over(depot: Depot) -> None:
    """Remove what a killed process left; staging files go with the staging folder."""
    if depot.live.on_sqlite:
        return
    with depot.live.connect() as connection:
        found = connection.execute(
            sa.text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix)"),
            {"prefix": _PREFIX},
        )
        names = list(found.scalars())
    for name in names:
        drop_schema(depot.live.url, name)


# --- loading --------------------------------------------------------------------------------------


def refuse_newer(archive: Archive) -> None:
    """RequestError when this code does not know the archive's revision of the database."""
    revision = archive.manifest.origin.revision
    if not is_known(revision):
        raise RequestError(
            N_(
                "The backup comes from a newer Fikstür (revision %(revision)s, here %(head)s): "
                "install that version or a newer one first."
            ),
            revision=revision[:40],
            head=head(),
        )


def fill(archive: Archive, place: Place, tell: Tell) -> None:
    """Load an archive into an empty database, prove it equal, then migrate it to our revision.

    DamagedError when any table's hash, read back, is not the archive's.
    """
    refuse_newer(archive)
    content = archive.content()
    revision = content.revision
    with place.connect() as connection:
        migrate(connection, revision)
    with place.connect() as connection:
        for number, told in enumerate(content.tables):
            tell(f"load {told.name}", number, len(content.tables))
            rows.load(connection, as_table(told), _told(archive.lines(told), tell, told.name))
            connection.commit()
    _prove(archive, place, tell)
    with place.connect() as connection:
        tell("migrate", 0, 0)
        migrate(connection, head())
    with place.connect() as connection:
        _finish(connection, schema_at(head()).tables)
        connection.commit()


def _told(pieces: Iterator[bytes], tell: Tell, table: str) -> Iterator[bytes]:
    """A large table takes long: it is told how much of it has come, and can be stopped."""
    size = 0
    for piece in pieces:
        size += len(piece)
        tell(f"load {table}", size, 0)
        yield piece


def _prove(archive: Archive, place: Place, tell: Tell) -> None:
    content = archive.content()
    with place.connect(snapshot=True) as connection:
        for number, told in enumerate(content.tables):
            tell(f"compare {told.name}", number, len(content.tables))
            if rows.hash_of(connection, as_table(told)) != told.sha256:
                raise DamagedError(
                    N_("Table %(table)s came back from the archive with another content."),
                    table=told.name,
                )
        _refuse_orphans(connection)


def _refuse_orphans(connection: sa.Connection) -> None:
    """PostgreSQL has looked already."""
    if connection.dialect.name != "sqlite":
        return
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if orphan is not None:
        raise DamagedError(
            N_("A row of table %(table)s points at a row of %(parent)s that is not there."),
            table=orphan[0],
            parent=orphan[2],
        )


def _finish(connection: sa.Connection, tables: tuple[Table, ...]) -> None:
    """What rows alone do not bring: where numbering goes on, what the planner must know."""
    go_on_numbering_of(connection, *(table.name for table in tables))
    connection.exec_driver_sql("ANALYZE")


def go_on_numbering_of(connection: sa.Connection, *names: str) -> None:
    """Let new rows of these tables be numbered behind the highest; SQLite does so by itself."""
    if connection.dialect.name == "sqlite":
        return
    for table in schema_at(head()).tables:
        kinds = {column.name: column.kind for column in table.columns}
        if table.name in names and [kinds[name] for name in table.key] == [Kind.INTEGER]:
            _go_on_numbering(connection, table.name, table.key[0])


def _go_on_numbering(connection: sa.Connection, table: str, column: str) -> None:
    connection.exec_driver_sql(
        f'SELECT setval(seq, (SELECT coalesce(max("{column}"), 0) + 1 FROM "{table}"), false) '  # noqa: S608
        f"FROM pg_get_serial_sequence('\"{table}\"', '{column}') AS seq WHERE seq IS NOT NULL"
    )
