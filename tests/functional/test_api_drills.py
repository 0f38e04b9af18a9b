"""/api/drills: who may start one, and what is refused."""

import pytest
from commands import SQLITE_ONLY
from flask import Flask
from test_api import sign_in

from app.accounts.models import Role
from app.core.db import reading, transaction
from app.jobs.models import Job
from config import Config

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


def test_an_administrator_starts_one_and_a_second_joins_it(app: Flask) -> None:
    caller = sign_in(app, Role.ADMINISTRATOR)
    first = caller.post("/api/drills", {"items": 200, "kills": 2})
    assert first.status_code == 202
    with reading() as session:
        job = session.get_one(Job, first.json["id"])
    assert (job.kind, job.params) == ("drill_chaos", {"items": 200, "kills": 2})
    assert caller.post("/api/drills").json == {"id": job.id, "joined": True}
    assert caller.get("/api/drills").json == {"drills": []}


@pytest.mark.parametrize("asked", [{"items": 5}, {"items": 100, "kills": 90}, {"kills": "two"}])
def test_what_cannot_be_done_is_refused_in_a_sentence(app: Flask, asked: dict[str, object]) -> None:
    answer = sign_in(app, Role.ADMINISTRATOR).post("/api/drills", asked)
    assert answer.status_code == 400
    assert answer.json["error"]


def test_an_operator_may_not(app: Flask) -> None:
    caller = sign_in(app, Role.OPERATOR)
    assert caller.post("/api/drills").status_code == 403
    assert caller.get("/api/drills").status_code == 403


def test_nobody_may_in_production(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "production", property(lambda _config: True))
    assert sign_in(app, Role.ADMINISTRATOR).post("/api/drills").status_code == 400
    with transaction() as session:
        assert session.query(Job).count() == 0
