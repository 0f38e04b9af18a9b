import io
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from collection import HOSTILE, NOON, fill
from factories import a_job, items_of
from fakes import FakeOutside, answer, stream_all
from flask import Flask
from openpyxl import Workbook
from panel import Visitor, signed_in
from sqlalchemy import func, select

from app.accounts.models import Role
from app.core.clock import now
from app.core.db import db, reading, transaction
from app.fixtures.details_request import details_plan
from app.fixtures.ids import MOST_BYTES
from app.fixtures.models import MatchDetail, MatchIncident, MatchPlayer, MatchStatistic
from app.jobs.models import Job, Trigger
from app.jobs.submit import submit
from app.sources.limits import Rate, least_time_s
from app.sources.pause import pause_by_hand
from app.sources.registry import adapter

PAGE = "/admin/details/"
KINDS = ("event", "statistics", "incidents", "lineups")


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.scalars(select(Job).order_by(Job.id)))


def rows_of_all_tables() -> dict[str, int]:
    with reading() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in db.metadata.sorted_tables
        }


def wanted(**more: Any) -> dict[str, Any]:
    """The form as somebody fills it in."""
    form = {"source": "sandbox", "how": "ids", "kinds_sandbox": ["event", "statistics"]}
    return {**form, "ids": "", "skip": "", **more}


def press(client: Visitor, **form: Any) -> Any:
    return client.press(PAGE, page=PAGE, **form)


def seal_of(page: str) -> str:
    return re.search(r'name="seal" value="(\w+)"', page)[1]


def numbers(page: str) -> dict[str, str]:
    """The table of what would be done."""
    table = page.split("tally")[1].split("</table>")[0]
    found = re.findall(r'<th scope="row">(.*?)</th><td[^>]*>(.*?)</td>', table, re.S)
    plain = [[re.sub(r"<[^>]+>", "", text).strip() for text in pair] for pair in found]
    return dict(plain)


def stored(source_id: str, kind: str, fetched_at: datetime | None = NOON, **more: Any) -> int:
    head = {"code": "OK", "missing": "", "looked_at": NOON, **more}
    with transaction() as session:
        row = MatchDetail(
            source="sandbox", source_id=source_id, kind=kind, fetched_at=fetched_at, **head
        )
        session.add(row)
        session.flush()
        return row.id


# --- looking first --------------------------------------------------------------------------------


def test_the_first_button_says_what_would_be_done_and_writes_nothing(client: Visitor) -> None:
    stored("11", "event", now())
    stored("12", "event", now() - timedelta(days=3))
    before = rows_of_all_tables()
    text = "11, 12\n13;11\n\nnonsense 20-22\n<b>1</b>"
    answer = press(client, **wanted(ids=text, skip="24"))
    assert answer.status_code == 200
    assert rows_of_all_tables() == before
    assert numbers(answer.text) == {
        "Ids given": "7",
        "of them given again": "1",
        "Matches": "6",
        "Details asked for": "12",
        "− stored lately": "1",
        "− in hand already": "0",
        "= To do": "11",
        "Requests": "11",
        "Time": "Sandbox has no limit: as fast as it answers",
    }
    assert "10 of them never stored before" in answer.text
    assert "2 entries are no ids" in answer.text
    assert "Line 4: “nonsense” is not a match id" in answer.text
    assert "Line 5: “&lt;b&gt;1&lt;/b&gt;” is not" in answer.text
    assert "Start: fetch 11 details" in answer.text


def test_start_submits_exactly_what_was_shown(client: Visitor) -> None:
    form = wanted(ids="13 11 12 11")
    page = press(client, **form).text
    answer = press(client, **form, do="start", seal=seal_of(page))
    (job,) = jobs()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert (job.kind, job.requested_by, job.trigger) == ("fetch_details", "operator", "panel")
    expected = [(f"detail_{kind}", key) for kind in KINDS[:2] for key in ("13", "11", "12")]
    assert [(item.kind, item.key) for item in items_of(job.id)] == expected
    again = press(client, **form)
    assert numbers(again.text)["− in hand already"] == "6"
    assert f'<a href="/admin/job/{job.id}">' in again.text.split("in hand already")[1]
    assert "Nothing is left to fetch" in again.text
    assert 'value="start"' not in again.text


