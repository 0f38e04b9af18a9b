"""The drill: a backup counts when it has been restored, beside the live database, and compared."""

import time
from dataclasses import dataclass
from pathlib import Path

from app.backups import media_swap
from app.backups.archive import Archive, opened, verify
from app.backups.depot import Depot, Tell, tell_nobody
from app.backups.keys import identities
from app.backups.members import MissingIdentityError
from app.backups.scratch import fill, refuse_newer, scratch
from app.core.text import N_, RequestError


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a restore beside the live data came to."""

    tables: int
    rows: int
    seconds: float
    engine: str
    files: int = 0


def drill(depot: Depot, path: Path, tell: Tell = tell_nobody) -> Drilled:
    """Restore an archive into a scratch database of the live one's engine and compare every table.

    Hold the depot's lock. DamagedError when it does not come back as it was; the scratch database
    is gone afterwards in any case.
    """
    began = time.monotonic()
    with opened(path, identities(depot.identity_file)) as archive:
        refuse_undrillable(archive)
        verify(archive, tell)
        depot.refuse_without_room(archive.manifest.plain)
        if archive.manifest.database:
            with scratch(depot, f"drill_{archive.manifest.id[:8]}") as place:
                fill(archive, place, tell)
        files = _unpack_media(depot, archive, tell)
        database = archive.manifest.database
        tables = len(database.tables) if database else 0
        seconds = time.monotonic() - began
        return Drilled(tables, archive.manifest.rows, seconds, depot.live.engine_name, files)


def _unpack_media(depot: Depot, archive: Archive, tell: Tell) -> int:
    """Into staging, read back from the disk and compared, and gone again."""
    if archive.manifest.media is None:
        return 0
    files, new = media_swap.under(archive.media(), ""), depot.staging / "media"
    try:
        media_swap.stage(archive, files, "", new, tell)
    finally:
        media_swap.remove(new)
    return len(files)


def refuse_undrillable(archive: Archive) -> None:
    """RequestError when it holds settings only, needs a newer version, or cannot be read here."""
    refuse_settings_alone(archive)
    if archive.manifest.database:
        refuse_newer(archive)
    if not archive.readable:
        raise MissingIdentityError(
            N_(
                "The archive is encrypted and no identity is given: name the file with the age "
                "identity (--identity FILE or BACKUP_IDENTITY_FILE)."
            )
        )


def refuse_settings_alone(archive: Archive) -> None:
    """RequestError for an archive with neither rows nor files."""
    if not archive.manifest.drillable:
        raise RequestError(
            N_(
                "%(file)s holds settings only, no database. They come from the environment: "
                "compare them by eye with `show` and set what differs there."
            ),
            file=archive.path.name,
        )
