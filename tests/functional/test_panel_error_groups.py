import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from collection import HOSTILE
from commands import run, run_json
from factories import items_of
from flask import Flask
from panel import Visitor, signed_in

from app.accounts.models import Role
from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import N_, Sentence
from app.errors.groups import DAYS, last_midnights, open_groups
from app.errors.models import FixtureError
from app.errors.record import Problem, record_error, resolve
from app.jobs.models import Job

UNKNOWN = N_(
    "%(source)s does not know this (HTTP %(status)s: %(detail)s). It is asked once more in a day."
)
ZONE = ZoneInfo("Europe/Istanbul")


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def an_error(key: str, at: datetime, code: str = "NOT_FOUND", detail: str = "event") -> None:
    values = {"source": "Sandbox", "status": 404, "detail": f"{detail} {key}"}
    told: dict[str, Any] = {"message": Sentence(UNKNOWN, values), "evidence": {}}
    with transaction() as session:
        problem = Problem("sandbox", "detail_event", key, code, http_status=404, **told)
        record_error(session, problem, at)


def some() -> datetime:
    """Three of one cause on three days, two of another one; one of the first is resolved."""
    today = now()
    for back, key in enumerate(("101", "102", "103", "104")):
        an_error(key, today - timedelta(days=back))
    for key in ("7", "8"):
        an_error(key, today - timedelta(days=40), "SERVER_ERROR", HOSTILE)
    with transaction() as session:
        resolve(session, "sandbox", "detail_event", "104", today)
    return today


def groups() -> dict[str, str]:
    """Code -> fingerprint."""
    with reading() as session:
        found = open_groups(session, last_midnights(DAYS, ZONE))
        return {group.code: group.fingerprint for group in found}


def test_errors_of_one_cause_are_one_group_whatever_their_ids(app: Flask) -> None:
    today = some()
    with reading() as session:
        many, few = open_groups(session, last_midnights(DAYS, ZONE))
    assert (many.code, many.open, few.code, few.open) == ("NOT_FOUND", 3, "SERVER_ERROR", 2)
    assert abs(many.last_seen_at - today) < timedelta(seconds=1)
    assert abs(many.first_seen_at - (today - timedelta(days=2))) < timedelta(seconds=1)
    assert many.per_day == (0,) * 10 + (1, 1, 1, 1)  # the resolved one did come, too
    assert few.per_day == (0,) * 14  # long ago


def test_a_problem_that_turns_into_another_moves_to_its_group(app: Flask) -> None:
    an_error("1", now())
    an_error("1", now(), "GONE")
    assert list(groups()) == ["GONE"]


def test_days_end_at_midnight_where_people_are() -> None:
    since = last_midnights(DAYS, ZONE)
    assert len(since) == DAYS + 1
    assert all(at.astimezone(ZONE).hour == 0 for at in since)
    assert since[-2] <= now() < since[-1]
    assert since[0].tzinfo is UTC


def test_the_page_shows_the_groups_and_each_leads_to_its_rows(client: Visitor) -> None:
    some()
    page = client.text("/admin/errors/")
    part = page.split('class="groups"')[1].split("</ul>")[0]
    assert re.findall(r'group-count">(\d+)', part) == ["3", "2"]
    assert "New on each of the last 14 days: 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1" in part
    assert "<script>alert" not in part
    link = unescape(re.findall(r'href="(/admin/errors/\?group=[^"]+)"', part)[0])
    rows = client.text(link)
    assert 'class="groups"' not in rows
    assert "Only the errors of one cause are shown" in rows
    assert [key in rows for key in ("101", "102", "103", "event 7")] == [True, True, True, False]
    assert "104" in client.text(f"{link}&show=resolved")
    assert "Nothing matches" in client.text("/admin/errors/?group=nonsense%00")
    assert 'class="groups"' not in client.text("/admin/errors/?search=10")


def test_a_group_is_retried_from_the_page_and_the_question_names_the_number(
    client: Visitor,
) -> None:
    some()
    page = client.text("/admin/errors/")
    assert "Try 3 errors of this group again?" in page
    answer = client.press("/admin/errors/retry-matching", group=groups()["NOT_FOUND"])
    with reading() as session:
        (job,) = session.query(Job)
    assert answer.request.path == f"/admin/job/{job.id}"
    assert {item.key for item in items_of(job.id)} == {"101", "102", "103"}
    rows = client.text(f"/admin/errors/?group={groups()['SERVER_ERROR']}&flt0=sandbox")
    assert "Retry all matching (2)" in rows
    assert f'name="group" value="{groups()["SERVER_ERROR"]}"' in rows


def test_an_error_leads_to_the_others_of_its_cause(client: Visitor) -> None:
    some()
    with reading() as session:
        error = session.query(FixtureError).filter_by(key="101").one()
    page = client.text(f"/admin/errors/details/?id={error.id}")
    assert f'href="/admin/errors/?group={error.fingerprint}"' in page


def test_a_viewer_sees_the_groups_and_no_button(app: Flask) -> None:
    some()
    page = signed_in(app, Role.VIEWER).text("/admin/errors/")
    assert "group-count" in page
    assert "retry-matching" not in page


def test_the_command_and_the_api_know_the_same_groups(app: Flask, client: Visitor) -> None:
    some()
    group = groups()["NOT_FOUND"]
    told = run_json(app, "errors", "groups")
    assert (told[0]["group"], told[0]["code"], told[0]["open"]) == (group, "NOT_FOUND", 3)
    assert told[0]["message"].startswith("Sandbox does not know this")
    assert told == client.get("/api/errors/groups").json
    assert group in run(app, "errors", "groups").stdout
    for listed in (
        run_json(app, "errors", "list", "--group", group),
        client.get(f"/api/errors?group={group}").json,
    ):
        assert {row["key"] for row in listed} == {"101", "102", "103"}
    retried = run_json(app, "errors", "retry", "--all", "--group", group)
    assert retried["asked"] == 3
    with transaction() as session:
        session.query(FixtureError).delete()
    assert "There are no open errors" in run(app, "errors", "groups").stdout
