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
from app.backups.depot import Depot, Tell, is_archive_name, sync_folder, tell_nobody
from app.backups.keys import identities
from app.backups.models import Backup, State
from app.backups.write import file_name
from app.core.clock import now
from app.core.db import persist
from app.core.text import N_, RequestError

LEFT_OVER_S = 24 * 3600


def receive(depot: Depot, save: Callable[[Path], object], tell: Tell = tell_nobody) -> Backup:
    """Let `save` write the file, check all of it, and add it to the folder and the catalogue.

    RequestError when it is no archive, damaged, or there already; nothing of it is left then.
    """
    with _incoming(depot) as partial:
        save(partial)
        return take_in(depot, partial, tell)


def take_in(
    depot: Depot,
    path: Path,
    tell: Tell = tell_nobody,
    before_move: Callable[[str], object] = lambda _name: None,
) -> Backup:
    """Check all of a file in `incoming`, then move it to the others and list it.

    `before_move` is told the name it will have. After a worker died between the two, the file that
    has been moved already may be given again.
    """
    moved = path.parent == depot.folder
    with opened(path, identities(depot.identity_file), depot.folder) as archive:
        name = path.name if moved else _name_for(depot, archive)
        verify(archive, tell)
        row = catalogue.described(depot, archive) | {"file": name}
        lacking = catalogue.lacking(archive)
    if not moved:
        before_move(name)
        path.chmod(0o600)
        path.rename(depot.folder / name)
        sync_folder(depot.folder)
    found = {"state": State.VERIFIED, "verified_at": now(), "message": None, **lacking}
    return persist(lambda session: _record(session, row, found))


def _record(session: Session, row: dict[str, Any], found: dict[str, Any]) -> Backup:
    catalogue.record(session, row, **found)
    note(session, "backup.upload", ("backup", row["id"]), after={"file": row["file"]})
    return session.get_one(Backup, row["id"])


@contextmanager
def _incoming(depot: Depot) -> Iterator[Path]:
    """A path for what is not ours yet."""
    partial = incoming(depot) / f"{uuid.uuid4().hex}.partial"
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def incoming(depot: Depot) -> Path:
    """The folder of what is not ours yet, without what was left there a day ago.

    Not in staging, which whoever works next empties.
    """
    folder = depot.folder / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER_S:
                path.unlink()
    return folder


def _name_for(depot: Depot, archive: Archive) -> str:
    """By its manifest: what the sender called the file is nobody's business."""
    name = file_name(archive.manifest)
    if not is_archive_name(name):
        raise RequestError(N_("The archive is refused: its manifest gives it no proper name."))
    known = [row.id for row in catalogue.all_backups() if row.state != State.MISSING]
    if (depot.folder / name).exists() or archive.manifest.id in known:
        raise RequestError(N_("%(file)s is here already."), file=name)
    return name
