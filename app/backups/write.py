"""Making an archive: one instant of the database, written beside the others, seen when whole."""

import hashlib
import itertools
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import sqlalchemy as sa

from app.backups import keys, layout, media, rows
from app.backups import manifest as contents
from app.backups.chain import Holdings, holdings
from app.backups.depot import Depot, Tell, media_folder, sync_folder, tell_nobody
from app.backups.layout import ZipWriter
from app.backups.manifest import Content, Made, Manifest, Part, TableContent, Type
from app.backups.members import LEVEL, WINDOW_LOG_MAX, Packer
from app.backups.places import revision_of, server_version
from app.backups.readme import readme
from app.backups.schema import LEFT_OUT, Table, head, schema_at
from app.core.clock import now
from app.core.text import N_, RequestError

MOST_PER_PART = 64 * 1024 * 1024  # plain bytes; a row more at most


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made."""

    id: str  # 32 hexadecimal digits
    name: str
    type: Type
    made: Made = Made.MANUAL
    base: Path | None = None  # the archive it is to build on


def create(depot: Depot, order: Order, tell: Tell = tell_nobody) -> Path:
    """Write an archive and return its path; on any failure nothing of it is left.

    Hold the depot's lock. Raises RequestError with a sentence when it cannot be written.
    """
    partial = depot.staging / f"{order.id}.partial"
    try:
        with _new_file(partial) as file:
            made = _Archive(depot, order, file, tell).write()
            file.flush()
            os.fsync(file.fileno())
        tell("rename", 0, 0)
        path = depot.folder / file_name(made)
        partial.rename(path)
        sync_folder(depot.folder)
    except OSError as error:
        raise RequestError(
            N_("The backup cannot be written to %(folder)s (%(reason)s)."),
            folder=depot.folder,
            reason=error.strerror or type(error).__name__,
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def file_name(manifest: Manifest) -> str:
    """The name of the archive that has this manifest."""
    at = manifest.created.started.strftime("%Y%m%dT%H%M%SZ")
    return f"{manifest.name}_{at}_{manifest.type}_{manifest.id[:8]}.zip"


def _new_file(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), 0o600)
    return os.fdopen(handle, "w+b")


@dataclass(slots=True)
class _Archive:
    """One archive while it is written."""

    depot: Depot
    order: Order
    file: BinaryIO
    tell: Tell
    started: datetime = field(default_factory=now)
    database: contents.Database | None = None
    revision: str = ""
    snapshot: datetime | None = None
    media: contents.Media | None = None
    holdings: Holdings = field(default_factory=Holdings)

    def write(self) -> Manifest:
        recipients = self.depot.keys.recipients()
        self.holdings = holdings(self.depot.keys, self.order.base)
        writer = ZipWriter(self.file)
        packer = Packer(writer, recipients)
        text = readme(
            self.order.id,
            self.depot.keys.public(),
            encrypted=bool(recipients),
            media=self._has_media(),
            chain=bool(self.holdings.there),
        )
        packer.add_as_is(layout.README, text)
        if self.order.type in (Type.FULL, Type.DATABASE):
            self._write_database(packer)
        if self._has_media():
            self._write_media(packer)
        if self.order.type in (Type.FULL, Type.SETTINGS):
            self.tell("settings", 0, 0)
            packer.add("settings/settings.json", [_as_json(self.depot.settings)])
        self.tell("manifest", 0, 0)
        manifest = self._manifest(packer, recipients)
        self._sign(writer, contents.encode(manifest))
        writer.close()
        return manifest

    def _write_database(self, packer: Packer) -> None:
        with self.depot.live.connect(snapshot=True) as connection:
            self.revision = _revision(connection)
            self.snapshot = now()
            self.tell("snapshot", 0, 0)
            tables = schema_at(self.revision).tables
            written = []
            for number, table in enumerate(tables):
                self.tell(f"table {table.name}", number, len(tables))
                written.append(self._write_table(packer, connection, table))
            server = server_version(connection)
        content = Content(self.revision, tuple(written))
        packer.add("db/schema.json", [contents.encode(content)])
        counts = tuple(contents.TableRows(table.name, table.rows) for table in written)
        engine = self.depot.live.engine_name
        self.database = contents.Database(engine, server, counts, tuple(sorted(LEFT_OUT)))

    def _has_media(self) -> bool:
        """A full one goes without a folder that is not there."""
        folder = self.depot.media
        there = folder is not None and folder.is_dir()
        if self.order.type is Type.MEDIA and not there:
            raise RequestError(
                N_("There is no media folder at %(folder)s: make it, or set MEDIA_DIR."),
                folder=folder or "",
            )
        return there and self.order.type in (Type.FULL, Type.MEDIA)

    def _write_media(self, packer: Packer) -> None:
        """After the rows: what they speak of is there still, and more is no harm."""
        self.tell("media", 0, 0)
        with media.snapshot(media_folder(self.depot), self.depot.staging / "media") as held:
            self.snapshot = self.snapshot or now()
            self.media = media.store(packer, self.holdings, held, self.tell)

    def _write_table(self, packer: Packer, connection: sa.Connection, table: Table) -> TableContent:
        whole = hashlib.sha256()
        parts = []
        for number, pieces in enumerate(_in_parts(rows.lines(connection, table))):
            noted = _Noted(pieces, self.tell, f"table {table.name}")
            member = packer.add(f"db/logical/{table.name}/{number:05}.jsonl", noted.read(whole))
            self._keep_once(packer, member.name, noted.hash.hexdigest())
            parts.append(Part(member.name, noted.rows, noted.hash.hexdigest()))
        columns = tuple((column.name, column.kind.value) for column in table.columns)
        count = sum(part.rows for part in parts)
        return TableContent(table.name, columns, table.key, count, whole.hexdigest(), tuple(parts))

    def _keep_once(self, packer: Packer, name: str, sha256: str) -> None:
        """Only when it has been read does one know whether an earlier archive has it."""
        content = self.holdings.content(sha256)
        if self.holdings.borrow(name, content):
            packer.drop()
        else:
            packer.call(content)

    def _manifest(self, packer: Packer, recipients: list[str]) -> Manifest:
        public = self.depot.keys.public()
        members = tuple(packer.members)
        at = now()
        version = contents.PLAIN_ROWS if self._is_plain() else contents.READS
        return Manifest(
            format=contents.FORMAT,
            format_version=version,
            min_reader=version,
            id=self.order.id,
            name=self.order.name,
            type=self.order.type,
            made=self.order.made,
            created=contents.Created(self.started, self.snapshot or self.started, at),
            origin=contents.Origin(
                keys.install_id(public), self.revision or head(), platform.python_version()
            ),
            database=self.database,
            secret_key_fingerprint=keys.fingerprint(self.depot.secret_key, public),
            encryption=contents.Encryption("age-v1" if recipients else None, tuple(recipients)),
            compression=contents.Compression("zstd", LEVEL, WINDOW_LOG_MAX),
            members=members,
            totals=contents.Totals(
                sum(member.stored_size for member in members),
                sum(member.plain_size for member in members),
                len(members) + 2,
            ),
            signature=contents.Signature("ed25519", public),
            media=self.media,
            bases=self.holdings.bases(),
            borrowed=tuple(self.holdings.borrowed),
        )

    def _is_plain(self) -> bool:
        """Then readers of the first version can read it."""
        return self.media is None and not self.holdings.borrowed

    def _sign(self, writer: ZipWriter, manifest: bytes) -> None:
        signature = keys.sign(self.depot.keys.signing(), manifest)
        for name, text in ((layout.MANIFEST, manifest), (layout.SIGNATURE, signature)):
            writer.begin(name)
            writer.write(text)
            writer.end()


class _Noted:
    """The lines of one part on their way into the archive: counted, hashed, told about."""

    def __init__(self, pieces: Iterable[bytes], tell: Tell, step: str) -> None:
        self._pieces, self._tell, self._step = pieces, tell, step
        self.rows = 0
        self.hash = hashlib.sha256()

    def read(self, whole: "hashlib._Hash") -> Iterator[bytes]:
        size = 0
        for piece in self._pieces:
            self.rows += piece.count(b"\n")
            self.hash.update(piece)
            whole.update(piece)
            size += len(piece)
            self._tell(self._step, size, 0)
            yield piece


def _in_parts(pieces: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Parts of about MOST_PER_PART bytes; an empty table has none. Each must be read to its end."""
    for first in pieces:
        yield _one_part(first, pieces)


def _one_part(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in itertools.chain([first], pieces):
        yield piece
        size += len(piece)
        if size >= MOST_PER_PART:
            return


def _revision(connection: sa.Connection) -> str:
    revision = revision_of(connection)
    if revision != head():
        raise RequestError(
            N_("The database is not set up for this version. Run: flask --app wsgi setup")
        )
    return head()


def _as_json(settings: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(settings, enc_hook=str), indent=1) + b"\n"
