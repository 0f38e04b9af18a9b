"""Archives are of one instant, whole or absent, and open without us."""

import base64
import hashlib
import io
import json
import threading
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
import sqlalchemy as sa
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from depots import a_depot, a_place, an_archive, insert, told_hashes

from app.backups import write
from app.backups.archive import opened
from app.backups.depot import Depot
from app.backups.drill import drill
from app.backups.places import Place
from app.core.text import RequestError


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Depot:
    """A depot beside an empty, migrated database of each engine."""
    return a_depot(tmp_path, Place(database_url))


def rows_of(path: Path, table: str) -> list[list[object]]:
    with opened(path) as archive:
        (told,) = [one for one in archive.content().tables if one.name == table]
        text = b"".join(archive.lines(told))
    return [json.loads(line) for line in text.splitlines()]


# --- one instant ----------------------------------------------------------------------------------


def pair(place: Place, name: str) -> None:
    """Two rows in one transaction: an archive has both or neither."""
    at = "2025-01-01 00:00:00.000000"
    with place.connect() as connection:
        if place.on_sqlite:
            connection.connection.driver_connection.execute("BEGIN IMMEDIATE")
        driver = connection.connection.driver_connection
        driver.execute(
            "INSERT INTO schedule_fire (schedule, due_at, fired_at) "
            f"VALUES ('{name}', '{at}', '{at}')"
        )
        driver.execute(f"INSERT INTO source_state (source, pauses) VALUES ('{name}', 0)")
        driver.commit()


class Writer(threading.Thread):
    """Writes pairs until told to stop."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place, self.stopped = place, threading.Event()
        self.written = 0
        self.error: Exception | None = None

    def run(self) -> None:
        while not self.stopped.is_set() and self.error is None:
            try:
                pair(self.place, f"w{self.written:05}")
                self.written += 1
            except sa.exc.DBAPIError as error:
                self.error = error

    def await_more(self, count: int) -> int:
        """How many more were written, as soon as it is so many."""
        before, until = self.written, time.monotonic() + 20
        while self.written < before + count and time.monotonic() < until:
            time.sleep(0.01)
        return self.written - before


def test_a_backup_among_writers_is_of_one_instant_and_stops_nobody(depot: Depot) -> None:
    """Nobody waits for anybody: the writer goes on while the snapshot is read, and it ends."""
    writer, during = Writer(depot.live), []

    def look(step: str, _done: int, _of: int) -> None:
        if step == "table schedule_fire":  # the one read first; the other is read later
            during.append(writer.await_more(5))

    writer.start()
    try:
        writer.await_more(5)
        path = an_archive(depot, tell=look)
    finally:
        writer.stopped.set()
        writer.join()
    assert writer.error is None
    assert during[0] >= 5  # it wrote while we read
    fires = {row[1] for row in rows_of(path, "schedule_fire")}
    states = {row[0] for row in rows_of(path, "source_state")}
    assert fires == states
    assert 5 <= len(fires) < writer.written


def test_a_large_table_is_written_in_parts_that_fit_together(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(depot.live, "source_state", *({"source": f"s{n:05}"} for n in range(500)))
    whole = told_hashes(an_archive(depot))
    monkeypatch.setattr("app.backups.rows.PIECE", 1000)
    monkeypatch.setattr(write, "MOST_PER_PART", 4000)
    path = an_archive(depot)
    with opened(path) as archive:
        (told,) = [one for one in archive.content().tables if one.name == "source_state"]
        assert len(told.parts) > 5
        assert sum(part.rows for part in told.parts) == 500
    assert told_hashes(path) == whole
    with depot.locked():
        assert drill(depot, path).rows == 500


def test_a_database_of_another_version_is_not_backed_up(tmp_path: Path) -> None:
    from app.backups.schema import migrate

    place = Place.in_file(tmp_path / "old.db")
    with place.connect() as connection:
        migrate(connection, "0001")
    with pytest.raises(RequestError, match="not set up for this version"):
        an_archive(a_depot(tmp_path, place))


def test_values_that_only_sqlite_would_take_come_out_as_times(tmp_path: Path) -> None:
    place = a_place(tmp_path / "live.db")
    with place.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO schedule_fire (id, schedule, due_at, fired_at) VALUES "
                "(1, 'x', '2025-01-01', '2025-01-01T03:00:00.5+03:00')"
            )
        )
        connection.commit()
    depot = a_depot(tmp_path, place)
    path = an_archive(depot)
    (row,) = rows_of(path, "schedule_fire")
    assert row[2:4] == ["2025-01-01 00:00:00", "2025-01-01 00:00:00.5"]
    with depot.locked():
        drill(depot, path)


# --- whole or absent ------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_a_sentence(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(write, "_new_file", refuse)
    with pytest.raises(RequestError, match="Permission denied"):
        an_archive(depot)


# --- without us -----------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_stranger_recovers_a_table(tmp_path: Path, *, encrypted: bool) -> None:
    """ZIP, zstd, age, sha256 and Ed25519 as anybody has them; nothing of the application."""
    place = a_place(tmp_path / "live.db")
    insert(place, "source_state", {"source": "Ünal"}, {"source": "b"})
    depot = a_depot(tmp_path, place)
    identity = pyrage.x25519.Identity.generate()
    depot.keys.folder.mkdir()
    if encrypted:
        (depot.keys.folder / "recipients.txt").write_text(str(identity.to_public()))
    ending = ".zst.age" if encrypted else ".zst"
    with zipfile.ZipFile(an_archive(depot)) as archive:
        readme = archive.read("README.txt").decode()
        text, signature = archive.read("MANIFEST.json"), archive.read("MANIFEST.sig")
        told = json.loads(text)
        public = told["signature"]["public_key"]
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, text)
        for member in told["members"]:
            stored = archive.read(member["name"])
            assert hashlib.sha256(stored).hexdigest() == member["sha256"]
            assert len(stored) == member["stored_size"]
        opened_ = [
            plain(archive.read(name + ending), identity if encrypted else None)
            for name in ("db/schema.json", "db/logical/source_state/00000.jsonl")
        ]
    (table,) = [t for t in json.loads(opened_[0])["tables"] if t["name"] == "source_state"]
    names = [name for name, _kind in table["columns"]]
    lines = [dict(zip(names, json.loads(line), strict=True)) for line in opened_[1].splitlines()]
    assert [line["source"] for line in lines] == ["b", "Ünal"]
    assert hashlib.sha256(opened_[1]).hexdigest() == table["sha256"]
    assert public in readme
    assert ("age -d" in readme) is encrypted


def plain(stored: bytes, identity: pyrage.x25519.Identity | None) -> bytes:
    packed = pyrage.decrypt(stored, [identity]) if identity else stored
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()


def test_binary_values_are_base64(tmp_path: Path) -> None:
    place = a_place(tmp_path / "live.db")
    insert(
        place,
        "raw_answer",
        {
            "source": "s",
            "kind": "k",
            "key": "1",
            "fetched_at": datetime.now(UTC),
            "http_status": 200,
            "sha256": "0" * 64,
            "size": 3,
            "body": b"\x00\xff\n" * 40,
        },
    )
    (row,) = rows_of(an_archive(a_depot(tmp_path, place)), "raw_answer")
    assert base64.b64decode(str(row[8])) == b"\x00\xff\n" * 40
