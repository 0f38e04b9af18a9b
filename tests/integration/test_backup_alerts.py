"""Letters about backups: each thing once, its end once, a weekly one; never dropped in silence."""

import dataclasses
import email
import email.policy
import functools
from datetime import timedelta
from typing import Any

import pytest
from commands import SQLITE_ONLY, run_json
from depots import daily_at_two
from flask import Flask
from panel import signed_in
from postman import Postman, postman
from sqlalchemy import select, update

import tasks
from app.accounts import users
from app.accounts.models import Role
from app.backups.models import Backup, FarCopy, Incident, State
from app.backups.request import create_request
from app.core.clock import now
from app.core.db import persist, reading, transaction
from app.jobs.models import Job, JobItem, JobState, Trigger
from app.jobs.runner import Handler, work_on
from app.jobs.submit import submit
from app.jobs.worker import Worker
from app.mail.letters import Kind
from app.mail.models import Mail
from app.mail.send import send_item
from app.monitoring import alerts
from app.monitoring.health import check_backups
from config import Config

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture
def edges() -> bool:
    """Links, commands or requests are part of it."""
    return True


def an_administrator(name: str = "ayse", language: str = "en") -> None:
    with transaction() as session:
        address = f"{name}@example.com"
        user = users.create(session, name, None, role=Role.ADMINISTRATOR, email=address)
        user.language = language


def use(app: Flask, **changes: Any) -> Config:
    config = app.config["FIKSTUR"]
    backup = dataclasses.replace(config.backup, mail=changes.pop("tell", "all"))
    mail = dataclasses.replace(config.mail, **changes)
    app.config["FIKSTUR"] = dataclasses.replace(config, backup=backup, mail=mail)
    return app.config["FIKSTUR"]


def overdue(*, is_on: bool = True) -> None:
    with transaction() as session:
        session.merge(daily_at_two(now() - timedelta(days=3), enabled=is_on))


def letters() -> list[tuple[str, str]]:
    with reading() as session:
        return [(row.kind, row.to) for row in session.scalars(select(Mail).order_by(Mail.id))]


def incidents() -> dict[str, bool]:
    with reading() as session:
        return {row.key: row.told for row in session.scalars(select(Incident))}


def send_all(config: Config) -> None:
    with reading() as session:
        jobs = session.scalars(select(Job.id).where(Job.kind == "send_mail")).all()
    for job_id in jobs:
        work_on(Worker(45), job_id, {"send_mail": Handler(functools.partial(send_item, config))})


def bodies(man: Postman) -> list[str]:
    found = [email.message_from_bytes(one, policy=email.policy.default) for one in man.letters]
    return [one.get_body(("plain",)).get_content() for one in found]  # type: ignore[attr-defined]


def test_trouble_is_told_once_and_its_end_once(app: Flask) -> None:
    an_administrator("ayse")
    an_administrator("mehmet", language="tr")
    with postman() as man:
        config = use(app, backend="smtp", host="127.0.0.1", port=man.port, tls="none")
        alerts.look(config)
        assert letters() == []
        overdue()
        for _ in range(3):
            alerts.look(config)
        to = {("backup_alert", "ayse@example.com"), ("backup_alert", "mehmet@example.com")}
        assert (set(letters()), len(letters())) == (to, 2)
        send_all(config)
        english, turkish = sorted(bodies(man), key=lambda text: "Merhaba" in text)
        assert "The daily backup that was due at" in english
        assert f"{config.public_url}/admin/backups/" in english
        assert "daily" in turkish
        assert "that was due" not in turkish
        overdue(is_on=False)
        for _ in range(3):
            alerts.look(config)
        assert [kind for kind, _to in letters()[2:]] == ["backup_over", "backup_over"]
        assert incidents() == {}
        send_all(config)
    assert len(man.letters) == 4


