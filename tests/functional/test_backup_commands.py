"""`flask backup`, through the command line and the ledger."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
import sqlalchemy as sa
from commands import SQLITE_ONLY, run, run_json
from depots import a_depot, a_place, an_archive
from flask import Flask

from app.backups import catalogue
from app.backups.models import Backup, State
from app.backups.request import (
    create_request,
    drill_request,
    restore_request,
    verify_request,
)
from app.backups.schema import schema_at
from app.backups.work import bench_of, handlers
from app.core.db import db, reading, transaction
from app.jobs.audit import imbalances
from app.jobs.models import Job, JobItem, Trigger
from app.jobs.runner import work_on
from app.jobs.submit import JobRequest
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources.models import SourceState

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture(autouse=True)
def _no_schemas_left(app: Flask) -> Iterator[None]:
    yield
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect() as connection:
            for name in sa.inspect(connection).get_schema_names():
                if name.startswith("fikstur_"):
                    connection.execute(sa.text(f'DROP SCHEMA "{name}" CASCADE'))
            connection.commit()


def remember(*names: str) -> None:
    with transaction() as session:
        session.add_all(SourceState(source=name) for name in names)


def sources() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(sa.select(SourceState.source)))


def folder(app: Flask) -> Path:
    return app.config["FIKSTUR"].backup.folder


def made(app: Flask, *options: str) -> dict[str, Any]:
    return run_json(app, "backup", "create", *options)


def spoil(app: Flask, backup: dict[str, Any]) -> None:
    path = folder(app) / backup["file"]
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)


# --- making and proving ---------------------------------------------------------------------------


def test_a_backup_is_made_verified_and_restored_on_trial(app: Flask) -> None:
    remember("a", "b")
    backup = made(app, "--name", "gece")
    assert backup["state"] == "drilled"
    assert backup["drill_s"] > 0
    assert backup["file"].startswith("gece_")
    assert (backup["type"], backup["engine"]) == ("full", db.engine.dialect.name)
    assert (folder(app) / backup["file"]).stat().st_size == backup["size"]
    with reading() as session:
        job = session.get_one(Job, backup["job_id"])
        assert (job.kind, job.state) == ("create_backup", "DONE")
        assert imbalances(session) == []
        (item,) = session.scalars(sa.select(JobItem))
        assert "restored on trial in" in str(item.message)


@on_sqlite
def test_the_parts_can_be_chosen(app: Flask) -> None:
    assert made(app, "--no-drill")["state"] == "verified"
    alone = made(app, "--type", "settings")
    assert (alone["rows"], alone["engine"], alone["state"]) == (0, None, "verified")
    assert made(app, "--type", "database")["type"] == "database"
    assert [row["type"] for row in run_json(app, "backup", "list")] == [
        "database",
        "settings",
        "full",
    ]


@on_sqlite
@pytest.mark.parametrize("name", ["", "../evil", "a b", "x" * 41, "ğ"])
def test_a_bad_name_is_refused(app: Flask, name: str) -> None:
    done = run(app, "backup", "create", "--name", name)
    assert done.exit_code == 2
    assert "cannot name a backup" in done.stderr
    assert catalogue.all_backups() == []


@on_sqlite
def test_no_secret_is_in_the_settings_of_an_archive(app: Flask) -> None:
    backup = made(app)
    from app.backups.archive import opened

    with opened(folder(app) / backup["file"]) as archive:
        text = archive.settings().decode()
    told = json.loads(text)
    config = app.config["FIKSTUR"]
    assert told["time_zone"] == "Europe/Istanbul"
    assert told["backup"]["keep"] == 7
    for secret in (config.secret_key, config.database_url, "not-a-real-token"):
        assert secret not in text


def test_what_is_damaged_ends_with_4_and_stands_in_the_catalogue(app: Flask) -> None:
    backup = made(app, "--no-drill")
    assert run_json(app, "backup", "verify", backup["id"][:8])["state"] == "verified"
    spoil(app, backup)
    for verb in ("verify", "drill"):
        done = run(app, "backup", verb, backup["id"][:8])
        assert done.exit_code == 4, done.output
        assert "The archive is damaged" in done.stderr
    assert catalogue.find(backup["id"]).state == State.CORRUPT
    done = run(app, "backup", "restore", backup["file"], "--force")
    assert done.exit_code == 4


@on_sqlite
def test_a_backup_is_good_again_when_its_file_is(app: Flask) -> None:
    backup = made(app)
    spoil(app, backup)
    run(app, "backup", "verify", "latest")
    spoil(app, backup)  # the same bit again
    assert run_json(app, "backup", "verify", "latest")["state"] == "drilled"
    assert run_json(app, "backup", "show", "latest")["message"] is None


@on_sqlite
def test_somebody_else_at_work_ends_with_5(app: Flask) -> None:
    with bench_of(app.config["FIKSTUR"]).depot.locked():
        done = run(app, "backup", "create")
    assert done.exit_code == 5
    assert "is running" in done.stderr
    assert catalogue.all_backups() == []


@on_sqlite
def test_a_backup_left_to_a_worker_waits_in_the_ledger(app: Flask) -> None:
    told = made(app, "--background")
    with reading() as session:
        assert session.get_one(Job, told["job_id"]).state == "PENDING"


@on_sqlite
def test_an_item_worked_on_twice_makes_one_archive(app: Flask) -> None:
    """Its first worker died after writing the file and before noting it."""
    first = made(app)
    with transaction() as session:
        session.execute(sa.delete(Backup))
        session.execute(sa.update(JobItem).values(state="waiting", finished_at=None, outcome=None))
        session.execute(sa.update(Job).values(state="PENDING", finished_at=None))
    work_on(Worker(30), first["job_id"], handlers(bench_of(app.config["FIKSTUR"])))
    (again,) = run_json(app, "backup", "list")
    assert (again["id"], again["file"]) == (first["id"], first["file"])
    assert len(list(folder(app).glob("*.zip"))) == 1


@on_sqlite
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.backups.write.os.fsync", full)
    done = run(app, "backup", "create")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert list(folder(app).glob("**/*.zip")) + list(folder(app).glob("**/*.partial")) == []
    assert catalogue.all_backups() == []


# --- finding --------------------------------------------------------------------------------------


@on_sqlite
def test_a_backup_is_found_by_file_id_or_as_the_latest(app: Flask) -> None:
    first, second = made(app, "--no-drill"), made(app, "--no-drill")
    for text, wanted in (
        (first["file"], first),
        (first["id"][:6], first),
        (str(folder(app) / second["file"]), second),
        ("latest", second),
    ):
        assert run_json(app, "backup", "show", text)["id"] == wanted["id"]
    for text in ("nonsense", "", "zz"):
        done = run(app, "backup", "show", text)
        assert done.exit_code == 1
        assert "There is no backup" in done.stderr


@on_sqlite
def test_what_a_file_holds_is_shown(app: Flask) -> None:
    remember("a")
    shown = run_json(app, "backup", "show", made(app)["file"])
    assert shown["tables"]["source_state"] == 1
    assert shown["tables"].keys() == {table.name for table in schema_at(shown["revision"]).tables}
    assert shown["settings"]["time_zone"] == "Europe/Istanbul"
    assert "source_state" in run(app, "backup", "show", "latest").stdout


@on_sqlite
def test_the_list_reads_well_in_both_languages(app: Flask) -> None:
    assert "backup create" in run(app, "backup", "list").stdout
    made(app)
    assert "restored on trial" in run(app, "backup", "list").stdout
    assert "restored on trial" not in run(app, "backup", "list", language="tr").stdout


@on_sqlite
def test_the_catalogue_is_rebuilt_from_the_folder(app: Flask) -> None:
    first, second = made(app), made(app)
    with transaction() as session:
        session.execute(sa.delete(Backup))
    (folder(app) / second["file"]).unlink()
    (folder(app) / "x_20250101T000000Z_full_00000000.zip").write_bytes(b"nothing")
    found = run_json(app, "backup", "rescan", exit_code=1)
    assert found["added"] == [first["file"]]
    assert [one["file"] for one in found["unreadable"]] == ["x_20250101T000000Z_full_00000000.zip"]
    assert [row["state"] for row in run_json(app, "backup", "list")] == ["written"]
    (folder(app) / first["file"]).unlink()
    assert run_json(app, "backup", "rescan", exit_code=1)["missing"] == [first["file"]]
    assert [row["state"] for row in run_json(app, "backup", "list")] == ["missing"]
    assert run(app, "backup", "drill", first["id"]).exit_code == 1


# --- restoring ------------------------------------------------------------------------------------


def test_restore_and_undo(app: Flask) -> None:
    remember("old")
    backup = made(app, "--no-drill")
    remember("new")
    seen = run_json(app, "backup", "preview", "latest")
    assert [(t["lost"], t["now"]) for t in seen["tables"] if t["table"] == "source_state"] == [
        (1, 2)
    ]
    entry = run_json(app, "backup", "restore", "latest", "--force")
    assert (entry["what"], entry["state"], entry["file"]) == ("restore", "done", backup["file"])
    assert sources() == ["old"]
    with reading() as session:
        assert imbalances(session) == []
        kinds = session.scalars(sa.select(Job.kind).where(Job.state == "DONE")).all()
        assert "restore_backup" in kinds
    assert catalogue.find(backup["id"]).state == State.VERIFIED
    assert run_json(app, "backup", "undo", "--force")["what"] == "undo"
    assert sources() == ["new", "old"]
    with reading() as session:
        assert imbalances(session) == []


@on_sqlite
def test_a_restore_asks_for_the_name_of_the_file(app: Flask) -> None:
    remember("old")
    backup = made(app)
    remember("new")
    refused = run(app, "backup", "restore", "latest", typed="yes\n")
    assert refused.exit_code == 1
    assert "nothing was changed" in refused.stderr
    assert "source_state" in refused.stdout  # what would be lost was shown first
    assert sources() == ["new", "old"]
    assert run(app, "backup", "restore", "latest", "--json").exit_code == 2
    done = run(app, "backup", "restore", "latest", typed=f"{backup['file']}\n")
    assert done.exit_code == 0, done.output
    assert sources() == ["old"]
    undone = run(app, "backup", "undo", typed=f"{backup['file']}\n")
    assert undone.exit_code == 0, undone.output
    assert sources() == ["new", "old"]


@on_sqlite
@pytest.mark.parametrize("spoilt", [b"this is no database any more" * 400, None])
def test_a_broken_or_missing_database_can_be_restored(app: Flask, spoilt: bytes | None) -> None:
    remember("old")
    backup = made(app)
    db.engine.dispose()
    live = bench_of(app.config["FIKSTUR"]).depot.live.file
    for ending in ("-wal", "-shm", ""):
        Path(f"{live}{ending}").unlink(missing_ok=True)
    if spoilt:
        live.write_bytes(spoilt)
        path = folder(app) / backup["file"]
        done = run(app, "backup", "restore", path, typed=f"{backup['file']}\n")
        assert "cannot be compared" in done.stdout
    else:
        done = run(app, "backup", "restore", backup["file"], "--force")
    assert done.exit_code == 0, done.output
    assert sources() == ["old"]
    assert run_json(app, "backup", "rescan")["added"] == [backup["file"]]
    undone = run(app, "backup", "undo", "--force")
    assert (undone.exit_code, "no database was there" in undone.stderr) == (1, True)


@on_sqlite
def test_a_file_from_elsewhere_needs_trust(app: Flask, tmp_path: Path) -> None:
    path = an_archive(a_depot(tmp_path / "other", a_place(tmp_path / "other.db")))
    assert run_json(app, "backup", "verify", path)["whole"] is True
    assert run_json(app, "backup", "drill", path)["rows"] == 0
    refused = run(app, "backup", "restore", path, "--force")
    assert refused.exit_code == 1
    assert "unknown installation" in refused.stderr
    assert run(app, "backup", "restore", path, "--force", "--trust").exit_code == 0


@on_sqlite
def test_an_encrypted_backup_is_made_without_a_key_that_opens_it(
    app: Flask, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    keys = app.config["FIKSTUR"].data_dir / "backup_keys"
    keys.mkdir()
    (keys / "recipients.txt").write_text(f"{identity.to_public()}\n")
    backup = made(app)
    assert (backup["state"], backup["encrypted"]) == ("verified", True)
    assert run_json(app, "backup", "verify", "latest")["state"] == "verified"
    refused = run(app, "backup", "drill", "latest")
    assert (refused.exit_code, "--identity" in refused.stderr) == (1, True)
    (tmp_path / "identity.txt").write_text(str(identity))
    with_key = ("--identity", tmp_path / "identity.txt")
    assert run_json(app, "backup", "drill", "latest", *with_key)["state"] == "drilled"
    assert run(app, "backup", "restore", "latest", "--force", *with_key).exit_code == 0


def work(app: Flask, request: JobRequest) -> int:
    """Submit a job and be the worker that does it."""
    with transaction() as session:
        job_id = submit_job(session, request, by="tester", trigger=Trigger.PANEL).job_id
    work_on(Worker(30), job_id, handlers(bench_of(app.config["FIKSTUR"])))
    return job_id


def test_a_worker_restores_and_an_undo_is_not_followed_by_another_restore(app: Flask) -> None:
    remember("old")
    backup = catalogue.find(made(app, "--no-drill")["id"])
    remember("new")
    job_id = work(app, restore_request(backup))
    assert sources() == ["old"]
    with reading() as session:
        assert imbalances(session) == []
        assert session.get(Job, job_id) is None  # it is in what was replaced
    run_json(app, "backup", "undo", "--force")
    assert sources() == ["new", "old"]
    with reading() as session:
        assert session.get_one(Job, job_id).state == "CANCELLED"
        assert imbalances(session) == []
        left = session.scalars(sa.select(JobItem.state).where(JobItem.kind == "restore_backup"))
        assert set(left) == {"cancelled"}


def test_a_worker_that_cannot_restore_says_why(app: Flask) -> None:
    backup = catalogue.find(made(app, "--no-drill")["id"])
    (folder(app) / backup.file).unlink()
    for request in (restore_request(backup), drill_request(backup), verify_request(backup)):
        job_id = work(app, request)
        with reading() as session:
            (item,) = session.scalars(sa.select(JobItem).where(JobItem.job_id == job_id))
            assert (item.state, item.code) == ("failed", "BACKUP_REFUSED")
            assert "is no longer in" in str(item.message)


@on_sqlite
def test_a_worker_that_is_told_to_stop_gives_its_backup_back(app: Flask) -> None:
    with transaction() as session:
        request = create_request("gece")
        job_id = submit_job(session, request, by="tester", trigger=Trigger.PANEL).job_id
    worker = Worker(30)

    def stop(_step: str, _done: int, _of: int) -> None:
        worker.stopping.set()

    work_on(worker, job_id, handlers(bench_of(app.config["FIKSTUR"], stop)))
    with reading() as session:
        (item,) = session.scalars(sa.select(JobItem).where(JobItem.job_id == job_id))
        assert (item.state, item.crashes, item.attempts) == ("waiting", 0, 0)
    assert list(folder(app).glob("**/*.partial")) == []


# --- keeping --------------------------------------------------------------------------------------


@on_sqlite
def test_pruning_explains_itself_and_throws_into_the_trash_first(app: Flask) -> None:
    backups = [made(app, "--no-drill") for _ in range(9)]
    planned = run_json(app, "backup", "prune", "--dry-run")
    assert [one["keep"] for one in planned] == [True] * 7 + [False] * 2
    assert planned[-1]["why"] == ["no rule keeps it"]
    assert len(run_json(app, "backup", "list")) == 9
    assert run_json(app, "backup", "prune") == planned
    oldest = {backup["file"] for backup in backups[:2]}
    assert {path.name for path in (folder(app) / "trash").iterdir()} == oldest
    assert len(run_json(app, "backup", "list")) == 7
    yesterday = time.time() - 25 * 3600
    thrown = folder(app) / "trash" / backups[0]["file"]
    os.utime(thrown, (yesterday, yesterday))
    run_json(app, "backup", "prune")
    assert {path.name for path in (folder(app) / "trash").iterdir()} == {backups[1]["file"]}


@on_sqlite
def test_old_data_of_restores_go_after_their_days(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(app)
    run_json(app, "backup", "restore", "latest", "--force")
    assert len(list((folder(app) / "undo").iterdir())) == 1
    run_json(app, "backup", "prune")
    assert len(list((folder(app) / "undo").iterdir())) == 1
    from datetime import timedelta

    from app.core.clock import now

    monkeypatch.setattr("app.backups.prune.now", lambda: now() + timedelta(days=8))
    run_json(app, "backup", "prune")
    assert list((folder(app) / "undo").iterdir()) == []
    assert run(app, "backup", "undo", "--force").exit_code == 1
