import re

import pytest
from commands import SQLITE_ONLY, run, run_json
from factories import a_job, counts, items_of
from flask import Flask

from app.core.clock import now
from app.core.db import transaction
from app.core.text import Sentence
from app.jobs import ledger, steer
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome
from app.jobs.moves import Claim, Report
from app.sources.models import RequestLog

BIGGEST = 2**63 - 1
on_sqlite = pytest.mark.parametrize(*SQLITE_ONLY)


def take(job_id: int, most: int = 1) -> list[Claim]:
    with transaction() as session:
        terms = Terms(lease_s=30, deadline_s=300, most=most)
        return ledger.claim(session, job_id, worker="w1", kinds=["fetch_day"], terms=terms)


def a_half_done_job() -> int:
    """Five items: one stored, one unchanged, one failed, one running, one waiting."""
    job_id = a_job(days=5)
    stored, unchanged, failed, _running = take(job_id, most=4)
    with transaction() as session:
        ledger.finish(session, stored, ItemOutcome.STORED, Report("OK"))
        ledger.finish(session, unchanged, ItemOutcome.UNCHANGED, Report("OK_UNCHANGED"))
        ledger.fail(session, failed, Report("NOT_FOUND", Sentence("It is gone.")))
    return job_id


def test_a_job_is_shown_with_all_its_sums(app: Flask) -> None:
    job = run_json(app, "jobs", "show", a_half_done_job())
    assert job["items"] == {
        "waiting": 1,
        "running": 1,
        "done": 2,
        "failed": 1,
        "cancelled": 0,
        "quarantined": 0,
    }
    assert job["outcomes"] == {"stored": 1, "unchanged": 1, "no_data": 0}
    assert job["errors"] == {"NOT_FOUND": 1}
    assert (job["state"], job["submitted"], job["balanced"]) == ("PROCESSING", 5, True)
    assert job["started_at"].endswith("Z")
    assert job["finished_at"] is None
    assert job["rate"] > 0
    assert job["left_s"] > 0


@on_sqlite
def test_a_job_is_shown_in_words(app: Flask) -> None:
    said = run(app, "jobs", "show", a_half_done_job()).stdout
    assert "PROCESSING" in said
    assert "5 submitted = 1 waiting, 1 running, 2 done, 1 failed" in said
    assert "Of the done ones: 1 stored, 1 unchanged" in said
    assert "NOT_FOUND: 1" in said


def test_the_items_of_a_state_come_with_the_job_or_alone(app: Flask) -> None:
    job_id = a_half_done_job()
    job = run_json(app, "jobs", "show", job_id, "--items", "failed")
    alone = run_json(app, "jobs", "items", job_id, "--state", "failed")
    assert job["listed"] == alone
    (item,) = alone
    assert (item["state"], item["code"], item["message"]) == ("failed", "NOT_FOUND", "It is gone.")


@on_sqlite
def test_items_are_paged(app: Flask) -> None:
    job_id = a_job(days=5)
    first = run_json(app, "jobs", "items", job_id, "--limit", 3)
    rest = run_json(app, "jobs", "items", job_id, "--after", first[-1]["id"])
    assert [item["id"] for item in first + rest] == [item.id for item in items_of(job_id)]
    assert "2025" in run(app, "jobs", "items", job_id).stdout


def test_jobs_are_listed_the_newest_first_and_paged(app: Flask) -> None:
    old, middle, new = a_job(), a_job(), a_job()
    assert [job["id"] for job in run_json(app, "jobs", "list")] == [new, middle, old]
    page = run_json(app, "jobs", "list", "--before", new, "--limit", 1)
    assert [job["id"] for job in page] == [middle]
    assert page[0]["items"]["waiting"] == 1


@on_sqlite
def test_jobs_are_listed_by_state(app: Flask) -> None:
    a_job()
    cancelled = a_job()
    run(app, "jobs", "cancel", cancelled)
    found = run_json(app, "jobs", "list", "--state", "CANCELLED")
    assert [job["id"] for job in found] == [cancelled]
    assert run(app, "jobs", "list", "--state", "SLEEPING").exit_code == 2


@on_sqlite
def test_an_empty_ledger_says_what_to_do(app: Flask) -> None:
    assert "There are no jobs. Submit one" in run(app, "jobs", "list").stdout
    assert run_json(app, "jobs", "list") == []


