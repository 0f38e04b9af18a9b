"""The rows of single tables replaced where they are, in one transaction; the old ones are kept.

Other tables go on as they are: nobody's rows of this minute are lost by it. What points into or out
of the tables must still find what it points at, else nothing is changed.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
import zstandard
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.audit.models import AuditEntry
from app.backups import rows
from app.backups.choice import Part, names_in
from app.backups.depot import Depot, Tell, sync_folder
from app.backups.fit import note_for_people, sign_everybody_out
from app.backups.journal import Entry, Journal, Step
from app.backups.layout import CHUNK, DamagedError
from app.backups.places import Place
from app.backups.schema import Table, head, schema_at
from app.backups.swap import LOCK_WAIT_MS, LOCKED, PATIENCE_S, busy
from app.core.text import N_, RequestError
from app.settings.models import Setting
from app.settings.store import VERSION

# Lines for a table, given the live one as it is while nobody else can write.
Lines = Callable[[sa.Connection, Table], Iterator[bytes]]


def replace_rows(depot: Depot, lines: Lines, part: Part, entry: Entry, tell: Tell) -> None:
    """Give tables other rows. RequestError or DamagedError when it cannot be: then nothing changed.

    Their old rows are kept aside before, and the journal knows.
    """
    tables = [table for table in schema_at(head()).tables if table.name in part.live_tables]
    kept = KeptRows(depot.folder / "undo" / f"{entry.id}.rows")
    entry.kept_rows = kept.folder.name
    journal = Journal(depot.folder)
    try:
        with depot.live.connect() as connection:
            _lock(connection, tables)
            began = time.monotonic()
            kept.write(connection, tables, part.section)
            journal.put(entry)
            _replace(connection, tables, lines, tell)
            _fit(connection, tables, entry)
            connection.commit()
        entry.stopped_s = time.monotonic() - began
    except BaseException as error:
        if not has_replaced(depot.live, entry):
            kept.remove()
            entry.kept_rows, entry.step = None, Step.FAILED
            journal.put(entry)
        if isinstance(error, DBAPIError):
            raise _not_taken(error) from error
        raise
    entry.step = Step.DONE
    journal.put(entry)


def has_replaced(live: Place, entry: Entry) -> bool:
    """Whether the transaction of an entry was committed: its line is in the audit log."""
    said = sa.select(AuditEntry.after).where(
        AuditEntry.kind == "backup",
        AuditEntry.object == entry.backup_id,
        AuditEntry.action == f"backup.{entry.what}",
    )
    with live.connect() as connection:
        return any((after or {}).get("restore") == entry.id for after in connection.scalars(said))


def _replace(connection: sa.Connection, tables: Sequence[Table], lines: Lines, tell: Tell) -> None:
    arriving = [(table, lines(connection, table)) for table in tables]
    references = _references(connection, {table.name for table in tables})
    with _without_references(connection, references):
        for table in reversed(tables):
            connection.exec_driver_sql(f'DELETE FROM "{table.name}"')  # noqa: S608
        for number, (table, pieces) in enumerate(arriving):
            tell(f"load {table.name}", number, len(arriving))
            _load(connection, table, pieces)
        _refuse_orphans(connection, references, {table.name for table in tables})


def _load(connection: sa.Connection, table: Table, pieces: Iterator[bytes]) -> None:
    """And read back: the same hash, or nothing is changed."""
    told = sha256()

    def noted() -> Iterator[bytes]:
        for piece in pieces:
            told.update(piece)
            yield piece

    rows.load(connection, table, noted())
    if rows.hash_of(connection, table) != told.hexdigest():
        raise DamagedError(
            N_("Table %(table)s came back from the archive with another content."),
            table=table.name,
        )


def _fit(connection: sa.Connection, tables: Sequence[Table], entry: Entry) -> None:
    with Session(bind=connection) as session:
        if User.__tablename__ in {table.name for table in tables}:
            sign_everybody_out(session)
        note_for_people(session, entry)
        session.flush()
        session.commit()


def _not_taken(error: DBAPIError) -> RequestError:
    return RequestError(
        N_("The database did not take the rows (%(reason)s); nothing was changed."),
        reason=str(error.orig).partition("\n")[0][:200],
    )


# --- the lock -------------------------------------------------------------------------------------


def _lock(connection: sa.Connection, tables: Sequence[Table]) -> None:
    """From here on nobody else writes to the tables; RequestError when that cannot be had."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f'DELETE FROM "{tables[0].name}" WHERE 0')  # noqa: S608
        return
    give_up_at = time.monotonic() + PATIENCE_S
    names = {table.name for table in tables}
    references = _references(connection, names)
    names |= {name for one in references for name in (one.child, one.parent)}
    while not _is_locked(connection, sorted(names)):
        connection.rollback()
        if time.monotonic() > give_up_at:
            raise busy()
        time.sleep(0.2)  # let those pass who waited behind us


def _is_locked(connection: sa.Connection, names: Sequence[str]) -> bool:
    try:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_MS}ms'")
        listed = ", ".join(f'"{name}"' for name in names)
        connection.exec_driver_sql(f"LOCK TABLE {listed}")
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", "") not in LOCKED:
            raise
        return False
    return True


# --- what points at what --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reference:
    """A column that names a row of another table."""

    name: str
    child: str
    column: str
    parent: str
    key: str


def _references(connection: sa.Connection, names: set[str]) -> list[_Reference]:
    """Into the tables and out of them."""
    inspector = sa.inspect(connection)
    return [
        _Reference(str(found["name"]), table.name, column, found["referred_table"], key)
        for table in schema_at(head()).tables
        for found in inspector.get_foreign_keys(table.name)
        for column, key in zip(found["constrained_columns"], found["referred_columns"], strict=True)
        if names & {table.name, found["referred_table"]}
    ]


