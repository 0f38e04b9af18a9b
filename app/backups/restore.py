"""Restoring into the live database, and taking that back.

Everything is loaded, compared and migrated beside the live database first; the exchange itself
(`swap`) is one step of which everybody sees the state before or the state after. What the live
database held is kept for some days. What is under way while it happens has no effect afterwards:
restored items get fences that no worker has, and new items numbers that no worker knows.
"""

import logging
import secrets
import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.accounts.models import User
from app.backups import media_swap
from app.backups.archive import Archive, opened, verify
from app.backups.carry import carry_over
from app.backups.choice import Part, refuse_without_part
from app.backups.depot import Depot, Tell, media_folder, tell_nobody
from app.backups.drill import refuse_undrillable
from app.backups.fit import end_restores, fit_in, note_for_people
from app.backups.journal import Entry, Journal, Step
from app.backups.keys import identities
from app.backups.models import Backup
from app.backups.places import Place, revision_of
from app.backups.replace import KeptRows, from_kept, from_scratch, has_replaced, replace_rows
from app.backups.schema import head
from app.backups.scratch import drop, drop_left_over, drop_schema, fill, new_scratch
from app.backups.swap import has_swapped, settle_swap, swap
from app.core.clock import now
from app.core.db import table_of
from app.core.text import N_, RequestError
from app.jobs.models import Job, JobItem

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """On whose word, whether an unknown signature will do, and what of the archive is wanted."""

    by: str
    trust: bool = False
    part: Part = field(default_factory=Part)


def restore(depot: Depot, path: Path, terms: Terms, tell: Tell = tell_nobody) -> Entry:
    """Put an archive, or a part of it, in place of what is live; what became of it, also in the
    journal.

    Hold the depot's lock. Whatever fails before the exchange leaves everything as it is; a failure
    after it is taken back.
    """
    began = time.monotonic()
    settle(depot)
    with opened(path, identities(depot.identity_file)) as archive:
        _refuse(depot, archive, terms)
        verify(archive, tell)
        entry = _entry(depot, "restore", archive.manifest.id, path.name, terms.by)
        entry.part = terms.part.told
        _put_back(depot, archive, terms.part, entry, tell)
    entry.seconds = time.monotonic() - began
    Journal(depot.folder).put(entry)
    return entry


def _put_back(depot: Depot, archive: Archive, part: Part, entry: Entry, tell: Tell) -> None:
    """Everything the part has, beside the live one first."""
    wants_media = archive.manifest.media is not None and (part.is_all or part.media is not None)
    wants_rows = archive.manifest.database is not None and part.media is None
    entry.kept = entry.kept if wants_rows and part.is_all else None
    place = None
    try:
        if wants_media:
            _stage_media(depot, archive, part.media or "", entry, tell)
        if wants_rows:
            depot.refuse_without_room(2 * archive.manifest.plain + _size_of(depot.live))
            place = new_scratch(depot, f"restore_{entry.id[:8]}")
            fill(archive, place, tell)
        if place is not None and not part.is_all:
            replace_rows(depot, from_scratch(place, part), part, entry, tell)
            return
        if place is not None:
            fit_in(depot, place, entry)
        _exchange(depot, place, entry, tell)
    finally:
        if place is not None:
            drop(place)
        if entry.new_media is not None:
            media_swap.remove(_beside(depot, entry.new_media))


def undo(depot: Depot, by: str, tell: Tell = tell_nobody) -> Entry:
    """Put back what the last restore (or undo) replaced; what it replaces is kept in its turn.

    Hold the depot's lock. RequestError when nothing is kept any more.
    """
    began = time.monotonic()
    settle(depot)
    journal = Journal(depot.folder)
    last = journal.undoable()
    if last is None:
        raise RequestError(N_("There is nothing to undo: no restore's old data are kept."))
    entry = _entry(depot, "undo", last.backup_id, last.file, by)
    entry.part = last.part
    _undo(depot, last, entry, tell)
    forget_kept(depot, last)
    last.step = Step.UNDONE
    journal.put(last)
    entry.seconds = time.monotonic() - began
    journal.put(entry)
    return entry


def _undo(depot: Depot, last: Entry, entry: Entry, tell: Tell) -> None:
    entry.kept = entry.kept if last.kept else None
    if last.kept_rows:
        kept = KeptRows(depot.folder / "undo" / last.kept_rows)
        told = kept.told()
        part = Part((), told.section) if told.section else Part(tuple(told.tables))
        replace_rows(depot, from_kept(kept), part, entry, tell)
        return
    if last.kept_media is not None:
        _will_exchange_media(depot, last.subtree or "", entry)
        entry.new_media = last.kept_media
    place = _kept_place(depot, last.kept) if last.kept else None
    if place is not None:
        _make_current(depot, place, entry)
    _exchange(depot, place, entry, tell)


