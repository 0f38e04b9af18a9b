"""Copies elsewhere: sent, read back, kept by their own number, tried again, and brought back."""

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bucket import BUCKET, KEY_ID, SECRET, Bucket, bucket
from commands import SQLITE_ONLY, run, run_json
from factories import items_of
from flask import Flask
from sqlalchemy import select, update

from app.backups import catalogue, offsite_copies
from app.backups.hands import AGAIN_AFTER_S, DAMAGED, UNREACHABLE
from app.backups.models import Backup, FarCopy, State
from app.backups.offsite import MARK, DifferentError, FarError, far_of, reason_in
from app.backups.offsite_work import handlers, submit_due
from app.backups.request import check_offsite_request, copy_request, fetch_request
from app.core.clock import now
from app.core.db import db_now, persist, reading, transaction
from app.jobs.models import ItemState, JobItem, Trigger
from app.jobs.runner import work_on
from app.jobs.submit import JobRequest, submit
from app.jobs.worker import Worker
from app.sources.models import SourceState
from config import Config, OffsiteSettings

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)
NAME = "nightly_20260302T120000Z_full_0123abcd.zip"
AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def edges() -> bool:
    """Links, commands or requests are part of it."""
    return True


def settings(**changes: Any) -> OffsiteSettings:
    known = {"folder": None, "bucket": None, "endpoint": None, "region": "us-east-1"}
    known |= {"prefix": "fikstur", "key_id": KEY_ID, "secret": SECRET, "keep": 3}
    return OffsiteSettings(**{**known, **changes})


def in_bucket(kept: Bucket, **changes: Any) -> OffsiteSettings:
    return settings(bucket=BUCKET, endpoint=kept.endpoint, **changes)


@pytest.fixture
def far_bucket() -> Iterator[Bucket]:
    with bucket() as kept:
        yield kept


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """More than one part of an upload."""
    path = tmp_path / NAME
    path.write_bytes(bytes(range(256)) * 40_000)
    return path


def use(app: Flask, offsite: OffsiteSettings) -> Config:
    app.config["FIKSTUR"] = dataclasses.replace(app.config["FIKSTUR"], offsite=offsite)
    return app.config["FIKSTUR"]


def ask(request: JobRequest) -> int:
    return persist(lambda s: submit(s, request, by="tester", trigger=Trigger.CLI).job_id)


def work(app: Flask, job_id: int) -> JobItem:
    work_on(Worker(30), job_id, handlers(lambda: app.config["FIKSTUR"]))
    return items_of(job_id)[0]


def again_now(job_id: int) -> None:
    with transaction() as session:
        session.execute(update(JobItem).values(not_before=db_now()).where(JobItem.job_id == job_id))


def made(app: Flask) -> dict[str, Any]:
    return run_json(app, "backup", "create", "--no-drill")


def copies() -> list[FarCopy]:
    with reading() as session:
        return list(session.scalars(select(FarCopy).order_by(FarCopy.file)))


# --- the far side itself --------------------------------------------------------------------------


def test_a_file_goes_there_in_parts_and_comes_back_the_same(
    far_bucket: Bucket, archive: Path
) -> None:
    far = far_of(in_bucket(far_bucket))
    assert far is not None
    sent = far.send(archive)
    assert sent.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert far_bucket.objects == {f"fikstur/{NAME}": archive.read_bytes()}
    assert sum("partNumber" in line for line in far_bucket.asked) > 1
    assert far.names() == {NAME: sent.size}
    assert b"".join(far.read(NAME)) == archive.read_bytes()
    far.remove(NAME)
    far.remove(NAME)
    assert far.names() == {}


@pytest.mark.parametrize("fault", ["spoil", "lose_tail"])
def test_what_was_stored_wrong_is_noticed_and_removed(archive: Path, fault: str) -> None:
    with bucket(**{fault: True}) as kept:
        far = far_of(in_bucket(kept))
        assert far is not None
        with pytest.raises(DifferentError):
            far.send(archive)
        assert kept.objects == {}


