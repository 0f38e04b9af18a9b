"""What became of restores, and what can be undone: a file beside the archives.

It is not in the database, because that is what is being replaced.
"""

import os
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from app.backups.depot import sync_folder

FILE = "restores.json"
MOST = 100  # entries; older ones without data to undo are forgotten


class Step(StrEnum):
    """How far a restore has come."""

    SWAPPING = "swapping"  # the next thing is the exchange, or it has just happened
    DONE = "done"
    FAILED = "failed"  # the live database is as it was
    UNDONE = "undone"


class Entry(msgspec.Struct, kw_only=True):
    """One exchange of the live database, by a restore or by its undo."""

    id: str  # 32 hexadecimal digits
    what: str  # "restore" or "undo"
    backup_id: str
    file: str  # of the archive
    by: str
    at: datetime
    engine: str
    mark: int  # written into the new database before the exchange (SQLite)
    kept: str | None  # where the old data are: a file in undo/, or a schema
    kept_until: datetime
    step: Step = Step.SWAPPING
    seconds: float | None = None  # from the first byte to the end
    stopped_s: float | None = None  # how long nobody could write
    part: str = ""  # what of the archive it was about; "": all of it
    subtree: str | None = None  # of the media folder, "" for all of it; None: no files exchanged
    new_media: str | None = None  # the folder beside it that held the new files
    kept_media: str | None = None  # the folder beside it that holds the old ones
    kept_rows: str | None = None  # the folder in undo/ that holds the old rows of single tables

    @property
    def keeps(self) -> bool:
        """Whether it can be undone."""
        return any((self.kept, self.kept_media, self.kept_rows))


class Journal:
    """The entries, oldest first. Written whole or not at all; hold the depot's lock to write."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def entries(self) -> list[Entry]:
        """All there are."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Entry])
        except FileNotFoundError:
            return []

    def put(self, entry: Entry) -> None:
        """Add an entry, or replace the one of the same id."""
        entries = [other for other in self.entries() if other.id != entry.id] + [entry]
        entries.sort(key=lambda other: other.at)
        old = [other for other in entries[:-MOST] if other.keeps]
        self._write(old + entries[-MOST:])

    def undoable(self) -> Entry | None:
        """The last exchange whose old data are still there."""
        done = [entry for entry in self.entries() if entry.step is Step.DONE and entry.keeps]
        return done[-1] if done else None

    def _write(self, entries: list[Entry]) -> None:
        folder = self._path.parent
        with NamedTemporaryFile(dir=folder, prefix=f".{FILE}.", delete=False) as file:
            file.write(msgspec.json.format(msgspec.json.encode(entries), indent=1))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self._path)
        sync_folder(folder)
