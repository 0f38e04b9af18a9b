import pytest
from commands import SQLITE_ONLY, run, run_json
from factories import a_job, items_of
from flask import Flask

import tasks
from app.core.clock import now
from app.core.db import transaction
from app.jobs.worker import Worker
from app.settings import store
from app.settings.models import Setting

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
NAMES = ["database", "migrations", "queue", "worker", "disk", "sources", "settings", "books"]


def test_a_house_in_order_ends_with_0(app: Flask) -> None:
    Worker(lease_s=30).beat()
    found = run_json(app, "doctor")
    assert found["ok"] is True
    assert [check["name"] for check in found["checks"]] == [*NAMES, "backups"]
    assert all(check["ok"] and check["message"] for check in found["checks"])
    said = run(app, "doctor")
    assert said.exit_code == 0
    assert "NOT OK" not in said.stdout


def test_what_is_wrong_is_said_with_what_to_do_and_ends_with_1(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> int:
        raise ConnectionError("nobody listens at port 6379")

    monkeypatch.setattr(tasks.huey, "pending_count", away)
    job_id = a_job(days=2)
    with transaction() as session:
        session.delete(items_of(job_id)[0])
    found = run_json(app, "doctor", exit_code=1)
    wrong = {check["name"]: check["message"] for check in found["checks"] if not check["ok"]}
    assert found["ok"] is False
    assert set(wrong) == {"queue", "worker", "books"}
    assert "nobody listens at port 6379" in wrong["queue"]
    assert "flask --app wsgi worker" in wrong["worker"]
    assert "jobs audit" in wrong["books"]
    assert run(app, "doctor").stdout.count("NOT OK") == 3


def test_a_stored_setting_that_cannot_be_used_is_named_in_the_language_of_the_reader(
    app: Flask,
) -> None:
    Worker(lease_s=30).beat()
    with transaction() as session:
        store.put(session, app.extensions["live"].base, "LANGUAGE", "en")
        for key, value in (("TIME_ZONE", "Mars/Olympus"), ("SMTP_PASSWORD", "not encrypted")):
            row = {"key": key, "value": value, "encrypted": key == "SMTP_PASSWORD"}
            session.add(Setting(**row, updated_at=now(), updated_by="somebody"))
    found = run_json(app, "doctor", exit_code=1)
    (wrong,) = [check for check in found["checks"] if not check["ok"]]
    assert wrong["name"] == "settings"
    assert "Mars/Olympus" in wrong["message"]
    assert "SMTP_PASSWORD cannot be read" in wrong["message"]
    assert "not encrypted" not in wrong["message"]
