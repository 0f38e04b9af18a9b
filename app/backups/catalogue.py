"""The catalogue in the database, kept in step with the folder, which is the truth."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.backups.archive import Archive, opened
from app.backups.chain import LONGEST
from app.backups.depot import Depot, Tell
from app.backups.media import Lack
from app.backups.models import GOOD, Backup, State, needs_of
from app.core.clock import now
from app.core.db import insert_into, persist, reading
from app.core.text import N_, RequestError, Sentence

SHORTEST_ID = 4
LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Rescan:
    """What a look at the folder changed in the catalogue."""

    added: Sequence[str]  # file names
    missing: Sequence[str]
    unreadable: Sequence[tuple[str, Sentence]]


def all_backups() -> Sequence[Backup]:
    """Newest first."""
    with reading() as session:
        return session.scalars(select(Backup).order_by(Backup.at.desc(), Backup.id)).all()


def opened_by() -> dict[str, int]:
    """How many encrypted backups that are still here each recipient's key opens."""
    rows = [row for row in all_backups() if row.state != State.MISSING and row.recipients]
    return dict(Counter(one for row in rows for one in (row.recipients or "").split()))


def find(text: str) -> Backup:
    """By its file name, by the beginning of its id, or `latest`. RequestError when it is not one.

    `latest` is the newest that holds a database.
    """
    with reading() as session:
        query = select(Backup).order_by(Backup.at.desc(), Backup.id)
        if text == LATEST:
            query = query.where(Backup.engine.is_not(None), Backup.state != State.MISSING).limit(1)
        elif len(text) >= SHORTEST_ID:
            by_id = Backup.id.startswith(text.lower(), autoescape=True)
            query = query.where(or_(Backup.file == text, by_id))
        else:
            query = query.where(Backup.file == text)
        found = session.scalars(query).all()
    if len(found) > 1:
        raise RequestError(
            N_("%(count)s backups have an id that begins with “%(text)s”: write more of it."),
            count=len(found),
            text=text,
        )
    if not found:
        raise RequestError(
            N_(
                "There is no backup “%(text)s”: give a file, the beginning of an id, or latest. "
                "See: flask --app wsgi backup list"
            ),
            text=text,
        )
    return found[0]


def base_for(type_: str) -> Backup | None:
    """What the next incremental one of a type builds on; None: it has to be a full one.

    The newest that is good, unless its chain is as long as a chain may be.
    """
    good = {row.id: row for row in all_backups() if row.state in GOOD and row.trusted}
    whole = (row for row in good.values() if row.type == type_ and needs_of(row) <= good.keys())
    newest = next(whole, None)
    return newest if newest and len(needs_of(newest)) < LONGEST else None


def sound_base(depot: Depot, type_: str, tell: Tell) -> Path | None:
    """The file of `base_for`, every byte of its chain checked; what is damaged is noted as such."""
    while backup := base_for(type_):
        path = depot.folder / backup.file
        try:
            with opened(path) as archive:
                archive.check_members(tell)
                return path
        except RequestError as error:
            persist(partial(note_fault, backup_id=backup.id, message=error.sentence))
    return None


def described(depot: Depot, archive: Archive) -> dict[str, Any]:
    """What the row of an archive says, apart from its state."""
    manifest = archive.manifest
    return {
        "id": manifest.id,
        "file": archive.path.name,
        "name": manifest.name[:40],
        "type": manifest.type,
        "made": manifest.made,
        "at": manifest.created.snapshot,
        "size": archive.path.stat().st_size,
        "rows": manifest.rows,
        "engine": manifest.database.engine[:20] if manifest.database else None,
        "revision": manifest.origin.revision[:40],
        "needs": " ".join(base.id for base in manifest.bases) or None,
        "encrypted": manifest.encrypted,
        "recipients": " ".join(manifest.encryption.recipients) or None,
        "trusted": archive.is_trusted(depot.keys),
    }


def lacking(archive: Archive) -> dict[str, Any]:
    """A backup that lacks files is none that counts, however sound the rest is."""
    told = archive.manifest.media
    if told is None or not told.missing_refs:
        return {}
    files = archive.media() if archive.readable else []
    names = [file.path for file in files if file.lack not in (None, Lack.LINK)]
    values = {"count": told.missing_refs, "names": ", ".join(names[:5]) or "?"}
    message = Sentence(
        N_("%(count)s files of the media folder could not be read: %(names)s."), values
    )
    return {"state": State.INCOMPLETE, "message": message}


def record(session: Session, row: dict[str, Any], **found: Any) -> None:
    """Write the row of an archive, or bring it up to date with what was found of it."""
    values = {**row, **found}
    values.setdefault("state", State.WRITTEN)
    statement = insert_into(session, Backup).values(pinned=False, **values)
    kept = {name: value for name, value in values.items() if name != "id"}
    session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=kept))


def note(session: Session, backup_id: str, **found: Any) -> None:
    """Write down what a look at a backup found."""
    session.execute(update(Backup).where(Backup.id == backup_id).values(**found))


def note_fault(session: Session, backup_id: str, message: Sentence) -> None:
    """It is not what was written."""
    note(session, backup_id, state=State.CORRUPT, message=message, verified_at=now())


def rescan(depot: Depot) -> Rescan:
    """Compare the catalogue with the folder. Manifests only: nothing becomes verified by this."""
    known = {row.file: row for row in all_backups()}
    files = {path.name: path for path in depot.archives()}
    added, unreadable = [], []
    for name, path in files.items():
        row = known.get(name)
        if row is not None and row.state != State.MISSING:
            if row.encrypted and row.recipients is None:  # of a time when that was not kept
                _complete(depot, path)
            continue
        try:
            _add(depot, path)
            added.append(name)
        except RequestError as error:
            unreadable.append((name, error.sentence))
    gone = [row for name, row in known.items() if name not in files and row.state != State.MISSING]
    for row in gone:
        mark_missing(row.id)
    return Rescan(added, [row.file for row in gone], unreadable)


def _complete(depot: Depot, path: Path) -> None:
    with contextlib.suppress(RequestError), opened(path) as archive:
        row = described(depot, archive)
        told = {"recipients": row["recipients"]}
        persist(lambda session: note(session, row["id"], **told))


def mark_missing(backup_id: str) -> None:
    """Its file is gone."""
    persist(lambda session: note(session, backup_id, state=State.MISSING))


def _add(depot: Depot, path: Path) -> None:
    with opened(path) as archive:
        row = described(depot, archive)
    persist(lambda session: record(session, row, state=State.WRITTEN, message=None))


def forget(backup_id: str) -> None:
    """Remove the row; its file is seen to by the caller."""

    def delete(session: Session) -> None:
        if row := session.get(Backup, backup_id):
            session.delete(row)

    persist(delete)
