"""An archive from outside: checked whole before it is one of ours."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.audit.trail import note
from app.backups import catalogue
from app.backups.archive import Archive, opened, verify
from app.backups.depot import Depot, is_archive_name, sync_folder
from app.backups.keys import identities
from app.backups.models import Backup, State
from app.backups.write import file_name
from app.core.clock import now
from app.core.db import persist
from app.core.text import N_, RequestError

LEFT_OVER_S = 24 * 3600


def receive(depot: Depot, save: Callable[[Path], object]) -> Backup:
    """Let `save` write the file, check all of it, and add it to the folder and the catalogue.

    RequestError when it is no archive, damaged, or there already; nothing of it is left then.
    """
    with _incoming(depot) as partial:
        save(partial)
        with opened(partial, identities(depot.identity_file)) as archive:
            name = _name_for(depot, archive)
            verify(archive)
            row = catalogue.described(depot, archive) | {"file": name}
        partial.chmod(0o600)
        partial.rename(depot.folder / name)
        sync_folder(depot.folder)
    found = {"state": State.VERIFIED, "verified_at": now(), "message": None}
    return persist(lambda session: _record(session, row, found))


def _record(session: Session, row: dict[str, Any], found: dict[str, Any]) -> Backup:
    catalogue.record(session, row, **found)
    note(session, "backup.upload", ("backup", row["id"]), after={"file": row["file"]})
    return session.get_one(Backup, row["id"])


@contextmanager
def _incoming(depot: Depot) -> Iterator[Path]:
    """A path for what is not ours yet; not in staging, which whoever works next empties."""
    folder = depot.folder / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER_S:
                path.unlink()
    partial = folder / f"{uuid.uuid4().hex}.partial"
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _name_for(depot: Depot, archive: Archive) -> str:
    """By its manifest: what the sender called the file is nobody's business."""
    name = file_name(archive.manifest)
    if not is_archive_name(name):
        raise RequestError(N_("The archive is refused: its manifest gives it no proper name."))
    known = [row.id for row in catalogue.all_backups() if row.state != State.MISSING]
    if (depot.folder / name).exists() or archive.manifest.id in known:
        raise RequestError(N_("%(file)s is here already."), file=name)
    return name
