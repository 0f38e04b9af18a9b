import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from commands import SQLITE_ONLY, run, run_json
from factories import a_job, counts
from flask import Flask
from sqlalchemy import func, select, update

from app.cli import watch
from app.core.clock import now
from app.core.db import db_now, persist, reading, transaction
from app.core.text import Sentence
from app.fixtures.models import FixtureDay, FixtureDayMatch, Match
from app.jobs import ledger
from app.jobs.models import ItemOutcome, Job, JobItem
from app.jobs.moves import Claim, Report
from app.jobs.report import earliest_start
from app.jobs.runner import Handler, work_on
from app.jobs.worker import Worker
from app.sources.pause import pause, resume

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


def jobs_in_ledger() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def a_stored_day(day: str = "2024-11-05", source: str = "sandbox", **more: object) -> None:
    """A list of one match."""
    at = datetime(2024, 11, 6, 3, tzinfo=UTC)
    with transaction() as session:
        row = FixtureDay(
            source=source,
            date=datetime.fromisoformat(day).date(),
            data_id=int(day.replace("-", "")),
            **{"count": 1, "fetched_at": at, "looked_at": at, "code": "OK", **more},
        )
        match = Match(
            source=source,
            source_id="77",
            kickoff=datetime(2024, 11, 5, 18, 30, tzinfo=UTC),
            status="FINISHED",
            raw_status="finished/100",
            home="Beşiktaş",
            away="Malmö FF",
            home_score=2,
            away_score=1,
            home_half_time=1,
            away_half_time=0,
            competition="Europa League",
            country="Europe",
            first_seen_at=at,
            last_seen_at=at,
            changed_at=at,
        )
        session.add_all([row, match])
        session.flush()
        session.add(FixtureDayMatch(day_id=row.id, match_id=match.id, position=0))


# --- fetch ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["2024-11-051"], "is not a date"),
        (["5 Kasım"], "is not a date"),
        (["2024-11-35"], "is not a day of the calendar"),
        (["1900-01-01", "--to", "2100-01-01"], "at most 3700 can be asked at once"),
        (["1899-12-31"], "outside what can be fetched"),
        (["2024-11-05", "--to", "2024-11-01"], "Swap the two dates"),
        (["2024-11-05", "--to", "soon"], "is not a date"),
        (["2024-11-05", "--source", "nobody"], "There is no source “nobody”"),
        (["2024-11-05", "--source", "sandbox", "--source", "nobody"], "There is no source"),
        (["2024-11-05", "--skip-fresh", "-3"], "is not a whole number"),
        (["2024-11-05", "--skip-fresh", "99999999999999999999999"], "is not a whole number"),
        ([], "Missing argument"),
        (["2024-11-05", "--sauce", "x"], "No such option"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--json"], ["--wait"]])
def test_what_is_typed_wrong_is_one_sentence_and_nothing_is_submitted(
    app: Flask, arguments: list[str], words: str, more: list[str]
) -> None:
    result = run(app, "fixtures", "fetch", *arguments, *more)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert jobs_in_ledger() == 0


def test_a_source_that_is_off_says_what_is_missing(app: Flask) -> None:
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, sources=("sandbox",))
    result = run(app, "fixtures", "fetch", "2024-11-05", "--source", "sofascore")
    assert (result.exit_code, jobs_in_ledger()) == (2, 0)
    assert "Add “sofascore” to SOURCES" in result.stderr


def test_without_a_single_usable_source_nothing_can_be_fetched(app: Flask) -> None:
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, sources=())
    result = run(app, "fixtures", "fetch", "2024-11-05")
    assert (result.exit_code, jobs_in_ledger()) == (1, 0)
    assert "No source may be asked" in result.stderr


def test_a_day_is_asked_from_every_usable_source(app: Flask) -> None:
    job = run_json(app, "fixtures", "fetch", "2024-11-05")
    assert (job["kind"], job["state"], job["submitted"]) == ("fetch_day", "PENDING", 3)
    assert job["params"]["sources"] == ["sandbox", "sofascore", "football_data"]
    assert job["trigger"] == "cli"
    assert job["requested_by"].startswith("cli:")
    assert (job["joined"], job["asked"], job["fresh"]) == (False, 3, 0)


