"""The media folder of one instant: its files held by links, hashed, and stored by their content.

Nobody has to stop. A second name for every file is made first, which takes a moment; what is
deleted or replaced afterwards is still there under that name. Where no such names can be made
(another disk, a file of somebody else) the file itself is read, and it is said when it is gone.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec.structs import replace

from app.backups.chain import Holdings
from app.backups.depot import Tell
from app.backups.layout import CHUNK, DamagedError
from app.backups.manifest import Media
from app.backups.members import Packer
from app.core.text import N_

TRIES = 3  # to read the same bytes twice
INDEX = "media/index.jsonl"
LONGEST_PATH = 4000  # characters
LONGEST_PART = 255  # bytes
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  UTC, as times in rows


class Lack(StrEnum):
    """Why something in the folder is not in the archive."""

    VANISHED = "vanished"
    CHANGING = "changing"
    UNREADABLE = "unreadable"
    LINK = "link"  # or another thing that is no file: left out on purpose


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of media/index.jsonl: a file of the archive, or what is lacking and why."""

    path: str  # from the media folder, with slashes
    size: int = 0
    mtime: str = ""  # UTC, as times in rows
    mode: int = 0  # permission bits
    sha256: str = ""
    content: str = ""  # the name of its blob, where that is not its SHA-256
    lack: Lack | None = None

    @property
    def blob(self) -> str:
        """The member that holds its bytes, without endings."""
        name = self.content or self.sha256
        return f"media/blobs/{name[:2]}/{name}"


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the folder, and where its bytes of that instant can be read."""

    path: str
    source: Path


@dataclass(slots=True)
class Snapshot:
    """What the folder held at one instant."""

    files: list[Held] = field(default_factory=list)
    lacking: list[File] = field(default_factory=list)


class UnreadableError(Exception):
    """A file of the folder cannot be read (any more): nobody's fault but the file's."""

    def __init__(self, lack: Lack) -> None:
        super().__init__(lack)
        self.lack = lack


@contextmanager
def snapshot(folder: Path, links: Path) -> Iterator[Snapshot]:
    """Hold every file under `folder` by a link in `links`, which is gone afterwards."""
    links.mkdir(mode=0o700)
    try:
        found = Snapshot()
        walk(folder, "", links, found)
        yield found
    finally:
        shutil.rmtree(links, ignore_errors=True)


def walk(folder: Path, prefix: str, links: Path | None, found: Snapshot) -> None:
    """Add what is under a folder, links and all; held by second names in `links`."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except FileNotFoundError:  # removed since its parent was read: it was not there
        return
    except OSError:
        found.lacking.append(File(_shown(prefix.rstrip("/")), lack=Lack.UNREADABLE))
        return
    for entry in listed:
        path = f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
            walk(Path(entry.path), f"{path}/", links, found)
        elif not entry.is_file(follow_symlinks=False):
            found.lacking.append(File(_shown(path), lack=Lack.LINK))
        elif _shown(path) != path:  # no name in Unicode
            found.lacking.append(File(_shown(path), lack=Lack.UNREADABLE))
        else:
            _hold(path, Path(entry.path), links, found)


def _is_junction(entry: "os.DirEntry[str]") -> bool:
    """Windows; Python 3.11 does not know them and follows none."""
    return bool(getattr(entry, "is_junction", bool)())


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _hold(path: str, source: Path, links: Path | None, found: Snapshot) -> None:
    if links is not None:
        link = links / str(len(found.files))
        try:
            os.link(source, link, follow_symlinks=False)
            source = link
        except FileNotFoundError:
            return
        except (OSError, NotImplementedError):  # then it is read where it is
            pass
    found.files.append(Held(path, source))


# --- storing --------------------------------------------------------------------------------------


def store(packer: Packer, holdings: Holdings, held: Snapshot, tell: Tell) -> Media:
    """Write blobs and index of the folder into an archive; a content is stored once."""
    shelf = _Shelf(packer, holdings)
    files: list[File] = list(held.lacking)
    for number, one in enumerate(held.files):
        tell("media", number, len(held.files))
        files.append(shelf.put(one))
    files.sort(key=lambda one: one.path.encode())
    packer.add(INDEX, index_lines(files))
    return summary(files)


def index_lines(files: Iterable[File]) -> Iterator[bytes]:
    """The index, a line for each."""
    return (msgspec.json.encode(one) + b"\n" for one in files)


def summary(files: Sequence[File]) -> Media:
    """What the manifest says of them."""
    stored = [one for one in files if one.lack is None]
    skipped = sum(one.lack is Lack.LINK for one in files)
    missing = len(files) - len(stored) - skipped
    return Media(len(stored), sum(one.size for one in stored), missing, skipped)