def _make_current(depot: Depot, place: Place, entry: Entry) -> None:
    """What was kept learns what no restore takes back."""
    with place.connect() as connection:
        if revision_of(connection) is None:
            raise RequestError(N_("There is nothing to undo: no database was there before."))
    carry_over(depot.live, place)
    with place.connect() as connection, Session(bind=connection) as session:
        end_restores(session)
        note_for_people(session, entry)
        session.commit()


def settle(depot: Depot) -> None:
    """Find out what became of an exchange that was cut off, and clear what was left of it."""
    drop_left_over(depot)
    journal = Journal(depot.folder)
    for entry in journal.entries():
        if entry.step is not Step.SWAPPING or not entry.keeps:
            continue
        if _has_happened(depot, entry):
            _exchange_media(depot, entry)  # the rows were first
            entry.step = Step.DONE
        else:
            _forget_new(depot, entry)
            forget_kept(depot, entry)
            entry.step = Step.FAILED
        log.warning("%s %s had been cut off: %s", entry.what, entry.id[:8], entry.step)
        journal.put(entry)
    if depot.media is not None:
        needed = {entry.kept_media for entry in journal.entries()}
        media_swap.clear(depot.media, needed)


def _has_happened(depot: Depot, entry: Entry) -> bool:
    """Files alone are on their way from the moment that the journal knows of them."""
    if entry.kept is not None:
        return settle_swap(depot.live, _keep_at(depot, entry.kept), entry.mark)
    return has_replaced(depot.live, entry) if entry.kept_rows else True


def _forget_new(depot: Depot, entry: Entry) -> None:
    """The files that did not arrive; those of an undo are still what another one brings back."""
    if entry.new_media is not None and entry.what == "restore":
        media_swap.remove(_beside(depot, entry.new_media))


def forget_kept(depot: Depot, entry: Entry) -> None:
    """Delete the old data of an exchange: it cannot be undone any more."""
    if entry.kept is not None:
        if depot.live.on_sqlite:
            drop(Place.in_file(Path(str(_keep_at(depot, entry.kept)))))
        else:
            drop_schema(depot.live.url, entry.kept)
    if entry.kept_media is not None:
        media_swap.remove(_beside(depot, entry.kept_media))
    if entry.kept_rows is not None:
        KeptRows(depot.folder / "undo" / entry.kept_rows).remove()
    entry.kept = entry.kept_media = entry.kept_rows = None


# --- before ---------------------------------------------------------------------------------------


def _refuse(depot: Depot, archive: Archive, terms: Terms) -> None:
    refuse_undrillable(archive)
    refuse_without_part(archive, terms.part)
    if not (terms.trust or archive.is_trusted(depot.keys)):
        raise RequestError(
            N_(
                "%(file)s was signed by an unknown installation (%(id)s). If you know where it "
                "comes from, add its public key to trusted.txt or say --trust."
            ),
            file=archive.path.name,
            id=archive.manifest.origin.install_id[:16],
        )


def _size_of(place: Place) -> int:
    """Of what will be kept aside on this disk."""
    return place.file.stat().st_size if place.on_sqlite and place.file.exists() else 0


def _entry(depot: Depot, what: str, backup_id: str, file: str, by: str) -> Entry:
    made = uuid.uuid4().hex
    kept = f"{made}.db" if depot.live.on_sqlite else f"fikstur_undo_{made[:12]}"
    at = now()
    return Entry(
        id=made,
        what=what,
        backup_id=backup_id,
        file=file,
        by=by,
        at=at,
        engine=depot.live.engine_name,
        mark=secrets.randbelow(2**31 - 2) + 1,
        kept=kept,
        kept_until=at + timedelta(days=depot.undo_days),
    )


def _keep_at(depot: Depot, kept: str) -> str | Path:
    return depot.folder / "undo" / kept if depot.live.on_sqlite else kept


def _kept_place(depot: Depot, kept: str) -> Place:
    if depot.live.on_sqlite:
        return Place.in_file(depot.folder / "undo" / kept)
    return Place(depot.live.url, kept)


# --- the exchange ---------------------------------------------------------------------------------


def _exchange(depot: Depot, place: Place | None, entry: Entry, tell: Tell) -> None:
    """The rows, then the files; both or neither. The journal knows before and afterwards."""
    journal = Journal(depot.folder)
    (depot.folder / "undo").mkdir(mode=0o700, exist_ok=True)
    journal.put(entry)
    tell("swap", 0, 0)
    if place is not None:
        _exchange_rows(depot, place, entry, tell)
    try:
        _exchange_media(depot, entry)
    except RequestError:
        _take_back(depot, entry)
        raise
    if reason := _amiss(depot.live) if place is not None else None:
        _take_back_media(depot, entry)
        _take_back(depot, entry)
        raise RequestError(
            N_("The restored database did not work (%(reason)s); the old one is back."),
            reason=reason,
        )
    if place is None:
        _note_files(depot, entry)
    entry.step = Step.DONE
    journal.put(entry)


