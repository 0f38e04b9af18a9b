"""Stored settings: they win, they follow, they are unreadable at rest, and they break nothing."""

import dataclasses
import functools
import logging
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import settings
from flask import Flask
from sqlalchemy import select, update
from statements import statements

import tasks
from app import create_app
from app.accounts import throttle
from app.accounts.models import Throttle
from app.audit.models import AuditEntry
from app.audit.trail import Actor, Via, acting, note
from app.core.clock import now
from app.core.db import db, persist, reading, transaction
from app.core.text import RequestError
from app.jobs.models import Trigger
from app.jobs.prune import Keep, prune_item
from app.jobs.runner import Handler, work_on
from app.jobs.submit import ItemRequest, JobRequest, submit
from app.jobs.worker import Worker
from app.settings import store
from app.settings.catalogue import ENTRIES
from app.settings.live import EVERY_S, Live
from app.settings.models import Setting
from app.settings.present import Origin, lines
from app.sources import pace, pause
from app.sources.registry import source_table
from config import Config

TOKEN = "a-token-nobody-may-see-0123456789"


@pytest.fixture
def edges() -> bool:
    """Links, commands or requests are part of it."""
    return True


def base(app: Flask) -> Config:
    return app.extensions["live"].base


def put(app: Flask, **wanted: str | None) -> list[str]:
    return persist(lambda s: store.put_many(s, base(app), wanted))


def in_force(app: Flask) -> store.InForce:
    with reading() as session:
        return store.in_force(session, base(app))


def test_what_is_stored_wins_until_it_is_unset(app: Flask) -> None:
    assert put(app, TIME_ZONE="Europe/Berlin", KEEP_AUDIT_DAYS="30") == [
        "TIME_ZONE",
        "KEEP_AUDIT_DAYS",
    ]
    force = in_force(app).config
    assert (force.time_zone, force.keep_audit_days) == ("Europe/Berlin", 30)
    assert put(app, TIME_ZONE="Europe/Berlin") == []  # nothing new
    assert put(app, TIME_ZONE=None) == ["TIME_ZONE"]
    force = in_force(app).config
    assert (force.time_zone, force.keep_audit_days) == (base(app).time_zone, 30)
    assert put(app, TIME_ZONE=None) == []


def test_with_nothing_stored_the_configuration_is_that_of_the_environment(app: Flask) -> None:
    assert in_force(app).config == base(app)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"TIME_ZONE": "Mars/Base"}, "IANA"),
        ({"LANGUAGE": "de"}, "one of tr, en"),
        ({"KEEP_AUDIT_DAYS": "0"}, "from 1 to 3650"),
        ({"SOURCES": "sofa"}, "write names out of"),
        ({"SOFASCORE_BASE_URL": "ftp://x"}, "http:// or https://"),
        ({"FOOTBALL_DATA_LIMITS": "many"}, "requests/seconds"),
        ({"FAILOVER": "espn,openligadb"}, "which SOURCES does not"),
        ({"SMTP_PORT": "70000"}, "from 1 to 65535"),
        ({"SMTP_TLS": "ssl3"}, "one of starttls, tls, none"),
        ({"MAIL_FROM": "a\nBcc: b"}, "one line"),
        ({"TIME_ZONE": " "}, "needs a value"),
        ({"TIME_ZONE": "x" * 3000}, "too long"),
        ({"SECRET_KEY": "x"}, "cannot be set here"),
        ({"DATABASE_URL": "sqlite:///x"}, "cannot be set here"),
        ({"version": "7"}, "cannot be set here"),
    ],
)
def test_a_value_that_will_not_do_is_a_sentence_and_nothing_is_stored(
    app: Flask, wanted: dict[str, str], said: str
) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        put(app, FRESH_HOURS="3", **wanted)
    assert caught.value.sentence.to("tr") != caught.value.sentence.to("en")
    with reading() as session:
        assert store.rows(session) == []
        assert session.scalars(select(AuditEntry)).all() == []