def test_cut_lines_and_passing_errors_are_gone_over(archive: Path) -> None:
    for fault in ({"cut_parts": 2}, {"fail_with": 503, "fail_times": 2}):
        with bucket(**fault) as kept:
            far = far_of(in_bucket(kept))
            assert far is not None
            assert far.send(archive).size == archive.stat().st_size


def test_who_is_stopped_leaves_no_half_upload(far_bucket: Bucket, archive: Path) -> None:
    class StopError(Exception):
        pass

    def tell(_step: str, done: int, _of: int) -> None:
        if done:
            raise StopError

    far = far_of(in_bucket(far_bucket))
    assert far is not None
    with pytest.raises(StopError):
        far.send(archive, tell)
    assert (far_bucket.objects, far_bucket.parts) == ({}, {})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"key_id": "wrong"}, "refuses the access key"),
        ({"bucket": "other-1"}, "404 Not Found, NoSuchBucket"),
    ],
)
def test_what_does_not_work_is_a_sentence_without_the_secret(
    far_bucket: Bucket, changes: dict[str, str], told: str
) -> None:
    far = far_of(dataclasses.replace(in_bucket(far_bucket), **changes))
    assert far is not None
    with pytest.raises(FarError, match=told) as raised:
        far.try_out()
    assert SECRET not in str(raised.value)


def test_a_store_that_is_away_is_a_sentence(archive: Path) -> None:
    with bucket() as kept:
        far = far_of(in_bucket(kept))
    assert far is not None
    with pytest.raises(FarError, match="no connection"):
        far.send(archive)
    assert reason_in("") == "?"


def test_a_disk_that_is_not_mounted_takes_no_copy(tmp_path: Path, archive: Path) -> None:
    folder = tmp_path / "disk"
    far = far_of(settings(folder=folder))
    assert far is not None
    folder.mkdir()
    with pytest.raises(FarError, match="not there, or another disk"):
        far.send(archive)
    assert list(folder.iterdir()) == []
    far.try_out()
    far.settle()
    far.send(archive)
    assert sorted(path.name for path in folder.iterdir()) == [MARK, NAME]
    assert far.names() == {NAME: archive.stat().st_size}
    with pytest.raises(FarError, match="There is no missing"):
        list(far.read("missing.zip"))


# --- what is to be there, without a database ------------------------------------------------------


def a_backup(number: int, **more: Any) -> Backup:
    known = {"id": f"{number:032}", "file": f"f{number}", "type": "full", "needs": None}
    return Backup(**{**known, "at": AT + timedelta(days=number), **more})


def a_copy(number: int, **more: Any) -> FarCopy:
    known = {"backup_id": f"{number:032}", "file": f"f{number}", "type": "full", "needs": None}
    at = AT + timedelta(days=number)
    return FarCopy(**{**known, "at": at, "verified_at": at, **more})


def by_name(*rows: FarCopy) -> dict[str, FarCopy]:
    return {row.file: row for row in rows}


def test_only_what_would_stay_is_copied_and_the_newest_first() -> None:
    later = AT + timedelta(days=99)
    good = [a_backup(n) for n in range(6)]
    assert [row.file for row in offsite_copies.wanted(good, {}, 3, later)] == ["f5", "f4", "f3"]
    known = by_name(a_copy(5), a_copy(4, verified_at=None), a_copy(9))
    assert [row.file for row in offsite_copies.wanted(good, known, 3, later)] == ["f4"]


def test_the_far_side_keeps_its_number_and_never_loses_the_last_verified() -> None:
    later = AT + timedelta(days=99)
    known = by_name(*(a_copy(n) for n in range(5)), a_copy(7, verified_at=None))
    assert sorted(offsite_copies.to_remove(known, 2, later)) == ["f0", "f1", "f2"]
    assert offsite_copies.to_remove(by_name(a_copy(0), a_copy(1, verified_at=None)), 1, later) == []