def test_what_is_not_what_was_shown_is_shown_again_instead_of_started(client: Visitor) -> None:
    page = press(client, **wanted(ids="11 12")).text
    for form in (
        wanted(ids="11 12 13", seal=seal_of(page)),
        wanted(ids="11 12"),
        wanted(ids="11 12", kinds_sandbox=["lineups"], seal=seal_of(page)),
    ):
        answer = press(client, **form, do="start")
        assert answer.status_code == 409
        assert "This is not what was shown before" in answer.text
    assert jobs() == []


def xlsx(*cells: object) -> bytes:
    book, file = Workbook(), io.BytesIO()
    for cell in cells:
        book.active.append([cell])
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.txt", b"11\n12\nnonsense"),
        ("ids.csv", b"name;match_id\nA;11\nB;12\nC;nonsense"),
        ("ids.xlsx", xlsx("id", 11, 12.0, "nonsense")),
    ],
)
def test_the_ids_of_a_file_are_typed_into_the_form(
    client: Visitor, name: str, content: bytes
) -> None:
    answer = press(client, **wanted(how="file", file=(io.BytesIO(content), name)))
    assert ">\n11\n12</textarea>" in answer.text.replace("\r", "")
    assert 'value="ids" checked' in answer.text
    assert "nonsense” is not a match id" in answer.text
    assert ("First ids: 11, 12" in answer.text) == (name != "ids.txt")
    press(client, **wanted(ids="11\r\n12", do="start", seal=seal_of(answer.text)))
    assert {item.key for item in items_of(jobs()[0].id)} == {"11", "12"}


