"""SQLite → archive → PostgreSQL → archive → SQLite: every table hash is the same."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa
from depots import Rows, a_depot, a_place, an_archive, every_table, fill, hashes, told_hashes
from hypothesis import HealthCheck, Phase, given, settings

from app.backups.archive import opened, verify
from app.backups.depot import tell_nobody
from app.backups.places import Place
from app.backups.schema import LEFT_OUT, head, kind_of, schema_at
from app.backups.scratch import drop_schema
from app.backups.scratch import fill as load_archive
from app.core.db import Base

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def schema_of_postgres(migrated_postgres: str) -> Iterator[Place]:
    yield Place(migrated_postgres, "fikstur_scratch_trip")
    drop_schema(migrated_postgres, "fikstur_scratch_trip")


def emptied(place: Place) -> Place:
    drop_schema(place.url, place.schema)
    with Place(place.url).connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {place.schema}"))
        connection.commit()
    return place


def load(path: Path, place: Place) -> None:
    with opened(path) as archive:
        assert verify(archive)
        load_archive(archive, place, tell_nobody)


@given(every_table())
@settings(  # an example takes half a second: shrinking one would take minutes
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_every_value_survives_the_way_through_both_engines(
    schema_of_postgres: Place, rows: Rows
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        first = a_place(folder / "first.db")
        fill(first, rows)
        out = an_archive(a_depot(folder / "a", first))
        postgres = emptied(schema_of_postgres)
        load(out, postgres)
        back = an_archive(a_depot(folder / "b", postgres))
        last = Place.in_file(folder / "last.db")
        load(back, last)
        assert told_hashes(out) == hashes(postgres) == told_hashes(back) == hashes(last)
        assert hashes(first) == hashes(last)
        with opened(out) as archive:
            told = {table.name: table.rows for table in archive.manifest.database.tables}
        assert told == {name: len(values) for name, values in rows.items()}


def test_numbering_goes_on_behind_the_restored_rows(
    schema_of_postgres: Place, tmp_path: Path
) -> None:
    first = a_place(tmp_path / "first.db")
    with first.connect() as connection:
        for number in (5, 70):
            connection.execute(
                sa.text("INSERT INTO schedule_fire VALUES (:id, 'x', :due, '2025-01-01', NULL)"),
                {"id": number, "due": f"2025-01-01 00:00:{number % 60:02}.000000"},
            )
        connection.commit()
    postgres = emptied(schema_of_postgres)
    load(an_archive(a_depot(tmp_path, first)), postgres)
    with postgres.connect() as connection:
        made = connection.execute(
            sa.text(
                "INSERT INTO schedule_fire (schedule, due_at, fired_at) "
                "VALUES ('y', now(), now()) RETURNING id"
            )
        )
        assert made.scalar_one() == 71


def test_every_column_of_every_table_is_of_a_kind_that_backups_know() -> None:
    known = {table.name: table for table in schema_at(head()).tables}
    assert known.keys() == Base.metadata.tables.keys() - LEFT_OUT
    for name, table in known.items():
        told = {column.name: column.kind for column in table.columns}
        assert told == {
            column.name: kind_of(getattr(column.type, "impl", column.type))
            for column in Base.metadata.tables[name].columns
        }, name