def test_what_a_kept_copy_builds_on_stays_and_is_copied_too() -> None:
    later = AT + timedelta(days=99)
    base, top = a_copy(0), a_copy(4, needs=f"{0:032}")
    known = by_name(base, a_copy(2), top)
    assert offsite_copies.to_remove(known, 1, later) == ["f2"]
    good = [a_backup(0), a_backup(2), a_backup(4, needs=f"{0:032}")]
    assert [row.file for row in offsite_copies.wanted(good, {}, 1, later)] == ["f4", "f0"]


# --- as jobs --------------------------------------------------------------------------------------


def test_a_finished_backup_is_copied_once_by_a_job_of_its_own(
    app: Flask, far_bucket: Bucket
) -> None:
    backup = made(app)
    assert submit_due(app.config["FIKSTUR"]) == []  # nowhere to copy to
    config = use(app, in_bucket(far_bucket))
    (job_id,) = submit_due(config)
    assert submit_due(config) == []  # under way
    item = work(app, job_id)
    assert item.state == ItemState.DONE
    (copy,) = copies()
    path = config.backup.folder / backup["file"]
    assert far_bucket.objects == {f"fikstur/{backup['file']}": path.read_bytes()}
    assert (copy.size, copy.sha256) == (
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert copy.verified_at is not None
    assert submit_due(config) == []


@on_sqlite
def test_a_failing_store_is_tried_again_then_said_to_fail_then_tried_again(app: Flask) -> None:
    made(app)
    with bucket(fail_with=500) as kept:
        config = use(app, in_bucket(kept))
        (job_id,) = submit_due(config)
        for number in range(len(AGAIN_AFTER_S) + 1):
            item = work(app, job_id)
            assert copies()[0].failures == number + 1
            again_now(job_id)
        assert (item.state, item.code) == (ItemState.FAILED, UNREACHABLE)
        assert "500 Internal Server Error" in str(copies()[0].message)
        told = run_json(app, "backup", "status")
        assert any("500 Internal Server Error" in one for one in told["problems"])
        assert submit_due(config) == []
        with transaction() as session:
            session.execute(update(FarCopy).values(failed_at=now() - timedelta(hours=7)))
        kept.fail_with = 0
        (job_id,) = submit_due(config)
        assert work(app, job_id).state == ItemState.DONE
    (copy,) = copies()
    assert (copy.failures, copy.message) == (0, None)


@on_sqlite
def test_a_copy_that_is_wrong_does_not_count(app: Flask) -> None:
    made(app)
    with bucket(spoil=True) as kept:
        (job_id,) = submit_due(use(app, in_bucket(kept)))
        assert work(app, job_id).state == ItemState.WAITING
        assert copies()[0].verified_at is None
        kept.spoil = False
        again_now(job_id)
        assert work(app, job_id).state == ItemState.DONE
    assert copies()[0].verified_at is not None


@on_sqlite
def test_a_damaged_archive_is_not_copied(app: Flask, far_bucket: Bucket) -> None:
    backup = made(app)
    path = app.config["FIKSTUR"].backup.folder / backup["file"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (job_id,) = submit_due(use(app, in_bucket(far_bucket)))
    item = work(app, job_id)
    assert (item.state, item.code) == (ItemState.FAILED, DAMAGED)
    assert far_bucket.objects == {}
    assert catalogue.find(backup["id"]).state == State.CORRUPT


@on_sqlite
def test_the_far_side_has_a_number_of_its_own_and_notices_losses(
    app: Flask, far_bucket: Bucket
) -> None:
    backups = [made(app) for _ in range(4)]
    config = use(app, in_bucket(far_bucket, keep=2))
    jobs = submit_due(config)
    assert len(jobs) == 2
    for job_id in jobs:
        work(app, job_id)
    names = [f"fikstur/{one['file']}" for one in backups]
    assert sorted(far_bucket.objects) == sorted(names[2:])
    strange = "other_20200101T000000Z_full_99999999.zip"
    far_bucket.objects[f"fikstur/{strange}"] = b"somebody else's"
    del far_bucket.objects[names[3]]
    assert work(app, ask(check_offsite_request())).state == ItemState.DONE
    assert {row.file for row in copies() if row.verified_at} == {backups[2]["file"]}
    for job_id in (*submit_due(config), ask(copy_request(catalogue.find(made(app)["id"])))):
        work(app, job_id)
    assert f"fikstur/{strange}" in far_bucket.objects
    assert names[3] in far_bucket.objects
    assert names[2] not in far_bucket.objects


def test_an_archive_comes_back_after_everything_here_was_lost(app: Flask, tmp_path: Path) -> None:
    backup, folder = made(app), tmp_path / "disk"
    folder.mkdir()
    config = use(app, settings(folder=folder))
    (job_id,) = submit_due(config)
    assert work(app, job_id).state == ItemState.DONE
    path = config.backup.folder / backup["file"]
    data = path.read_bytes()
    path.unlink()
    with transaction() as session:
        session.query(Backup).delete()
        session.query(FarCopy).delete()
    assert work(app, ask(check_offsite_request())).state == ItemState.DONE
    (seen,) = copies()
    assert (seen.file, seen.verified_at) == (backup["file"], None)
    item = work(app, ask(fetch_request(seen.file)))
    assert item.state == ItemState.DONE
    assert path.read_bytes() == data
    row = catalogue.find(backup["id"])
    assert (row.state, row.trusted) == (State.VERIFIED, True)
    assert run(app, "backup", "drill", row.id).exit_code == 0
    assert work(app, ask(fetch_request(seen.file))).state == ItemState.DONE  # is here already


@on_sqlite
def test_what_comes_back_damaged_is_refused(app: Flask, far_bucket: Bucket) -> None:
    backup = made(app)
    config = use(app, in_bucket(far_bucket))
    (job_id,) = submit_due(config)
    work(app, job_id)
    (config.backup.folder / backup["file"]).unlink()
    run(app, "backup", "rescan")
    name = f"fikstur/{backup['file']}"
    far_bucket.objects[name] = far_bucket.objects[name][:-9] + bytes(9)
    item = work(app, ask(fetch_request(backup["file"])))
    assert (item.state, item.code) == (ItemState.FAILED, DAMAGED)
    assert not (config.backup.folder / backup["file"]).exists()
    assert catalogue.find(backup["id"]).state == State.MISSING


@on_sqlite
def test_what_is_known_of_copies_survives_a_restore(app: Flask, far_bucket: Bucket) -> None:
    backup = made(app)
    (job_id,) = submit_due(use(app, in_bucket(far_bucket)))
    work(app, job_id)
    assert run(app, "backup", "restore", backup["id"], "--force").exit_code == 0
    assert [row.file for row in copies() if row.verified_at] == [backup["file"]]


@on_sqlite
def test_what_an_archive_builds_on_goes_there_and_comes_back_with_it(
    app: Flask, far_bucket: Bucket
) -> None:
    with transaction() as session:
        session.add(SourceState(source="stays-as-it-is"))
    base, top = made(app), run_json(app, "backup", "create", "--no-drill", "--incremental")
    assert catalogue.find(top["id"]).needs == base["id"]
    config = use(app, in_bucket(far_bucket, keep=1))
    for job_id in submit_due(config):
        work(app, job_id)
    assert len(far_bucket.objects) == 2
    for one in (base, top):
        (config.backup.folder / one["file"]).unlink()
    run(app, "backup", "rescan")
    item = work(app, ask(fetch_request(top["file"])))
    assert item.state == ItemState.DONE, str(item.message)
    assert {row.state for row in catalogue.all_backups()} == {State.VERIFIED}