def test_the_matches_of_stored_days_are_asked_only_for_what_they_lack(client: Visitor) -> None:
    fill()  # 1 to 4 on 2025-05-05
    stored("1", "event")
    stored("2", "statistics")
    stored("3", "statistics", None)  # looked at, never stored
    days = {"how": "days", "from": "2025-05-01", "to": "2025-05-05"}
    page = press(client, **wanted(**days)).text
    assert numbers(page)["= To do"] == "6"
    assert "4 of these days were never fetched" in page
    assert "2025-05-01, 2025-05-02, 2025-05-03, 2025-05-04" in page
    press(client, **wanted(**days), do="start", seal=seal_of(page))
    (job,) = jobs()
    assert {(i.kind, i.key) for i in items_of(job.id)} == {
        *(("detail_event", key) for key in "234"),
        *(("detail_statistics", key) for key in "134"),
    }
    assert job.params == {"source": "sandbox", "kinds": ["event", "statistics"], "matches": 4}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"ids": ""}, "There are no match ids"),
        ({"ids": "abc"}, "There are no match ids"),
        ({"ids": "1-300000"}, "more than 200000 ids"),
        ({"ids": "1", "kinds_sandbox": []}, "No kind of details was chosen"),
        ({"ids": "1", "kinds_sandbox": ["nonsense"]}, "no details named “nonsense”"),
        ({"ids": "1", "source": "nonsense"}, "There is no source “nonsense”"),
        ({"ids": "1", "source": "espn", "kinds_espn": ["summary"]}, "is not switched on"),
        ({"ids": "1", "skip": "-1"}, "“-1” is not a number of hours"),
        ({"how": "days", "from": "x", "to": "2025-05-05"}, "“x” is not a date"),
        ({"how": "days", "from": "2025-05-06", "to": "2025-05-05"}, "Swap the two dates"),
        ({"how": "days", "from": "2025-05-05", "to": "2025-05-05"}, "lacks these details"),
        ({"how": "file"}, "No file was chosen"),
        ({"how": "file", "file": (b"\0\1\2", "x.txt")}, "x.txt is not a text file"),
        ({"how": "file", "file": (b"PK broken", "<x>.xlsx")}, "cannot be read as an Excel"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence_and_the_form_is_kept(
    client: Visitor, form: dict[str, Any], said: str
) -> None:
    if isinstance(form.get("file"), tuple):
        content, name = form["file"]
        form = {**form, "file": (io.BytesIO(content), name)}
    before = rows_of_all_tables()
    answer = press(client, **wanted(**form))
    assert answer.status_code == 422
    assert said in answer.text
    assert "<x>" not in answer.text
    for name in ("from", "to", "skip"):
        if form.get(name):
            assert f'name="{name}"' in answer.text
            assert f'value="{form[name]}"' in answer.text
    assert rows_of_all_tables() == before


def test_two_hundred_thousand_pasted_ids_are_taken_and_more_than_20_mb_are_not(
    client: Visitor,
) -> None:
    many = "\r\n".join(str(14_000_000 + n) for n in range(200_000))
    answer = press(client, **wanted(ids=many, kinds_sandbox=["event"]))
    assert numbers(answer.text)["= To do"] == "200,000"
    huge = b"1\n" * (MOST_BYTES // 2 + 1)
    answer = client.post(PAGE, data=huge, content_type="multipart/form-data; boundary=1")
    assert answer.status_code == 413
    assert "At most 20 MB can be sent at once" in answer.text


@pytest.mark.parametrize(
    ("requests", "rates", "seconds"),
    [
        (1000, (), 0),
        (0, (Rate(9, 60),), 0),
        (9, (Rate(9, 60),), 0),
        (10, (Rate(9, 60),), 60),
        (900, (Rate(9, 60), Rate(95, 86_400)), 9 * 86_400),
    ],
)
def test_the_time_it_takes_at_best(requests: int, rates: Any, seconds: float) -> None:
    assert least_time_s(requests, rates) == seconds


def test_a_limit_is_told_with_the_time_it_costs(client: Visitor) -> None:
    form = {"source": "sofascore", "kinds_sofascore": ["event"], "ids": "1-121"}
    answer = press(client, **wanted(**form))
    assert "limit of 1/1" in numbers(answer.text)["Time"]
    assert "2 minutes" in numbers(answer.text)["Time"]


def test_a_paused_source_is_told_before_anything_starts(client: Visitor) -> None:
    with transaction() as session:
        pause_by_hand(session, "sandbox", "ece")
    page = press(client, **wanted(ids="1")).text.split('id="result"')[1]
    assert "Source sandbox is paused (PAUSED) until somebody resumes it." in page


# --- from other pages -----------------------------------------------------------------------------


def test_the_lists_lead_to_the_form_with_their_day(client: Visitor) -> None:
    ids = fill()
    assert 'href="/admin/details/?how=days"' in client.text("/admin/days/")
    page = client.text(f"/admin/matches/all?day={ids['day']}")
    link = re.search(r'href="(/admin/details/[^"]+)"', page.split("<main")[1])[1]
    form = client.text(link.replace("&amp;", "&"))
    assert 'value="days" checked' in form
    assert form.count('value="2025-05-05"') == 2
    assert client.text(f"{PAGE}?how=x&source=x&from=x")


def test_a_match_shows_its_details_and_fetches_them(client: Visitor) -> None:
    match = fill()["match"]
    url = f"/admin/matches/details/?id={match}"
    assert "No details were fetched yet" in client.text(url)
    _write_details()
    page = " ".join(client.text(url).split())
    for text in (
        "Ball possession",
        "55%",
        "first half",
        "45+2′",
        "Göl Atan",
        "red card",
        "line-ups",
    ):
        assert text in page, text
    for text in ("4-3-3", "not confirmed", "Substitutes", "NO_DATA", "&lt;script&gt;"):
        assert text in page, text
    assert "<script>alert" not in page
    answer = client.press("/admin/details/match", page=url, source="sandbox", id="1", url=url)
    (job,) = jobs()
    assert answer.request.path == f"/admin/job/{job.id}"
    assert [i.kind for i in items_of(job.id)] == [f"detail_{kind}" for kind in KINDS]
    again = client.press("/admin/details/match", page=url, source="sandbox", id="1", url=url)
    assert "being fetched already" in again.text
    for form in ({"source": "espn", "id": "1"}, {"source": "sandbox", "id": "x"}, {}):
        assert client.press("/admin/details/match", page=url, **form).status_code == 200
    assert len(jobs()) == 1


def _write_details() -> None:
    facts = stored("1", "incidents")
    numbers_ = stored("1", "statistics", missing="lineups,incidents")
    names = stored("1", "lineups")
    stored("1", "event", None, code="NO_DATA")
    goal = {"kind": "goal", "minute": 45, "added": 2, "home": True, "home_score": 1}
    card = {"kind": "card", "minute": 60, "home": False, "detail": "red card", "player": HOSTILE}
    possession = {"name": "Ball possession", "home": "55%", "away": "45%"}
    side = {"side": "home", "formation": "4-3-3", "confirmed": False}
    with transaction() as session:
        session.add_all(
            [
                MatchIncident(detail_id=facts, position=0, player="Göl Atan", away_score=0, **goal),
                MatchIncident(detail_id=facts, position=1, **card),
                MatchIncident(detail_id=facts, position=2, kind="period", detail="FT"),
                MatchStatistic(detail_id=numbers_, position=0, period="ALL", **possession),
                MatchStatistic(detail_id=numbers_, position=1, period="1ST", name="Shots"),
                MatchPlayer(detail_id=names, position=0, name="Kaleci", number=1, **side),
                MatchPlayer(detail_id=names, position=1, name=HOSTILE, substitute=True, **side),
            ]
        )


# --- who may, and in which language ---------------------------------------------------------------


def test_a_viewer_sees_the_details_but_neither_form_nor_button(app: Flask) -> None:
    viewer = signed_in(app, Role.VIEWER)
    ids = fill()
    for url in (f"/admin/matches/details/?id={ids['match']}", "/admin/matches/", "/admin/days/"):
        assert "/admin/details/" not in viewer.text(url)
    assert viewer.get(PAGE).status_code == 403
    assert viewer.press(PAGE, **wanted(ids="1")).status_code == 403
    assert viewer.press("/admin/details/match", source="sandbox", id="1").status_code == 403
    assert jobs() == []


def test_the_pages_are_there_in_turkish_too(app: Flask, client: Visitor) -> None:
    client.press("/language", language="tr")
    page = press(client, **wanted(ids="11 12")).text
    assert '<html lang="tr">' in page
    assert seal_of(page)


def test_each_item_of_a_batch_shows_the_request_that_was_made_for_all(client: Visitor) -> None:
    teams = {"home": {"name": "Göztepe"}, "away": {"name": "Iğdır"}}
    rows = [
        {"fixture": {"id": n, "timestamp": 0, "status": {"short": "NS"}}, "teams": teams}
        for n in (1, 2, 3)
    ]
    source = adapter("api_football")
    with transaction() as session:
        plan = details_plan(session, source, ["1", "2", "3"], [])
        assert plan.job is not None
        job_id = submit(session, plan.job, by="tester", trigger=Trigger.CLI).job_id
    stream_all(job_id, FakeOutside(answer(json.dumps({"errors": [], "response": rows}))))
    other = a_job()
    for item in items_of(job_id):
        page = client.text(f"/admin/job/{job_id}/item/{item.id}")
        assert "fixtures?ids={ids}" in page
    assert "No request was made" in client.text(f"/admin/job/{other}/item/{items_of(other)[0].id}")
