"""The bytes of an archive: an ordinary ZIP64, always laid out the same way.

One member after the other without a gap, nothing compressed by ZIP, no comment, no date, every size
in its ZIP64 field. So a reader can write the same headers again and compare: what is not exactly as
this module writes it (links, duplicates, overlaps, a flipped bit in a header) is refused.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from app.core.text import N_, RequestError

MOST_MEMBERS = 200_000
LONGEST_NAME = 200
CHUNK = 256 * 1024
MANIFEST = "MANIFEST.json"
SIGNATURE = "MANIFEST.sig"
README = "README.txt"

# Lower case only: no two names can become one on a file system that ignores case.
_NAME = re.compile(
    r"README\.txt|MANIFEST\.json|MANIFEST\.sig"
    r"|db/schema\.json\.zst(\.age)?"
    r"|db/logical/[a-z][a-z0-9_]{0,62}/[0-9]{5,7}\.jsonl\.zst(\.age)?"
    r"|settings/settings\.json\.zst(\.age)?"
    r"|media/index\.jsonl\.zst(\.age)?"
    r"|media/blobs/[0-9a-f]{2}/[0-9a-f]{64}(\.zst)?(\.age)?"
)
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_EXTRA = struct.Struct("<2H2Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_CENTRAL_EXTRA = struct.Struct("<2H3Q")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_TAIL = _END64.size + _LOCATOR.size + _END.size
_V45 = 45  # the version of ZIP that knows ZIP64
_UNIX = 3 << 8 | _V45
_DAY = 0x21  # 1 January 1980, the first day ZIP knows
_SEE64 = 0xFFFFFFFF
_FILE_0600 = 0o100600 << 16


class DamagedError(RequestError):
    """The archive is not what was written: cut off, changed, or not ours at all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member and where its header begins."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def begins(self) -> int:
        """Where its bytes begin."""
        return self.offset + _LOCAL.size + len(self.name) + _LOCAL_EXTRA.size

    @property
    def ends(self) -> int:
        return self.begins + self.size


def allowed(name: str) -> bool:
    """Whether an archive may hold a member of that name."""
    return _NAME.fullmatch(name) is not None


class ZipWriter:
    """Writes one member after the other into a seekable file; `close` writes the directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries: list[Entry] = []
        self._names: set[str] = set()
        self._open = Entry("", 0, 0, 0)

    def begin(self, name: str) -> None:
        """Begin a member. ValueError for a name that readers would refuse."""
        if not allowed(name) or name in self._names:
            raise ValueError(f"no member may be called {name!r} here")
        if len(self.entries) >= MOST_MEMBERS - 2:  # the manifest and its signature come last
            raise RequestError(
                N_("An archive takes at most %(most)s parts and files: back up less at a time."),
                most=MOST_MEMBERS,
            )
        self._names.add(name)
        self._open = Entry(name, 0, 0, self._file.tell())
        self._file.write(_local(self._open))

    def write(self, data: bytes) -> int:
        """Add to the member that is open."""
        self._file.write(data)
        entry = self._open
        crc = zlib.crc32(data, entry.crc)
        self._open = Entry(entry.name, entry.size + len(data), crc, entry.offset)
        return len(data)

    def end(self) -> None:
        """End the member: its header gets its size."""
        entry = self._open
        self._file.seek(entry.offset)
        self._file.write(_local(entry))
        self._file.seek(entry.ends)
        self.entries.append(entry)

    def drop(self) -> None:
        """Forget the newest member, ended or not: the next one takes its place."""
        if self.entries and self.entries[-1].offset == self._open.offset:
            self.entries.pop()
        self._names.discard(self._open.name)
        self._file.seek(self._open.offset)
        self._file.truncate()

    def close(self) -> None:
        """Write the directory. The file itself stays open."""
        self._file.write(_directory(self.entries, self._file.tell()))


class ZipReader:
    """The members of a file that is laid out as `ZipWriter` does it; DamagedError when it is not.

    Only the directory is held in memory. `read` gives a member in pieces and checks its header.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries = {entry.name: entry for entry in _entries(file)}

    def read(self, name: str, most: int | None = None) -> Iterator[bytes]:
        """The stored bytes of a member, in pieces. DamagedError when longer than `most`."""
        entry = self.entries.get(name)
        if entry is None:
            raise DamagedError(N_("The archive is damaged: %(member)s is missing."), member=name)
        if most is not None and entry.size > most:
            raise DamagedError(
                N_("The archive is refused: %(member)s is larger than it may be."), member=name
            )
        self._file.seek(entry.offset)
        if self._file.read(entry.begins - entry.offset) != _local(entry):
            raise _changed(name)
        return self._pieces(entry)

    def _pieces(self, entry: Entry) -> Iterator[bytes]:
        at, crc = entry.begins, 0
        while at < entry.ends:
            self._file.seek(at)  # somebody else may read another member meanwhile
            piece = self._file.read(min(CHUNK, entry.ends - at))
            if not piece:
                raise _changed(entry.name)
            at, crc = at + len(piece), zlib.crc32(piece, crc)
            yield piece
        if crc != entry.crc:
            raise _changed(entry.name)


