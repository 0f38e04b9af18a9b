import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from collection import an_error, fill
from factories import a_job, items_of
from flask import Flask
from panel import Visitor, signed_in
from sqlalchemy import select, update

from app.accounts.models import Role
from app.admin import fetch
from app.admin.dashboard import Facts, judge, last_fetch
from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import Sentence
from app.fixtures.models import FixtureDay, MatchDetail
from app.jobs import ledger
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, ItemState, Job
from app.jobs.moves import Report
from app.sources import breaker, pace
from app.sources.base import Code
from app.sources.models import SourceState


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def keys(job: Job) -> set[tuple[str, str]]:
    return {(item.source or "", item.key) for item in items_of(job.id)}


# --- fetching -------------------------------------------------------------------------------------


def test_fetch_a_day_submits_that_day_of_that_source(client: Visitor) -> None:
    answer = client.press("/admin/fetch/day", date="2025-05-05", source="sandbox")
    (job,) = jobs()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert (job.kind, job.requested_by, job.trigger) == ("fetch_day", "operator", "panel")
    assert keys(job) == {("sandbox", "2025-05-05")}
    assert f"Job {job.id} was started: 1 to do." in answer.text


def test_fetch_a_day_of_all_sources(client: Visitor) -> None:
    client.press("/admin/fetch/day", date="2025-05-05", source="")
    assert {source for source, _ in keys(jobs()[0])} == {"sandbox", "sofascore", "football_data"}


def test_fetching_the_same_again_joins_and_says_so(client: Visitor) -> None:
    for _ in range(2):
        answer = client.press("/admin/fetch/day", date="2025-05-05", source="sandbox")
    assert len(jobs()) == 1
    assert "is doing just that already" in answer.text


def test_the_day_proposed_is_today_where_people_are(
    app: Flask, client: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = datetime(2025, 5, 5, 21, 30, tzinfo=UTC)  # half past midnight in Istanbul
    monkeypatch.setattr(fetch, "now", lambda: late)
    assert late.astimezone(ZoneInfo(app.config["FIKSTUR"].time_zone)).day == 6
    for page in ("/admin/", "/admin/fetch/day", "/admin/fetch/range"):
        assert 'value="2025-05-06"' in client.text(page)


def test_fetch_a_range_submits_an_item_per_day_and_source(client: Visitor) -> None:
    form = {"from": "2025-05-01", "to": "2025-05-03", "sources": ["sandbox", "football_data"]}
    client.press("/admin/fetch/range", **form)
    (job,) = jobs()
    days = ("2025-05-01", "2025-05-02", "2025-05-03")
    assert job.kind == "fetch_range"
    assert keys(job) == {(s, d) for s in ("sandbox", "football_data") for d in days}


def test_fetch_a_range_leaves_out_what_is_fresh(client: Visitor) -> None:
    fill()
    with transaction() as session:
        for day in session.query(FixtureDay).filter_by(source="sandbox"):
            day.fetched_at = now()
    form = {"from": "2025-05-05", "to": "2025-05-06", "sources": "sandbox", "skip": "2"}
    answer = client.press("/admin/fetch/range", **form)
    assert keys(jobs()[0]) == {("sandbox", "2025-05-06")}
    assert "1 list is fresh enough" in answer.text
    answer = client.press("/admin/fetch/range", **{**form, "to": "2025-05-05"})
    assert "nothing was started" in answer.text
    assert len(jobs()) == 1


@pytest.mark.parametrize(
    ("url", "form", "said"),
    [
        ("day", {"date": "05.05.2025"}, "“05.05.2025” is not a date"),
        ("day", {"date": "2025-02-30"}, "is not a day of the calendar"),
        ("day", {"date": ""}, "is not a date"),
        ("day", {"date": "2025-05-05", "source": "nonsense"}, "There is no source “nonsense”"),
        ("range", {"from": "2025-05-05", "to": "2025-05-01", "sources": "sandbox"}, "Swap the two"),
        ("range", {"from": "1900-01-01", "to": "2100-01-01", "sources": "sandbox"}, "at most 3700"),
        ("range", {"from": "2025-05-05", "to": "2025-05-05"}, "No source was chosen"),
        (
            "range",
            {"from": "2025-05-05", "to": "2025-05-05", "sources": "sandbox", "skip": "-3"},
            "“-3” is not a number of hours",
        ),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence_and_the_form_is_kept(
    client: Visitor, url: str, form: dict[str, str], said: str
) -> None:
    answer = client.press(f"/admin/fetch/{url}", **form)
    assert answer.status_code == 422
    assert said in answer.text
    for name, value in form.items():
        if name not in {"source", "sources"} and value:
            assert f'name="{name}"' in answer.text
            assert f'value="{value}"' in answer.text
    assert jobs() == []


# --- trying again ---------------------------------------------------------------------------------


def test_retry_one_submits_just_that_key(client: Visitor) -> None:
    wanted, _other = an_error("2025-05-01"), an_error("2025-05-02")
    client.press("/admin/errors/retry", id=wanted)
    (job,) = jobs()
    assert (job.kind, keys(job)) == ("retry_errors", {("sandbox", "2025-05-01")})


def test_retry_selected_submits_just_those(client: Visitor) -> None:
    ids = [an_error(f"2025-05-0{n}") for n in (1, 2, 3)]
    client.press("/admin/errors/retry", id=ids[:2])
    assert keys(jobs()[0]) == {("sandbox", "2025-05-01"), ("sandbox", "2025-05-02")}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 4),
        ("?flt0=football_data", 1),
        ("?flt1=NOT_FOUND", 2),
        ("?flt2=fetch_day", 4),
        ("?search=2025-06", 1),
        ("?flt1=NOT_FOUND&search=05-02", 1),
        ("?search=2025-05 x", 0),
    ],
)
def test_retry_all_matching_submits_exactly_what_the_list_shows(
    client: Visitor, query: str, expected: int
) -> None:
    an_error("2025-05-01")
    an_error("2025-05-02")
    an_error("2025-05-03", code="INVALID_JSON")
    an_error("2025-06-01", code="INVALID_JSON", source="football_data")
    page = client.text(f"/admin/errors/{query}")
    if not expected:
        assert "Retry all matching" not in page
        return
    assert f"Retry all matching ({expected})" in page
    assert f"Try {expected} error" in page  # the question names the count
    client.press("/admin/errors/retry-matching", **_hidden_fields(page))
    (job,) = jobs()
    assert job.submitted == expected
    assert all(key in page for _source, key in keys(job))


