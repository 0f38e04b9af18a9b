"""What can be done with a list: page through it, keep a view of it, take it along, act on it."""

import csv
import io
import re
from datetime import timedelta
from html import unescape

import pytest
from collection import HOSTILE, NOON, a_match, add_matches, fill
from factories import a_job
from flask import Flask
from openpyxl import load_workbook
from panel import Visitor, a_user, sign_in, signed_in, visitor
from sqlalchemy import select
from test_panel_lists import rows, views

from app.accounts.models import DefaultView, Role, SavedView
from app.admin import bulk
from app.admin import rows as files
from app.audit.models import AuditEntry
from app.core.db import reading, transaction
from app.fixtures.models import Match
from app.jobs.models import Job, JobState

ALL = "/admin/matches/all"


def many(count: int = 60) -> None:
    with transaction() as session:
        played = [
            a_match(f"m{n}", f"Team {n:02}", "Other", kickoff=NOON + timedelta(hours=n))
            for n in range(count)
        ]
        add_matches(session, played)


def link(page: str, text: str) -> str:
    """Where the link of that text leads."""
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?{text}', page)
    assert found, text
    return unescape(found[1])


# --- pages ----------------------------------------------------------------------------------------


def test_the_pages_of_a_list_are_walked_to_its_end_and_back(app: Flask) -> None:
    many()
    a_job()
    client = signed_in(app)
    first = client.text(f"{ALL}?page_size=25&search=Team")
    assert "Team 59" in rows(first)[0]
    assert ">Previous" not in first
    second = client.text(link(first, "Next"))
    assert [row.split()[3] for row in rows(second)] == [f"{n:02}" for n in range(34, 9, -1)]
    last = client.text(link(first, "Last"))
    assert "Team 00" in rows(last)[-1]
    assert ">Next" not in last
    assert rows(client.text(link(second, "Previous"))) == rows(first)
    assert rows(client.text(link(last, "First"))) == rows(first)
    assert "page_size" not in link(first, "Next")  # kept: also in every other list
    assert 'class="now" aria-current="true">25<' in client.text("/admin/jobs/")
    assert "That place of the list is not known" in client.text(f"{ALL}?after=nonsense")
    assert len(rows(client.text(f"{ALL}?after=nonsense"))) == 25


def test_what_is_filtered_for_stands_above_the_list_and_can_be_taken_away(app: Flask) -> None:
    fill()
    client = signed_in(app)
    view = views(app)["matches"]
    status = next(view.filter_arg(i) for i, f in enumerate(view._filters) if f.slug == "status")
    page = client.text(f"{ALL}?search=galata&{status}=FINISHED&sort=1")
    assert len(rows(page)) == 1
    chips = dict(re.findall(r'<a class="chip" href="([^"]+)" aria-label="([^"]+)"', page))
    assert {told: unescape(url) for url, told in chips.items()} == {
        "Remove the filter Search: galata": f"{ALL}?sort=1&{status}=FINISHED",
        "Remove the filter Status: finished": f"{ALL}?search=galata&sort=1",
    }
    assert "is nothing to filter Status by; left out" in client.text(f"{ALL}?{status}=ended")
    assert "is nothing to filter" in client.text("/admin/requests/?flt5=quick")


# --- saved views ----------------------------------------------------------------------------------


def saved() -> list[SavedView]:
    with reading() as session:
        return list(session.scalars(select(SavedView).order_by(SavedView.id)))


def save(client: Visitor, query: str, **form: str) -> str:
    answer = client.press(f"/admin/matches/views?{query}", **form)
    assert answer.status_code == 200
    return answer.text


def test_a_view_is_saved_opened_seen_first_renamed_and_deleted(app: Flask) -> None:
    fill()
    client = signed_in(app)
    said = save(client, "search=galata&sort=1&desc=1&after=x&page_size=25", name="  Mine  ")
    assert "The view “Mine” was saved." in said
    assert len(rows(said)) == 1  # it leads to the view
    (view,) = saved()
    assert (view.list, view.name, view.shared) == ("matches", "Mine", False)
    assert view.query == "search=galata&sort=home&desc=1"  # by name, and not where one had paged to
    page = client.text(f"{ALL}?view=0")
    assert len(rows(page)) == 5
    opened = link(page, "Mine")
    assert len(rows(client.text(opened))) == 1
    # the same name again is the same view
    save(client, "search=iğdır", name="Mine", first="1")
    (view,) = saved()
    assert view.query == "search=i%C4%9Fd%C4%B1r"
    # seen first: only by who says nothing else
    assert (
        client.get(ALL).location
        == link(page.replace("galata", "x"), "Mine").split("?")[0]
        + f"?view={view.id}&search=i%C4%9Fd%C4%B1r"
    )
    assert len(rows(client.text(f"{ALL}?view=0"))) == 5
    client.press(f"/admin/matches/views/{view.id}/first")
    assert client.get(ALL).status_code == 200
    said = client.press(f"/admin/matches/views/{view.id}", name="Yours", shared="1").text
    assert "The view “Yours” was changed." in said
    client.press(f"/admin/matches/views/{view.id}/first", first="1")
    said = client.press(f"/admin/matches/views/{view.id}/delete").text
    assert "The view “Yours” was deleted." in said
    assert saved() == []
    with reading() as session:
        assert session.scalar(select(DefaultView.view_id)) is None
        noted = session.scalars(select(AuditEntry).where(AuditEntry.kind == "view")).all()
    assert [entry.action for entry in noted] == [
        "view.save",
        "view.save",
        "view.change",
        "view.delete",
    ]
    assert noted[2].before == {"name": "Mine", "shared": False}


