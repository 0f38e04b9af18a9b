from typing import Any

import pytest
from commands import SQLITE_ONLY, run_json
from factories import a_job, counts, items_of
from flask import Flask
from flask import session as cookie
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from app.accounts import users
from app.accounts.models import Role
from app.admin.login import SignedIn
from app.api import jobs
from app.core import db as database
from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import Sentence
from app.errors.models import FixtureError
from app.errors.record import Problem, record_error
from app.jobs.models import Job
from app.sources.models import SourceState

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


class Caller:
    """Somebody with a browser session, his CSRF token at hand."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client = client
        self.headers = {"X-CSRFToken": token}

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, json: Any = None) -> TestResponse:
        return self.client.post(path, json=json or {}, headers=self.headers)


def sign_in(app: Flask, role: Role) -> Caller:
    with transaction() as session:
        user = users.create(session, f"a-{role}", "a long enough password", role=role)
        user.language = "en"
    client = app.test_client()
    with app.test_request_context():
        token = generate_csrf()
        secret = cookie["csrf_token"]
    with client.session_transaction() as kept:
        kept |= {"_user_id": SignedIn(user).get_id(), "_fresh": True, "csrf_token": secret}
    return Caller(client, token)


@pytest.fixture
def operator(app: Flask) -> Caller:
    return sign_in(app, Role.OPERATOR)


@pytest.fixture
def viewer(app: Flask) -> Caller:
    return sign_in(app, Role.VIEWER)


def job_count() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def an_error(key: str, code: str = "BLOCKED") -> int:
    problem = Problem("sandbox", "fetch_day", key, code, Sentence("blocked"), {"status": 403})
    with transaction() as session:
        record_error(session, problem, now())
        return session.scalar(select(func.max(FixtureError.id))) or 0


READS = ["/api/jobs", "/api/jobs/1", "/api/jobs/1/items", "/api/fixtures/2024-11-05", "/api/errors"]
CHANGES = [
    "/api/fixtures/fetch",
    "/api/errors/retry",
    "/api/errors/accept",
    "/api/jobs/1/cancel",
    "/api/jobs/1/pause",
    "/api/jobs/1/resume",
    "/api/sources/sandbox/pause",
    "/api/sources/sandbox/resume",
    "/api/sources/sandbox/reset",
]


@pytest.mark.parametrize("path", [*READS, "/api/nothing/here"])
def test_nobody_gets_401_in_json(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    assert answer.status_code == 401
    assert answer.is_json
    assert "error" in answer.json


@pytest.mark.parametrize("path", CHANGES)
def test_nobody_changes_anything(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, json={"from": "2024-11-05"})
    assert (answer.status_code, answer.is_json, job_count()) == (401, True, 0)


@pytest.mark.parametrize("path", CHANGES)
def test_a_viewer_may_look_and_change_nothing(viewer: Caller, path: str) -> None:
    a_job()
    answer = viewer.post(path, {"from": "2024-11-05"})
    assert (answer.status_code, job_count()) == (403, 1)
    assert answer.json == {"error": "Your role does not allow this."}
    assert viewer.get("/api/jobs/1").status_code == 200
    assert counts(1)["waiting"] == 1


@pytest.mark.parametrize("path", CHANGES)
def test_a_session_without_a_csrf_token_changes_nothing(operator: Caller, path: str) -> None:
    a_job()
    answer = operator.client.post(path, json={"from": "2024-11-05"})
    assert (answer.status_code, answer.is_json, job_count()) == (400, True, 1)
    assert "CSRF" in answer.json["error"]
    assert counts(1)["waiting"] == 1


def test_a_session_that_was_ended_is_nobody(app: Flask, operator: Caller) -> None:
    with transaction() as session:
        user = users.get(session, "a-operator")
        users.set_password(user, "another long password")
    assert operator.get("/api/jobs").status_code == 401


def test_api_and_command_tell_the_same_of_a_job(app: Flask, operator: Caller) -> None:
    job_id = a_job(days=2)
    assert operator.get(f"/api/jobs/{job_id}").json == run_json(app, "jobs", "show", job_id)
    assert operator.get("/api/jobs").json == run_json(app, "jobs", "list")
    items = operator.get(f"/api/jobs/{job_id}/items?state=waiting").json
    assert items == run_json(app, "jobs", "items", job_id)
    after = items[0]["id"]
    assert operator.get(f"/api/jobs/{job_id}/items?after={after}").json == items[1:]


def test_a_fetch_is_submitted_in_the_users_name(operator: Caller) -> None:
    sent = {"from": "2024-11-05", "to": "2024-11-06", "sources": ["sandbox"]}
    answer = operator.post("/api/fixtures/fetch", sent)
    assert answer.status_code == 202
    job = answer.json
    assert (job["submitted"], job["trigger"], job["requested_by"]) == (2, "api", "a-operator")
    assert (job["joined"], job["asked"]) == (False, 2)
    assert operator.post("/api/fixtures/fetch", sent).json["joined"] is True
    assert job_count() == 1


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({}, "“from” is missing"),
        ({"from": "2024-11-051"}, "is not a date"),
        ({"from": "2024-11-35"}, "is not a day of the calendar"),
        ({"from": "1900-01-01", "to": "2100-01-01"}, "at most 3700"),
        ({"from": "2024-11-05", "to": "2024-11-01"}, "Swap the two dates"),
        ({"from": "2024-11-05", "sources": ["nobody"]}, "There is no source"),
        ({"from": "2024-11-05", "sources": "sandbox"}, "must be a list"),
        ({"from": 20241105}, "must be text"),
        (["2024-11-05"], "must be a JSON object"),
    ],
)
def test_what_is_asked_wrongly_is_400_with_a_sentence_and_submits_nothing(
    operator: Caller, sent: Any, words: str
) -> None:
    answer = operator.post("/api/fixtures/fetch", sent)
    assert answer.status_code == 400
    assert words in answer.json["error"]
    assert job_count() == 0


def test_a_body_that_is_no_json_is_400(operator: Caller) -> None:
    answer = operator.client.post("/api/fixtures/fetch", data="{", headers=operator.headers)
    assert (answer.status_code, job_count()) == (400, 0)


def test_what_is_not_there_is_404_in_json(operator: Caller) -> None:
    for path in ("/api/jobs/99", "/api/jobs/99/items", "/api/errors/99", "/api/jobs/x", "/api/x"):
        assert (operator.get(path).status_code, operator.get(path).is_json) == (404, True)
    assert operator.get(f"/api/jobs/{2**63}").status_code == 404
    assert operator.get("/api/fixtures/2024-11-05").json["error"].startswith("2024-11-05 was never")
    for path in ("/api/jobs/99/cancel", "/api/sources/nobody/pause", "/api/sources/x/resume"):
        assert operator.post(path).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["state=sleeping", "before=x", "limit=0", "limit=100000", "before=-1", f"before={10**30}"],
)
def test_a_query_that_cannot_be_meant_is_400(operator: Caller, query: str) -> None:
    answer = operator.get(f"/api/jobs?{query}")
    assert (answer.status_code, answer.is_json) == (400, True)


def test_errors_are_listed_filtered_and_shown(operator: Caller) -> None:
    an_error("2024-11-01")
    second = an_error("2024-11-02", code="NOT_FOUND")
    assert [row["key"] for row in operator.get("/api/errors").json] == ["2024-11-02", "2024-11-01"]
    (one,) = operator.get("/api/errors?code=NOT_FOUND&text=11-02").json
    assert one["id"] == second
    assert operator.get(f"/api/errors/{second}").json["evidence"] == {"status": 403}
    assert operator.get("/api/errors?text=%00").status_code == 400


def test_errors_are_retried_by_number_or_filter(operator: Caller) -> None:
    first, second = an_error("2024-11-01"), an_error("2024-11-02", code="NOT_FOUND")
    by_number = operator.post("/api/errors/retry", {"ids": [first]})
    assert (by_number.status_code, by_number.json["kind"]) == (202, "retry_errors")
    wanted = {"all": True, "filter": {"code": "NOT_FOUND"}}
    job_id = operator.post("/api/errors/retry", wanted).json["id"]
    assert [item.key for item in items_of(job_id)] == ["2024-11-02"]
    assert operator.post("/api/errors/retry", {"ids": [second]}).status_code == 400


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"ids": []},
        {"ids": ["1"]},
        {"ids": [True]},
        {"ids": [2**63]},
        {"ids": [1], "all": True},
        {"all": "yes"},
        {"all": True, "filter": "BLOCKED"},
        {"all": True, "filter": {"code": 3}},
    ],
)
def test_a_retry_that_cannot_be_meant_submits_nothing(operator: Caller, sent: Any) -> None:
    an_error("2024-11-01")
    assert (operator.post("/api/errors/retry", sent).status_code, job_count()) == (400, 0)


def test_jobs_are_steered(operator: Caller) -> None:
    job_id = a_job(days=2)
    assert operator.post(f"/api/jobs/{job_id}/pause").json["paused_at"] is not None
    assert operator.post(f"/api/jobs/{job_id}/resume").json["paused_at"] is None
    assert operator.post(f"/api/jobs/{job_id}/cancel").json["state"] == "CANCELLED"
    assert operator.post(f"/api/jobs/{job_id}/cancel").status_code == 400


def test_sources_are_paused_and_resumed(operator: Caller) -> None:
    assert operator.post("/api/sources/sandbox/pause").json == {"name": "sandbox", "paused": True}
    with reading() as session:
        assert session.get_one(SourceState, "sandbox").message.values == {"by": "a-operator"}
    assert operator.post("/api/sources/sandbox/resume").json["paused"] is False


def test_a_database_that_is_away_is_503_in_json(
    operator: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_anything: object, **_options: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("password=secret"))

    monkeypatch.setattr(jobs, "list_jobs", away)
    answer = operator.get("/api/jobs")
    assert (answer.status_code, answer.is_json) == (503, True)
    assert "secret" not in answer.text


def test_nothing_changes_on_get(operator: Caller) -> None:
    a_job()
    for path in CHANGES:
        assert operator.get(path).status_code in {400, 404}
    assert counts(1)["waiting"] == 1


def test_health_needs_no_sign_in_and_tells_nothing_more(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    fine = client.get("/healthz")
    assert (fine.status_code, fine.json) == (200, {"ok": True})

    def away() -> None:
        raise OperationalError("SELECT 1", {}, Exception("password=secret"))

    monkeypatch.setattr(database, "reachable", away)
    ill = client.get("/healthz")
    assert (ill.status_code, ill.json) == (503, {"ok": False})


def test_the_sources_are_listed_with_limit_and_breaker(app: Flask) -> None:
    rows = {
        row["name"]: row for row in sign_in(app, Role.VIEWER).get("/api/sources").json["sources"]
    }
    assert rows["football_data"]["limit"] == "9/60"
    assert (
        rows["sandbox"] | {"limit": None, "breaker": "closed", "failures": 0, "speed": 1.0}
        == (rows["sandbox"])
    )
