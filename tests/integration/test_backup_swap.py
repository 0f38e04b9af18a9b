"""The exchange on SQLite: nobody waits for it, nothing that is written meanwhile is lost."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from depots import a_depot, a_place, hashes, insert

from app.backups import roots, swap
from app.backups.depot import Depot
from app.core.text import RequestError

ROWS = 3000


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    """Live rows, and a database beside that has others."""
    live = a_depot(tmp_path, a_place(tmp_path / "live.db"))
    with closing(sqlite3.connect(live.live.file)) as file:
        file.execute("PRAGMA journal_mode = WAL")  # as the application has it
    fill(live.live.file, "live")
    a_place(tmp_path / "new.db")
    fill(tmp_path / "new.db", "new")
    return live


def fill(path: Path, name: str) -> None:
    """A few megabytes, with an index of text and one of references."""
    body, at = b"x" * 1500, "2025-01-01 00:00:00.000000"
    answer = (
        "INSERT INTO raw_answer (source, kind, key, fetched_at, http_status, sha256, size, body)"
    )
    with closing(sqlite3.connect(path)) as file:
        file.executemany(
            f"{answer} VALUES (?, 'k', ?, '{at}', 200, '', 3, ?)",
            ((name, str(number), body) for number in range(ROWS)),
        )
        file.executemany(
            "INSERT INTO source_state (source, pauses) VALUES (?, 0)",
            ((f"{name} {number}",) for number in range(ROWS)),
        )
        file.commit()


def exchanged(depot: Depot, tmp_path: Path, tell: swap.Tell = lambda *_: None) -> float:
    new = depot.live.in_file(tmp_path / "new.db")
    return swap.swap(depot.live, new, tmp_path / "kept.db", 7, tell)


def only(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchone()[0]


def test_each_content_is_in_the_others_place_and_both_files_are_sound(
    depot: Depot, tmp_path: Path
) -> None:
    new = depot.live.in_file(tmp_path / "new.db")
    before, wanted = hashes(depot.live), hashes(new)
    exchanged(depot, tmp_path)
    kept = depot.live.in_file(tmp_path / "kept.db")
    assert (hashes(depot.live), hashes(kept)) == (wanted, before)
    for path in (depot.live.file, kept.file):
        assert only(path, "PRAGMA integrity_check") == "ok"
        assert (
            only(path, f"SELECT count(*) FROM sqlite_master WHERE name LIKE '{roots.TWIN}%'") == 0
        )
    query = "SELECT name || sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    with (
        closing(sqlite3.connect(depot.live.file)) as one,
        closing(sqlite3.connect(new.file)) as two,
    ):
        assert one.execute(query).fetchall() == two.execute(query).fetchall()
    plan = "EXPLAIN QUERY PLAN SELECT 1 FROM source_state WHERE source = 'new 1'"
    with closing(sqlite3.connect(depot.live.file)) as file:
        assert "sqlite_autoindex_source_state_1" in str(file.execute(plan).fetchall())


class Writer(threading.Thread):
    """Fifty commits a second, as the application makes them; how long each of them took."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.stopped, self.took, self.written = path, threading.Event(), [0.0], 0

    def run(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as file:
            while not self.stopped.wait(0.02):
                began = time.monotonic()
                self.written += 1
                file.execute("BEGIN IMMEDIATE")
                state = "INSERT INTO source_state (source, pauses) VALUES (?, 0)"
                file.execute(state, (f"w{self.written}",))
                entry = "INSERT INTO audit_log (at, who, via, action, kind, object) VALUES "
                file.execute(
                    f"{entry} ('2025-01-01 00:00:00.000000', 'w', 'cli', 'x', 'y', ?)",
                    (self.written,),
                )
                file.execute("COMMIT")
                self.took.append(time.monotonic() - began)


@pytest.fixture
def writer(depot: Depot) -> Iterator[Writer]:
    made = Writer(depot.live.file)
    made.start()
    while made.written < 5:
        time.sleep(0.01)
    yield made
    made.stopped.set()
    made.join()


def test_writers_go_on_all_the_while_and_lose_nothing(
    depot: Depot, writer: Writer, tmp_path: Path
) -> None:
    at_steps = []
    stopped_s = exchanged(depot, tmp_path, lambda *_: at_steps.append(writer.written))
    writer.stopped.set()
    writer.join()
    assert stopped_s < 1
    assert max(writer.took) < 5  # a loaded machine; a stop for all of it is found by the benchmark
    assert at_steps[-1] > at_steps[0]  # it wrote while the rows were brought beside
    names = "SELECT source FROM {} WHERE source LIKE 'w%'"
    with closing(sqlite3.connect(depot.live.file)) as file:
        file.execute("ATTACH ? AS kept", (str(tmp_path / "kept.db"),))
        old = {name for (name,) in file.execute(names.format("kept.source_state"))}
        new = {name for (name,) in file.execute(names.format("main.source_state"))}
        log = [int(entry) for (entry,) in file.execute("SELECT object FROM audit_log ORDER BY id")]
    assert old | new == {f"w{number}" for number in range(1, writer.written + 1)}
    assert old.isdisjoint(new)
    assert log == sorted(log)
    # The log: what was written before it began is the restore's own to carry over.
    assert {*range(at_steps[0] + 1, writer.written + 1)} <= {*log}


def test_one_who_reads_all_the_while_sees_the_old_and_then_the_new(
    depot: Depot, tmp_path: Path
) -> None:
    with depot.live.connect() as connection:
        count = sa.text("SELECT count(*) FROM source_state WHERE source LIKE 'live %'")
        assert connection.execute(count).scalar_one() == ROWS
        exchanged(depot, tmp_path)
        assert connection.execute(count).scalar_one() == ROWS
        connection.rollback()
        assert connection.execute(count).scalar_one() == 0


def test_a_row_deleted_meanwhile_takes_no_row_along_that_comes(
    depot: Depot, tmp_path: Path
) -> None:
    """What points at a table points, in the twins, at its twin: no cascade goes across."""
    at = datetime(2025, 1, 1, tzinfo=UTC)
    times = {"submitted_at": at, "state": "DONE", "params": {}, "trigger": "cli"}
    job = {"id": 1, "kind": "x", "requested_by": "x", "submitted": 1, **times}
    item = {"job_id": 1, "kind": "x", "key": "x", "state": "done", "not_before": at}
    for place in (depot.live, depot.live.in_file(tmp_path / "new.db")):
        insert(place, "job", job)
        insert(place, "job_item", item)

    def delete(step: str, *_: int) -> None:
        if step == "place source_state":
            with closing(sqlite3.connect(depot.live.file)) as file:
                file.execute("PRAGMA foreign_keys = ON")
                file.execute("DELETE FROM job")
                file.commit()

    exchanged(depot, tmp_path, delete)
    assert only(depot.live.file, "SELECT count(*) FROM job_item") == 1
    assert only(tmp_path / "kept.db", "SELECT count(*) FROM job_item") == 0


def test_tables_changed_meanwhile_are_a_sentence_and_nothing_is_changed(
    depot: Depot, tmp_path: Path
) -> None:
    def change(step: str, *_: int) -> None:
        if step == "place source_state":
            with closing(sqlite3.connect(depot.live.file)) as file:
                file.execute("CREATE INDEX IF NOT EXISTS new_one ON source_state (pauses)")

    before = hashes(depot.live)
    with pytest.raises(RequestError, match="changed meanwhile"):
        exchanged(depot, tmp_path, change)
    assert hashes(depot.live) == before
    assert not roots.has_twins(depot.live.file)


def test_a_damaged_live_file_is_written_over(depot: Depot, tmp_path: Path) -> None:
    with closing(sqlite3.connect(depot.live.file)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'raw_answer'")
        page = root.fetchone()[0]
    with depot.live.file.open("rb+") as raw:
        raw.seek((page - 1) * 4096)
        raw.write(b"\xff" * 4096)
    exchanged(depot, tmp_path)
    assert hashes(depot.live) == hashes(depot.live.in_file(tmp_path / "new.db"))


def test_an_sqlite_that_defends_its_schema_is_written_over(
    depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "_may_exchange", lambda: False)
    before = hashes(depot.live)
    exchanged(depot, tmp_path)
    assert hashes(depot.live) == hashes(depot.live.in_file(tmp_path / "new.db"))
    assert hashes(depot.live.in_file(tmp_path / "kept.db")) == before