def test_a_shared_view_is_everybodys_to_open_and_its_makers_to_change(app: Flask) -> None:
    maker, viewer = signed_in(app), signed_in(app, Role.VIEWER)
    boss = signed_in(app, Role.ADMINISTRATOR)
    save(maker, "search=a", name="Shared", shared="1")
    save(maker, "search=b", name="Private")
    shared, private = saved()
    page = viewer.text(ALL)
    assert "Shared" in page
    assert "Private" not in page
    # a viewer keeps views for himself, and looks first at what others share
    assert "not share them" in save(viewer, "search=c", name="His", shared="1")
    assert "was saved" in save(viewer, "search=c", name="His")
    viewer.press(f"/admin/matches/views/{shared.id}/first", first="1")
    assert f"view={shared.id}" in viewer.get(ALL).location
    for wrong in (shared, private):
        for way in ("", "/delete"):
            said = viewer.press(f"/admin/matches/views/{wrong.id}{way}", name="Taken").text
            assert ("belongs to somebody else" in said) == wrong.shared
            assert ("There is no view" in said) != wrong.shared
    assert "There is no view" in boss.press(f"/admin/matches/views/{private.id}", name="x").text
    assert "was changed" in boss.press(f"/admin/matches/views/{shared.id}", name="Ours").text
    # no longer shared: whoever saw it first sees everything again
    assert [view.shared for view in saved()][:2] == [False, False]
    assert viewer.get(ALL).status_code == 200


def test_what_cannot_be_saved_is_told(app: Flask) -> None:
    client = signed_in(app)
    assert "Give the view a name." in save(client, "search=a", name=" \0 ")
    assert "at most 100 characters" in save(client, "search=a", name="n" * 101)
    save(client, "search=a", name="One")
    save(client, "search=a", name="Two")
    one, two = saved()
    said = client.press(f"/admin/matches/views/{two.id}", name="One").text
    assert "There is a view “One” already" in said
    assert "There is no view 99." in client.press("/admin/matches/views/99/delete").text
    assert client.post("/admin/matches/views", data={"name": "x"}).status_code == 400  # no token
    # of what the list does not know any more nothing is left
    with transaction() as session:
        session.get_one(SavedView, one.id).query = "flt_gone=1&sort=gone&search=a&endpoint=x"
    assert link(client.text(f"{ALL}?view=0"), "One") == f"{ALL}?view={one.id}&search=a"


# --- as a file ------------------------------------------------------------------------------------


def test_a_list_is_taken_along_as_it_is_seen_with_typed_cells(app: Flask) -> None:
    fill()
    with transaction() as session:
        session.add(a_match("evil", "=1+1", "@Away", competition="+cmd", kickoff=None))
    client = signed_in(app)
    answer = client.get("/admin/matches/rows.csv?view=0&sort=1")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    by = {name: at for at, name in enumerate(lines[0])}
    evil = next(line for line in lines if line[by["Home"]] == "'=1+1")
    assert evil[by["Competition"]] == "'+cmd"
    homes = [line[by["Home"]].lstrip("'") for line in lines[1:]]
    assert homes == list(sorted_homes())
    book = load_workbook(io.BytesIO(client.get("/admin/matches/rows.xlsx?search=besiktas").data))
    header, row = book.active.iter_rows()
    cells = {name.value: cell for name, cell in zip(header, row, strict=True)}
    assert cells["Kick-off"].value == NOON.replace(tzinfo=None) + timedelta(hours=3)
    assert cells["Score"].value == "2 : 1 (1 : 0)"
    assert cells["Status"].value == "finished"
    days = load_workbook(io.BytesIO(client.get("/admin/days/rows.xlsx").data)).active
    assert [cell.value for cell in days["D"]] == ["Matches", 0, 4]  # numbers, not links to lists
    assert days["A3"].value.date().isoformat() == "2025-05-05"
    for place in ("errors", "jobs", "requests", "answers", "workers"):
        assert client.get(f"/admin/{place}/rows.csv").status_code == 200
    assert HOSTILE in client.get("/admin/matches/rows.csv").text  # a file runs nothing
    assert visitor(app).get("/admin/matches/rows.csv").status_code == 302