def test_a_secret_is_unreadable_at_rest_and_hidden_everywhere(app: Flask) -> None:
    put(app, SOFASCORE_TOKEN=TOKEN, SMTP_PASSWORD=TOKEN)
    force = in_force(app)
    assert force.config.source_settings["sofascore"].token == force.config.mail.password == TOKEN
    assert TOKEN not in repr(force)
    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                assert TOKEN not in repr(row), table.name
    with reading() as session:
        assert TOKEN not in repr(lines(session, base(app)))


def test_with_another_key_a_secret_is_left_out_and_said(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    put(app, SOFASCORE_TOKEN=TOKEN, FRESH_HOURS="5")
    other = dataclasses.replace(base(app), secret_key="another key that opens nothing at all")
    live = Live(other)
    with caplog.at_level(logging.WARNING):
        assert live.follow_now()
    assert live.now.config.source_settings["sofascore"].token is None
    assert live.now.config.fresh_hours == 5
    assert "another SECRET_KEY" in str(live.now.problems["SOFASCORE_TOKEN"])
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    "value", ["nonsense", 17, None, {"a": 1}, ["x"], "", "\n"], ids=lambda value: repr(value)
)
@pytest.mark.parametrize("name", ["TIME_ZONE", "KEEP_HISTORY_DAYS", "SOURCES", "SMTP_PASSWORD"])
def test_a_broken_row_never_breaks_the_start(app: Flask, name: str, value: object) -> None:
    put(app, KEEP_AUDIT_DAYS="30", **{name: _fit(name)})
    with transaction() as session:
        session.execute(update(Setting).where(Setting.key == name).values(value=value))
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    fresh = create_app(settings(base(app).data_dir, DATABASE_URL=url))
    with fresh.app_context():
        live = fresh.extensions["live"]
        live.follow_now()
        assert live.now.config.keep_audit_days == 30  # what is good still holds
        assert live.now.config.time_zone == base(app).time_zone
        db.engine.dispose()


def _fit(name: str) -> str:
    return {
        "TIME_ZONE": "Europe/Berlin",
        "KEEP_HISTORY_DAYS": "5",
        "SOURCES": "sandbox,sofascore,football_data,espn",
        "SMTP_PASSWORD": "x",
    }[name]


def test_a_value_that_stopped_fitting_is_left_out_and_the_others_stay(app: Flask) -> None:
    put(app, SOURCES="sandbox,espn", FAILOVER="sandbox,espn", FRESH_HOURS="4")
    with transaction() as session:
        session.execute(update(Setting).where(Setting.key == "SOURCES").values(value="sandbox"))
    force = in_force(app)
    assert (force.config.sources, force.config.failover) == (("sandbox",), ())
    assert force.config.fresh_hours == 4
    assert set(force.problems) == {"FAILOVER"}
    put(app, FRESH_HOURS="5")  # one can still save
    assert in_force(app).config.fresh_hours == 5


def test_the_page_says_where_each_value_comes_from(app: Flask) -> None:
    put(app, FRESH_HOURS="6")
    with reading() as session:
        known = {line.entry.name: line for line in lines(session, base(app))}
    assert known.keys() == ENTRIES.keys()
    assert (known["FRESH_HOURS"].origin, known["FRESH_HOURS"].value) == (Origin.STORED, "6")
    assert known["SOURCES"].origin == Origin.ENVIRONMENT  # conftest names them
    assert known["FOOTBALL_DATA_TOKEN"].value == "•••"
    assert known["TIME_ZONE"].origin == Origin.DEFAULT
    assert known["SMTP_PORT"].value == "587"


