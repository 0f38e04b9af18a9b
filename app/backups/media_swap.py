"""Putting files back: unpacked beside the media folder, compared, exchanged by renaming.

Both sides of an exchange are folders of ours beside the media folder, with the files in `content`.
Each step of it can be done again, so that one which was cut off is ended by whoever comes next.
"""

import contextlib
import glob
import os
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.backups.archive import Archive
from app.backups.depot import ROOM, Tell, sync_folder
from app.backups.layout import DamagedError
from app.backups.media import File, Snapshot, UnreadableError, describe, walk
from app.core.text import N_, RequestError

CONTENT = "content"
NOTHING = "nothing"  # a file: there was nothing where the new files are now


def beside(folder: Path, purpose: str, entry_id: str) -> Path:
    """A folder of ours on the same disk as the media folder."""
    return folder.parent / f".{folder.name}.{purpose}-{entry_id[:12]}"


def clear(folder: Path, needed: Collection[str | None]) -> None:
    """Remove our folders beside the media folder that no exchange speaks of."""
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*-*"):
        if path.name not in needed and re.fullmatch(r".*\.(new|undo|bad)-[0-9a-f]{12}", path.name):
            remove(path)


# --- before ---------------------------------------------------------------------------------------


def under(files: Iterable[File], subtree: str) -> list[File]:
    """The files of the archive at or below a path; all for the empty one."""
    return [
        file
        for file in files
        if file.lack is None
        and (not subtree or file.path == subtree or file.path.startswith(f"{subtree}/"))
    ]


def refuse_unfit(folder: Path, files: Sequence[File]) -> None:
    """RequestError when the folder cannot be exchanged, or the files have no room beside it."""
    if os.path.ismount(folder):
        raise RequestError(
            N_(
                "%(folder)s is a disk of its own and cannot be exchanged: set MEDIA_DIR to a "
                "folder on it."
            ),
            folder=folder,
        )
    there = next(path for path in folder.parents if path.exists())
    need = int(sum(file.size for file in files) * ROOM)
    if shutil.disk_usage(there).free < need:
        raise RequestError(
            N_("There is no room beside %(folder)s: %(need)s MB are needed. Make room."),
            folder=folder,
            need=need // 2**20 + 1,
        )


def stage(archive: Archive, files: Sequence[File], subtree: str, new: Path, tell: Tell) -> None:
    """Unpack files into a folder of ours, read them back and compare. Nothing is left on failure.

    What is at `subtree` in the archive is then `content`: a folder, or a single file.
    """
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir(mode=0o700)
        if not any(file.path == subtree for file in files):
            (new / CONTENT).mkdir()
        for number, file in enumerate(files):
            tell("media", number, len(files))
            _unpack(archive, file, new / CONTENT / file.path[len(subtree) :].lstrip("/"))
        tell("compare media", 0, 0)
        _prove(new / CONTENT, subtree, files)
    except OSError as error:
        remove(new)
        raise RequestError(
            N_("The media files cannot be unpacked beside %(folder)s (%(reason)s)."),
            folder=new.parent,
            reason=error.strerror or type(error).__name__,
        ) from error
    except BaseException:
        remove(new)
        raise


def _unpack(archive: Archive, file: File, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as out:
        for piece in archive.blob(file):
            out.write(piece)
    path.chmod(file.mode | 0o600)
    at = datetime.fromisoformat(file.mtime).replace(tzinfo=UTC)
    with contextlib.suppress(OSError, OverflowError):  # a time this file system does not know
        os.utime(path, (at.timestamp(), at.timestamp()))


def _prove(content: Path, subtree: str, files: Sequence[File]) -> None:
    """What is on the disk now is what the archive says, file by file."""
    told = {file.path: (file.size, file.sha256) for file in files}
    found = {file.path: (file.size, file.sha256) for file in files_in(content, subtree)}
    if found != told:
        wrong = min(set(told.items()) ^ set(found.items()))[0]
        raise DamagedError(
            N_("The file %(path)s came back from the archive with another content."), path=wrong
        )


def files_in(folder: Path, prefix: str = "") -> list[File]:
    """What is in a folder (or is a file) now, by path, as an index would say it."""
    found = Snapshot()
    if folder.is_file():
        return [_now(prefix, folder)]
    walk(folder, f"{prefix}/" if prefix else "", None, found)
    return [_now(held.path, held.source) for held in found.files]


def _now(path: str, source: Path) -> File:
    try:
        return describe(path, source)
    except UnreadableError as error:
        return File(path, lack=error.lack)


def make_lasting(new: Path) -> None:
    """Before names change, what they name is on the disk."""
    for path in new.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


# --- the exchange ---------------------------------------------------------------------------------


def exchange(target: Path, new: Path, kept: Path) -> None:
    """Put the content of `new` at `target`; what was there is the content of `kept` then.

    May be called again after it was cut off. RequestError when it cannot be done; then all is as
    it was.
    """
    try:
        _set_aside(target, kept)
        if (new / CONTENT).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (new / CONTENT).rename(target)
        sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            if (kept / CONTENT).exists() and not target.exists():
                (kept / CONTENT).rename(target)
        raise RequestError(
            N_("The media files could not be exchanged (%(reason)s); they are as they were."),
            reason=error.strerror or type(error).__name__,
        ) from error
    remove(new)


def _set_aside(target: Path, kept: Path) -> None:
    kept.mkdir(mode=0o700, exist_ok=True)
    if (kept / CONTENT).exists() or (kept / NOTHING).exists():
        return
    if target.exists():
        target.rename(kept / CONTENT)
        sync_folder(kept)
    else:
        (kept / NOTHING).touch()


def remove(ours: Path) -> None:
    """A folder of ours is not needed any more."""
    shutil.rmtree(ours, ignore_errors=True)
