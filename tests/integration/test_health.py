import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import SQLITE_ONLY
from factories import a_job, items_of
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from app.core import db as database
from app.core.clock import now
from app.core.db import db_now, transaction
from app.core.text import Sentence
from app.jobs.models import Worker as WorkerRow
from app.jobs.worker import Worker
from app.monitoring import health
from app.monitoring.health import Check, checks
from app.sources.pause import pause, pause_by_hand
from app.sources.registry import source_table

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture
def look(app: Flask) -> Callable[..., dict[str, Check]]:
    """All checks by name; keywords change the configuration."""

    def found(ask_queue: Callable[[], int] = lambda: 0, **changes: object) -> dict[str, Check]:
        config = dataclasses.replace(app.config["FIKSTUR"], **changes)
        found = checks(source_table(config), config.data_dir, ask_queue, config.time_zone, {})
        return {check.name: check for check in found}

    return found


def test_a_house_in_order_passes_every_check(look: Callable[..., dict[str, Check]]) -> None:
    Worker(lease_s=30).beat()
    a_job(days=3)
    assert [name for name, check in look().items() if not check.ok] == []


def test_a_worker_that_was_not_heard_of_lately_does_not_count(
    look: Callable[..., dict[str, Check]],
) -> None:
    Worker(lease_s=30).beat()
    with transaction() as session:
        session.execute(update(WorkerRow).values(heartbeat_at=db_now(-60)))
    check = look()["worker"]
    assert not check.ok
    assert "Start one" in str(check.message)


def test_a_lost_item_is_found_in_the_books(look: Callable[..., dict[str, Check]]) -> None:
    job_id = a_job(days=2)
    with transaction() as session:
        session.delete(items_of(job_id)[0])
    assert str(look()["books"].message).startswith("1 jobs do not add up")


def test_a_database_behind_the_code_is_told_apart_from_one_that_is_away(
    look: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(NamedTuple):
        folder: str

        def get_heads(self) -> list[str]:
            return ["a version to come"]

    monkeypatch.setattr(health, "ScriptDirectory", Behind)
    found = look()
    assert found["database"].ok
    assert not found["migrations"].ok


@on_sqlite
def test_a_dead_database_fails_what_needs_it_and_nothing_raises(
    look: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_anything: object, **_options: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused\nIs it running?"))

    for module in (database, health):
        monkeypatch.setattr(module, "reading", away)
    found = look()
    assert [name for name, check in found.items() if not check.ok] == [
        "database",
        "worker",
        "sources",
        "books",
        "backups",
    ]
    assert "(connection refused)" in str(found["database"].message)


@on_sqlite
def test_whatever_the_queue_raises_it_is_a_sentence(
    look: Callable[..., dict[str, Check]],
) -> None:
    class OddError(Exception):
        pass

    def away() -> int:
        raise OddError

    check = look(away)["queue"]
    assert not check.ok
    assert "(OddError)" in str(check.message)
    assert look(lambda: 7)["queue"].message.values == {"count": 7}


@on_sqlite
def test_a_full_disk_is_noticed(
    look: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int = 10 * 1024 * 1024

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage())
    assert str(look()["disk"].message).startswith("Only 10 MB are free")
    monkeypatch.undo()
    assert not look(data_dir=Path("/nowhere/at/all"))["disk"].ok


@on_sqlite
def test_sources_that_cannot_be_asked_are_each_named(
    look: Callable[..., dict[str, Check]],
) -> None:
    with transaction() as session:
        pause(session, "sandbox", 600, "BLOCKED", Sentence("blocked"), now())
        pause_by_hand(session, "football_data", "ayşe")
    words = str(look(sofascore_permitted=False)["sources"].message)
    assert "Source sandbox is paused (BLOCKED) until 2" in words
    assert "Source football_data is paused (PAUSED) until somebody resumes it" in words
    assert "SofaScore is off" in words
    assert not look(sources=())["sources"].ok
