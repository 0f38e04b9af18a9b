import csv
import io
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from collection import an_error
from factories import a_job, items_of
from flask import Flask, url_for
from openpyxl import load_workbook
from panel import Visitor, signed_in
from sqlalchemy import insert, select, update

from app.accounts.models import Role
from app.admin import export
from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import N_, Sentence
from app.drill.models import DrillReceipt
from app.errors.models import FixtureError
from app.fixtures.ids import from_file
from app.jobs import ledger, steer
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, Job, JobItem, Trigger
from app.jobs.moves import Report
from app.jobs.submit import ItemRequest, JobRequest, submit

HOSTILE = '=HYPERLINK("http://evil.example","Fenerbahçe")'


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


@pytest.fixture
def job_id(app: Flask) -> int:
    """One stored, one without data, two DNS, one NOT_FOUND, one cancelled."""
    made = a_job(days=6)
    terms = Terms(lease_s=30, deadline_s=300, most=5)
    with transaction() as session:
        held = ledger.claim(session, made, worker="w", kinds=["fetch_day"], terms=terms)
        ledger.finish(session, held[0], ItemOutcome.STORED, Report("OK", Sentence("fine")))
        ledger.finish(session, held[1], ItemOutcome.NO_DATA, Report("NO_DATA", Sentence("none")))
        for claim, code in zip(held[2:], ("DNS", "DNS", "NOT_FOUND"), strict=True):
            ledger.fail(session, claim, Report(code, Sentence(N_("%(what)s"), {"what": HOSTILE})))
        steer.cancel(session, made, by="tester")
    return made


def shown(client: Visitor, job_id: int, query: str) -> list[str]:
    """The keys on the page of a slice."""
    page = client.text(f"/admin/job/{job_id}?{query}")
    return re.findall(r'<td class="key">(\d[^<]*)</td>', page)


def keys(job_id: int) -> list[str]:
    return [item.key for item in items_of(job_id)]


def last_job() -> Job:
    with reading() as session:
        return session.scalars(select(Job).order_by(Job.id.desc())).first()


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("", slice(None)),
        ("state=failed", slice(2, 5)),
        ("state=cancelled", slice(5, 6)),
        ("state=done", slice(0, 2)),
        ("outcome=no_data", slice(1, 2)),
        ("code=DNS", slice(2, 4)),
        ("code=NOT_FOUND&state=failed", slice(4, 5)),
        ("code=TIMEOUT_READ", slice(0, 0)),
        ("state=nonsense&outcome=%00&code=%3Cb%3E", slice(None)),
    ],
)
def test_every_slice_opens_its_items_on_the_page_and_in_the_files(
    client: Visitor, job_id: int, query: str, which: slice
) -> None:
    expected = keys(job_id)[which]
    assert shown(client, job_id, query) == expected
    text = client.get(f"/admin/job/{job_id}/items.csv?{query}").data.decode("utf-8-sig")
    assert [row["Key"] for row in csv.DictReader(io.StringIO(text))] == expected


def test_the_page_leads_to_every_slice_that_has_something(client: Visitor, job_id: int) -> None:
    page = client.text(f"/admin/job/{job_id}")
    for query in ("state=failed", "outcome=stored", "outcome=no_data", "code=DNS"):
        assert f'href="/admin/job/{job_id}?{query}"' in page
    assert "outcome=unchanged" not in page
    bar = page.split('<svg class="bar"')[1].split("</svg>")[0]
    assert re.findall(r'class="is-(\w+)', bar) == ["stored", "no_data", "failed", "cancelled"]
    assert 'aria-label="1 stored, 1 no data, 3 failed, 1 cancelled"' in bar


def test_a_workbook_has_typed_cells_and_no_formula(client: Visitor, job_id: int) -> None:
    answer = client.get(f"/admin/job/{job_id}/items.xlsx?state=failed")
    name = f"job-{job_id}-failed.xlsx"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    sheet = load_workbook(io.BytesIO(answer.data)).active
    assert (sheet.title, sheet.freeze_panes) == (f"Job {job_id}", "A2")
    assert sheet.auto_filter.ref == "A1:L4"
    assert sheet.column_dimensions["A"].width >= len("2025-05-05")
    header, *rows = sheet.iter_rows()
    assert {row[3].value for row in rows} == {"failed"}
    assert [cell.value for cell in header][:3] == ["Key", "Source", "Work"]
    assert [row[0].value for row in rows] == keys(job_id)[2:5]
    *_, message, attempts, crashes, started, ended, number = rows[0]
    assert (number.data_type, attempts.value, crashes.value) == ("n", 1, 0)
    assert (message.value, message.data_type, message.quotePrefix) == (HOSTILE, "s", True)
    assert started.is_date
    assert ended.value == _local(items_of(job_id)[2].finished_at)