@on_sqlite
def test_what_nobody_could_be_told_stands_on_the_dashboard_and_is_told_later(app: Flask) -> None:
    boss = signed_in(app, Role.ADMINISTRATOR)  # without an address
    overdue()
    config = use(app, backend="smtp", host=None)
    alerts.look(config)
    assert (letters(), incidents()) == ([], {"overdue:daily": False})
    assert "Nobody was told of it by mail" in boss.text("/admin/")
    assert "Nobody was told of it by mail" in str(check_backups(config.time_zone).message)
    an_administrator()
    alerts.look(config)
    assert letters() == []  # still no server
    config = use(app, backend="smtp", host="mail.example.com")
    alerts.look(config)
    assert letters() == [("backup_alert", "ayse@example.com")]
    assert "Nobody was told" not in boss.text("/admin/")
    assert not check_backups(config.time_zone).ok


@on_sqlite
def test_who_wants_no_letters_gets_none_and_is_not_nagged(app: Flask) -> None:
    an_administrator()
    overdue()
    config = use(app, tell="off")
    alerts.look(config)
    assert (letters(), incidents()) == ([], {"overdue:daily": True})
    with transaction() as session:
        assert alerts.digest(session, config, now()) is None
        assert alerts.digest(session, use(app, tell="failures"), now()) is None


def ended(name: str, state: JobState, code: str | None = None) -> None:
    request = create_request(name)
    job = persist(lambda s: submit(s, request, by="tester", trigger=Trigger.SCHEDULE)).job_id
    with transaction() as session:
        session.execute(update(Job).where(Job.id == job).values(state=state))
        item = {"state": state.lower(), "code": code}
        session.execute(update(JobItem).where(JobItem.job_id == job).values(**item))


@on_sqlite
def test_what_counts_as_trouble(app: Flask) -> None:
    an_administrator()
    config = use(app)

    def seen() -> set[str]:
        alerts.look(config)
        return set(incidents())

    ended("nightly", JobState.FAILED, "BACKUP_REFUSED")
    ended("by-hand", JobState.FAILED, "BACKUP_LOCKED")  # whoever asked was told
    assert seen() == {"failed:nightly"}
    ended("nightly", JobState.DONE)
    assert seen() == set()
    made = run_json(app, "backup", "create", "--no-drill")
    for state, key in ((State.CORRUPT, "corrupt"), (State.MISSING, "missing")):
        with transaction() as session:
            session.execute(update(Backup).values(state=state))
        assert seen() == {f"{key}:{made['file']}"}
    with transaction() as session:
        session.execute(update(Backup).values(state=State.VERIFIED))
    offsite = dataclasses.replace(config.offsite, folder=config.data_dir / "nowhere")
    config = dataclasses.replace(config, offsite=offsite)
    assert seen() == set()  # it has just been made
    with transaction() as session:
        session.execute(update(Backup).values(verified_at=now() - timedelta(hours=3)))
    assert seen() == {"offsite"}
    row = {"store": str(offsite.folder), "file": made["file"], "type": "full", "failures": 0}
    with transaction() as session:
        session.add(FarCopy(**row, at=now(), verified_at=now()))
    assert seen() == set()


@on_sqlite
def test_the_weekly_letter_says_how_things_are(app: Flask) -> None:
    an_administrator()
    made = run_json(app, "backup", "create")
    with postman() as man:
        config = use(app, backend="smtp", host="127.0.0.1", port=man.port, tls="none")
        with transaction() as session:
            assert alerts.digest(session, config, now()) is not None
        send_all(config)
    (text,) = bodies(man)
    assert made["file"] in text
    assert "Good backups: 1" in text
    assert letters()[0][0] == Kind.BACKUP_DIGEST
    assert "backup_digest" in tasks.PERIODIC


@on_sqlite
def test_two_workers_tell_once(app: Flask) -> None:
    an_administrator()
    overdue()
    config = use(app)
    with reading() as session:
        found = alerts.incidents.amiss(session, config, now())
    for _ in range(2):  # both had looked before either wrote
        persist(lambda session: alerts._tell(session, config, found, now()))
    assert len(letters()) == 1