def _hidden_fields(page: str) -> dict[str, str]:
    """What the form "retry all matching" sends beside the token."""
    form = page[page.index("/admin/errors/retry-matching") :]
    form = form[: form.index("</form>")]
    return dict(re.findall(r'name="(source|code|kind|text)" value="([^"]*)"', form))


def test_a_retry_of_nothing_is_a_sentence(client: Visitor) -> None:
    error = an_error("2025-05-01")
    for form, said in (
        ({}, "Nothing was selected"),
        ({"id": "abc"}, "There is no error abc"),
        ({"id": "424242"}, "There is no error 424242"),
    ):
        assert said in client.press("/admin/errors/retry", **form).text
    assert (
        "no open error"
        in client.press("/admin/errors/retry-matching", text="zzz", url="/admin/errors/").text
    )
    assert jobs() == []
    client.press("/admin/errors/retry", id=error)
    answer = client.press("/admin/errors/retry", id=error, url="https://evil.example/")
    assert "being tried right now" in answer.text
    assert len(jobs()) == 1


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_page_writes_the_sum_out(client: Visitor) -> None:
    job_id = a_job(days=3)
    with transaction() as session:
        terms = Terms(lease_s=30, deadline_s=300, most=2)
        done, failed = ledger.claim(session, job_id, worker="w", kinds=["fetch_day"], terms=terms)
        ledger.finish(session, done, ItemOutcome.STORED, Report("OK", Sentence("fine")))
        ledger.fail(session, failed, Report("DNS", Sentence("<b>bad</b>")))
    page = client.text(f"/admin/job/{job_id}")
    text = " ".join(page.split())
    assert "<b>3</b> submitted =" in text
    assert "<b>1</b> waiting" in text
    assert "<b>1</b> done" in text
    assert "<b>1</b> failed" in text
    assert "books wrong" not in page
    assert "&lt;b&gt;bad" in page
    live = client.get(f"/admin/job/{job_id}/live")
    assert "2 / 3" in live.text
    assert "X-Poll" not in live.headers
    assert "html lang" not in live.text
    item = client.text(f"/admin/job/{job_id}/item/{failed.item_id}")
    assert "taken by a worker" in item
    assert client.get(f"/admin/job/{a_job()}/item/{failed.item_id}").status_code == 404