def _changed(name: str) -> DamagedError:
    return DamagedError(
        N_("The archive is damaged: %(member)s is not as it was written."), member=name
    )


def _entries(file: BinaryIO) -> list[Entry]:
    count, size, begins = _tail(file)
    if count > MOST_MEMBERS or size > count * (_CENTRAL.size + _CENTRAL_EXTRA.size + LONGEST_NAME):
        raise DamagedError(
            N_("The archive is refused: it names %(count)s members, %(most)s at most are read."),
            count=count,
            most=MOST_MEMBERS,
        )
    file.seek(begins)
    directory = file.read(size)
    entries = list(_listed(directory, count))
    if not _is_as_we_write(directory, entries) or _end_of(entries) != begins:
        raise _not_ours()
    return entries


def _is_as_we_write(directory: bytes, entries: Sequence[Entry]) -> bool:
    """Entry by entry: a second directory of that size would be as much memory again."""
    at = 0
    for told in map(_central, entries):
        if directory[at : at + len(told)] != told:
            return False
        at += len(told)
    return at == len(directory)


def _tail(file: BinaryIO) -> tuple[int, int, int]:
    """How many members, and where their directory is: its size and where it begins."""
    length = file.seek(0, 2)
    if length < _TAIL:
        raise _not_ours()
    file.seek(length - _TAIL)
    tail = file.read(_TAIL)
    *_, count, size, begins = _END64.unpack(tail[: _END64.size])
    if begins + size + _TAIL != length or tail != _ending(count, size, begins):
        raise _not_ours()
    return count, size, begins


def _not_ours() -> DamagedError:
    return DamagedError(
        N_("This is no archive of Fikstür, or it is cut off or changed: its directory is wrong.")
    )


def _listed(directory: bytes, count: int) -> Iterator[Entry]:
    at, seen = 0, set()
    for _ in range(count):
        fixed = directory[at : at + _CENTRAL.size]
        if len(fixed) < _CENTRAL.size:
            raise _not_ours()
        fields = _CENTRAL.unpack(fixed)
        crc, length = fields[7], fields[10]
        at += _CENTRAL.size
        name = directory[at : at + length].decode("ascii", "replace")
        extra = directory[at + length : at + length + _CENTRAL_EXTRA.size]
        at += length + _CENTRAL_EXTRA.size
        if not allowed(name) or name in seen or len(extra) < _CENTRAL_EXTRA.size:
            raise DamagedError(
                N_("The archive is refused: it may not hold a member called “%(name)s” here."),
                name=name[:80],
            )
        seen.add(name)
        *_, size, _stored, offset = _CENTRAL_EXTRA.unpack(extra)
        yield Entry(name, size, crc, offset)


def _end_of(entries: Sequence[Entry]) -> int:
    """Where the last member ends; -1 when one does not begin where the one before it ends."""
    at = 0
    for entry in entries:
        if entry.offset != at:
            return -1
        at = entry.ends
    return at


# --- headers --------------------------------------------------------------------------------------


def _local(entry: Entry) -> bytes:
    name = entry.name.encode("ascii")
    fixed = (_V45, 0, 0, 0, _DAY, entry.crc, _SEE64, _SEE64, len(name), _LOCAL_EXTRA.size)
    extra = _LOCAL_EXTRA.pack(1, _LOCAL_EXTRA.size - 4, entry.size, entry.size)
    return _LOCAL.pack(b"PK\3\4", *fixed) + name + extra


def _central(entry: Entry) -> bytes:
    name = entry.name.encode("ascii")
    sizes = (entry.crc, _SEE64, _SEE64, len(name), _CENTRAL_EXTRA.size)
    fixed = _CENTRAL.pack(
        b"PK\1\2", _UNIX, _V45, 0, 0, 0, _DAY, *sizes, 0, 0, 0, _FILE_0600, _SEE64
    )
    values = (entry.size, entry.size, entry.offset)
    return fixed + name + _CENTRAL_EXTRA.pack(1, _CENTRAL_EXTRA.size - 4, *values)


def _directory(entries: Sequence[Entry], begins: int) -> bytes:
    listed = b"".join(map(_central, entries))
    return listed + _ending(len(entries), len(listed), begins)


def _ending(count: int, size: int, begins: int) -> bytes:
    end64 = (_END64.size - 12, _UNIX, _V45, 0, 0, count, count, size, begins)
    return (
        _END64.pack(b"PK\6\6", *end64)
        + _LOCATOR.pack(b"PK\6\7", 0, begins + size, 1)
        + _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _SEE64, _SEE64, 0)
    )