@on_sqlite
@pytest.mark.parametrize("verb", ["show", "items", "watch", "cancel", "pause", "resume"])
def test_an_unknown_job_is_a_sentence_and_a_nonsense_number_too(app: Flask, verb: str) -> None:
    unknown = run(app, "jobs", verb, BIGGEST)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr == f"There is no job {BIGGEST}.\n"
    for nonsense in ("x", "0", "-1", "1.5", "9" * 30, "٣"):
        assert run(app, "jobs", verb, nonsense).exit_code == 2


def test_cancelling_says_how_many_and_a_second_time_that_it_ended(app: Flask) -> None:
    job_id = a_job(days=3)
    result = run(app, "jobs", "cancel", job_id)
    assert result.exit_code == 0
    assert f"Job {job_id} is cancelled: 3 waiting items at once" in result.stdout
    again = run(app, "jobs", "cancel", job_id)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "has already ended (CANCELLED)" in again.stderr


def test_cancelling_waits_for_what_runs_and_keeps_who_did_it(app: Flask) -> None:
    job_id = a_job(days=3)
    take(job_id)
    job = run_json(app, "jobs", "cancel", job_id)
    assert (job["state"], job["items"]["cancelled"]) == ("PROCESSING", 2)
    assert job["cancelled_by"].startswith("cli:")


def test_a_job_is_paused_and_resumed(app: Flask) -> None:
    job_id = a_job()
    assert (
        run_json(app, "jobs", "pause", job_id)["waits_for"]
        == "The job is paused until somebody resumes it."
    )
    assert take(job_id) == []
    assert run_json(app, "jobs", "resume", job_id)["paused_at"] is None
    assert take(job_id)


def test_the_timeline_of_an_item_tells_its_story(app: Flask) -> None:
    job_id = a_job()
    item = items_of(job_id)[0]
    assert run_json(app, "jobs", "timeline", item.id) == []
    (claim,) = take(job_id)
    with transaction() as session:
        ledger.fail(session, claim, Report("NOT_FOUND", Sentence("It is gone.")))
    events = run_json(app, "jobs", "timeline", item.id)
    assert [(event["event"], event["state"]) for event in events] == [
        ("claimed", "running"),
        ("failed", "failed"),
    ]
    assert events[1]["message"] == "It is gone."
    with transaction() as session:
        asked = {"source": "sandbox", "template": "/day", "key": item.key, "code": "NOT_FOUND"}
        session.add(RequestLog(**asked, at=now(), status=404, elapsed_ms=731, item_id=item.id))
    said = run(app, "jobs", "timeline", item.id).stdout
    assert "It is gone." in said
    assert "Fence" in said
    assert re.search(r"/day +404 +NOT_FOUND +731", said)


def test_an_item_is_found_by_its_key(app: Flask) -> None:
    job_id = a_job(days=5)
    wanted = items_of(job_id)[3]
    (found,) = run_json(app, "jobs", "items", job_id, "--key", wanted.key)
    assert found["id"] == wanted.id
    assert run_json(app, "jobs", "items", job_id, "--key", "nothing") == []


@on_sqlite
def test_the_timeline_of_an_unknown_item_is_a_sentence(app: Flask) -> None:
    result = run(app, "jobs", "timeline", 99)
    assert (result.exit_code, result.stderr) == (1, "There is no item 99.\n")


def test_the_audit_is_quiet_while_the_books_balance(app: Flask) -> None:
    a_half_done_job()
    assert run_json(app, "jobs", "audit") == []
    assert "5 items submitted, all accounted for" in run(app, "jobs", "audit").stdout


def test_the_audit_names_the_job_that_lost_an_item_and_ends_with_1(app: Flask) -> None:
    a_job()
    lost = a_job(days=2)
    with transaction() as session:
        session.delete(items_of(lost)[0])
    (wrong,) = run_json(app, "jobs", "audit", exit_code=1)
    assert (wrong["job_id"], wrong["submitted"], wrong["counted"]) == (lost, 2, 1)
    assert f"Job {lost}: 2 items were submitted, 1 are there" in run(app, "jobs", "audit").stdout
    assert run_json(app, "jobs", "show", lost)["balanced"] is False
    assert "do not balance" in run(app, "jobs", "show", lost).stdout


@on_sqlite
def test_watching_an_ended_job_answers_at_once(app: Flask) -> None:
    job_id = a_job()
    with transaction() as session:
        steer.cancel(session, job_id, by="x")
    assert run_json(app, "jobs", "watch", job_id, exit_code=1)["state"] == "CANCELLED"
    assert counts(job_id)["cancelled"] == 1
