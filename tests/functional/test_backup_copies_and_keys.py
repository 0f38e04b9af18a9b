"""The pages Copies off-site and Recovery keys, their twins in the API, and strangers' archives."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from commands import SQLITE_ONLY, run, run_json
from depots import a_depot, a_place, an_archive
from factories import items_of
from flask import Flask
from panel import PASSWORD, Visitor, signed_in
from sqlalchemy import select

from app.accounts.models import Role
from app.audit.models import AuditEntry
from app.backups import catalogue
from app.backups.journal import Journal, Step
from app.backups.keyring import Ring
from app.backups.models import State
from app.backups.offsite_work import handlers
from app.backups.work import bench_of
from app.backups.work import handlers as backup_handlers
from app.core.db import db, reading
from app.jobs.models import Job
from app.jobs.runner import work_on
from app.jobs.worker import Worker

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
KEYS, COPIES = "/admin/backups/keys/", "/admin/backups/copies/"


@pytest.fixture
def boss(app: Flask) -> Visitor:
    return signed_in(app, Role.ADMINISTRATOR)


def work_on_last(app: Flask) -> tuple[str, str]:
    with reading() as session:
        job_id = session.scalars(select(Job.id).order_by(Job.id.desc()).limit(1)).one()
    config = app.config["FIKSTUR"]
    work_on(Worker(30), job_id, {**handlers(lambda: config), **backup_handlers(bench_of(config))})
    (item,) = items_of(job_id)
    return item.state, str(item.message)


def actions() -> list[str]:
    with reading() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def api(client: Visitor, method: str, address: str, **body: Any) -> Any:
    token = {"X-CSRFToken": client.token()}
    return client.open(f"/api/backups{address}", method=method, json=body or None, headers=token)


def test_a_key_is_made_proved_exchanged_and_retired_on_the_page(boss: Visitor, app: Flask) -> None:
    assert "Backups are not encrypted" in boss.text(KEYS)
    assert "wrong" in boss.press(f"{KEYS}new", page=KEYS, password="wrong").text
    kit = boss.press(f"{KEYS}new", page=KEYS, password=PASSWORD)
    assert kit.headers["Cache-Control"] == "no-store"
    (secret,) = re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+(?=<)", kit.text)
    for needed in ("age --decrypt", "backup restore", "zstd --decompress", "Fingerprint"):
        assert needed in kit.text
    ring = Ring(bench_of(app.config["FIKSTUR"]).depot.keys.folder)
    (key,) = ring.known()
    assert not key.in_force
    page = boss.text(KEYS)
    assert secret not in page
    assert "not proved yet" in page
    assert "belongs to no key" in boss.press(f"{KEYS}prove", page=KEYS, shown="x").text
    assert "new backups are encrypted" in boss.press(f"{KEYS}prove", page=KEYS, shown=secret).text
    assert ring.known()[0].in_force
    assert key.short in boss.text("/admin/backups/")
    made = run_json(app, "backup", "create")
    assert key.short in boss.text(f"/admin/backups/{made['id']}")
    last = {"key": key.short, "password": PASSWORD}
    assert "is the last key" in boss.press(f"{KEYS}retire", page=KEYS, **last).text
    boss.press(f"{KEYS}retire", page=KEYS, **last, last_too="1")
    assert not ring.known()[0].in_force
    wanted = [f"backup.key.{what}" for what in ("propose", "prove", "retire")]
    assert [one for one in actions() if "key" in one] == wanted


def test_the_api_has_the_keys_too(boss: Visitor, app: Flask) -> None:
    assert api(boss, "POST", "/keys", password="wrong").status_code == 400
    made = api(boss, "POST", "/keys", password=PASSWORD)
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    identity = made.get_json()["identity"]
    assert api(boss, "POST", "/keys/prove", answer=identity).get_json()["in_force"] is True
    (listed,) = api(boss, "GET", "/keys").get_json()["keys"]
    assert identity not in str(listed)
    assert api(boss, "POST", f"/keys/{listed['fingerprint']}/retire").status_code == 400
    answer = api(boss, "POST", f"/keys/{listed['fingerprint']}/retire", last_too=True)
    assert answer.get_json()["in_force"] is False


def test_copies_are_shown_tried_out_and_brought_back(
    boss: Visitor, app: Flask, tmp_path: Path
) -> None:
    assert "on this machine only" in boss.text(COPIES)
    folder = tmp_path / "disk"
    config = app.config["FIKSTUR"]
    offsite = dataclasses.replace(config.offsite, folder=folder)
    app.config["FIKSTUR"] = dataclasses.replace(config, offsite=offsite)
    backup = run_json(app, "backup", "create", "--no-drill")
    boss.press(f"{COPIES}check", page=COPIES)
    state, told = work_on_last(app)
    assert (state, "is not there, or another disk" in told) == ("failed", True)
    folder.mkdir()
    boss.press(f"/admin/backups/{backup['id']}/copy", page=COPIES)
    assert work_on_last(app)[0] == "done"
    assert backup["file"] in boss.text(COPIES)
    assert "Bring it back" not in boss.text(COPIES)
    assert "copied" in boss.text(f"/admin/backups/{backup['id']}")
    (config.backup.folder / backup["file"]).unlink()
    run(app, "backup", "rescan")
    boss.press(f"{COPIES}fetch", page=COPIES, file=backup["file"])
    assert work_on_last(app)[0] == "done"
    assert catalogue.find(backup["id"]).state == State.VERIFIED
    told = api(boss, "GET", "/copies").get_json()
    assert [one["file"] for one in told["copies"]] == [backup["file"]]
    for address, body in (("/copies/check", {}), ("/copies/fetch", {"file": backup["file"]})):
        assert api(boss, "POST", address, **body).status_code == 202
        assert work_on_last(app)[0] == "done"
    status = boss.get("/api/backups/status").get_json()
    assert (status["off_site_lag_s"], status["off_site"]["copied"]) == (0, 1)


def test_copies_and_downloads_by_command(app: Flask, tmp_path: Path) -> None:
    assert run(app, "backup", "copy").exit_code == 2  # no place is set
    config, folder = app.config["FIKSTUR"], tmp_path / "disk"
    offsite = dataclasses.replace(config.offsite, folder=folder)
    app.config["FIKSTUR"] = dataclasses.replace(config, offsite=offsite)
    backup = run_json(app, "backup", "create", "--no-drill")
    assert run(app, "backup", "copy").exit_code == 3  # the folder is not there
    folder.mkdir()
    assert run(app, "backup", "copies", "--look").exit_code == 0
    (copy,) = run_json(app, "backup", "copy", backup["id"])
    assert copy["verified_at"]
    out = tmp_path / "out"
    out.mkdir()
    run_json(app, "backup", "download", backup["id"], "--to", out)
    assert run(app, "backup", "download", backup["id"], "--to", out).exit_code == 1
    path = config.backup.folder / backup["file"]
    assert (out / path.name).read_bytes() == path.read_bytes()
    path.unlink()
    run(app, "backup", "rescan")
    run_json(app, "backup", "download", path.name, "--from-offsite")
    assert path.is_file()
    assert catalogue.find(backup["id"]).state == State.VERIFIED


def test_a_strangers_archive_needs_explicit_trust_everywhere(
    boss: Visitor, app: Flask, tmp_path: Path
) -> None:
    path = an_archive(a_depot(tmp_path / "other", a_place(tmp_path / "other.db")))
    strange = run_json(app, "backup", "upload", path)
    assert (strange["trusted"], strange["state"]) == (False, "verified")
    refused = run(app, "backup", "restore", strange["id"], "--force")
    assert (refused.exit_code, "unknown installation" in refused.output) == (1, True)
    confirmed = {"file": strange["file"], "password": PASSWORD}
    answer = api(boss, "POST", f"/{strange['id']}/restore", **confirmed)
    assert (answer.status_code, "trust" in answer.get_json()["error"]) == (400, True)
    place = f"/admin/backups/{strange['id']}"
    typed = {"typed": strange["file"], "password": PASSWORD}
    assert "Its signature is unknown" in boss.press(f"{place}/restore", page=COPIES, **typed).text
    assert "restore_backup" not in kinds()
    answer = api(boss, "POST", f"/{strange['id']}/restore", **confirmed, trust=True)
    assert answer.status_code == 202
    bench = bench_of(app.config["FIKSTUR"])
    work_on(Worker(30), answer.get_json()["job"], backup_handlers(bench))
    db.engine.dispose()
    (entry,) = Journal(bench.depot.folder).entries()
    assert (entry.file, entry.step) == (strange["file"], Step.DONE)
    assert boss.get("/admin/").status_code == 302  # the users are those of the archive: none


def kinds() -> set[str]:
    with reading() as session:
        return set(session.scalars(select(Job.kind)))


def test_the_api_makes_proves_and_gives_tickets(boss: Visitor, app: Flask) -> None:
    assert api(boss, "POST", "", type="photos").status_code == 400
    assert api(boss, "POST", "", type="settings", name="gece").status_code == 202
    assert work_on_last(app)[0] == "done"
    (row,) = catalogue.all_backups()
    assert api(boss, "POST", f"/{row.id}/verify").status_code == 202
    assert work_on_last(app)[0] == "done"
    assert api(boss, "POST", "/ffffffff/drill").status_code == 404
    assert api(boss, "POST", f"/{row.id}/download", password="wrong").status_code == 400
    told = api(boss, "POST", f"/{row.id}/download", password=PASSWORD).get_json()
    with boss.get(told["url"]) as got:
        assert got.data == (app.config["FIKSTUR"].backup.folder / row.file).read_bytes()


def test_what_another_secret_key_makes_unreadable_is_named(app: Flask) -> None:
    for name in ("SMTP_PASSWORD", "FOOTBALL_DATA_TOKEN", "SMTP_HOST"):
        assert run(app, "settings", "set", name, "a-value-for-tests").exit_code == 0
    backup = run_json(app, "backup", "create", "--no-drill")
    assert run_json(app, "backup", "preview", backup["id"])["warnings"] == []
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, secret_key="another key " * 5)
    (told,) = run_json(app, "backup", "preview", backup["id"])["warnings"]
    assert told.endswith("entered anew: FOOTBALL_DATA_TOKEN, SMTP_PASSWORD.")
    restored = run(app, "backup", "restore", backup["id"], "--force")
    assert (restored.exit_code, told in restored.stderr) == (0, True)