def _local(value: datetime) -> datetime:
    return value.astimezone(ZoneInfo("Europe/Istanbul")).replace(tzinfo=None, microsecond=0)


def test_a_csv_opens_in_a_spreadsheet_and_runs_nothing(client: Visitor, job_id: int) -> None:
    answer = client.get(f"/admin/job/{job_id}/items.csv?code=DNS")
    assert answer.data.startswith(b"\xef\xbb\xbfKey,Source,Work")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert {row["What happened"] for row in rows} == {f"'{HOSTILE}"}
    assert rows[0]["State"] == "failed"
    assert rows[0]["Ended"] == str(_local(items_of(job_id)[2].finished_at))


@pytest.mark.parametrize("language", ["tr", "en"])
@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_the_file_of_a_slice_is_read_back_as_its_keys(app: Flask, form: str, language: str) -> None:
    with transaction() as session:
        items = [ItemRequest("detail_event", str(key), "sandbox") for key in (100001002, 100001004)]
        made = submit(
            session, JobRequest("fetch_details", items, {}), by="x", trigger=Trigger.PANEL
        )
    client = signed_in(app, language=language)
    content = client.get(f"/admin/job/{made.job_id}/items.{form}").data
    assert from_file(f"x.{form}", content).ids == ("100001002", "100001004")


@pytest.mark.parametrize(("language", "told"), [("tr", "20.000 × "), ("en", "20,000 × ")])
def test_how_many_matches_were_asked_for_reads_as_a_number(
    app: Flask, language: str, told: str
) -> None:
    with transaction() as session:
        items = [ItemRequest("detail_event", "100001002", "sandbox")]
        request = JobRequest("fetch_details", items, {"matches": 20_000})
        made = submit(session, request, by="x", trigger=Trigger.PANEL)
    assert told in signed_in(app, language=language).text(f"/admin/job/{made.job_id}")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula_in_either_file(app: Flask, text: str) -> None:
    rows = [[text, -5, None, "a\x00b\x0b\uffffc" + "x" * 40_000]]
    file = io.BytesIO()
    export.write_xlsx(file, ["A", "B", "C", "D"], rows)
    cells = load_workbook(file).active[2]
    assert (cells[0].data_type, cells[0].quotePrefix) == ("s", True)
    assert cells[0].value.strip() == text.strip()
    assert (cells[1].value, cells[2].value) == (-5, None)
    assert cells[3].value.startswith("abcx")
    file = io.BytesIO()
    export.write_csv(file, ["A", "B", "C", "D"], rows)
    first = next(csv.reader(io.StringIO(file.getvalue().decode("utf-8-sig").split("\r\n", 1)[1])))
    assert first[:3] == [f"'{text}", "-5", ""]


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS_PER_SHEET", 2)
    for count, sheets in ((0, 1), (2, 1), (3, 2)):
        file = io.BytesIO()
        export.write_xlsx(file, ["A"], ([n] for n in range(count)))
        book = load_workbook(file)
        assert len(book.worksheets) == sheets
        told = [row for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)]
        assert [row[0] for row in told if row] == list(range(count))


# --- trying a slice again -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "which"),
    [
        ({"state": "failed"}, slice(2, 5)),
        ({"state": "cancelled"}, slice(5, 6)),
        ({"code": "DNS"}, slice(2, 4)),
    ],
)
def test_retry_this_slice_submits_exactly_its_keys(
    client: Visitor, job_id: int, form: dict[str, Any], which: slice
) -> None:
    expected = keys(job_id)[which]
    ((name, value),) = form.items()
    url = f"/admin/job/{job_id}?{name}={value}"
    page = client.text(url)
    count = len(expected)
    assert f"Retry this slice ({count})" in page
    assert f'data-confirm="Try {count} item' in page
    answer = client.press(f"/admin/job/{job_id}/retry", page=url, **form)
    job = last_job()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert f'<a href="/admin/job/{job_id}">a slice of job {job_id}</a>' in answer.text
    assert (job.kind, job.requested_by, job.submitted) == ("retry_errors", "operator", count)
    assert [(i.source, i.kind, i.key) for i in items_of(job.id)] == [
        ("sandbox", "fetch_day", key) for key in expected
    ]
    again = client.press(f"/admin/job/{job_id}/retry", page=url, **form)
    assert "being tried right now" in again.text or "is doing just that already" in again.text
    assert last_job().id == job.id


