from datetime import UTC, datetime

import pytest
from commands import SQLITE_ONLY, run, run_json
from factories import items_of
from flask import Flask
from sqlalchemy import func, select

from app.core.db import reading, transaction
from app.core.text import Sentence
from app.errors.models import FixtureError
from app.errors.record import Problem, record_error, resolve
from app.jobs.models import Job

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
AT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def an_error(key: str, code: str = "BLOCKED", source: str = "sandbox") -> int:
    problem = Problem(
        source=source,
        kind="fetch_day",
        key=key,
        code=code,
        message=Sentence("%(host)s blocks us.", {"host": "example.org"}),
        evidence={"beginning": "<html>Erişim engellendi"},
        http_status=403,
        job_id=4,
    )
    with transaction() as session:
        record_error(session, problem, AT)
        return session.scalar(select(func.max(FixtureError.id))) or 0


def job_count() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def keys(app: Flask, *arguments: object) -> list[str]:
    return [row["key"] for row in run_json(app, "errors", "list", *arguments)]


def test_an_error_is_listed_with_everything_but_its_evidence(app: Flask) -> None:
    error_id = an_error("2024-11-05")
    assert run_json(app, "errors", "list") == [
        {
            "id": error_id,
            "source": "sandbox",
            "kind": "fetch_day",
            "key": "2024-11-05",
            "code": "BLOCKED",
            "http_status": 403,
            "attempts": 1,
            "first_seen_at": "2025-01-02T03:04:05Z",
            "last_seen_at": "2025-01-02T03:04:05Z",
            "next_try_at": None,
            "job_id": 4,
            "item_id": None,
            "resolved_at": None,
            "resolved_by": None,
            "message": "example.org blocks us.",
        }
    ]
    assert "example.org blocks us." in run(app, "errors", "list").stdout


def test_the_list_can_be_narrowed(app: Flask) -> None:
    an_error("2024-11-01")
    an_error("2024-11-02", code="NOT_FOUND")
    an_error("2024-11-03", source="football_data")
    assert keys(app) == ["2024-11-03", "2024-11-02", "2024-11-01"]
    assert keys(app, "--code", "not_found") == ["2024-11-02"]
    assert keys(app, "--source", "football_data") == ["2024-11-03"]
    assert keys(app, "--kind", "import_excel") == []
    assert keys(app, "--limit", 1) == ["2024-11-03"]
    assert run(app, "errors", "list", "--source", "nobody").exit_code == 2
    assert run(app, "errors", "list", "--code", "NICE").exit_code == 2


def test_resolved_ones_are_listed_only_when_asked_for(app: Flask) -> None:
    error_id = an_error("2024-11-01")
    with transaction() as session:
        resolve(session, "sandbox", "fetch_day", "2024-11-01", AT)
    assert "There are no open errors." in run(app, "errors", "list").stdout
    assert keys(app) == []
    assert keys(app, "--all") == ["2024-11-01"]
    assert (
        "Resolved at 2025-01-02 06:04:05 by success." in run(app, "errors", "show", error_id).stdout
    )


def test_one_error_is_shown_with_its_evidence(app: Flask) -> None:
    error_id = an_error("2024-11-01")
    shown = run_json(app, "errors", "show", error_id)
    assert shown["evidence"] == {"beginning": "<html>Erişim engellendi"}
    assert "Erişim engellendi" in run(app, "errors", "show", error_id).stdout


def test_an_unknown_error_is_a_sentence(app: Flask) -> None:
    for arguments in (["show", 99], ["retry", 99]):
        result = run(app, "errors", *arguments)
        assert (result.exit_code, result.stderr) == (1, "There is no error 99.\n")
    assert job_count() == 0


def test_chosen_errors_are_asked_again_an_item_each(app: Flask) -> None:
    first, _other, third = (an_error(f"2024-11-0{n}") for n in (1, 2, 3))
    job = run_json(app, "errors", "retry", first, third)
    assert (job["kind"], job["submitted"], job["joined"]) == ("retry_errors", 2, False)
    assert [item.key for item in items_of(job["id"])] == ["2024-11-01", "2024-11-03"]


def test_all_that_fit_are_asked_again(app: Flask) -> None:
    an_error("2024-11-01")
    an_error("2024-11-02", code="NOT_FOUND")
    result = run(app, "errors", "retry", "--all", "--code", "NOT_FOUND")
    assert result.exit_code == 0
    assert "Job 1 asks again for 1." in result.stdout
    assert [item.key for item in items_of(1)] == ["2024-11-02"]


def test_what_is_being_tried_is_not_tried_twice(app: Flask) -> None:
    an_error("2024-11-01")
    run(app, "errors", "retry", "--all")
    again = run(app, "errors", "retry", "--all")
    assert again.exit_code == 1
    assert "being tried right now" in again.stderr
    assert job_count() == 1


def test_nothing_to_retry_is_a_sentence(app: Flask) -> None:
    result = run(app, "errors", "retry", "--all")
    assert (result.exit_code, result.stderr) == (1, "There is no open error to retry.\n")


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--all"], ["1", "--code", "BLOCKED"], ["x"], ["--all", "--source", "y"]]
)
def test_a_retry_that_cannot_be_meant_submits_nothing(app: Flask, arguments: list[str]) -> None:
    an_error("2024-11-01")
    result = run(app, "errors", "retry", *arguments)
    assert (result.exit_code, result.stdout, job_count()) == (2, "", 0)
    assert result.stderr
