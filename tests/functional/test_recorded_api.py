"""The commands against the recorded API over real HTTP, with a real worker, on both stacks."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import settings
from payloads import PAYLOADS, needs_payloads, payload
from stage import Stage, free_port, stage, wait_until

import tasks
from app import create_app
from app.core.db import db, reading, transaction
from app.errors.present import error_as_dict
from app.fixtures.present import day_as_dict
from app.fixtures.report import day_report, list_errors
from app.fixtures.request import fetch_request, parse_day
from app.fixtures.retry import Filter
from app.jobs import steer
from app.jobs.audit import imbalances
from app.jobs.models import Trigger
from app.jobs.present import job_as_dict
from app.jobs.report import job_report, list_jobs
from app.sources import pause

pytestmark = needs_payloads(pytest.mark.timeout(300))

DAY = "2025-05-10"
CHALLENGE = "sofascore/error-403-challenge__akkradet.json"


@dataclass
class Scene:
    """A stack with a worker, and the recorded API whose faults can be changed."""

    stage: Stage
    port: int

    def faults(self, *rules: dict[str, Any]) -> None:
        body = json.dumps(rules).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_faults", data=body, method="PUT"
        )
        urllib.request.urlopen(request).close()

    def asked(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_count") as answer:
            return json.load(answer)

    def fetch(self, *arguments: str, source: str = "sofascore") -> Any:
        """The command, with --wait, as it ended."""
        return self.stage.flask(
            "fixtures", "fetch", *arguments, "--source", source, "--wait", timeout=120
        )

    def day(self, day: str = DAY, source: str = "sofascore") -> Any:
        with reading() as session:
            return day_as_dict(day_report(session, [source], parse_day(day)), "en")

    def newest(self) -> Any:
        with reading() as session:
            return job_as_dict(job_report(session, list_jobs(session, most=1)[0].id), "en")

    def errors(self) -> Any:
        with reading() as session:
            return [error_as_dict(error, "en") for error in list_errors(session, Filter())]

    def submit(self) -> int:
        """Ask for the day without a command; the steward rings."""
        with reading() as session:
            request = fetch_request(session, ["sofascore"], parse_day(DAY), parse_day(DAY)).job
        return tasks.submit(request, by="tester", trigger=Trigger.CLI).job_id

    def cancel(self) -> None:
        with transaction() as session:
            steer.cancel(session, self.newest()["id"], by="tester")
        self.until_ended()

    def until_ended(self) -> None:
        wait_until(lambda: self.newest()["state"] not in {"PENDING", "PROCESSING"})

    def mend(self) -> None:
        """The API is well again: the next good answer resolves the error."""
        self.faults()
        with transaction() as session:
            pause.resume(session, "sofascore")
        self.submit()
        self.until_ended()
        assert self.newest()["state"] == "DONE"
        assert self.errors() == []


@pytest.fixture
def scene(stack: dict[str, str], tmp_path: Path) -> Iterator[Scene]:
    assert PAYLOADS is not None
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    sources = {
        "SOURCES": "sofascore,football_data",
        "SOFASCORE_PERMITTED": "1",
        "SOFASCORE_BASE_URL": here,
        "FOOTBALL_DATA_BASE_URL": here,
        "FOOTBALL_DATA_TOKEN": "any",
        "HTTP_READ_TIMEOUT": "2",
    }
    with stage(tmp_path, **sources, **stack) as made:
        tool = str(PAYLOADS.parent / "tools" / "replay_api.py")
        made.start(tool, "--port", str(port), "--payloads", str(PAYLOADS), name="replay")
        made.worker("--threads", "4")
        wait_until(lambda: "replay on" in made.log_text())
        app = create_app(settings(tmp_path / "data", **stack), edges=False)
        with app.app_context():
            yield Scene(made, port)
            db.engine.dispose()


def events_on(day: str) -> list[dict[str, Any]]:
    return json.loads(payload(f"sofascore/daily/{day}.json.gz"))["events"]


def test_57_days_have_the_count_of_their_files_and_all_again_is_unchanged(scene: Scene) -> None:
    done = scene.fetch("2025-05-05", "--to", "2025-06-30")
    assert done.returncode == 0, done.stderr
    job = scene.newest()
    assert (job["submitted"], job["items"]["done"], job["outcomes"]["stored"]) == (57, 57, 57)
    for day in ("2025-05-05", "2025-05-31", "2025-06-30"):
        shown, events = scene.day(day), events_on(day)
        assert shown["count"] == len(events) == len(shown["matches"])
        assert [m["source_id"] for m in shown["matches"]] == [str(e["id"]) for e in events]
        assert shown["data_id"] == int(day.replace("-", ""))
    again = scene.fetch("2025-05-05", "--to", "2025-06-30")
    assert again.returncode == 0
    assert scene.newest()["outcomes"] == {"stored": 0, "unchanged": 57, "no_data": 0}


def test_statuses_shoot_outs_and_empty_scores_read_as_they_should(scene: Scene) -> None:
    assert scene.fetch("2025-05-05", "--to", "2025-05-31").returncode == 0
    events = {str(e["id"]): e for d in range(5, 32) for e in events_on(f"2025-05-{d:02}")}
    days = [scene.day(f"2025-05-{d:02}") for d in range(5, 32)]
    told = {m["source_id"]: m for day in days for m in day["matches"]}
    assert told.keys() == events.keys()
    waiting = [m for m in told.values() if m["status"] == "SCHEDULED"]
    assert all(m["home_score"] is None for m in waiting)
    shoot_outs = [m for m in told.values() if m["decided_by"] == "PENS"]
    assert shoot_outs
    for match in shoot_outs:
        assert match["home_score"] == match["away_score"] or match["home_penalties"] is not None
        assert match["home_score"] == events[match["source_id"]]["homeScore"]["display"]


def test_football_data_answers_for_the_one_day_that_was_asked(scene: Scene) -> None:
    assert scene.fetch("2022-09-04", source="football_data").returncode == 0
    shown = scene.day("2022-09-04", source="football_data")
    assert shown["count"] == len(shown["matches"]) > 0
    assert {m["kickoff"][:10] for m in shown["matches"]} == {"2022-09-04"}


def test_a_block_after_a_good_day_stops_the_source_and_keeps_the_matches(scene: Scene) -> None:
    assert scene.fetch(DAY).returncode == 0
    before = scene.day()
    scene.faults({"match": "scheduled-events", "status": 403, "body_file": CHALLENGE})
    asked = sum(scene.asked().values())
    done = scene.fetch(DAY)
    assert done.returncode == 1
    (error,) = scene.errors()
    assert (error["code"], error["http_status"], error["key"]) == ("BLOCKED", 403, DAY)
    assert sum(scene.asked().values()) == asked + 1, "no retry storm"
    later = scene.fetch("2025-05-11", "--to", "2025-05-20")
    assert later.returncode == 1
    assert "paused" in later.stdout
    assert sum(scene.asked().values()) == asked + 1
    assert scene.day()["matches"] == before["matches"]
    assert scene.newest()["items"]["waiting"] == 10
    scene.faults()
    assert scene.stage.flask("sources", "resume", "sofascore").returncode == 0
    wait_until(lambda: scene.newest()["state"] == "DONE")


HTML = {"body": "<html><body>Please wait</body></html>", "headers": {"Content-Type": "text/html"}}
ENDS_NOW = [
    ("HTML with 200", {**HTML}, "BLOCKED"),
    ("JSON without events", {"body": {"matches": []}}, "SCHEMA_MISSING_KEY"),
    ("events: null", {"body": {"events": None}}, "SCHEMA_MISSING_KEY"),
    ("an empty list", {"body": {"events": []}}, "SUSPECT_EMPTY"),
    ("a single row", {"body": {"events": [{"id": 1}]}}, "SUSPECT_EMPTY"),
    ("not found", {"status": 404}, "NOT_FOUND"),
    ("60 MB", {"body": {"events": ["x" * 60_000_000]}}, "TOO_LARGE"),
]
KEEPS_TRYING = [
    ("500", {"status": 500}, "SERVER_ERROR"),
    ("reset", {"action": "reset"}, "CONN_RESET"),
    ("truncation", {"action": "truncate"}, "TRUNCATED"),
    ("drip", {"action": "drip"}, "TIMEOUT_READ"),
    ("429 with Retry-After", {"status": 429, "headers": {"Retry-After": "30"}}, "RATE_LIMITED"),
    ("429 without", {"status": 429}, "RATE_LIMITED"),
    (
        "football-data's own words",
        {"status": 429, "body": {"message": "You reached your request limit. Wait 48 seconds."}},
        "RATE_LIMITED",
    ),
    ("malformed JSON", {"body": '{"events": [{'}, "INVALID_JSON"),
]


@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_a_fault_that_ends_the_item_has_its_code_and_a_sentence(scene: Scene) -> None:
    scene.submit()
    scene.until_ended()
    before = scene.day()["matches"]
    for name, rule, code in ENDS_NOW:
        scene.faults({"match": "scheduled-events", **rule})
        assert scene.fetch(DAY).returncode == 1, name
        assert_error(scene, code, before)
        scene.mend()


@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_a_fault_that_may_pass_is_tried_again_and_has_its_code_and_a_sentence(
    scene: Scene,
) -> None:
    scene.submit()
    scene.until_ended()
    before = scene.day()["matches"]
    for _name, rule, code in KEEPS_TRYING:
        scene.faults({"match": "scheduled-events", **rule})
        scene.submit()
        wait_until(lambda c=code: [e for e in scene.errors() if e["code"] == c], 30)
        assert_error(scene, code, before)
        scene.cancel()
        scene.mend()
    with reading() as session:
        assert imbalances(session) == []


def assert_error(scene: Scene, code: str, before: list[Any]) -> None:
    (error,) = scene.errors()
    assert error["code"] == code, error
    assert len(error["message"]) > 20
    job = scene.newest()
    assert sum(job["items"].values()) == job["submitted"] == 1
    assert job["errors"] == {code: 1}
    assert scene.day()["matches"] == before


def test_throttled_with_a_time_it_waits_and_then_goes_on_by_itself(scene: Scene) -> None:
    retry = {"status": 429, "headers": {"Retry-After": "2"}, "times": 2}
    scene.faults({"match": "scheduled-events", **retry})
    done = scene.fetch(DAY)
    assert done.returncode == 0, done.stderr
    assert scene.errors() == []
    assert scene.newest()["outcomes"]["stored"] == 1


BAD = [
    ("2024-11-051",),
    ("2024-11-35",),
    ("1900-01-01", "--to", "2100-01-01"),
    ("2024-11-05", "--to", "2024-11-04"),
    ("2024-11-05", "--source", "nobody"),
    ("2024-11-05", "--source", "sandbox"),
]


@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
def test_bad_input_is_a_sentence_with_exit_code_2_and_no_job(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with stage(tmp_path, SOURCES="football_data", FOOTBALL_DATA_TOKEN="x", **stack) as made:
        for arguments in BAD:
            done = made.flask("fixtures", "fetch", *arguments)
            assert done.returncode == 2, arguments
            assert "Traceback" not in done.stderr
            assert len(done.stderr.strip()) > 20
        assert made.json("jobs", "list") == []