def test_a_range_from_one_source_is_an_item_a_day(app: Flask) -> None:
    result = run(
        app, "fixtures", "fetch", "2024-02-27", "--to", "2024-03-01", "--source", "sandbox"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Job 1 was submitted; items: 4." in result.stdout
    assert counts(1)["waiting"] == 4


def test_naming_a_source_twice_asks_it_once(app: Flask) -> None:
    twice = ["--source", "sandbox", "--source", "sandbox"]
    assert run_json(app, "fixtures", "fetch", "2024-11-05", *twice)["submitted"] == 1


def test_asking_again_joins_the_open_job_and_says_so(app: Flask) -> None:
    first = run_json(app, "fixtures", "fetch", "2024-11-05")
    again = run(app, "fixtures", "fetch", "2024-11-05")
    assert again.exit_code == 0
    assert f"Job {first['id']} is open already" in again.stdout
    assert jobs_in_ledger() == 1


def test_fresh_days_are_left_out_and_counted(app: Flask) -> None:
    a_stored_day("2024-11-05", fetched_at=now() - timedelta(hours=1))
    ask = ["fixtures", "fetch", "2024-11-05", "--source", "sandbox", "--skip-fresh", "2"]
    assert run_json(app, *ask, "--to", "2024-11-06")["fresh"] == 1
    nothing = run(app, *ask)
    assert (nothing.exit_code, jobs_in_ledger()) == (0, 1)
    assert "Nothing to do" in nothing.stdout
    assert run_json(app, *ask)["id"] is None


def test_a_paused_source_is_named_with_the_way_to_resume_it(app: Flask) -> None:
    with transaction() as session:
        pause(session, "sandbox", 7200, "BLOCKED", Sentence("blocked"), now())
    result = run(app, "fixtures", "fetch", "2024-11-05", "--source", "sandbox", "--json")
    assert result.exit_code == 0
    assert '"paused_sources": [\n    "sandbox"\n  ]' in result.stdout
    assert "Source sandbox is paused (BLOCKED)" in result.stderr
    assert "sources resume sandbox" in result.stderr


# --- --wait ---------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL_S", 0.02)
    monkeypatch.setattr(watch, "QUIET_S", 0.0)


def finish(claim: Claim, _worker: Worker) -> None:
    done = Report("OK", Sentence("fine"))
    persist(lambda session: ledger.finish(session, claim, ItemOutcome.STORED, done))


def fail_the_second(claim: Claim, worker: Worker) -> None:
    if claim.key.endswith("-06"):
        failed = Report("NOT_FOUND", Sentence("gone"))
        persist(lambda session: ledger.fail(session, claim, failed))
    else:
        finish(claim, worker)


@contextmanager
def a_worker(app: Flask, handle: object = finish) -> Iterator[None]:
    """Works on job 1, as soon as there is one, in a thread."""
    stop = threading.Event()
    worker = Worker(lease_s=30)

    def loop() -> None:
        with app.app_context():
            worker.beat()
            while not stop.is_set():
                work_on(worker, 1, {"fetch_day": Handler(handle)})
                time.sleep(0.02)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_waiting_ends_well_when_every_item_is_done(app: Flask) -> None:
    with a_worker(app):
        result = run(app, "fixtures", "fetch", "2024-11-05", "--to", "2024-11-09", "--wait")
    assert result.exit_code == 0, result.output
    assert "Job 1: 15 of 15" in result.stdout
    assert "Job 1 is DONE: 15 done." in result.stdout


def test_waiting_ends_with_1_when_an_item_failed(app: Flask) -> None:
    ask = ["fixtures", "fetch", "2024-11-05", "--to", "2024-11-07", "--source", "sandbox"]
    with a_worker(app, fail_the_second):
        result = run(app, *ask, "--wait")
    assert result.exit_code == 1
    assert "Job 1 is FAILED: 2 done, 1 failed." in result.stdout


def test_with_json_progress_goes_to_stderr_and_the_end_to_stdout(app: Flask) -> None:
    ask = ["fixtures", "fetch", "2024-11-05", "--source", "sandbox", "--wait"]
    with a_worker(app):
        job = run_json(app, *ask)
    assert (job["state"], job["items"]["done"], job["outcomes"]["stored"]) == ("DONE", 1, 1)
    assert job["joined"] is False


def test_waiting_gives_up_on_a_source_that_is_paused_for_long(app: Flask) -> None:
    with transaction() as session:
        pause(session, "sandbox", 7200, "BLOCKED", Sentence("blocked"), now())
    ask = ["fixtures", "fetch", "2024-11-05", "--source", "sandbox", "--wait"]
    result = run(app, *ask)
    assert result.exit_code == 1
    assert "Source sandbox is paused (BLOCKED) until" in result.stdout
    assert "job 1 stays open" in result.stdout
    assert counts(1)["waiting"] == 1
    assert run_json(app, *ask, exit_code=1)["state"] == "PENDING"


def test_a_short_pause_is_waited_for(app: Flask) -> None:
    with transaction() as session:
        pause(session, "sandbox", 60, "RATE_LIMITED", Sentence("slow down"), now())

    def resume_soon() -> None:
        time.sleep(0.3)
        with app.app_context(), transaction() as session:
            resume(session, "sandbox")

    resumer = threading.Thread(target=resume_soon)
    resumer.start()
    with a_worker(app):
        result = run(app, "fixtures", "fetch", "2024-11-05", "--source", "sandbox", "--wait")
    resumer.join()
    assert result.exit_code == 0


def test_waiting_gives_up_when_the_next_try_is_far_away(app: Flask) -> None:
    job_id = a_job(days=2)
    with transaction() as session:
        session.execute(update(JobItem).values(not_before=db_now(3600)))
    result = run(app, "jobs", "watch", job_id)
    assert result.exit_code == 1
    assert "The next try is in" in result.stdout


def test_one_item_that_may_run_soon_is_worth_waiting_for(app: Flask) -> None:
    job_id = a_job(days=2)
    with transaction() as session:
        first = session.scalar(select(func.min(JobItem.id)))
        session.execute(update(JobItem).where(JobItem.id != first).values(not_before=db_now(3600)))
    with reading() as session:
        start = earliest_start(session, session.get_one(Job, job_id))
    assert start is not None
    assert start - now() < timedelta(seconds=watch.HELD_S)


def test_waiting_gives_up_when_nobody_works(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "NO_WORKER_S", 0.2)
    result = run(app, "fixtures", "fetch", "2024-11-05", "--wait")
    assert result.exit_code == 1
    assert "No worker is running. Start one" in result.stdout


def test_waiting_gives_up_on_a_paused_job(app: Flask) -> None:
    job_id = a_job()
    run(app, "jobs", "pause", job_id)
    result = run(app, "jobs", "watch", job_id)
    assert result.exit_code == 1
    assert "The job is paused until somebody resumes it." in result.stdout


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_go_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", pressed)
    result = run(app, "fixtures", "fetch", "2024-11-05", "--wait")
    assert result.exit_code == 130
    assert "Job 1 goes on. Watch it: flask --app wsgi jobs watch 1" in result.stdout
    assert "jobs cancel 1" in result.stdout
    assert counts(1)["waiting"] == 3


# --- show -----------------------------------------------------------------------------------------


def test_a_stored_day_is_shown_with_its_matches(app: Flask) -> None:
    a_stored_day()
    day = run_json(app, "fixtures", "show", "2024-11-05")
    assert (day["source"], day["date"], day["data_id"]) == ("sandbox", "2024-11-05", 20241105)
    assert (day["count"], day["fetched_at"], day["code"]) == (1, "2024-11-06T03:00:00Z", "OK")
    (match,) = day["matches"]
    assert match["source_id"] == "77"
    assert match["kickoff"] == "2024-11-05T18:30:00Z"
    assert (match["home"], match["home_score"], match["home_half_time"]) == ("Beşiktaş", 2, 1)
    assert match["home_penalties"] is None
    assert "id" not in match


def test_the_table_shows_kick_off_in_the_configured_zone_by_competition(app: Flask) -> None:
    a_stored_day()
    lines = run(app, "fixtures", "show", "2024-11-05").stdout.splitlines()
    assert "Europe, Europa League" in lines
    assert lines[-1].split() == ["21:30", "Beşiktaş", "2-1", "(1-0)", "Malmö", "FF", "FINISHED"]


def test_a_day_never_fetched_says_how_to_fetch_it(app: Flask) -> None:
    result = run(app, "fixtures", "show", "2024-11-05", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "2024-11-05 was never fetched" in result.stderr


def test_a_day_looked_at_in_vain_is_shown_as_such(app: Flask) -> None:
    a_stored_day(fetched_at=None, count=0, code="BLOCKED", message=Sentence("They block us."))
    day = run_json(app, "fixtures", "show", "2024-11-05", "--source", "sandbox")
    assert (day["fetched_at"], day["code"], day["message"]) == (None, "BLOCKED", "They block us.")


@pytest.mark.parametrize("arguments", [["2024-13-01"], ["2024-11-05", "--source", "nobody"]])
def test_showing_what_cannot_be_meant_ends_with_2(app: Flask, arguments: list[str]) -> None:
    assert run(app, "fixtures", "show", *arguments).exit_code == 2
