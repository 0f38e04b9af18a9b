"""The page Backups, and the status at its two addresses."""

import dataclasses
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import SQLITE_ONLY, run_json
from depots import a_depot, a_place, an_archive, daily_at_two
from factories import items_of
from flask import Flask
from panel import PASSWORD, Visitor, sign_in, signed_in, visitor
from sqlalchemy import func, select

from app.accounts.models import Role
from app.audit.models import AuditEntry
from app.backups import catalogue, tickets, uploads
from app.backups.models import BackupSchedule, State
from app.backups.work import bench_of, handlers
from app.core.clock import now
from app.core.db import db, reading, transaction
from app.core.text import RequestError
from app.jobs.models import Job
from app.jobs.runner import work_on
from app.jobs.worker import Worker
from app.sources.models import SourceState

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)
HOME = "/admin/backups/"


def made(app: Flask, *options: str) -> dict[str, Any]:
    return run_json(app, "backup", "create", *options)


def folder(app: Flask) -> Path:
    return app.config["FIKSTUR"].backup.folder


def last_job() -> Job | None:
    with reading() as session:
        return session.scalar(select(Job).order_by(Job.id.desc()).limit(1))


def work_on_last(app: Flask) -> None:
    job = last_job()
    assert job is not None
    work_on(Worker(30), job.id, handlers(bench_of(app.config["FIKSTUR"])))


def actions() -> list[str]:
    with reading() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def remember(*names: str) -> None:
    with transaction() as session:
        session.add_all(SourceState(source=name) for name in names)


def sources() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(select(SourceState.source)))


