"""What a worker found a restore would change: a small file for each backup, beside the archives.

The request that asks for it ends at once; the page shows the answer when it is there.
"""

import contextlib
import os
import time
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec

from app.backups.choice import Part, from_params
from app.backups.preview import Preview, TableChange
from app.core.clock import now
from app.core.text import Sentence

FOLDER = "previews"
FORGOTTEN_S = 24 * 3600


class Found(msgspec.Struct, frozen=True):
    """An answer: by which job, and of which moment it is."""

    job_id: int
    at: datetime
    tables: tuple[TableChange, ...]
    told: tuple[str, ...]  # the warnings, as they are stored
    wanted: dict[str, Any] = {}  # the part that was looked at

    @property
    def part(self) -> Part:
        return from_params(self.wanted)

    @property
    def warnings(self) -> list[Sentence]:
        return [Sentence.load(text) for text in self.told]


def put(folder: Path, backup_id: str, job_id: int, preview: Preview, part: Part) -> None:
    """Keep the newest answer about a backup; those of yesterday are removed."""
    place = folder / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    _forget_old(place)
    told = tuple(warning.dump() for warning in preview.warnings)
    found = Found(job_id, now(), tuple(preview.tables), told, part.as_params())
    with NamedTemporaryFile(dir=place, prefix=".", delete=False) as file:
        file.write(msgspec.json.encode(found))
    Path(file.name).replace(place / f"{backup_id}.json")


def latest(folder: Path, backup_id: str) -> Found | None:
    """The newest answer; None when nobody asked within a day."""
    try:
        found = msgspec.json.decode(
            (folder / FOLDER / f"{backup_id}.json").read_bytes(), type=Found
        )
    except (OSError, msgspec.MsgspecError):
        return None
    return found if (now() - found.at).total_seconds() < FORGOTTEN_S else None


def _forget_old(place: Path) -> None:
    for entry in os.scandir(place):
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > FORGOTTEN_S:
                Path(entry.path).unlink()