def test_what_another_job_tries_is_left_out_and_told(client: Visitor, job_id: int) -> None:
    client.press(f"/admin/job/{job_id}/retry", code="DNS")
    answer = client.press(f"/admin/job/{job_id}/retry", state="failed")
    assert "2 items are being tried by other jobs and left out" in answer.text
    assert [item.key for item in items_of(last_job().id)] == keys(job_id)[4:5]


def test_a_slice_without_anything_to_retry_has_no_button_and_is_refused(
    client: Visitor, job_id: int
) -> None:
    for query in ("state=done", "outcome=stored", "code=TIMEOUT_READ"):
        assert "/retry" not in client.text(f"/admin/job/{job_id}?{query}")
    said = client.press(f"/admin/job/{job_id}/retry", outcome="stored").text
    assert "has ended without being done" in said
    client.press("/admin/job/4242/retry", state="failed")
    assert last_job().id == job_id


def test_all_that_was_not_done_is_tried_again_and_the_job_leads_to_who_does(
    client: Visitor, job_id: int
) -> None:
    url = f"/admin/job/{job_id}"
    page = client.text(url)
    assert "Retry what was not done (4)" in page
    assert "partly done" in page
    assert "partly done" in client.text("/admin/jobs/")
    client.press(f"{url}/retry")
    again = last_job()
    assert [item.key for item in items_of(again.id)] == keys(job_id)[2:]
    page = client.text(url)
    assert f'<a href="/admin/job/{again.id}">Job {again.id}</a>' in page.split('id="retries"')[1]
    assert "4 items are done since or in hand of other jobs" in page
    assert "/retry" not in page


def test_an_item_is_found_by_its_key(client: Visitor, job_id: int) -> None:
    key = keys(job_id)[3]
    assert shown(client, job_id, f"key={key}") == [key]
    assert shown(client, job_id, f"key={key}&state=done") == []
    assert f'value="{key}"' in client.text(f"/admin/job/{job_id}?key={key}")


def test_an_item_says_why_it_waits_and_leads_to_its_error(client: Visitor) -> None:
    error, made = an_error("2025-05-01"), a_job(days=1)
    (item,) = items_of(made)
    with transaction() as session:
        session.execute(update(FixtureError).where(FixtureError.id == error).values(key=item.key))
    page = client.text(f"/admin/job/{made}/item/{item.id}")
    assert "No worker is running" in page
    assert f"/admin/errors/details/?id={error}" in page
    with transaction() as session:
        steer.pause(session, made)
    page = client.text(f"/admin/job/{made}/item/{item.id}")
    assert "The job is paused until somebody resumes it." in page
    assert "Next try" not in page


def test_the_job_of_a_drill_leads_to_its_receipt(client: Visitor) -> None:
    made = a_job(kind="drill_chaos")
    assert "/admin/drill/receipt" not in client.text(f"/admin/job/{made}")
    with transaction() as session:
        session.add(DrillReceipt(id=7, job_id=made, at=now(), passed=True, facts={}))
    with client.application.test_request_context():
        address = url_for("drill.receipt", receipt_id=7)
    assert f'href="{address}"' in client.text(f"/admin/job/{made}")


def test_a_viewer_may_export_but_not_retry(app: Flask, job_id: int) -> None:
    viewer = signed_in(app, Role.VIEWER)
    page = viewer.text(f"/admin/job/{job_id}?state=failed")
    assert "items.xlsx" in page
    assert "/retry" not in page
    assert viewer.text(f"/admin/job/{job_id}/items.csv")
    assert viewer.press(f"/admin/job/{job_id}/retry", state="failed").status_code == 403
    assert last_job().id == job_id
    for form in ("xlsx", "csv"):
        assert viewer.get(f"/admin/job/4242/items.{form}").status_code == 404


def test_ten_thousand_items_are_walked_through_in_steps(client: Visitor) -> None:
    job_id = a_job(days=1)
    same = {"job_id": job_id, "kind": "detail_event", "state": "failed", "not_before": now()}
    with transaction() as session:
        session.execute(insert(JobItem), [{**same, "key": str(n)} for n in range(10_000)])
    client.press("/language", language="tr")
    text = client.get(f"/admin/job/{job_id}/items.csv?state=failed").data.decode("utf-8-sig")
    assert ",başarısız," in text.splitlines()[1]
    told = [line.split(",")[0] for line in text.splitlines()[1:]]
    assert told == [str(n) for n in range(10_000)]
