"""Reading an archive: opened, checked from its signature down to the hash of every table."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import pyrage

from app.backups import layout, manifest
from app.backups.chain import Chain
from app.backups.depot import Tell, is_archive_name, tell_nobody
from app.backups.keys import Keys
from app.backups.layout import DamagedError, ZipReader
from app.backups.manifest import Borrowed, Content, Manifest, Member, Part, TableContent
from app.backups.media import INDEX, File, read_index, summary
from app.backups.members import check_stored, plain_bytes
from app.backups.schema import Column, Kind, Table, is_known, schema_at
from app.core.text import N_, RequestError

MOST_SCHEMA_BYTES = 64 * 1024 * 1024
MOST_INDEX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive whose manifest fits its signature. Its members are not checked yet."""

    path: Path
    reader: ZipReader
    manifest: Manifest
    identities: list[pyrage.x25519.Identity]
    chain: Chain
    by_name: Mapping[str, Member]

    @property
    def readable(self) -> bool:
        """Whether its contents can be read here, as far as one knows before trying."""
        return not self.manifest.encrypted or bool(self.identities)

    def is_trusted(self, keys: Keys) -> bool:
        """Whether it was signed by this installation or one that it trusts."""
        return keys.trusts(self.manifest.signature.public_key)

    def check_members(self, tell: Tell = tell_nobody) -> None:
        """Compare every member's bytes with the manifest. DamagedError at the first difference."""
        everything = self.manifest.everything
        told = _Progress(tell, "hashes", sum(one.stored_size for one in everything))
        for member in everything:
            with self._at(member) as (reader, stored):
                check_stored(reader, stored, told.more)

    def check_contents(self, tell: Tell = tell_nobody) -> None:
        """Unpack everything and compare what is in it with what is said of it."""
        told = _Progress(tell, "contents", self.manifest.plain)
        for piece in self._contents():
            told.more(len(piece))

    def _contents(self) -> Iterator[bytes]:
        if self.manifest.database:
            for table in self.content().tables:
                yield from self.lines(table)
        for member in self.manifest.members:
            if not member.name.startswith(("db/", "media/")):
                with self._plain(member) as pieces:
                    yield from pieces
        if self.manifest.media:
            blobs = {file.blob: file for file in self.media() if file.lack is None}
            for file in blobs.values():
                yield from self.blob(file)

    def content(self) -> Content:
        """What db/schema.json says, compared with the manifest and with the migrations."""
        member = self.manifest.member("db/schema.json")
        if member.plain_size > MOST_SCHEMA_BYTES:
            raise DamagedError(
                N_("The archive is refused: %(member)s is larger than it may be."),
                member=member.name,
            )
        with self._plain(member) as pieces:
            content = manifest.decode_content(b"".join(pieces))
        _compare(self.manifest, content)
        return content

    def lines(self, table: TableContent) -> Iterator[bytes]:
        """The lines of a table in pieces cut anywhere. DamagedError when the hashes differ."""
        whole = hashlib.sha256()
        for part in table.parts:
            yield from self._part(part, whole)
        if whole.hexdigest() != table.sha256:
            raise _not_as_told(f"db/logical/{table.name}")

    def _part(self, part: Part, whole: "hashlib._Hash") -> Iterator[bytes]:
        digest, count = hashlib.sha256(), 0
        with self._plain(self._member(part.member)) as pieces:
            for piece in pieces:
                digest.update(piece)
                whole.update(piece)
                count += piece.count(b"\n")
                yield piece
        if digest.hexdigest() != part.sha256 or count != part.rows:
            raise _not_as_told(part.member)

    def settings(self) -> bytes:
        """settings/settings.json as it is."""
        member = self.manifest.member("settings/settings.json")
        if member.plain_size > layout.CHUNK:
            raise _not_as_told(member.name)
        with self._plain(member) as pieces:
            return b"".join(pieces)

    def media(self) -> list[File]:
        """The files of the media folder and what is lacking, by path, as the index says."""
        member = self.manifest.member(INDEX)
        if member.plain_size > MOST_INDEX_BYTES:
            raise _not_as_told(member.name)
        with self._plain(member) as pieces:
            files = read_index(b"".join(pieces))
        blobs = {file.blob for file in files if file.lack is None}
        there = {name for name in self.by_name if name.startswith("media/blobs/")}
        if summary(files) != self.manifest.media or set(map(self._suffixed, blobs)) != there:
            raise _not_as_told(member.name)
        return files

    def blob(self, file: File) -> Iterator[bytes]:
        """The bytes of a file of the media folder. DamagedError when they are others."""
        digest, size = hashlib.sha256(), 0
        with self._plain(self._member(self._suffixed(file.blob))) as pieces:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                yield piece
        if digest.hexdigest() != file.sha256 or size != file.size:
            raise _not_as_told(file.blob)

    def _suffixed(self, name: str) -> str:
        return f"{name}.zst.age" if self.manifest.encrypted else f"{name}.zst"

    def _member(self, name: str) -> Member:
        member = self.by_name.get(name)
        if member is None:
            raise _not_as_told(name)
        return member

    @contextmanager
    def _at(self, member: Member) -> Iterator[tuple[ZipReader, Member]]:
        """Where the stored bytes of a member are: here or in an earlier archive."""
        if isinstance(member, Borrowed):
            with self.chain.at(member) as found:
                yield found
        else:
            yield self.reader, member

    @contextmanager
    def _plain(self, member: Member) -> Iterator[Iterator[bytes]]:
        with (
            self._at(member) as (reader, stored),
            plain_bytes(reader, stored, self.identities, self._beside) as pieces,
        ):
            yield pieces

    @property
    def _beside(self) -> Path:
        """Where members are decrypted to, into files without a name."""
        folder = self.path.parent
        return folder if os.access(folder, os.W_OK) else Path(gettempdir())


