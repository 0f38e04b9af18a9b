"""What a restore would change, per table, before anything is touched."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from app.backups import rows
from app.backups.archive import Archive, as_table, opened
from app.backups.carry import STAYS
from app.backups.choice import Part, names_in, refuse_without_part
from app.backups.depot import Depot, Tell, media_folder, tell_nobody
from app.backups.drill import refuse_undrillable
from app.backups.keys import fingerprint, identities
from app.backups.manifest import TableContent
from app.backups.media_swap import files_in, under
from app.backups.places import revision_of
from app.backups.schema import Kind, Table
from app.backups.sealed import sealed_names
from app.core.text import N_, Sentence

Keyed = tuple[tuple[Any, ...], bytes]


@dataclass(slots=True)
class TableChange:
    """One table: rows now, in the backup, and what becomes of them."""

    name: str
    now: int = 0
    in_backup: int = 0
    lost: int | None = 0  # there now, not in the backup; None: cannot be compared row by row
    back: int | None = 0  # in the backup, not there now
    changed: int | None = 0  # in both, with another content


@dataclass(frozen=True, slots=True)
class Preview:
    """Everything a person should know before restoring."""

    tables: Sequence[TableChange]
    warnings: Sequence[Sentence]


def preview(
    depot: Depot, path: Path, tell: Tell = tell_nobody, part: Part | None = None
) -> Preview:
    """Compare an archive with what is live: row by row where both have the same tables, by file.

    What no restore takes back is left out. Reads only. RequestError when the archive, or the part
    of it that is wanted, could not be restored at all.
    """
    part = part or Part()
    with opened(path, identities(depot.identity_file)) as archive:
        refuse_undrillable(archive)
        refuse_without_part(archive, part)
        changes = []
        if archive.manifest.database and part.media is None:
            changes += _tables(depot, archive, part, tell)
        if archive.manifest.media and (part.is_all or part.media is not None):
            tell("media", 0, 0)
            changes.append(_files(depot, archive, part.media or ""))
        return Preview(changes, warnings(depot, archive))


def _tables(depot: Depot, archive: Archive, part: Part, tell: Tell) -> list[TableChange]:
    content = archive.content()
    wanted = set(part.live_tables) or {told.name for told in content.tables} - STAYS
    tables = [told for told in content.tables if told.name in wanted]
    keep = names_in(part.section) if part.section is not None else None
    changes = []
    with depot.live.connect(snapshot=True) as connection:
        same = revision_of(connection) == content.revision
        there = set(sa.inspect(connection).get_table_names())
        for number, told in enumerate(tables):
            tell(f"compare {told.name}", number, len(tables))
            if told.name not in there:
                changes.append(TableChange(told.name, 0, told.rows, 0, told.rows, 0))
            elif same:
                changes.append(_row_by_row(connection, archive, told, keep))
            else:
                changes.append(_by_count(connection, told))
    return changes


def _files(depot: Depot, archive: Archive, subtree: str) -> TableChange:
    """Of the media folder, or of what is under a path in it."""
    theirs = {file.path: file.sha256 for file in under(archive.media(), subtree)}
    now = files_in(media_folder(depot) / subtree, subtree)
    mine = {file.path: file.sha256 for file in now}
    both = mine.keys() & theirs.keys()
    return TableChange(
        f"media/{subtree}",
        len(mine),
        len(theirs),
        len(mine.keys() - both),
        len(theirs.keys() - both),
        sum(mine[path] != theirs[path] for path in both),
    )


def warnings(depot: Depot, archive: Archive) -> list[Sentence]:
    """What is odd about an archive, though it can be restored."""
    manifest, found = archive.manifest, []
    if not archive.is_trusted(depot.keys):
        found.append(
            Sentence(
                N_(
                    "It was signed by an unknown installation (%(id)s): only its rows would be "
                    "taken, and only with --trust."
                ),
                {"id": manifest.origin.install_id[:16]},
            )
        )
    public = manifest.signature.public_key
    if manifest.secret_key_fingerprint != fingerprint(depot.secret_key, public):
        found.append(_another_key(sealed_names(archive)))
    return found


def _another_key(names: Sequence[str]) -> Sentence:
    if not names:
        return Sentence(
            N_(
                "SECRET_KEY was another one when it was made: secrets that are stored among "
                "the settings cannot be read with this one; enter them anew."
            )
        )
    told = N_(
        "SECRET_KEY was another one when it was made. With this one cannot be read, and must be "
        "entered anew: %(names)s."
    )
    return Sentence(told, {"names": ", ".join(names)})


def _row_by_row(
    connection: sa.Connection,
    archive: Archive,
    told: TableContent,
    keep: frozenset[str] | None = None,
) -> TableChange:
    """With `keep`, only of the rows whose key is one of those."""
    table = as_table(told)
    change = TableChange(told.name)
    key = _key_of(table)
    live = _keyed(rows.split(rows.lines(connection, table)), key, keep)
    kept = _keyed(rows.split(archive.lines(told)), key, keep)
    mine, theirs = next(live, None), next(kept, None)
    lost = back = changed = 0
    while mine or theirs:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            lost += 1
            change.now += 1
            mine = next(live, None)
        elif mine is None or theirs[0] < mine[0]:
            back += 1
            change.in_backup += 1
            theirs = next(kept, None)
        else:
            changed += mine[1] != theirs[1]
            change.now += 1
            change.in_backup += 1
            mine, theirs = next(live, None), next(kept, None)
    change.lost, change.back, change.changed = lost, back, changed
    return change


def _by_count(connection: sa.Connection, told: TableContent) -> TableChange:
    """Of another revision: its rows are migrated first, so single rows cannot be compared."""
    statement = f'SELECT count(*) FROM "{told.name}"'  # noqa: S608  a name of our migrations
    now = int(connection.exec_driver_sql(statement).scalar_one())
    return TableChange(told.name, now, told.rows, None, None, None)


def _key_of(table: Table) -> Callable[[list[Any]], tuple[Any, ...]]:
    """Sorts as the lines are sorted: numbers by value, text by its bytes."""
    names = [column.name for column in table.columns]
    places = [names.index(name) for name in table.key]
    text = [table.columns[place].kind is Kind.TEXT for place in places]

    def key(values: list[Any]) -> tuple[Any, ...]:
        pairs = zip(places, text, strict=True)
        return tuple(values[at].encode() if as_text else values[at] for at, as_text in pairs)

    return key


def _keyed(
    lines: Iterator[bytes],
    key: Callable[[list[Any]], tuple[Any, ...]],
    keep: frozenset[str] | None,
) -> Iterator[Keyed]:
    for line in lines:
        found = key(msgspec.json.decode(line))
        if keep is None or found[0].decode() in keep:
            yield found, line