@contextmanager
def _without_references(
    connection: sa.Connection, references: Sequence[_Reference]
) -> Iterator[None]:
    """Rows may come in any order; at the end the database itself checks them again.

    On SQLite this connection does not enforce them: `_refuse_orphans` looks.
    """
    if connection.dialect.name == "sqlite":
        yield
        return
    said = sa.text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conname = :name AND conrelid = CAST(:child AS regclass)"
    )
    told = [
        connection.execute(said, {"name": one.name, "child": f'"{one.child}"'}).scalar_one()
        for one in references
    ]
    for one in references:
        connection.exec_driver_sql(f'ALTER TABLE "{one.child}" DROP CONSTRAINT "{one.name}"')
    yield
    for one, definition in zip(references, told, strict=True):
        add = f'ALTER TABLE "{one.child}" ADD CONSTRAINT "{one.name}" {definition}'
        connection.exec_driver_sql(add)


def _refuse_orphans(
    connection: sa.Connection, references: Sequence[_Reference], names: set[str]
) -> None:
    """RequestError names the tables that would have to come along."""
    torn = [one for one in references if _has_orphans(connection, one)]
    if not torn:
        return
    missing = sorted({name for one in torn for name in (one.child, one.parent)} - names)
    raise RequestError(
        N_(
            "Nothing was changed: rows would point at what is not there (%(pairs)s). "
            "Restore these tables with them: %(tables)s."
        ),
        pairs=", ".join(sorted({f"{one.child} → {one.parent}" for one in torn})),
        tables=", ".join(missing),
    )


def _has_orphans(connection: sa.Connection, one: _Reference) -> bool:
    orphan = connection.exec_driver_sql(
        f'SELECT 1 FROM "{one.child}" c WHERE c."{one.column}" IS NOT NULL AND NOT EXISTS '  # noqa: S608
        f'(SELECT 1 FROM "{one.parent}" p WHERE p."{one.key}" = c."{one.column}") LIMIT 1'
    )
    return orphan.first() is not None


# --- from where -----------------------------------------------------------------------------------


def from_scratch(place: Place, part: Part) -> Lines:
    """The rows of a scratch database; of settings only a section, the others as they are live."""

    return _lines(partial(_of, place), part.section)


def from_kept(kept: "KeptRows") -> Lines:
    """The rows that a replacement put aside."""
    return _lines(kept.lines, kept.told().section)


def _lines(source: Callable[[Table], Iterator[bytes]], section: str | None) -> Lines:
    def lines(live: sa.Connection, table: Table) -> Iterator[bytes]:
        if section is None:
            return source(table)
        return iter([_mixed(live, table, source(table), section)])

    return lines


def _of(place: Place, table: Table) -> Iterator[bytes]:
    with place.connect(snapshot=True) as connection:
        yield from rows.lines(connection, table)


def _mixed(live: sa.Connection, table: Table, arriving: Iterator[bytes], section: str) -> bytes:
    """One section as it was, the rest as it is, and the count of changes one higher."""
    names = names_in(section)
    mine = dict(_keyed(rows.split(rows.lines(live, table))))
    theirs = dict(_keyed(rows.split(arriving)))
    mixed = {name: line for name, line in mine.items() if name not in names}
    mixed |= {name: line for name, line in theirs.items() if name in names}
    mixed[VERSION] = _counted(table, mine.get(VERSION) or theirs.get(VERSION))
    return b"".join(mixed[name] + b"\n" for name in sorted(mixed, key=str.encode))


def _keyed(lines: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        yield msgspec.json.decode(line)[0], line


def _counted(table: Table, line: bytes | None) -> bytes:
    names = [column.name for column in table.columns]
    at = "2025-01-01 00:00:00"
    fresh: dict[str, Any] = {"key": VERSION, "value": "0", "encrypted": False, "updated_by": ""}
    values = msgspec.json.decode(line) if line else [fresh.get(name, at) for name in names]
    place = names.index(Setting.value.key)
    values[place] = str(int(values[place]) + 1)
    return msgspec.json.encode(values)


# --- what is kept ---------------------------------------------------------------------------------


class _Told(msgspec.Struct):
    revision: str
    tables: list[str]
    section: str | None  # of the settings: only that one was replaced


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The old rows of some tables: a folder with a zstd file of lines for each."""

    folder: Path

    def write(
        self, connection: sa.Connection, tables: Sequence[Table], section: str | None
    ) -> None:
        """As they are at this moment."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        for table in tables:
            with self._path(table.name).open("xb") as file:
                packer = zstandard.ZstdCompressor(write_checksum=True)
                with packer.stream_writer(file, closefd=False) as out:
                    for piece in rows.lines(connection, table):
                        out.write(piece)
                file.flush()
                os.fsync(file.fileno())
        told = _Told(head(), [table.name for table in tables], section)
        (self.folder / "tables.json").write_bytes(msgspec.json.encode(told))
        sync_folder(self.folder)

    def told(self) -> _Told:
        """Which they are. RequestError when the database has other tables since."""
        path = self.folder / "tables.json"
        told = msgspec.json.decode(path.read_bytes(), type=_Told)
        if told.revision != head():
            raise RequestError(
                N_("This cannot be undone any more: the database has been upgraded since.")
            )
        return told

    def lines(self, table: Table) -> Iterator[bytes]:
        """The rows of one of them."""
        with self._path(table.name).open("rb") as file:
            unpacker = zstandard.ZstdDecompressor()
            with unpacker.stream_reader(file, read_size=CHUNK) as stream:
                while piece := stream.read(CHUNK):
                    yield piece

    def remove(self) -> None:
        """They are not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.jsonl.zst"
