"""A list that truly shrank, accepted from the panel, by command and over the API."""

import html
from datetime import date

import pytest
from collection import a_suspect, an_error
from commands import SQLITE_ONLY, run, run_json
from factories import items_of
from flask import Flask
from panel import Visitor, signed_in

from app.accounts.models import Role
from app.core.clock import now
from app.core.db import reading, transaction
from app.errors.record import resolve
from app.fixtures.models import FixtureDay
from app.jobs.models import Job

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
DAY = "2025-05-05"
QUESTION = (
    "Accept 12 instead of 100 matches of sandbox on 2025-05-05? "
    "It is asked again; if it answers so, that becomes the current list."
)


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def accepted(day: str = DAY) -> int | None:
    with reading() as session:
        row = session.query(FixtureDay).filter_by(date=date.fromisoformat(day)).one()
        return row.accepted_rows


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.query(Job).order_by(Job.id))


def page_of(client: Visitor, error_id: int) -> str:
    return html.unescape(client.text(f"/admin/errors/details/?id={error_id}"))


# --- the panel ------------------------------------------------------------------------------------


def test_the_errors_page_offers_it_and_asks_with_both_counts_and_the_day(client: Visitor) -> None:
    error_id = a_suspect(DAY)
    page = page_of(client, error_id)
    assert f'data-confirm="{QUESTION}"' in page
    assert "Accept 12 instead of 100</button>" in page
    answer = client.press("/admin/errors/accept", id=error_id)
    (job,) = jobs()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert (job.kind, job.requested_by, job.trigger) == ("fetch_day", "operator", "panel")
    assert "was started: 1 to do." in answer.text
    assert f"{DAY} · sandbox" in answer.text
    assert accepted() == 12


def test_an_empty_list_is_offered_as_none(client: Visitor) -> None:
    error_id = a_suspect(DAY, rows=0)
    assert "Accept 0 instead of 100</button>" in page_of(client, error_id)
    client.press("/admin/errors/accept", id=error_id)
    assert accepted() == 0


def test_it_is_asked_in_turkish_too(app: Flask) -> None:
    client = signed_in(app, language="tr")
    page = page_of(client, a_suspect(DAY, stored=1200))
    assert "sandbox, 2025-05-05: 1.200 maç yerine 12 maç kabul edilsin mi?" in page
    assert "1.200 yerine 12 maçı kabul et</button>" in page


def test_other_errors_resolved_ones_and_who_may_not_fetch_have_no_button(
    app: Flask, client: Visitor
) -> None:
    other, error_id = an_error("2025-05-06"), a_suspect(DAY)
    assert "/errors/accept" not in page_of(client, other)
    viewer = signed_in(app, Role.VIEWER)
    assert "/errors/accept" not in page_of(viewer, error_id)
    assert viewer.press("/admin/errors/accept", id=error_id).status_code == 403
    with transaction() as session:
        resolve(session, "sandbox", "fetch_day", DAY, now())
    assert "/errors/accept" not in page_of(client, error_id)
    assert (jobs(), accepted()) == ([], None)


def test_what_cannot_be_accepted_is_a_sentence_on_the_page_it_came_from(client: Visitor) -> None:
    other = an_error("2025-05-06")
    place = f"/admin/errors/details/?id={other}"
    answer = client.press("/admin/errors/accept", id=other, url=place)
    assert answer.request.full_path == place
    assert f"Error {other} is NOT_FOUND. Only the list of a day" in answer.text
    assert "There is no error abc" in client.press("/admin/errors/accept", id="abc").text
    assert "Nothing was selected" in client.press("/admin/errors/accept").text
    assert jobs() == []


# --- the command ----------------------------------------------------------------------------------


def test_the_command_accepts_several_at_once(app: Flask) -> None:
    first, second = a_suspect(DAY), a_suspect("2025-05-09", rows=0, source="football_data")
    job = run_json(app, "errors", "accept", second, first)
    assert (job["kind"], job["submitted"], job["joined"]) == ("fetch_day", 2, False)
    assert {(item.source, item.key) for item in items_of(job["id"])} == {
        ("sandbox", DAY),
        ("football_data", "2025-05-09"),
    }
    assert (accepted(), accepted("2025-05-09")) == (12, 0)
    assert jobs()[0].params["from"] == DAY


def test_the_command_says_what_it_does_and_accepting_twice_joins(app: Flask) -> None:
    error_id = a_suspect(DAY)
    result = run(app, "errors", "accept", error_id)
    assert (result.exit_code, result.stdout) == (0, "Job 1 asks again for 1.\n")
    assert run_json(app, "errors", "accept", error_id)["joined"] is True
    assert len(jobs()) == 1


def test_the_command_refuses_as_its_neighbours(app: Flask) -> None:
    other = an_error("2025-05-06")
    for error_id, said in ((99, "There is no error 99.\n"), (other, f"Error {other} is NOT_FOUND")):
        result = run(app, "errors", "accept", error_id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(said)
    turkish = run(app, "errors", "accept", other, language="tr")
    assert f"{other} numaralı hatanın kodu NOT_FOUND." in turkish.stderr
    for arguments in ([], ["x"], ["0"]):
        assert run(app, "errors", "accept", *arguments).exit_code == 2
    assert jobs() == []


# --- the API --------------------------------------------------------------------------------------


def post(client: Visitor, **sent: object) -> tuple[int, dict[str, object]]:
    token = {"X-CSRFToken": client.token()}
    answer = client.post("/api/errors/accept", json=sent, headers=token)
    return answer.status_code, answer.json


def test_the_api_accepts_by_number(client: Visitor) -> None:
    status, job = post(client, ids=[a_suspect(DAY)])
    assert (status, job["kind"], job["asked"], job["joined"]) == (202, "fetch_day", 1, False)
    assert (accepted(), jobs()[0].trigger) == (12, "api")


@pytest.mark.parametrize("ids", [None, [], ["1"], [99], [True], 1])
def test_the_api_refuses_what_cannot_be_meant(client: Visitor, ids: object) -> None:
    a_suspect(DAY)
    status, said = post(client, ids=ids)
    assert (status, set(said)) == (400, {"error"})
    assert (jobs(), accepted()) == ([], None)


def test_the_api_accepts_all_or_none(client: Visitor) -> None:
    error_id, other = a_suspect(DAY), an_error("2025-05-06")
    status, said = post(client, ids=[error_id, other])
    assert status == 400
    assert str(said["error"]).startswith(f"Error {other} is NOT_FOUND.")
    assert (jobs(), accepted()) == ([], None)
