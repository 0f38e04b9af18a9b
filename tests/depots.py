"""Depots for tests: a folder of archives beside a database, and databases full of odd values."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

import app.accounts.models
import app.audit.models
import app.backups.models
import app.drill.models
import app.errors.models
import app.fixtures.models
import app.jobs.models
import app.mail.models
import app.schedules.models
import app.settings.models
import app.sources.models  # noqa: F401  each of these adds its tables to Base.metadata
from app.backups import rows
from app.backups.archive import opened
from app.backups.depot import Depot, Tell, tell_nobody
from app.backups.keys import Keys, identities
from app.backups.manifest import Type
from app.backups.models import BackupSchedule
from app.backups.places import Place
from app.backups.schema import head, migrate, schema_at
from app.backups.write import Order, create
from app.core.db import Base

SECRET = "a-key-for-tests-that-opens-nothing-0123456789"


def daily_at_two(since: datetime, *, enabled: bool = True) -> BackupSchedule:
    """A full backup every night, seven of them kept."""
    return BackupSchedule(
        name="daily", type="full", hour=2, weekday=0, day=1, keep=7, enabled=enabled, since=since
    )


def a_depot(folder: Path, live: Place, **more: Any) -> Depot:
    """A depot in a folder of its own."""
    keys = Keys(more.pop("keys", folder / "keys"))
    return Depot(folder / "backups", keys, live, {"language": "tr"}, SECRET, **more)


def a_place(path: Path) -> Place:
    """A migrated, empty SQLite file."""
    place = Place.in_file(path)
    with place.connect() as connection:
        migrate(connection, head())
    return place


def an_archive(
    depot: Depot,
    type_: Type = Type.FULL,
    name: str = "nightly",
    tell: Tell = tell_nobody,
) -> Path:
    """An archive of the depot's database as it is."""
    with depot.locked():
        return create(depot, Order(uuid.uuid4().hex, name, type_), tell)


MEDIA = {
    "logos/a.png": b"\x89PNG" * 999,
    "logos/deep/ş.png": b"x",
    "days.xlsx": b"",
    "b.xlsx": b"x",
}


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Files in a folder, by their path in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_in(folder: Path) -> dict[str, bytes]:
    """What `put` would put there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def hashes(place: Place) -> dict[str, str]:
    """The hash of every table."""
    with place.connect(snapshot=True) as connection:
        tables = schema_at(head()).tables
        return {table.name: rows.hash_of(connection, table) for table in tables}


def told_hashes(path: Path) -> dict[str, str]:
    """What an archive says its tables hash to."""
    with opened(path) as archive:
        return {table.name: table.sha256 for table in archive.content().tables}


def rows_of(path: Path, table: str, identity: Path | None = None) -> list[bytes]:
    """The lines of a table as an archive has them, in pieces."""
    known = identities(identity if identity and identity.exists() else None)
    with opened(path, known) as archive:
        (told,) = [one for one in archive.content().tables if one.name == table]
        return list(archive.lines(told))


def insert(place: Place, table: str, *values: dict[str, Any]) -> None:
    """Rows, as the application would write them."""
    with place.connect() as connection:
        for row in values:
            connection.execute(sa.insert(Base.metadata.tables[table]).values(**row))
        connection.commit()


# --- rows of every table --------------------------------------------------------------------------

Rows = dict[str, list[dict[str, Any]]]
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
BARE = st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.text(LETTERS)  # JSON without braces


@st.composite
def every_table(draw: Callable[..., Any]) -> Rows:
    """Up to three rows for every table the archive takes, fit for its keys and references."""
    made: Rows = {}
    for known in schema_at(head()).tables:
        table = Base.metadata.tables[known.name]
        drawn = [_row(draw, table, made) for _ in range(draw(st.integers(0, 3)))]
        made[table.name] = _distinct(table, [row for row in drawn if row is not None])
    return made


def fill(place: Place, rows_of: Rows) -> None:
    """Write the rows, parents first."""
    for table, values in rows_of.items():
        insert(place, table, *values)


def _row(draw: Callable[..., Any], table: sa.Table, made: Rows) -> dict[str, Any] | None:
    row = {}
    for column in table.columns:
        if column.foreign_keys:
            (reference,) = column.foreign_keys
            parents = [
                parent[reference.column.name] for parent in made[reference.column.table.name]
            ]
            strategy = st.sampled_from(parents) if parents else st.none()
            if not parents and not column.nullable:
                return None
        else:
            strategy = _values(column)
        may_be_null = column.nullable and not column.primary_key
        row[column.name] = draw(st.none() | strategy if may_be_null else strategy)
    return row


def _values(column: sa.Column[Any]) -> st.SearchStrategy[Any]:
    kind, most = column.type, getattr(column.type, "length", None)
    if isinstance(kind, sa.types.TypeDecorator) and type(kind).__name__ == "SentenceText":
        return st.builds(_sentence, st.text(LETTERS, max_size=20))
    if isinstance(kind, sa.types.TypeDecorator):
        return _moments()
    for known, strategy in (
        (sa.Boolean, st.booleans()),
        (sa.Float, st.floats(allow_nan=False)),
        (sa.BigInteger, st.integers(1, 2**63 - 2)),
        (sa.Integer, st.integers(-(2**31), 2**31 - 1)),
        (sa.Date, st.dates()),
        (sa.JSON, st.dictionaries(st.text(LETTERS), st.text(LETTERS) | NUMBERS) | BARE),
        (sa.LargeBinary, st.binary(max_size=200)),
        (sa.String, st.text(LETTERS, max_size=min(most or 40, 40))),
    ):
        if isinstance(kind, known):
            return strategy
    raise AssertionError(f"what is a {kind!r}?")


def _moments() -> st.SearchStrategy[Any]:
    from datetime import datetime

    return st.datetimes(
        datetime(2, 1, 1),  # noqa: DTZ001  the zone is drawn too
        datetime(9998, 12, 30),  # noqa: DTZ001
        timezones=st.timezones(),
    )


def _sentence(text: str) -> Any:
    from app.core.text import Sentence

    return Sentence("%(x)s", {"x": text})


def _distinct(table: sa.Table, drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the rows that a key or unique index would refuse."""
    unique = [[column.name for column in table.primary_key]]
    unique += [
        [column.name for column in one.columns]
        for one in [*table.constraints, *table.indexes]
        if isinstance(one, sa.UniqueConstraint) or getattr(one, "unique", False)
    ]
    kept: list[dict[str, Any]] = []
    for row in drawn:
        if not any(
            [row[name] for name in names] == [other[name] for name in names]
            for names in unique
            for other in kept
        ):
            kept.append(row)
    return kept


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