@pytest.fixture
def boss(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


# --- looking --------------------------------------------------------------------------------------


@on_sqlite
def test_the_page_says_how_things_are(boss: Visitor, app: Flask) -> None:
    page = boss.text(HOME)
    assert "There is no backup that is known to be good" in page
    assert "No backup has been restored on trial yet" in page
    backup = made(app)
    page = boss.text(HOME)
    assert "Last restored on trial" in page
    assert "restored on trial" in page
    assert backup["id"] in page
    assert "Yedekler" in signed_in(app, Role.VIEWER, language="tr").text(HOME)


@on_sqlite
def test_the_details_show_tables_with_rows_and_hashes(boss: Visitor, app: Flask) -> None:
    backup = made(app, "--no-drill")
    page = boss.text(HOME + backup["id"])
    assert "source_state" in page
    assert "db/schema.json.zst" in page
    assert re.search(r"<code title=\"[0-9a-f]{64}\">", page)


@on_sqlite
def test_a_damaged_archive_is_shown_with_its_sentence(boss: Visitor, app: Flask) -> None:
    backup = made(app, "--no-drill")
    path = folder(app) / backup["file"]
    path.write_bytes(path.read_bytes()[:-30])
    assert "its directory is wrong" in boss.text(HOME + backup["id"])
    boss.press(f"{HOME}{backup['id']}/verify", page=HOME)
    work_on_last(app)
    assert catalogue.find(backup["id"]).state == State.CORRUPT
    assert "damaged" in boss.text(HOME)
    path.unlink()
    assert "cannot be read" in boss.text(HOME + backup["id"])


@on_sqlite
def test_a_viewer_sees_and_changes_nothing(app: Flask) -> None:
    backup = made(app, "--no-drill")
    viewer = signed_in(app, Role.VIEWER)
    for page in (HOME, HOME + backup["id"], HOME + "retention"):
        body = viewer.text(page).partition('<main id="main"')[2].partition("</main>")[0]
        assert "<form" not in body, page


# --- making ---------------------------------------------------------------------------------------


@on_sqlite
def test_a_backup_is_made_by_a_worker_and_proven_again(app: Flask) -> None:
    operator = signed_in(app, Role.OPERATOR)
    page = operator.press(HOME + "create", page=HOME, type="full", name="gece")
    assert "Make a backup" in page.text
    assert "Make a backup" in operator.text(HOME + "live")
    work_on_last(app)
    (backup,) = catalogue.all_backups()
    assert (backup.name, backup.state) == ("gece", State.DRILLED)
    assert "No backup is being made" in operator.text(HOME + "live")
    for verb, kind in (("verify", "verify_backup"), ("drill", "drill_backup")):
        operator.press(f"{HOME}{backup.id}/{verb}", page=HOME)
        work_on_last(app)
        job = last_job()
        assert job is not None
        assert (job.kind, job.state) == (kind, "DONE")


@on_sqlite
@pytest.mark.parametrize("form", [{"type": "photos", "name": "x"}, {"type": "full", "name": "a b"}])
def test_what_cannot_be_made_is_a_sentence(boss: Visitor, form: dict[str, str]) -> None:
    page = boss.press(HOME + "create", page=HOME, **form)
    assert "note-bad" in page.text
    assert last_job() is None


@on_sqlite
def test_how_far_it_is_stands_on_the_page(boss: Visitor, app: Flask) -> None:
    boss.press(HOME + "create", page=HOME, type="full", name="gece")
    job, seen = last_job(), []
    assert job is not None

    def look(step: str, _done: int, _of: int) -> None:
        if step == "hashes" and not seen:
            seen.append(boss.text(HOME + "live"))
            assert 'id="step"' in boss.text(f"/admin/job/{job.id}")
            assert 'id="step"' in boss.text(f"/admin/job/{job.id}/live")
            seen.append(boss.get("/api/backups/status").get_json()["running"])

    work_on(Worker(30), job.id, handlers(bench_of(app.config["FIKSTUR"], look)))
    assert 'id="step"' not in boss.text(f"/admin/job/{job.id}")
    page, (running,) = seen
    assert "running" in page
    assert running["id"] == job.id
    assert running["step"]


@on_sqlite
def test_a_schedule_is_edited(boss: Visitor) -> None:
    wanted = {"type": "database", "hour": "5", "keep": "9", "weekday": "6", "enabled": "1"}
    page = boss.press(HOME + "schedule/weekly", page=HOME, **wanted)
    assert "The schedule was changed" in page.text
    with reading() as session:
        (row,) = session.scalars(select(BackupSchedule))
    assert (row.type, row.hour, row.keep, row.weekday, row.enabled) == ("database", 5, 9, 6, True)
    for bad in ({"hour": "24"}, {"hour": "x"}, {"keep": "0"}):
        page = boss.press(HOME + "schedule/weekly", page=HOME, **{**wanted, **bad})
        assert "note-bad" in page.text
    assert "note-bad" in boss.press(HOME + "schedule/hourly", page=HOME, **wanted).text
    boss.press(HOME + "schedule/weekly", page=HOME, type="full", hour="5", keep="9")
    with reading() as session:
        (row,) = session.scalars(select(BackupSchedule))
    assert not row.enabled


# --- restoring ------------------------------------------------------------------------------------


@on_sqlite
def test_a_worker_looks_what_a_restore_would_change_and_the_page_waits(
    boss: Visitor, app: Flask
) -> None:
    remember("old")
    backup = made(app, "--no-drill")
    remember("new")
    place = f"{HOME}{backup['id']}"
    assert "Compare now" in boss.text(f"{place}/preview")
    page = boss.press(f"{place}/compare", page=HOME).text
    assert 'data-live hx-get="' + f"{place}/preview/live" in page
    assert "You will lose" not in page
    assert boss.get(f"{place}/preview/live").headers.get("X-Poll") is None
    work_on_last(app)
    answer = boss.get(f"{place}/preview/live")
    assert answer.headers["X-Poll"] == "stop"
    assert "You will lose" in answer.text
    page = boss.text(f"{place}/preview")
    assert "data-live" not in page.partition('<main id="main"')[2]
    assert "source_state" in page
    told = boss.get(f"/api/backups/{backup['id']}/preview").get_json()["preview"]
    (change,) = [table for table in told["tables"] if table["table"] == "source_state"]
    assert (change["now"], change["in_backup"], change["lost"]) == (2, 1, 1)
    boss.press(f"{place}/compare", page=HOME)
    boss.press(f"{place}/compare", page=HOME)  # asked for twice, it is looked at once
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 3


def test_a_restore_is_confirmed_done_and_undone(boss: Visitor, app: Flask) -> None:
    remember("old")
    backup = made(app, "--no-drill")
    remember("new")
    place = f"{HOME}{backup['id']}"
    for wrong in (
        {"typed": backup["file"], "password": "wrong"},
        {"typed": "yes", "password": PASSWORD},
    ):
        page = boss.press(f"{place}/restore", page=HOME, **wrong).text
        assert "note-bad" in page
        job = last_job()
        assert job is not None
        assert job.kind == "create_backup"
    boss.press(f"{place}/restore", page=HOME, typed=backup["file"], password=PASSWORD)
    work_on_last(app)
    db.engine.dispose()
    assert sources() == ["old"]
    assert boss.get(HOME).status_code == 302  # everybody is signed out

    with transaction() as session:
        session.execute(db.text("DELETE FROM throttle"))
    again = visitor(app)
    sign_in(again, Role.ADMINISTRATOR.value)
    again.press("/language", language="en")
    page = again.text(HOME)
    assert "Undo the restore" in page
    again.press(HOME + "undo", page=HOME, typed=backup["file"], password=PASSWORD)
    work_on_last(app)
    db.engine.dispose()
    assert sources() == ["new", "old"]


@on_sqlite
def test_there_may_be_nothing_to_undo(boss: Visitor) -> None:
    assert "There is nothing to undo" in boss.press(HOME + "undo", page=HOME).text
    assert last_job() is None


@on_sqlite
def test_an_archive_without_a_database_has_no_preview(boss: Visitor, app: Flask) -> None:
    backup = made(app, "--type", "settings")
    boss.press(f"{HOME}{backup['id']}/compare", page=HOME)
    work_on_last(app)
    assert "holds settings only" in boss.text(f"{HOME}{backup['id']}/preview")


# --- deleting and keeping -------------------------------------------------------------------------


@on_sqlite
def test_the_last_good_backup_stays_and_others_go_into_the_trash(boss: Visitor, app: Flask) -> None:
    first, second = made(app, "--no-drill"), made(app, "--no-drill")
    boss.press(f"{HOME}{first['id']}/delete", page=HOME)
    assert [row.id for row in catalogue.all_backups()] == [second["id"]]
    assert (folder(app) / "trash" / first["file"]).is_file()
    page = boss.press(f"{HOME}{second['id']}/delete", page=HOME)
    assert "it is the last backup" in page.text
    assert (folder(app) / second["file"]).is_file()
    assert actions().count("backup.delete") == 1


@on_sqlite
def test_retention_explains_itself_before_it_is_applied(boss: Visitor, app: Flask) -> None:
    backups = [made(app, "--no-drill") for _ in range(8)]
    page = boss.text(HOME + "retention")
    assert "would go" in page
    assert "no rule keeps it" in page
    assert len(catalogue.all_backups()) == 8
    boss.press(HOME + "prune", page=HOME)
    work_on_last(app)
    assert {row.id for row in catalogue.all_backups()} == {one["id"] for one in backups[1:]}


# --- taking and bringing --------------------------------------------------------------------------


@on_sqlite
def test_a_download_needs_the_password_and_works_once(boss: Visitor, app: Flask) -> None:
    backup = made(app, "--no-drill")
    place = f"{HOME}{backup['id']}/download"
    page = boss.press(place, page=HOME, password="wrong")
    assert "password is wrong" in page.text
    answer = boss.post(place, data={"csrf_token": boss.token(HOME), "password": PASSWORD})
    ticket = answer.location
    assert backup["id"] not in ticket
    other = signed_in(app, Role.OPERATOR)
    assert other.get(ticket).status_code == 403
    with boss.get(ticket) as got:
        assert got.data == (folder(app) / backup["file"]).read_bytes()
        assert backup["file"] in got.headers["Content-Disposition"]
        assert got.headers["Cache-Control"] == "no-store"
    assert boss.get(ticket).status_code == 404
    assert actions().count("backup.download") == 1


@on_sqlite
def test_a_ticket_is_for_one_user_and_one_minute(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(app, "--no-drill")
    depot, backup = bench_of(app.config["FIKSTUR"]).depot, catalogue.find("latest")
    for user_id, later_s in (("other", 0), ("me", tickets.VALID_S + 1)):
        token = tickets.issue(depot, backup, "me")
        clock = tickets.time.time
        monkeypatch.setattr(tickets.time, "time", lambda c=clock, s=later_s: c() + s)
        with pytest.raises(RequestError):
            tickets.redeem(depot, token, user_id)
        monkeypatch.undo()
    assert tickets.redeem(depot, tickets.issue(depot, backup, "me"), "me") == backup.id


def send(client: Visitor, data: bytes, name: str = "../../evil.zip") -> Any:
    """As a browser does; written out, because the test client leaves its temporary file open."""
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n',
        client.token(HOME).encode(),
        b'\r\n--x\r\nContent-Disposition: form-data; name="archive"; ',
        f'filename="{name}"\r\n\r\n'.encode(),
        data,
        b"\r\n--x--\r\n",
    )
    form = {"data": b"".join(parts), "content_type": "multipart/form-data; boundary=x"}
    return client.post(HOME + "upload", **form, follow_redirects=True)


def told_of_upload(app: Flask) -> tuple[str, str]:
    """What became of the check of what was sent."""
    job = last_job()
    assert job is not None
    assert job.kind == uploads.KIND
    work_on(Worker(30), job.id, uploads.handlers(lambda: app.config["FIKSTUR"]))
    ended = last_job()
    assert ended is not None
    return ended.state, str(items_of(job.id)[0].message)


@on_sqlite
def test_an_archive_is_taken_in_when_all_of_it_is_right(
    boss: Visitor, app: Flask, tmp_path: Path
) -> None:
    path = an_archive(a_depot(tmp_path / "other", a_place(tmp_path / "other.db")))
    data = path.read_bytes()
    spoilt = bytearray(data)
    spoilt[200] ^= 1
    for bad in (b"", b"no archive", bytes(spoilt), data[:-1]):
        send(boss, bad)
        assert told_of_upload(app)[0] == "FAILED"
        assert catalogue.all_backups() == []
    send(boss, data)
    assert told_of_upload(app) == ("DONE", f"{path.name} is whole and in the list.")
    (row,) = catalogue.all_backups()
    assert (row.file, row.state, row.trusted) == (path.name, State.VERIFIED, False)
    assert (folder(app) / path.name).read_bytes() == data
    send(boss, data)
    assert "is here already" in told_of_upload(app)[1]
    assert list((folder(app) / "incoming").iterdir()) == []
    assert actions().count("backup.upload") == 1
    boss.press(f"{HOME}{row.id}/compare", page=HOME)
    work_on_last(app)
    assert "though its signature is unknown" in boss.text(f"{HOME}{row.id}/preview")


@on_sqlite
def test_a_file_larger_than_allowed_is_refused(boss: Visitor, app: Flask) -> None:
    config = app.config["FIKSTUR"]
    backup = dataclasses.replace(config.backup, upload_mb=1)
    app.config["FIKSTUR"] = dataclasses.replace(config, backup=backup)
    answer = send(boss, bytes(1024 * 1024 + 70_000))
    assert (answer.status_code, "larger than 1 MB" in answer.text) == (413, True)
    assert send(boss, bytes(1024 * 1024 - 70_000)).status_code == 200  # read, and no archive


# --- status ---------------------------------------------------------------------------------------


@on_sqlite
def test_the_status_has_two_addresses_and_a_command(boss: Visitor, app: Flask) -> None:
    nobody = visitor(app)
    assert nobody.get("/settings/api/backup-status/").status_code in {302, 401}
    told = boss.get("/settings/api/backup-status/").get_json()
    assert (told["status"], told["last_success"], told["verified_count"]) == ("critical", None, 0)
    assert told["problems"]
    made(app)
    with transaction() as session:
        session.add(daily_at_two(catalogue.find("latest").at))
    for address in ("/settings/api/backup-status/", "/api/backups/status"):
        told = boss.get(address).get_json()
        assert (told["status"], told["problems"], told["overdue"]) == ("ok", [], False)
        assert told["last_drill"]["ok"] is True
        assert told["last_drill"]["rto_s"] > 0
        assert told["bytes"] == catalogue.find("latest").size
        assert told["free_bytes"] > 0
        assert told["next_run"]
        assert told["running"] == []
    assert run_json(app, "backup", "status")["status"] == "ok"
    assert [one["state"] for one in boss.get("/api/backups").get_json()["backups"]] == ["drilled"]


@on_sqlite
def test_a_late_backup_stands_on_the_dashboard(boss: Visitor) -> None:
    assert "has not been made" not in boss.text("/admin/")
    with transaction() as session:
        values = {"type": "full", "hour": 2, "weekday": 0, "day": 1, "keep": 7, "enabled": True}
        since = now() - timedelta(days=3)
        session.add(BackupSchedule(name="daily", since=since, **values))
    assert "has not been made" in boss.text("/admin/")
    assert boss.get("/api/backups/status").get_json()["overdue"] is True
