"""Restore, undo, drill and preview, on both engines; the live database is wholly old or new."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
import sqlalchemy as sa
from depots import a_depot, a_place, an_archive, insert, told_hashes
from depots import hashes as all_hashes

from app.backups import restore as restoring
from app.backups import roots, swap
from app.backups.depot import Depot, LockedError
from app.backups.drill import drill
from app.backups.journal import Journal, Step
from app.backups.layout import DamagedError
from app.backups.manifest import Type
from app.backups.members import MissingIdentityError
from app.backups.places import Place
from app.backups.preview import preview
from app.backups.restore import Terms, restore, undo
from app.backups.schema import migrate
from app.core.text import RequestError

BY = Terms("tester")
CHANGED = {"app_user", "job", "job_item", "audit_log"}  # what a restore itself writes


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Iterator[Depot]:
    """A depot beside an empty, migrated database of each engine."""
    made = a_depot(tmp_path, Place(database_url))
    yield made
    if not made.live.on_sqlite:
        for name in schemas(made.live):
            with made.live.connect() as connection:
                connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
                connection.commit()


def schemas(place: Place) -> list[str]:
    with place.connect() as connection:
        return [name for name in sa.inspect(connection).get_schema_names() if "fikstur" in name]


def sources(place: Place) -> list[str]:
    with place.connect() as connection:
        return sorted(connection.execute(sa.text("SELECT source FROM source_state")).scalars())


def hashes(place: Place) -> dict[str, str]:
    """Of everything that a restore takes back: the audit log is not."""
    return {name: value for name, value in all_hashes(place).items() if name != "audit_log"}


def remember(place: Place, *names: str) -> None:
    insert(place, "source_state", *({"source": name} for name in names))


def back(depot: Depot, path: Path, terms: Terms = BY) -> None:
    with depot.locked():
        restore(depot, path, terms)


def left_over(depot: Depot) -> list[str]:
    """Files and schemas that no successful restore explains."""
    files = [path.name for path in depot.staging.iterdir()]
    return files + [name for name in schemas(depot.live) if "scratch" in name]


# --- restore and undo -----------------------------------------------------------------------------


def test_a_restore_brings_back_what_was_and_undo_what_is(depot: Depot) -> None:
    remember(depot.live, "old")
    path = an_archive(depot)
    told = told_hashes(path)
    remember(depot.live, "new")
    before = hashes(depot.live)
    back(depot, path)
    assert sources(depot.live) == ["old"]
    now = hashes(depot.live)
    assert {name for name in now if told[name] != now[name]} <= CHANGED
    assert left_over(depot) == []
    with depot.locked():
        entry = undo(depot, "tester")
    assert hashes(depot.live) == before
    assert entry.step is Step.DONE
    assert left_over(depot) == []


def test_an_undo_can_be_undone(depot: Depot) -> None:
    remember(depot.live, "old")
    path = an_archive(depot)
    remember(depot.live, "new")
    back(depot, path)
    for wanted in (["new", "old"], ["old"], ["new", "old"]):
        with depot.locked():
            undo(depot, "tester")
        assert sources(depot.live) == wanted
    assert len([entry for entry in Journal(depot.folder).entries() if entry.kept]) == 1


def test_without_a_restore_there_is_nothing_to_undo(depot: Depot) -> None:
    with depot.locked(), pytest.raises(RequestError, match="nothing to undo"):
        undo(depot, "tester")


def test_the_restore_is_in_the_books_of_the_restored_ledger(depot: Depot) -> None:
    path = an_archive(depot)
    back(depot, path)
    with depot.live.connect() as connection:
        query = "SELECT j.kind, j.state, j.submitted, i.state, i.key FROM job j JOIN job_item i "
        (row,) = connection.execute(sa.text(query + "ON i.job_id = j.id")).all()
    assert row[:4] == ("restore_backup", "DONE", 1, "done")
    assert path.stem.endswith(row[4][:8])


def an_item(place: Place, number: int, **more: object) -> None:
    at = sa.func.now() if not place.on_sqlite else "2025-01-01 00:00:00.000000"
    with place.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO job (id, kind, state, params, priority, trigger, requested_by,"
                " submitted, submitted_at, retries) VALUES (:id, 'fetch_range', 'PROCESSING', '{}',"
                " 5, 'cli', 'x', 1, '2025-01-01 00:00:00.000000', 0)"
            ),
            {"id": number},
        )
        connection.execute(
            sa.text(
                "INSERT INTO job_item (id, job_id, kind, key, state, attempts, crashes, fence,"
                " not_before) VALUES (:id, :id, 'fetch_day', 'k', 'running', 0, 0, :fence,"
                " '2025-01-01 00:00:00.000000')"
            ),
            {"id": number, "fence": more.get("fence", 1)},
        )
        connection.commit()
    del at


def test_no_worker_holds_a_number_or_a_fence_of_the_restored_ledger(depot: Depot) -> None:
    """A worker that claimed item 7 or 9 before the restore must find itself stale afterwards."""
    an_item(depot.live, 7, fence=3)
    path = an_archive(depot)
    an_item(depot.live, 9, fence=40)
    back(depot, path)
    with depot.live.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, fence FROM job_item ORDER BY id")).all()
        assert rows[0][0] == 7
        assert rows[0][1] > 40
        assert all(number == 7 or number > 9 for number, _fence in rows)
        new = sa.text(
            "INSERT INTO job_item (job_id, kind, key, state, attempts, crashes, fence, not_before)"
            " VALUES (7, 'x', 'k', 'waiting', 0, 0, 0, '2025-01-01 00:00:00') RETURNING id"
        )
        assert connection.execute(new).scalar_one() > max(number for number, _ in rows)


def test_nobody_stays_signed_in_over_a_restore(depot: Depot) -> None:
    insert(depot.live, "app_user", {"username": "a", "username_key": "a", "password_hash": "x"})
    path = an_archive(depot)
    keys = sa.text("SELECT session_key FROM app_user")
    with depot.live.connect() as connection:
        before = connection.execute(keys).scalar_one()
    back(depot, path)
    with depot.live.connect() as connection:
        assert connection.execute(keys).scalar_one() != before


def test_the_catalogue_stays_as_it_is(depot: Depot) -> None:
    path = an_archive(depot)
    with depot.live.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO backup (id, file, name, type, made, state, at, size, rows, revision,"
                " encrypted, trusted, pinned) VALUES ('i', 'f', 'n', 'full', 'manual', 'written',"
                " '2025-01-01 00:00:00.000000', 1, 1, '0001', :no, :no, :no)"
            ),
            {"no": False},
        )
        connection.commit()
    back(depot, path)
    with depot.live.connect() as connection:
        assert connection.execute(sa.text("SELECT id FROM backup")).scalars().all() == ["i"]
    with depot.locked():
        undo(depot, "tester")
    with depot.live.connect() as connection:
        assert connection.execute(sa.text("SELECT id FROM backup")).scalars().all() == ["i"]


def audit(place: Place) -> list[tuple[int, str]]:
    with place.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, action FROM audit_log ORDER BY id"))
        return [(row.id, row.action) for row in rows]


def an_entry(place: Place, action: str) -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    entry = {"who": "x", "via": "cli", "action": action, "kind": "job", "object": "1"}
    insert(place, "audit_log", {"at": at, **entry})


def test_no_restore_takes_back_the_audit_log(depot: Depot, tmp_path: Path) -> None:
    an_entry(depot.live, "before")
    path = an_archive(depot)
    an_entry(depot.live, "after")
    back(depot, path)
    wanted = ["before", "after", "backup.restore"]
    assert audit(depot.live) == list(enumerate(wanted, start=1))
    an_entry(depot.live, "later")
    with depot.locked():
        undo(depot, "tester")
    wanted += ["later", "backup.undo"]
    assert audit(depot.live) == list(enumerate(wanted, start=1))
    there = a_place(tmp_path / "other.db")
    an_entry(there, "foreign")
    back(depot, an_archive(a_depot(tmp_path / "other", there, keys=depot.keys.folder)))
    assert [action for _, action in audit(depot.live)] == ["foreign", *wanted, "backup.restore"]
    an_entry(depot.live, "last")
    assert audit(depot.live)[-1][1] == "last"


@pytest.mark.postgres
def test_a_backup_of_sqlite_restores_into_postgresql(
    migrated_postgres: str, depot: Depot, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    there = a_place(tmp_path / "other.db")
    remember(there, "from sqlite")
    path = an_archive(a_depot(other, there, keys=depot.keys.folder))
    back(depot, path)
    assert sources(depot.live) == ["from sqlite"]


def test_an_older_archive_is_migrated_up(depot: Depot, tmp_path: Path) -> None:
    """Written by the code of its time: revision 0001 knows no details and no breaker."""
    place = Place.in_file(tmp_path / "old.db")
    with place.connect() as connection:
        migrate(connection, "0001")
        connection.execute(sa.text("INSERT INTO source_state (source, pauses) VALUES ('old', 2)"))
        connection.commit()
    old = a_depot(tmp_path / "o", place, keys=depot.keys.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.backups.write.head", lambda: "0001")
        path = an_archive(old)
    back(depot, path)
    with depot.live.connect() as connection:
        row = connection.execute(sa.text("SELECT source, pauses, factor FROM source_state")).one()
    assert row == ("old", 2, 1)


# --- refused, and nothing is touched --------------------------------------------------------------


def test_a_newer_archive_is_refused(depot: Depot) -> None:
    path = an_archive(depot)
    before = hashes(depot.live)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.backups.scratch.is_known", lambda _revision: False)
        with pytest.raises(RequestError, match="comes from a newer Fikstür"):
            back(depot, path)
    assert hashes(depot.live) == before


def test_a_strangers_archive_needs_explicit_trust(depot: Depot, tmp_path: Path) -> None:
    there = a_place(tmp_path / "other.db")
    remember(there, "foreign")
    path = an_archive(a_depot(tmp_path / "other", there))
    with pytest.raises(RequestError, match="unknown installation"):
        back(depot, path)
    assert sources(depot.live) == []
    back(depot, path, Terms("tester", trust=True))
    assert sources(depot.live) == ["foreign"]


def test_a_damaged_archive_never_begins_to_restore(depot: Depot) -> None:
    path = an_archive(depot)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError):
        back(depot, path)
    assert Journal(depot.folder).entries() == []
    assert left_over(depot) == []


def test_settings_alone_cannot_be_restored(depot: Depot) -> None:
    with pytest.raises(RequestError, match="settings only"):
        back(depot, an_archive(depot, Type.SETTINGS))


def test_two_at_once_are_refused(depot: Depot) -> None:
    path = an_archive(depot)
    with depot.locked(), pytest.raises(LockedError, match="is running"):
        back(depot, path)


def test_an_encrypted_archive_needs_its_identity(depot: Depot, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    depot.keys.folder.mkdir(exist_ok=True)
    (depot.keys.folder / "recipients.txt").write_text(f"{identity.to_public()}\n")
    remember(depot.live, "hidden words")
    path = an_archive(depot)
    assert b"hidden words" not in path.read_bytes()
    with pytest.raises(MissingIdentityError), depot.locked():
        drill(depot, path)
    (tmp_path / "identity").write_text(str(identity))
    reading = a_depot(
        tmp_path, depot.live, keys=depot.keys.folder, identity_file=tmp_path / "identity"
    )
    with depot.locked():
        assert drill(reading, path).rows == 1
    back(reading, path)


# --- drill and preview ----------------------------------------------------------------------------


def test_a_drill_restores_beside_the_live_database(depot: Depot) -> None:
    remember(depot.live, "a", "b")
    path = an_archive(depot)
    before = hashes(depot.live)
    with depot.locked():
        drilled = drill(depot, path)
    assert drilled.rows == 2
    assert drilled.seconds > 0
    assert drilled.engine == depot.live.engine_name
    assert hashes(depot.live) == before
    assert left_over(depot) == []


def test_a_drill_notices_an_archive_that_does_not_come_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(depot.live, "a", "b")
    path = an_archive(depot)
    load = restoring.fill.__globals__["rows"].load

    def forgetful(connection: sa.Connection, table: object, pieces: Iterator[bytes]) -> int:
        return load(connection, table, (piece.replace(b'"a"', b'"c"') for piece in pieces))

    monkeypatch.setattr("app.backups.rows.load", forgetful)
    with depot.locked(), pytest.raises(DamagedError, match="another content"):
        drill(depot, path)
    assert left_over(depot) == []


def test_a_full_disk_is_not_the_archives_fault(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(depot.live, "a")
    path = an_archive(depot)

    def full(connection: sa.Connection, *_: object) -> int:
        raise connection.dialect.dbapi.OperationalError("database or disk is full")

    for name in ("_load_into_sqlite", "_load_into_postgresql"):
        monkeypatch.setattr(f"app.backups.rows.{name}", full)
    with pytest.raises(RequestError, match="disk is full") as refused, depot.locked():
        drill(depot, path)
    assert not isinstance(refused.value, DamagedError)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.5, "1", True, [1]])
def test_a_number_that_is_none_is_the_archives_fault(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    remember(depot.live, "a")
    path = an_archive(depot)
    load = restoring.fill.__globals__["rows"].load

    def other(connection: sa.Connection, table: object, pieces: Iterator[bytes]) -> int:
        told = json.dumps(value).encode()
        return load(
            connection, table, (piece.replace(b",0,", b"," + told + b",") for piece in pieces)
        )

    monkeypatch.setattr("app.backups.rows.load", other)
    with pytest.raises(DamagedError, match="a row of table source_state"), depot.locked():
        drill(depot, path)


def test_a_preview_says_what_would_be_lost(depot: Depot) -> None:
    remember(depot.live, "stays", "changes", "comes back", "a", "b")
    path = an_archive(depot)
    with depot.live.connect() as connection:
        for statement in (
            "DELETE FROM source_state WHERE source = 'comes back'",
            "UPDATE source_state SET pauses = 3 WHERE source = 'changes'",
        ):
            connection.execute(sa.text(statement))
        connection.commit()
    remember(depot.live, "new", "Ünal", "z", "B")
    (change,) = [table for table in preview(depot, path).tables if table.name == "source_state"]
    assert (change.now, change.in_backup) == (8, 5)
    assert (change.lost, change.back, change.changed) == (4, 1, 1)


def test_a_preview_warns_of_strangers_and_other_secrets(depot: Depot, tmp_path: Path) -> None:
    path = an_archive(depot)
    assert preview(depot, path).warnings == []
    from dataclasses import replace

    told = preview(replace(depot, secret_key="another one"), path).warnings
    assert ["SECRET_KEY" in str(warning) for warning in told] == [True]
    there = a_depot(tmp_path / "other", a_place(tmp_path / "other.db"))
    assert "unknown installation" in str(preview(depot, an_archive(there)).warnings[0])


# --- when things go wrong -------------------------------------------------------------------------


def test_what_does_not_work_afterwards_is_taken_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(depot.live, "old")
    path = an_archive(depot)
    remember(depot.live, "new")
    before = hashes(depot.live)
    monkeypatch.setattr(restoring, "_amiss", lambda _live: "it smells")
    with pytest.raises(RequestError, match="the old one is back"):
        back(depot, path)
    assert hashes(depot.live) == before
    with depot.locked(), pytest.raises(RequestError, match="nothing to undo"):
        undo(depot, "tester")


def test_a_database_that_is_never_free_is_left_alone(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "PATIENCE_S", 0.5)
    remember(depot.live, "old")
    path = an_archive(depot)
    with depot.live.connect() as connection:
        connection.execute(sa.text("INSERT INTO source_state (source, pauses) VALUES ('x', 0)"))
        with pytest.raises(RequestError, match="was busy"):
            back(depot, path)
        connection.rollback()
    assert sources(depot.live) == ["old"]
    assert left_over(depot) == []


def test_writers_see_the_old_or_the_new_and_none_is_split(depot: Depot) -> None:
    """Pairs of rows are written in one transaction each while the exchange happens."""
    path = an_archive(depot)
    stop, errors = threading.Event(), []

    def write(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                pair(depot.live, f"{name}{number}")
            except (sa.exc.OperationalError, sqlite3.OperationalError) as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    back(depot, path)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    for place in (depot.live, restoring._kept_place(depot, Journal(depot.folder).undoable().kept)):
        with place.connect() as connection:
            left = set(sources(place))
            fires = connection.execute(sa.text("SELECT schedule FROM schedule_fire")).scalars()
            assert left == set(fires)


def pair(place: Place, name: str) -> None:
    at = "'2025-01-01 00:00:00.000000'"
    with place.connect() as connection:
        if place.on_sqlite:
            connection.connection.driver_connection.execute("BEGIN IMMEDIATE")
        execute: Callable[[str], object] = connection.connection.driver_connection.execute
        execute(f"INSERT INTO source_state (source, pauses) VALUES ('{name}', 0)")
        time.sleep(0.002)
        execute(
            f"INSERT INTO schedule_fire (schedule, due_at, fired_at) VALUES ('{name}', {at}, {at})"
        )
        connection.connection.driver_connection.commit()


def test_connections_that_stay_open_see_the_restored_rows(depot: Depot) -> None:
    """Pools of other processes; their statements are prepared by now."""
    remember(depot.live, "old")
    path = an_archive(depot)
    remember(depot.live, "new")
    query = sa.text("SELECT source FROM source_state ORDER BY source")
    add = sa.text("INSERT INTO source_state (source, pauses) VALUES (:source, 0)")
    with depot.live.connect() as connection:
        for number in range(8):
            connection.execute(add, {"source": f"x{number}"})
            assert len(connection.execute(query).all()) == number + 3
            connection.commit()
        back(depot, path)
        assert connection.execute(query).scalars().all() == ["old"]
        connection.execute(add, {"source": "z"})
        connection.commit()
    assert sources(depot.live) == ["old", "z"]


def test_what_is_kept_is_what_was_there_last(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes after everything was prepared and before the lock is had."""
    path = an_archive(depot)
    prepared = restoring.Journal.put

    def late(journal: Journal, entry: object) -> None:
        remember(depot.live, f"late {len(sources(depot.live))}")
        prepared(journal, entry)

    with monkeypatch.context() as patch:
        patch.setattr(restoring.Journal, "put", late)
        if depot.live.on_sqlite:
            beside = roots.bring_beside
            patch.setattr(roots, "bring_beside", lambda *args: (beside(*args), later(depot))[0])
        back(depot, path)
    with depot.locked():
        undo(depot, "tester")
    assert "late 0" in sources(depot.live)
    assert not depot.live.on_sqlite or "later" in sources(depot.live)


def later(depot: Depot) -> None:
    remember(depot.live, "later")


@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.postgres
def test_machines_without_a_common_folder_take_turns_too(depot: Depot, tmp_path: Path) -> None:
    other = a_depot(tmp_path / "elsewhere", depot.live)
    with depot.locked(), pytest.raises(LockedError), other.locked():
        pass
    with other.locked():
        pass


def test_files_of_the_depot_are_for_nobody_else(depot: Depot) -> None:
    path = an_archive(depot)
    back(depot, path)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
        assert depot.folder.stat().st_mode & 0o077 == 0
        assert (depot.keys.folder / "signing.key").stat().st_mode & 0o077 == 0
        for kept in (depot.folder / "undo").iterdir():
            assert kept.stat().st_mode & 0o077 == 0
