"""One member: plain bytes through zstd and age into the archive, and back with limits."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import pyrage
import zstandard
from msgspec.structs import replace

from app.backups import keys
from app.backups.layout import CHUNK, DamagedError, ZipReader, ZipWriter
from app.backups.manifest import Member
from app.core.text import N_, RequestError

LEVEL = 3
# With a thread of its own zstd holds several jobs in memory: four times as much by default.
PACKING = zstandard.ZstdCompressionParameters.from_level(
    LEVEL, threads=1, job_size=2 * 1024 * 1024, write_checksum=True
)
WINDOW_LOG_MAX = 27  # what zstd itself opens without being asked to use more memory

Look = Callable[[int], None]  # called with every piece's size; may raise to stop


class MissingIdentityError(RequestError):
    """The archive is encrypted, and no identity that opens it is at hand."""


class Packer:
    """Adds members to an archive and remembers them for its manifest."""

    def __init__(self, writer: ZipWriter, recipients: Iterable[str]) -> None:
        self._writer = writer
        self._recipients = [keys.recipient(line) for line in recipients]
        self.members: list[Member] = []

    def full_name(self, name: str) -> str:
        """NAME.zst, or NAME.zst.age when there are recipients."""
        return f"{name}.zst.age" if self._recipients else f"{name}.zst"

    def add(self, name: str, plain: Iterable[bytes]) -> Member:
        """Store `plain` under its full name."""
        counted = _Counted(plain)
        stored = _Hashed(self._writer)
        packed = _compressed(counted)
        full_name = self.full_name(name)
        self._writer.begin(full_name)
        if self._recipients:
            _encrypt(packed, stored, self._recipients)
        else:
            for piece in packed:
                stored.write(piece)
        return self._end(full_name, stored, counted.size)

    def drop(self) -> None:
        """Take the newest member out again, also one that was not finished."""
        self._writer.drop()
        entries = len(self._writer.entries)
        del self.members[entries:]

    def call(self, content: str) -> None:
        """Note the name of the newest member's content."""
        self.members[-1] = replace(self.members[-1], content=content)

    def add_as_is(self, name: str, text: bytes) -> Member:
        """Store a short text that anybody may read, under its own name."""
        stored = _Hashed(self._writer)
        self._writer.begin(name)
        stored.write(text)
        return self._end(name, stored, len(text))

    def _end(self, name: str, stored: "_Hashed", plain_size: int) -> Member:
        self._writer.end()
        member = Member(name, stored.size, plain_size, stored.hash.hexdigest())
        self.members.append(member)
        return member


class _Counted:
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            yield piece


class _Hashed:
    """A file to write to that counts and hashes what goes into the archive."""

    def __init__(self, writer: ZipWriter) -> None:
        self._writer = writer
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        data = bytes(data)
        self.hash.update(data)
        self.size += len(data)
        return self._writer.write(data)

    def flush(self) -> None:
        """The file is flushed when the archive is whole."""


def _compressed(plain: Iterable[bytes]) -> Iterator[bytes]:
    """In a thread of the library's own: meanwhile the next rows are read."""
    packer = zstandard.ZstdCompressor(compression_params=PACKING).compressobj()
    for piece in plain:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


class _Pulled:
    """A file to read from, made of pieces; keeps what went wrong, which pyrage makes a string."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, most: int = -1) -> bytes:
        while not self._rest:
            try:
                self._rest = memoryview(next(self._pieces))
            except StopIteration:
                return b""
            except BaseException as error:
                self.error = error
                raise
        piece, self._rest = self._rest[:most], self._rest[most:]
        return bytes(piece)


def _encrypt(
    packed: Iterator[bytes], stored: _Hashed, recipients: list[pyrage.x25519.Recipient]
) -> None:
    source = _Pulled(packed)
    try:
        pyrage.encrypt_io(source, stored, recipients)
    except pyrage.EncryptError as error:
        raise source.error or error from None


# --- reading --------------------------------------------------------------------------------------


def check_stored(reader: ZipReader, member: Member, look: Look) -> None:
    """Compare the stored bytes with the manifest. DamagedError when they differ."""
    digest = hashlib.sha256()
    for piece in reader.read(member.name):
        look(len(piece))
        digest.update(piece)
    if digest.hexdigest() != member.sha256:
        raise DamagedError(
            N_("The archive is damaged: %(member)s is not as its manifest says."),
            member=member.name,
        )


@contextmanager
def plain_bytes(
    reader: ZipReader, member: Member, identities: list[pyrage.x25519.Identity], staging: Path
) -> Iterator[Iterator[bytes]]:
    """The plain bytes of a member in pieces, exactly as many as its manifest says.

    Nothing of an encrypted member is given before all of it was found to be genuine: it is opened
    into a nameless file in `staging` first.
    """
    if not member.name.endswith(".age"):
        packed = member.name.endswith(".zst")
        yield _unpacked(_pulled(reader, member), member) if packed else reader.read(member.name)
        return
    if not identities:
        raise MissingIdentityError(
            N_(
                "The archive is encrypted and no identity is given: name the file with the age "
                "identity (--identity FILE or BACKUP_IDENTITY_FILE)."
            )
        )
    with TemporaryFile(dir=staging) as opened:
        _decrypt(_pulled(reader, member), opened, identities)
        opened.seek(0)
        yield _unpacked(opened, member)


def _pulled(reader: ZipReader, member: Member) -> _Pulled:
    return _Pulled(reader.read(member.name))


def _decrypt(source: _Pulled, opened: BinaryIO, identities: list[pyrage.x25519.Identity]) -> None:
    try:
        pyrage.decrypt_io(source, opened, identities)
    except pyrage.DecryptError as error:
        if source.error is not None:
            raise source.error from None
        if "matching" in str(error).lower():
            raise MissingIdentityError(
                N_("None of the given identities opens this archive: it was encrypted to others.")
            ) from error
        raise DamagedError(
            N_("The archive is damaged: it cannot be decrypted (%(reason)s)."),
            reason=str(error)[:200],
        ) from error


def _unpacked(source: "_Pulled | BinaryIO", member: Member) -> Iterator[bytes]:
    """In pieces of bounded size, whatever the bytes would swell to; too many, too few: damaged."""
    size = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=2**WINDOW_LOG_MAX)
    try:
        with unpacker.stream_reader(cast(BinaryIO, source), read_size=CHUNK) as stream:
            while piece := stream.read(CHUNK):
                size += len(piece)
                if size > member.plain_size:
                    break
                yield piece
    except zstandard.ZstdError as error:
        raise DamagedError(
            N_("The archive is damaged: %(member)s cannot be unpacked."), member=member.name
        ) from error
    if size != member.plain_size:
        raise DamagedError(
            N_("The archive is damaged: %(member)s is not as its manifest says."),
            member=member.name,
        )
