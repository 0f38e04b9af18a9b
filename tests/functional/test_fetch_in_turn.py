"""Asking one source after the other: by command, through the API and in the panel."""

import dataclasses
from datetime import date
from typing import Any

import pytest
from commands import SQLITE_ONLY, run, run_json
from factories import items_of
from fakes import FakeOutside, a_desk, answer, work_all
from flask import Flask
from panel import Visitor, signed_in
from shapes import a_list, a_match
from sqlalchemy import select

from app.core.db import reading, transaction
from app.fixtures.request import regular_request
from app.jobs.models import Job
from app.sources import pause

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)

DAY = "2025-05-05"
ORDER = ["sofascore", "football_data", "sandbox"]
IN_TURN = {"from": DAY, "failover": ORDER}


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def asked_for(job: Job) -> list[tuple[str | None, str]]:
    return [(item.source, item.key) for item in items_of(job.id)]


def post(client: Visitor, sent: Any) -> Any:
    token = {"X-CSRFToken": client.token()}
    return client.post("/api/fixtures/fetch", json=sent, headers=token)


def answered_by_the_second(job_id: int) -> None:
    """SofaScore does not know the day, the sandbox has a match."""
    replies = [answer(b"{}", 404), answer(b"{}", 404), answer(a_list(a_match(1)))]
    work_all(job_id, a_desk(FakeOutside(*replies)))


# --- the command ----------------------------------------------------------------------------------


def test_the_command_asks_for_one_item_a_day(app: Flask) -> None:
    ask = ["fixtures", "fetch", DAY, "--to", "2025-05-06", "--failover", ",".join(ORDER)]
    told = run_json(app, *ask)
    assert (told["submitted"], told["asked"]) == (2, 2)
    assert told["params"]["failover"] == told["params"]["sources"] == ORDER
    assert asked_for(jobs()[0]) == [("sofascore", DAY), ("sofascore", "2025-05-06")]
    assert run_json(app, *ask)["joined"] is True


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--failover", "sofascore"], "“sofascore” alone is no order"),
        (["--failover", "sofascore,sandbox,sofascore"], "“sofascore” stands twice in the order"),
        (["--failover", "sofascore,nobody"], "There is no source “nobody”"),
        (["--failover", "sofascore,"], "There is no source “”"),
        (["--failover", ""], "There is no source “”"),
        (["--failover", "sofascore,espn"], "Add “espn” to SOURCES"),
        (["--failover", "sofascore,sandbox", "--source", "sandbox"], "either sources or an order"),
    ],
)
def test_what_is_no_order_is_a_sentence_and_nothing_is_submitted(
    app: Flask, more: list[str], words: str
) -> None:
    result = run(app, "fixtures", "fetch", DAY, *more)
    assert (result.exit_code, result.stdout, jobs()) == (2, "", [])
    assert words in result.stderr


def test_jobs_show_and_the_timeline_say_who_answered(app: Flask) -> None:
    ask = ["fixtures", "fetch", DAY, "--failover", ",".join(ORDER)]
    job_id = run_json(app, *ask)["id"]
    answered_by_the_second(job_id)
    shown = run(app, "jobs", "show", job_id).stdout
    assert "One after the other until one answers: sofascore, football_data, sandbox" in shown
    assert "Answered by: sandbox 1" in shown
    assert run_json(app, "jobs", "show", job_id)["answered_by"] == {"sandbox": 1}
    (item,) = run_json(app, "jobs", "items", job_id)
    assert (item["source"], item["answered_by"]) == ("sandbox", "sandbox")
    events = run_json(app, "jobs", "timeline", item["id"])
    assert [event["event"] for event in events].count("failed_over") == 2
    assert "football_data is asked instead" in run(app, "jobs", "timeline", item["id"]).stdout
    assert run_json(app, "fixtures", "show", DAY)["source"] == "sandbox"
    other = run_json(app, "fixtures", "show", DAY, "--source", "sofascore")
    assert (other["source"], other["code"], other["fetched_at"]) == ("sofascore", "NOT_FOUND", None)


def test_an_item_that_is_not_done_was_answered_by_nobody(app: Flask) -> None:
    job_id = run_json(app, "fixtures", "fetch", DAY, "--source", "sandbox")["id"]
    assert run_json(app, "jobs", "items", job_id)[0]["answered_by"] is None
    assert run_json(app, "jobs", "show", job_id)["answered_by"] == {}
    assert "One after the other" not in run(app, "jobs", "show", job_id).stdout


# --- the API --------------------------------------------------------------------------------------


def test_the_api_takes_an_order(client: Visitor) -> None:
    told = post(client, IN_TURN)
    assert told.status_code == 202
    assert (told.json["submitted"], told.json["params"]["failover"]) == (1, ORDER)
    answered_by_the_second(told.json["id"])
    assert client.get(f"/api/jobs/{told.json['id']}").json["answered_by"] == {"sandbox": 1}
    (item,) = client.get(f"/api/jobs/{told.json['id']}/items").json
    assert item["answered_by"] == "sandbox"