def test_books_that_do_not_add_up_are_red(client: Visitor) -> None:
    job_id = a_job(days=2)
    with transaction() as session:
        session.get_one(Job, job_id).submitted = 3
    assert "books wrong" in client.text(f"/admin/job/{job_id}")
    page = client.text("/admin/")
    assert "books wrong" in page
    assert "The books do not add up: 3 items submitted, 2 there." in page


def test_items_are_paged_by_state(client: Visitor) -> None:
    job_id = a_job(days=60)
    first = client.text(f"/admin/job/{job_id}?state=waiting")
    assert first.count(">Timeline<") == 50
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert client.text(following).count(">Timeline<") == 10
    assert "No item is in this state" in client.text(f"/admin/job/{job_id}?state=failed")
    assert client.text(f"/admin/job/{job_id}?state=waiting&after=x&page=9")


def test_cancel_pause_and_resume(client: Visitor) -> None:
    job_id = a_job(days=3)
    page = client.text(f"/admin/job/{job_id}")
    assert f'data-confirm="Cancel job {job_id}? 3 items are still open."' in page
    assert "is paused" in client.press(f"/admin/job/{job_id}/pause").text
    assert jobs()[0].paused_at is not None
    assert "goes on" in client.press(f"/admin/job/{job_id}/resume").text
    assert jobs()[0].paused_at is None
    assert "everything that waited is cancelled" in client.press(f"/admin/job/{job_id}/cancel").text
    (job,) = jobs()
    assert (job.state, job.cancelled_by) == ("CANCELLED", "operator")
    assert "has already ended" in client.press(f"/admin/job/{job_id}/cancel").text
    assert client.get(f"/admin/job/{job_id}/live").headers["X-Poll"] == "stop"


# --- sources --------------------------------------------------------------------------------------


def test_pause_and_resume_a_source(client: Visitor) -> None:
    assert "is paused; its items wait" in client.press("/admin/sources/sandbox/pause").text
    page = client.text("/admin/sources/")
    assert "until somebody resumes it" in page
    assert "Paused by operator." in page
    assert "is paused (PAUSED)" in client.text("/admin/")
    client.press("/admin/sources/sandbox/resume")
    with reading() as session:
        assert session.get_one(SourceState, "sandbox").paused_until is None
    assert "was not paused" in client.press("/admin/sources/sandbox/resume").text
    assert client.press("/admin/sources/nonsense/pause").status_code == 404


def test_a_breaker_is_seen_and_closed_by_resuming(client: Visitor) -> None:
    with transaction() as session:
        for _ in range(10):
            breaker.note(session, "sandbox", Code.TIMEOUT_READ, now())
    page = client.text("/admin/sources/")
    assert "Breaker open" in page
    assert "failed 10 times in a row" in page
    client.press("/admin/sources/sandbox/resume")
    with reading() as session:
        assert session.get_one(SourceState, "sandbox").opens == 0


def test_a_long_wait_for_a_slot_can_be_ended_and_a_short_one_is_nothing_to_end(
    client: Visitor,
) -> None:
    resume, pause_it = "/admin/sources/sandbox/resume", "/admin/sources/sandbox/pause"
    for seconds, offered in ((5, False), (3600, True)):
        with transaction() as session:
            pace.wait_for_slot(session, "sandbox", seconds)
        page = client.text("/admin/sources/")
        assert (resume in page, pause_it in page) == (offered, True)
    assert "Sandbox is resumed" in client.press(resume).text
    with reading() as session:
        assert session.get_one(SourceState, "sandbox").free_at is None


def test_a_reset_clears_the_pause_the_breaker_and_the_slower_speed(client: Visitor) -> None:
    slow = {"factor": 0.125, "factor_at": now(), "pauses": 3}
    with transaction() as session:
        for _ in range(10):
            breaker.note(session, "sandbox", Code.TIMEOUT_READ, now())
        session.execute(update(SourceState).values(**slow))
    assert "sandbox/reset" in client.text("/admin/sources/")
    assert "is reset: asked again" in client.press("/admin/sources/sandbox/reset").text
    with reading() as session:
        left = session.get_one(SourceState, "sandbox")
    assert (left.paused_until, left.opens, left.failures, left.pauses) == (None, 0, 0, 0)
    assert left.factor == 1
    assert "sandbox/reset" not in client.text("/admin/sources/")
    assert "nothing to reset" in client.press("/admin/sources/sandbox/reset").text


# --- who may --------------------------------------------------------------------------------------