@contextmanager
def opened(
    path: Path,
    identities: list[pyrage.x25519.Identity] | None = None,
    beside: Path | None = None,
) -> Iterator[Archive]:
    """Open an archive. RequestError when there is none, DamagedError when it is not whole.

    What it builds on is looked for in the folder `beside`: its own, if nothing is said.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RequestError(
            N_("The archive %(path)s cannot be read (%(reason)s)."),
            path=path,
            reason=error.strerror or type(error).__name__,
        ) from error
    with file, ExitStack() as open_files:
        reader = ZipReader(file)
        told = manifest.read(reader)
        if is_archive_name(path.name) and path.stem[-8:] != told.id[:8]:
            raise DamagedError(
                N_("%(file)s is another backup than its name says: it holds %(id)s."),
                file=path.name,
                id=told.id[:8],
            )
        chain = Chain(path.name, beside or path.parent, told, open_files)
        by_name = {member.name: member for member in told.everything}
        yield Archive(path, reader, told, identities or [], chain, by_name)


def verify(archive: Archive, tell: Tell = tell_nobody) -> bool:
    """Check all of it; True when its contents were read too, False when they are encrypted.

    DamagedError says what is wrong.
    """
    archive.check_members(tell)
    if not archive.readable:
        return False
    archive.check_contents(tell)
    return True


def as_table(told: TableContent) -> Table:
    """The table an archive speaks of; as trustworthy as the archive."""
    columns = tuple(Column(name, Kind(kind)) for name, kind in told.columns)
    return Table(told.name, columns, told.key)


class _Progress:
    def __init__(self, tell: Tell, step: str, whole: int) -> None:
        self._tell, self._step, self._whole = tell, step, whole
        self._done = 0

    def more(self, size: int) -> None:
        self._done += size
        self._tell(self._step, self._done, self._whole)


def _compare(told: Manifest, content: Content) -> None:
    """The same tables in manifest, content and migrations; every part is a member, once."""
    database = told.database
    counts = [(table.name, table.rows) for table in content.tables]
    if database is None or counts != [(table.name, table.rows) for table in database.tables]:
        raise _not_as_told("db/schema.json")
    parts = [part.member for table in content.tables for part in table.parts]
    logical = [one.name for one in told.everything if one.name.startswith("db/logical/")]
    placed = all(
        part.member.startswith(f"db/logical/{table.name}/")
        for table in content.tables
        for part in table.parts
    )
    if sorted(parts) != sorted(logical) or not placed:
        raise _not_as_told("db/schema.json")
    if content.revision != told.origin.revision or not _fits_migrations(content):
        raise DamagedError(
            N_("The archive is refused: its tables are not those of revision %(revision)s."),
            revision=content.revision[:40],
        )


def _fits_migrations(content: Content) -> bool:
    """An unknown revision is a newer one: it can be checked, not restored."""
    if not is_known(content.revision):
        return True
    known = schema_at(content.revision).tables
    try:
        return known == tuple(map(as_table, content.tables))
    except ValueError:  # a kind of column that does not exist
        return False


def _not_as_told(member: str) -> DamagedError:
    return DamagedError(
        N_("The archive is damaged: %(member)s is not as its manifest says."), member=member
    )