def sorted_homes() -> list[str]:
    with reading() as session:
        return list(session.scalars(select(Match.home).order_by(Match.home, Match.id)))


def test_a_file_is_read_in_chunks_and_ends_where_it_says(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(30)
    monkeypatch.setattr(files, "AT_A_TIME", 7)
    client = signed_in(app)
    lines = client.get("/admin/matches/rows.csv").text.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [f"Team {n:02}" for n in range(29, -1, -1)]
    monkeypatch.setattr(views(app)["matches"], "most_exported", 10)
    assert len(client.get("/admin/matches/rows.csv").text.splitlines()) == 1 + 10
    assert "at most 10 rows" in client.text(ALL)


# --- to many at once ------------------------------------------------------------------------------


def states() -> dict[int, str]:
    with reading() as session:
        return {job.id: job.state for job in session.scalars(select(Job))}


def test_the_ticked_jobs_or_all_that_match_are_cancelled(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [a_job(days=1) for _ in range(4)]
    client = signed_in(app)
    page = client.text("/admin/jobs/")
    assert page.count("data-select aria-label") == 4
    assert 'formaction="/admin/jobs/act/cancel"' in page
    said = client.press("/admin/jobs/act/cancel", id=[str(jobs[0]), str(jobs[1])]).text
    assert "2 jobs were changed." in said
    assert [states()[job] for job in jobs] == ["CANCELLED"] * 2 + ["PENDING"] * 2
    # all that match: the filter in the address says which, whatever is ticked
    said = client.press("/admin/jobs/act/pause?flt0=PENDING", all="1", id=str(jobs[0])).text
    assert "2 jobs were changed." in said
    with reading() as session:
        paused = session.scalars(select(Job.id).where(Job.paused_at.is_not(None))).all()
    assert sorted(paused) == jobs[2:]
    said = client.press("/admin/jobs/act/cancel", all="1").text
    assert "2 jobs were changed." in said
    assert "2 jobs had already ended and stay as they are." in said
    assert set(states().values()) == {JobState.CANCELLED}
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 3)
    assert "more than 3 rows" in client.press("/admin/jobs/act/cancel", all="1").text
    assert (
        "Nothing matches any more"
        in client.press("/admin/jobs/act/cancel?search=nobody", all="1").text
    )
    assert "Nothing was selected" in client.press("/admin/jobs/act/cancel").text
    assert "There is no row 1x." in client.press("/admin/jobs/act/cancel", id="1x").text
    assert client.press("/admin/jobs/act/erase", id="1").status_code == 404


def test_details_of_the_ticked_matches_are_planned_before_they_are_fetched(app: Flask) -> None:
    with transaction() as session:
        played = [a_match(f"m{n}", f"Team {n}", "Other") for n in range(3)]
        add_matches(session, played)
        add_matches(session, [a_match("x", "Elsewhere", "Other", source="sofascore")])
    with reading() as session:
        found = session.execute(select(Match.source_id, Match.id))
        ids = {key: str(number) for key, number in found}
    client = signed_in(app)
    assert 'formaction="/admin/matches/act/details"' in client.text(ALL)
    act = "/admin/matches/act/details"
    page = client.press(act, id=[ids["m0"], ids["m2"]]).text
    assert re.search(r"<textarea[^>]*>\s*m0\nm2</textarea>", page)
    assert "Start" in page
    with reading() as session:
        assert session.scalars(select(Job)).all() == []  # only looked at
    said = client.press(act, all="1").text
    assert "These matches are of several sources (sandbox, sofascore)." in said
    page = client.press(f"{act}?search=Team", all="1").text
    assert re.search(r"<textarea[^>]*>\s*m0\nm1\nm2</textarea>", page)


def test_who_may_only_look_sees_no_bar_and_can_do_nothing(app: Flask) -> None:
    job = a_job()
    client = visitor(app)
    sign_in(client, a_user(Role.VIEWER))
    assert "data-bulk" not in client.text("/admin/jobs/")
    assert client.press("/admin/jobs/act/cancel", id=str(job)).status_code == 403
    assert states() == {job: "PENDING"}