OF_ONES_OWN = {"/admin/errors/", "/admin/errors/views"}  # a filter, and saved views


def test_a_viewer_sees_no_button_and_is_refused(app: Flask) -> None:
    viewer = signed_in(app, Role.VIEWER)
    error, job_id = an_error("2025-05-01"), a_job()
    pages = ("/admin/", "/admin/errors/", f"/admin/job/{job_id}", "/admin/sources/")
    for page in (*pages, f"/admin/errors/details/?id={error}"):
        forms = viewer.text(page).split("<form ")[1:]
        targets = {form.split('action="')[1].split('"')[0] for form in forms}
        search = f"/admin/job/{job_id}"  # of the job's items
        assert targets <= {"/language", "/sign-out", *OF_ONES_OWN, search}, page
    for url in (
        "/admin/fetch/day",
        "/admin/fetch/range",
        "/admin/errors/retry",
        "/admin/errors/retry-matching",
        f"/admin/job/{job_id}/cancel",
        f"/admin/job/{job_id}/pause",
        f"/admin/job/{job_id}/resume",
        "/admin/sources/sandbox/pause",
        "/admin/sources/sandbox/resume",
        "/admin/sources/sandbox/reset",
    ):
        answer = viewer.press(url, id=error, date="2025-05-05")
        assert answer.status_code == 403, url
        assert "Your role does not allow it" in answer.text
    assert [job.state for job in jobs()] == ["PENDING"]
    assert viewer.get("/admin/fetch/day").status_code == 403


# --- the dashboard --------------------------------------------------------------------------------


def _facts(**more: object) -> Facts:
    items = dict.fromkeys(map(str, ItemState), 0)
    known = {"submitted": 0, "items": items, "workers": 1, "paused": [], "errors": []}
    return Facts(**{**known, **more})


def test_all_is_well_when_nothing_is_wrong() -> None:
    (finding,) = judge(_facts())
    assert (finding.level, str(finding.sentence)) == ("good", "All is well.")


def test_the_worst_comes_first() -> None:
    state = SourceState(source="sandbox", code="BLOCKED")
    wrong = _facts(submitted=5, workers=0, paused=[state], errors=[("DNS", 2)])
    levels = [finding.level for finding in judge(wrong)]
    assert levels == ["bad", "warn", "warn", "warn"]


def test_two_wrong_jobs_that_make_a_right_sum_are_both_named_and_led_to(
    app: Flask, client: Visitor
) -> None:
    app.extensions.pop("fikstur-books", None)  # the answer of a minute
    more, less = a_job(days=3), a_job(days=3)
    with transaction() as session:
        session.execute(update(Job).where(Job.id == more).values(submitted=1))
        session.execute(update(Job).where(Job.id == less).values(submitted=5))
    page = client.text("/admin/")
    assert f"Job {more}: 1 items were submitted, 3 are there" in page
    assert f"Job {less}: 5 items were submitted, 3 are there" in page
    shown = page.split('id="board"')[0]
    for job_id in (more, less):
        assert f'<a href="/admin/job/{job_id}">Show</a>' in shown
        job = client.text(f"/admin/job/{job_id}")
        assert '<p class="books wrong">' in job
        assert ">all 3</a>" in job


def test_the_last_good_answer_may_be_one_of_details(app: Flask) -> None:
    head = {"source": "sandbox", "source_id": "1", "kind": "event", "code": "OK", "missing": ""}
    with transaction() as session:
        session.add(MatchDetail(**head, fetched_at=now(), looked_at=now()))
    with reading() as session:
        assert last_fetch(session) is not None


def test_waiting_without_a_worker_is_bad_and_says_what_to_do() -> None:
    items = {**_facts().items, "waiting": 7}
    (finding,) = judge(_facts(submitted=7, items=items, workers=0))
    assert finding.level == "bad"
    assert "7 items wait" in str(finding.sentence)
    assert "flask --app wsgi worker" in str(finding.sentence)


def test_the_dashboard_shows_it_all_and_its_parts_come_alone(client: Visitor) -> None:
    job_id = a_job(days=4)
    an_error("2025-05-01")
    page = client.text("/admin/")
    assert f"/admin/job/{job_id}" in page
    assert "No worker is running and 4 items wait" in page
    assert "NOT_FOUND" in page
    for part in ("live", "sum"):
        assert "<html" not in client.text(f"/admin/{part}")
    assert client.get("/").location == "/admin/"