def test_another_process_follows_within_two_seconds(app: Flask) -> None:
    url = app.config["SQLALCHEMY_DATABASE_URI"]
    other = create_app(settings(base(app).data_dir, DATABASE_URL=url))
    with other.app_context():
        other.extensions["live"].follow()
    put(app, TIME_ZONE="Asia/Tokyo")
    began = time.monotonic()
    with other.app_context():
        while other.config["FIKSTUR"].time_zone != "Asia/Tokyo":
            assert time.monotonic() - began < 60, "it never followed"
            other.test_client().get("/healthz")
            time.sleep(0.05)
        db.engine.dispose()
    assert EVERY_S <= 1.0  # a request a second is enough to be within two


def test_following_costs_one_small_question_and_only_once_a_second(app: Flask) -> None:
    live = Live(base(app))
    with statements() as said:
        for _ in range(50):
            live.follow()
    asked = [words for words in said if not words.startswith("BEGIN")]
    assert len(asked) == 1
    assert "FROM setting" in asked[0]


def test_a_database_without_the_tables_changes_nothing(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path))
    with app.app_context():
        live = app.extensions["live"]
        assert live.follow_now() is False
        assert live.now.config == live.base
        db.engine.dispose()


def test_two_who_save_at_once_lose_nothing(app: Flask) -> None:
    def save(name: str, value: str) -> None:
        with app.app_context():
            put(app, **{name: value})

    wanted = {"FRESH_HOURS": "7", "KEEP_AUDIT_DAYS": "77", "TIME_ZONE": "Asia/Tokyo"}
    threads = [threading.Thread(target=save, args=pair) for pair in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    force = in_force(app).config
    assert (force.fresh_hours, force.keep_audit_days, force.time_zone) == (7, 77, "Asia/Tokyo")
    with reading() as session:
        assert store.version(session) == 3


def test_a_worker_takes_new_sources_limits_and_days_over(app: Flask) -> None:
    put(
        app,
        SOURCES="sandbox,openligadb",
        SANDBOX_LIMITS="7/60",
        FOOTBALL_DATA_TOKEN=TOKEN,
        KEEP_AUDIT_DAYS="11",
    )
    changed = in_force(app).config
    process = object.__new__(tasks.Process)
    process.config = base(app)
    process.limiter = tasks.build_limiter(base(app))
    process.sources = tasks.CurrentSources(source_table(base(app)))
    with pytest.raises(RequestError):
        process.sources.get("openligadb")
    with transaction() as session:
        pace.wait_for_slot(session, "sandbox", 3600)
        pace.wait_for_slot(session, "football_data", 3600)
    process.follow(changed)
    with reading() as session:
        waits = {state.source for state in pause.states(session) if state.free_at is not None}
    assert waits == {"football_data"}, "who has another limit is asked again, and nobody else"
    assert process.sources.get("openligadb").name == "openligadb"
    assert process.sources.token("football_data") == TOKEN
    assert [str(rate) for rate in process.limiter.rates("sandbox")] == ["7/60"]
    assert process.config.keep_audit_days == 11
    process.limiter.close()


def test_the_audit_log_and_old_counts_are_forgotten_at_night(app: Flask) -> None:
    at = now()
    with transaction() as session:
        for days in (1, 29, 31, 400):
            with acting(Actor(f"{days} days", Via.SYSTEM)):
                note(session, "source.pause", ("source", "sandbox"))
        for entry in session.scalars(select(AuditEntry)):
            session.flush()
            entry.at = at - timedelta(days=int(entry.who.split()[0]))
        throttle.take(session, throttle.SIGN_IN, "ali", "192.0.2.1", at - timedelta(days=2))
        items = [ItemRequest("prune_history", "history")]
        job_id = submit(
            session, JobRequest("prune_history", items), by="schedule", trigger=Trigger.SCHEDULE
        ).job_id
    keep = Keep(history_days=90, requests_days=30, audit_days=30)
    work_on(Worker(45), job_id, {"prune_history": Handler(functools.partial(prune_item, keep))})
    with reading() as session:
        left = set(session.scalars(select(AuditEntry.who).where(AuditEntry.kind == "source")))
        assert left == {"1 days", "29 days"}
        assert session.scalars(select(Throttle)).all() == []