def _exchange_rows(depot: Depot, place: Place, entry: Entry, tell: Tell) -> None:
    keep = _keep_at(depot, entry.kept or "")
    try:
        entry.stopped_s = swap(depot.live, place, keep, entry.mark, tell)
    except BaseException:
        if not has_swapped(depot.live, keep, entry.mark):
            _forget_new(depot, entry)
            forget_kept(depot, entry)
            entry.step = Step.FAILED
            Journal(depot.folder).put(entry)
        raise


def _amiss(live: Place) -> str | None:
    """A first look at the new database through the front door."""
    try:
        with live.connect() as connection:
            revision = revision_of(connection)
            if revision != head():
                return f"revision {revision}"
            for model in (User, Job, JobItem, Backup):
                connection.execute(sa.select(table_of(model)).limit(1)).all()
            if live.on_sqlite:
                said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
                return None if said == "ok" else said
    except DBAPIError as error:
        return str(error.orig).partition("\n")[0][:200]
    return None


def _take_back(depot: Depot, entry: Entry) -> None:
    if entry.kept is not None:
        place = _kept_place(depot, entry.kept)
        on_sqlite, short = depot.live.on_sqlite, entry.id[:12]
        spoilt = f"{entry.id}.bad.db" if on_sqlite else f"fikstur_undo_{short}_bad"
        swap(depot.live, place, _keep_at(depot, spoilt), secrets.randbelow(2**31 - 2) + 1)
        _drop_spoilt(depot, entry, spoilt)
    forget_kept(depot, entry)
    entry.step = Step.FAILED
    Journal(depot.folder).put(entry)


def _drop_spoilt(depot: Depot, entry: Entry, spoilt: str) -> None:
    """Of an undo it is what can be undone still: PostgreSQL has moved those tables, not copied."""
    last = Journal(depot.folder).undoable()
    if entry.what == "undo" and last and last.kept and not depot.live.on_sqlite:
        drop_schema(depot.live.url, last.kept)
        with depot.live.connect() as connection:
            connection.exec_driver_sql(f'ALTER SCHEMA "{spoilt}" RENAME TO "{last.kept}"')
            connection.commit()
    else:
        drop(_kept_place(depot, spoilt))


# --- the files ------------------------------------------------------------------------------------


def _beside(depot: Depot, name: str) -> Path:
    return media_folder(depot).parent / name


def _will_exchange_media(depot: Depot, subtree: str, entry: Entry) -> None:
    folder = media_folder(depot)
    entry.subtree = subtree
    entry.kept_media = media_swap.beside(folder, "undo", entry.id).name
    entry.new_media = media_swap.beside(folder, "new", entry.id).name


def _stage_media(depot: Depot, archive: Archive, subtree: str, entry: Entry, tell: Tell) -> None:
    files = media_swap.under(archive.media(), subtree)
    if subtree and not files:
        raise RequestError(
            N_("%(file)s holds nothing under %(path)s."), file=archive.path.name, path=subtree
        )
    folder = media_folder(depot)
    media_swap.refuse_unfit(folder, files)
    _will_exchange_media(depot, subtree, entry)
    new = _beside(depot, entry.new_media or "")
    media_swap.stage(archive, files, subtree, new, tell)
    media_swap.make_lasting(new)


def _exchange_media(depot: Depot, entry: Entry) -> None:
    """Can be done again after it was cut off."""
    if entry.new_media is not None and entry.kept_media is not None:
        target = media_folder(depot) / (entry.subtree or "")
        new, kept = _beside(depot, entry.new_media), _beside(depot, entry.kept_media)
        media_swap.exchange(target, new, kept)


def _take_back_media(depot: Depot, entry: Entry) -> None:
    if entry.kept_media is not None:
        target = media_folder(depot) / (entry.subtree or "")
        spoilt = media_swap.beside(media_folder(depot), "bad", entry.id)
        media_swap.exchange(target, _beside(depot, entry.kept_media), spoilt)
        media_swap.remove(spoilt)


def _note_files(depot: Depot, entry: Entry) -> None:
    """Files were exchanged; if the database cannot be written to, that is no reason to undo it."""
    try:
        with depot.live.connect() as connection, Session(bind=connection) as session:
            note_for_people(session, entry)
            session.commit()
    except DBAPIError as error:
        log.warning("the restore of files is not in the audit log (%s)", error.orig)