def test_the_api_leaves_out_what_is_fresh(client: Visitor) -> None:
    answered_by_the_second(post(client, IN_TURN).json["id"])
    again = post(client, {**IN_TURN, "skip_fresh_hours": 1})
    assert (again.status_code, again.json) == (
        200,
        {"id": None, "joined": False, "asked": 0, "fresh": 1},
    )
    more = post(client, {**IN_TURN, "to": "2025-05-06", "skip_fresh_hours": 1}).json
    assert (more["fresh"], more["asked"]) == (1, 1)
    alone = {"from": DAY, "sources": ["sandbox", "sofascore"], "skip_fresh_hours": 1}
    told = post(client, alone).json
    assert (told["fresh"], asked_for(jobs()[-1])) == (1, [("sofascore", DAY)])
    assert post(client, {**alone, "skip_fresh_hours": 0}).json["fresh"] == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"failover": ["sandbox"]}, "alone is no order"),
        ({"failover": ["sandbox", "sandbox"]}, "stands twice"),
        ({"failover": ["sandbox", "nobody"]}, "There is no source “nobody”"),
        ({"failover": "sandbox,sofascore"}, "“failover” must be a list of texts"),
        ({"failover": ["sandbox", 3]}, "“failover” must be a list of texts"),
        ({"failover": ORDER, "sources": ["sandbox"]}, "either sources or an order"),
        ({"skip_fresh_hours": -1}, "“skip_fresh_hours” must be a whole number from 0 to 87840"),
        ({"skip_fresh_hours": 10**9}, "must be a whole number"),
        ({"skip_fresh_hours": True}, "must be a whole number"),
        ({"skip_fresh_hours": "2"}, "must be a whole number"),
        ({"skip_fresh_hours": 1.5}, "must be a whole number"),
    ],
)
def test_what_is_asked_wrongly_is_400(client: Visitor, more: dict[str, Any], words: str) -> None:
    told = post(client, {"from": DAY, **more})
    assert (told.status_code, jobs()) == (400, [])
    assert words in told.json["error"]


# --- the panel ------------------------------------------------------------------------------------


def test_the_form_of_a_day_asks_the_chosen_one_first(client: Visitor) -> None:
    assert "sandbox → sofascore → football_data" in client.text("/admin/fetch/day")
    assert "sandbox → sofascore → football_data" in client.text("/admin/")
    form = {"date": DAY, "source": "football_data", "failover": "1"}
    page = client.press("/admin/fetch/day", **form).text
    (job,) = jobs()
    assert job.params["failover"] == ["football_data", "sandbox", "sofascore"]
    assert asked_for(job) == [("football_data", DAY)]
    assert "One after the other until one answers: football_data → sandbox → sofascore" in page


def test_the_form_of_a_range_asks_the_ticked_ones_in_order(app: Flask, client: Visitor) -> None:
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, failover=("football_data", "sofascore"))
    assert "football_data → sofascore → sandbox" in client.text("/admin/fetch/range")
    days = {"from": DAY, "to": "2025-05-06", "failover": "1"}
    client.press("/admin/fetch/range", **days, sources=["sandbox", "football_data"])
    (job,) = jobs()
    assert job.params["failover"] == ["football_data", "sandbox"]
    assert job.submitted == 2


def test_a_ticked_order_of_one_comes_back_with_its_sentence(client: Visitor) -> None:
    form = {"from": DAY, "to": DAY, "sources": "sandbox", "failover": "1"}
    told = client.press("/admin/fetch/range", **form)
    assert (told.status_code, jobs()) == (422, [])
    assert "“sandbox” alone is no order" in told.text
    assert 'name="failover" value="1" checked' in told.text
    assert 'name="failover" value="1">' in client.text("/admin/fetch/range"), "not by itself"


def test_no_order_is_offered_where_there_is_one_source(app: Flask, client: Visitor) -> None:
    app.config["FIKSTUR"] = dataclasses.replace(app.config["FIKSTUR"], sources=("sandbox",))
    for page in ("/admin/", "/admin/fetch/day", "/admin/fetch/range"):
        assert "failover" not in client.text(page)


def test_the_pages_of_job_and_item_say_who_answered(client: Visitor) -> None:
    client.press("/admin/fetch/day", date=DAY, source="sofascore", failover="1")
    (job,) = jobs()
    replies = [answer(b"{}", 404), answer(a_list(a_match(1)))]
    work_all(job.id, a_desk(FakeOutside(*replies)))
    page = client.text(f"/admin/job/{job.id}")
    assert "answered by sandbox: 1" in page
    (item,) = items_of(job.id)
    page = client.text(f"/admin/job/{job.id}/item/{item.id}")
    assert '<th scope="row">Answered by</th><td>sandbox</td>' in page
    assert "passed on to the next source" in page
    assert "sofascore cannot answer (NOT_FOUND); sandbox is asked instead." in page
    assert client.get(f"/admin/job/{job.id}/items.csv").status_code == 200


# --- the schedules --------------------------------------------------------------------------------


def test_a_schedule_asks_in_the_order_of_the_setting(app: Flask) -> None:
    day, usable = date.fromisoformat(DAY), ["sandbox", "sofascore", "football_data"]
    with reading() as session:
        plain = regular_request(session, usable, (), day, day)
        in_turn = regular_request(session, usable, ("espn", "football_data", "sandbox"), day, day)
        alone = regular_request(session, usable, ("espn", "sandbox"), day, day)
        nobody = regular_request(session, usable, ("espn", "openligadb"), day, day)
    assert plain is not None
    assert len(plain.items) == 3
    assert in_turn is not None
    assert [item.source for item in in_turn.items] == ["football_data"]
    assert in_turn.params["failover"] == ["football_data", "sandbox"], "espn cannot be asked"
    assert alone is not None
    assert "failover" not in alone.params
    assert nobody is None


def test_watching_does_not_give_up_where_another_source_answers(app: Flask) -> None:
    with transaction() as session:
        pause.pause_by_hand(session, "sofascore", "somebody")
    job_id = run_json(app, "fixtures", "fetch", DAY, "--failover", ",".join(ORDER))["id"]
    assert asked_for(jobs()[0]) == [("football_data", DAY)]
    shown = run(app, "jobs", "show", job_id).stdout
    assert "Answered by" not in shown
    assert "is paused" not in shown
