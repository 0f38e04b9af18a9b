"""Scheduled backups: each due time once, one made up for, late ones noticed, room made after."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from commands import SQLITE_ONLY, run, run_json
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

import tasks
from app.audit.models import AuditEntry
from app.backups import schedule as planning
from app.backups.models import Backup, BackupSchedule, State
from app.backups.schedule import crontab, due_to_take, fire_due, late, next_run, schedules
from app.backups.work import LOCKED, bench_of, handlers
from app.core.clock import now
from app.core.db import persist, reading, transaction
from app.core.text import RequestError
from app.jobs.models import Job, JobItem
from app.jobs.runner import work_on
from app.jobs.steward import run_due
from app.jobs.worker import Worker
from app.monitoring.health import check_backups

on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)
ISTANBUL = "Europe/Istanbul"  # three hours ahead of UTC, all year
MONDAY = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def edges() -> bool:
    """Links, commands or requests are part of it."""
    return True


def a_schedule(name: str = "daily", **more: Any) -> BackupSchedule:
    values = {"type": "full", "hour": 2, "weekday": 0, "day": 1, "keep": 7, "enabled": True}
    return BackupSchedule(name=name, **{**values, "since": MONDAY - timedelta(days=90), **more})


def kept(name: str = "daily", *, since_h: float = 30, **more: Any) -> None:
    """A schedule in the table, in force since then."""
    with transaction() as session:
        session.add(a_schedule(name, since=now() - timedelta(hours=since_h), **more))


def change(name: str, **wanted: Any) -> BackupSchedule:
    def work(session: Session) -> BackupSchedule:
        changed = planning.change(session, name, wanted)
        session.expunge(changed)
        return changed

    return persist(work)


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def a_backup(at: datetime, **more: Any) -> None:
    values = {
        "id": f"{at:%Y%m%d%H%M%S}".ljust(32, "0"),
        "file": f"x_{at:%Y%m%dT%H%M%SZ}_full_00000000.zip",
        "name": "daily",
        "type": "full",
        "made": "manual",
        "state": State.VERIFIED,
        "at": at,
        "size": 1,
        "rows": 1,
        "engine": "sqlite",
        "revision": "0007",
        "encrypted": False,
        "trusted": True,
    }
    with transaction() as session:
        session.add(Backup(**{**values, **more}))


# --- when, without a database ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "last", "following"),
    [
        (a_schedule(), "2026-03-01T23:00Z", "2026-03-02T23:00Z"),
        (a_schedule("weekly", weekday=6), "2026-02-28T23:00Z", "2026-03-07T23:00Z"),
        (a_schedule("monthly", day=28), "2026-02-27T23:00Z", "2026-03-27T23:00Z"),
    ],
)
def test_due_times_are_those_of_the_local_calendar(
    schedule: BackupSchedule, last: str, following: str
) -> None:
    assert due_to_take(schedule, ISTANBUL, MONDAY) == datetime.fromisoformat(last)
    assert next_run(schedule, ISTANBUL, MONDAY) == datetime.fromisoformat(following)


def test_of_many_missed_due_times_the_last_is_taken_and_then_none() -> None:
    schedule = a_schedule(taken_at=MONDAY - timedelta(days=30))
    due = due_to_take(schedule, ISTANBUL, MONDAY)
    assert due == datetime(2026, 3, 1, 23, tzinfo=UTC)
    schedule.taken_at = due
    assert due_to_take(schedule, ISTANBUL, MONDAY) is None
    assert due_to_take(schedule, ISTANBUL, MONDAY + timedelta(hours=12)) is not None


def test_what_was_due_before_it_was_switched_on_is_nobodys() -> None:
    assert due_to_take(a_schedule(since=MONDAY), ISTANBUL, MONDAY) is None
    assert due_to_take(a_schedule(enabled=False), ISTANBUL, MONDAY) is None
    assert next_run(a_schedule(enabled=False), ISTANBUL, MONDAY) is None


def test_a_clock_that_went_back_takes_nothing_twice() -> None:
    taken = datetime(2026, 3, 1, 23, tzinfo=UTC)
    for back in range(1, 72):
        at = MONDAY - timedelta(hours=back)
        assert due_to_take(a_schedule(taken_at=taken), ISTANBUL, at) is None


# --- once -----------------------------------------------------------------------------------------


def test_many_workers_at_once_make_one_job_of_a_due_time(app: Flask) -> None:
    kept()
    won: list[int] = []
    together = threading.Barrier(6)

    def one() -> None:
        with app.app_context():
            together.wait()
            won.extend(fire_due(ISTANBUL))

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job,) = jobs()
    assert won == [job.id]
    assert (job.kind, job.params["made"], job.params["name"]) == (
        "create_backup",
        "scheduled",
        "daily",
    )
    assert fire_due(ISTANBUL) == []


@on_sqlite
def test_control_without_looking_at_the_row_a_due_time_is_taken_twice(app: Flask) -> None:
    """What the condition of the update is for."""
    kept()
    fire_due(ISTANBUL)
    with transaction() as session:
        session.execute(update(BackupSchedule).values(taken_at=None))
    assert len(fire_due(ISTANBUL)) == 1
    assert len(jobs()) == 2


@on_sqlite
def test_the_three_are_apart(app: Flask) -> None:
    for name in planning.PRESETS:
        kept(name, since_h=24 * 40)
    assert len(fire_due(ISTANBUL)) == 3
    assert [job.params["name"] for job in jobs()] == ["daily", "weekly", "monthly"]


# --- changing -------------------------------------------------------------------------------------


def test_they_come_switched_off_and_are_changed_one_by_one(app: Flask) -> None:
    with reading() as session:
        assert [one.enabled for one in schedules(session)] == [False] * 3
    assert fire_due(ISTANBUL) == []
    changed = change("weekly", enabled=True, weekday=4, hour=23)
    assert crontab(changed) == "0 23 * * 5"
    with reading() as session:
        assert [one.enabled for one in schedules(session)] == [False, True, False]
        (entry,) = session.scalars(select(AuditEntry))
    assert (entry.action, entry.object) == ("backup.schedule", "weekly")
    assert (entry.before or {})["enabled"] is False
    assert fire_due(ISTANBUL) == []


@on_sqlite
def test_another_number_of_kept_ones_forgets_no_missed_due_time(app: Flask) -> None:
    kept()
    change("daily", keep=3)
    assert len(fire_due(ISTANBUL)) == 1
    kept("weekly", since_h=24 * 8)
    change("weekly", hour=5)  # another time: it begins anew
    assert fire_due(ISTANBUL) == []


@on_sqlite
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hourly", {}),
        ("daily", {"hour": 24}),
        ("daily", {"keep": 0}),
        ("monthly", {"day": 29}),
        ("weekly", {"weekday": 7}),
        ("daily", {"type": "films"}),
    ],
)
def test_what_will_not_do_is_refused(app: Flask, name: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        change(name, **wanted)
    with reading() as session:
        assert session.scalars(select(BackupSchedule)).all() == []


@on_sqlite
def test_the_command_changes_and_shows_them(app: Flask) -> None:
    run_json(app, "backup", "schedule", "weekly", "--on", "--weekday", "friday", "--keep", "2")
    told = {one["name"]: one for one in run_json(app, "backup", "schedules")}
    assert (told["weekly"]["enabled"], told["weekly"]["weekday"], told["weekly"]["keep"]) == (
        True,
        4,
        2,
    )
    assert told["daily"]["next_run"] is None
    assert run(app, "backup", "schedule", "daily").exit_code == 2
    assert run(app, "backup", "schedule", "daily", "--hour", "24").exit_code == 2
    assert "weekly" in run(app, "backup", "schedules").stdout


# --- late -----------------------------------------------------------------------------------------


def test_a_backup_that_was_due_and_is_not_there_is_late(app: Flask) -> None:
    with transaction() as session:
        session.add(a_schedule())
    with reading() as session:
        (sentence,) = late(session, ISTANBUL, MONDAY)
        assert "daily" in str(sentence)
        assert late(session, ISTANBUL, MONDAY - timedelta(days=91)) == []  # not in force yet
    due = datetime(2026, 3, 1, 23, tzinfo=UTC)
    a_backup(due - timedelta(minutes=1))
    a_backup(due + timedelta(minutes=1), state=State.CORRUPT)
    a_backup(due + timedelta(minutes=2), type="settings")
    with reading() as session:
        assert len(late(session, ISTANBUL, MONDAY)) == 1
    a_backup(due + timedelta(minutes=3))
    with reading() as session:
        assert late(session, ISTANBUL, MONDAY) == []
        tomorrow = due + timedelta(days=1)
        assert late(session, ISTANBUL, tomorrow + planning.GRACE - timedelta(seconds=1)) == []
        assert len(late(session, ISTANBUL, tomorrow + planning.GRACE)) == 1


@on_sqlite
def test_the_doctor_says_that_one_is_late(app: Flask) -> None:
    assert check_backups(ISTANBUL).ok
    kept()
    check = check_backups(ISTANBUL)
    assert (check.ok, "daily" in str(check.message)) == (False, True)
    a_backup(now())
    assert check_backups(ISTANBUL).ok


# --- made -----------------------------------------------------------------------------------------


def test_run_scheduled_makes_what_is_due_and_then_room(app: Flask) -> None:
    kept(keep=1)
    first = run_json(app, "backup", "run-scheduled")
    assert [(one["name"], one["made"], one["state"]) for one in first] == [
        ("daily", "scheduled", "drilled")
    ]
    assert run_json(app, "backup", "run-scheduled") == []
    manual = run_json(app, "backup", "create", "--no-drill")
    with transaction() as session:
        session.execute(update(BackupSchedule).values(taken_at=None))
    (second,) = run_json(app, "backup", "run-scheduled")
    left = {row["id"] for row in run_json(app, "backup", "list")}
    assert left == {manual["id"], second["id"]}
    trash = bench_of(app.config["FIKSTUR"]).depot.trash
    assert [path.name for path in trash.iterdir()] == [first[0]["file"]]


@on_sqlite
def test_a_scheduled_backup_waits_for_others_to_end(app: Flask) -> None:
    kept()
    (job_id,) = fire_due(ISTANBUL)
    bench = bench_of(app.config["FIKSTUR"])
    with bench.depot.locked():
        work_on(Worker(30), job_id, handlers(bench))
    with reading() as session:
        (item,) = session.scalars(select(JobItem))
    assert (item.state, item.code, item.attempts) == ("waiting", LOCKED, 0)
    with transaction() as session:
        session.execute(update(JobItem).values(not_before=now() - timedelta(minutes=1)))
    work_on(Worker(30), job_id, handlers(bench))
    assert [job.kind for job in jobs()] == ["create_backup", "prune_backups"]
    assert run_json(app, "backup", "list")[0]["state"] == "drilled"


@on_sqlite
def test_run_scheduled_ends_with_5_when_others_are_at_work(app: Flask) -> None:
    kept()
    with bench_of(app.config["FIKSTUR"]).depot.locked():
        done = run(app, "backup", "run-scheduled")
    assert (done.exit_code, "is running" in done.stderr) == (5, True)


@on_sqlite
def test_a_restore_takes_no_schedule_back(app: Flask) -> None:
    run_json(app, "backup", "create", "--no-drill")
    change("daily", enabled=True, hour=9)
    run_json(app, "backup", "restore", "latest", "--force")
    with reading() as session:
        assert [(one.name, one.hour) for one in session.scalars(select(BackupSchedule))] == [
            ("daily", 9)
        ]


@on_sqlite
def test_the_periodic_pass_fires_them_in_the_apps_own_time_zone(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept()
    monkeypatch.setattr(tasks, "this_process", lambda: SimpleNamespace(app=app))
    (duty,) = [duty for duty in tasks._firing() if duty.do is tasks.fire_backups]
    run_due([duty], at=0.0)
    duty.next_at = 0.0
    run_due([duty], at=0.0)
    (job,) = jobs()
    assert (job.kind, job.trigger) == ("create_backup", "schedule")
    with reading() as session:
        (entry,) = session.scalars(select(AuditEntry))
    assert (entry.action, entry.via) == ("job.submit", "schedule")