class _Shelf:
    """The blobs of one archive while it is written."""

    def __init__(self, packer: Packer, holdings: Holdings) -> None:
        self._packer, self._holdings = packer, holdings
        self._there: set[str] = set()

    def put(self, held: Held) -> File:
        """Store a file unless its content is there; it counts when it was read the same twice."""
        try:
            for _ in range(TRIES):
                file = self._described(held)
                if file.blob in self._there or self._add(file, held.source):
                    self._there.add(file.blob)
                    return file
        except UnreadableError as error:
            return File(held.path, lack=error.lack)
        return File(held.path, lack=Lack.CHANGING)

    def _described(self, held: Held) -> File:
        file = describe(held.path, held.source)
        content = self._holdings.content(file.sha256)
        return file if content == file.sha256 else replace(file, content=content)

    def _add(self, file: File, source: Path) -> bool:
        content = file.content or file.sha256
        if self._holdings.borrow(self._packer.full_name(file.blob), content):
            return True
        digest = hashlib.sha256()
        try:
            self._packer.add(file.blob, _noted(source, digest))
        except UnreadableError:
            self._packer.drop()
            raise
        if digest.hexdigest() != file.sha256:
            self._packer.drop()
            return False
        self._packer.call(content)
        return True


def describe(path: str, source: Path) -> File:
    """Read a file and say what an index says of it. UnreadableError when it cannot be read."""
    digest, size = hashlib.sha256(), 0
    with opened_file(source) as (handle, found):
        for piece in pieces(handle):
            digest.update(piece)
            size += len(piece)
    mode = stat.S_IMODE(found.st_mode) & 0o777
    return File(path, size, time_of(found), mode, digest.hexdigest())


def _noted(source: Path, digest: "hashlib._Hash") -> Iterator[bytes]:
    with opened_file(source) as (handle, _found):
        for piece in pieces(handle):
            digest.update(piece)
            yield piece


@contextmanager
def opened_file(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """A file to read, never what a link points at. UnreadableError when there is none."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise UnreadableError(Lack.VANISHED) from error
    except OSError as error:
        raise UnreadableError(Lack.UNREADABLE) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError(Lack.CHANGING)
        yield handle, found
    finally:
        os.close(handle)


def pieces(handle: int) -> Iterator[bytes]:
    """What a file holds."""
    while True:
        try:
            piece = os.read(handle, CHUNK)
        except OSError as error:
            raise UnreadableError(Lack.UNREADABLE) from error
        if not piece:
            return
        yield piece


def time_of(found: os.stat_result) -> str:
    """When a file was written to, in microseconds; times outside of our calendar are its ends."""
    micros = min(max(found.st_mtime_ns // 1000, -62_135_596_800_000_000), 253_402_300_799_999_999)
    at = EPOCH + timedelta(microseconds=micros)
    return at.isoformat(" ", "microseconds")


# --- reading --------------------------------------------------------------------------------------

_HASH = re.compile(r"[0-9a-f]{64}")


def read_index(text: bytes) -> list[File]:
    """The lines of an index. DamagedError unless they are as `index_lines` writes them."""
    if text and not text.endswith(b"\n"):
        raise _odd("")
    files = [_decoded(line) for line in text.splitlines()]
    paths = [file.path.encode() for file in files]
    if any(earlier >= later for earlier, later in pairwise(paths)):
        raise _odd("")
    return files


def _decoded(line: bytes) -> File:
    try:
        file = msgspec.json.decode(line, type=File)
        time = datetime.fromisoformat(file.mtime) if file.lack is None else EPOCH
    except (msgspec.DecodeError, ValueError) as error:
        raise _odd("") from error
    fits = (
        is_plain(file.path)
        and time.tzinfo is None
        and 0 <= file.size < 2**63
        and 0 <= file.mode <= 0o777
        and _HASH.fullmatch(file.sha256)
        and (not file.content or _HASH.fullmatch(file.content))
    )
    if not fits and file.lack is None:
        raise _odd(file.path[:80])
    return file


def is_plain(path: str) -> bool:
    """Whether it names something under the folder it is put on, whatever the system."""
    parts = path.split("/")
    return len(path) <= LONGEST_PATH and all(
        part not in ("", ".", "..") and "\0" not in part and len(part.encode()) <= LONGEST_PART
        for part in parts
    )


def _odd(path: str) -> DamagedError:
    return DamagedError(
        N_("The archive is refused: its list of media files is not in order (%(path)s)."), path=path
    )
