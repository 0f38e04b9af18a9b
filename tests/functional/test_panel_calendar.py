import re
from datetime import date, timedelta
from html import unescape

import pytest
from collection import NOON
from factories import a_job, items_of
from flask import Flask
from panel import Visitor, signed_in
from statements import statements

from app.accounts.models import Role
from app.core.clock import now
from app.core.db import reading, transaction
from app.fixtures.calendar import year_of
from app.fixtures.models import FixtureDay
from app.jobs.models import Job

PAGE = "/admin/calendar/?year=2025"
FIRST = date(2025, 1, 1)
CODES = {1: "OK", 2: "NO_DATA", 3: "SERVER_ERROR", 4: "OK_UNCHANGED"}


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def days(source: str = "sandbox") -> None:
    """Four days in January, each with another end; the third was stored before it failed."""
    with transaction() as session:
        for number, code in CODES.items():
            session.add(
                FixtureDay(
                    source=source,
                    date=date(2025, 1, number),
                    data_id=20250100 + number,
                    count=0 if code == "NO_DATA" else 10 * number,
                    code=code,
                    looked_at=NOON,
                    fetched_at=NOON,
                )
            )


def cells(page: str, source: str = "sandbox") -> dict[str, tuple[str, str, str]]:
    """Day -> its classes, address and name, of one source."""
    section = page.split(f'data-source="{source}"')[1].split("</section>")[0]
    found = re.findall(
        r'<a class="day ([^"]+)" href="([^"]+)" data-day="([^"]+)"[^>]*? aria-label="([^"]+)"',
        section,
    )
    return {day: (classes, unescape(url), name) for classes, url, day, name in found}


def legend(page: str) -> dict[str, int]:
    section = page.split('data-source="sandbox"')[1].split("</ul>")[0]
    found = re.findall(r"</span>([^<]+) <b>(\d+)</b>", section)
    return {name: int(count) for name, count in found}


def jobs() -> list[Job]:
    with reading() as session:
        return list(session.query(Job))


def test_each_day_says_what_became_of_it_and_leads_on(client: Visitor) -> None:
    days()
    a_job(days=2)  # 2025-05-05 and -06 wait
    page = client.text(PAGE)
    told = cells(page)
    assert len(told) == 365
    assert told["2025-01-01"][2] == "1 January 2025: stored, 10 matches"
    assert told["2025-01-02"][2].startswith("2 January 2025: no data (")
    assert told["2025-01-03"][2] == "3 January 2025: error (error at the source), 30 matches"
    assert told["2025-05-06"][2] == "6 May 2025: being fetched"
    assert told["2025-07-01"][2] == "1 July 2025: never asked"
    assert legend(page) == {
        "stored": 2,
        "no data": 1,
        "error": 1,
        "being fetched": 2,
        "never asked": 359,
    }
    assert told["2025-01-01"][1].startswith("/admin/matches/all?day=")
    offer = told["2025-07-01"][1].partition("#")[0]
    assert "Fetch 1 day of sandbox (2025-07-01)?" in client.text(offer)
    assert "/admin/calendar/live" in page  # goes on looking while days are being fetched
    assert set(cells(client.text(PAGE, 200), "football_data")) == set(told)


def test_it_stops_looking_when_nothing_is_fetched(client: Visitor) -> None:
    days()
    assert "/admin/calendar/live" not in client.text(PAGE)
    live = client.get("/admin/calendar/live?year=2025")
    assert live.headers["X-Poll"] == "stop"
    assert len(cells(live.text)) == 365


def test_a_year_of_all_sources_is_one_query(app: Flask) -> None:
    for source in ("sandbox", "football_data", "espn"):
        days(source)
    with reading() as session, statements() as said:
        found = year_of(session, 2025)
    assert len([s for s in said if "SELECT" in s]) == 1
    assert {source: len(year) for source, year in found.items()} == {
        "sandbox": 365,
        "football_data": 365,
        "espn": 365,
    }


def test_a_range_is_looked_at_first_and_fetched_by_the_form_of_ranges(client: Visitor) -> None:
    days()
    with transaction() as session:
        for row in session.query(FixtureDay):
            row.fetched_at = now()
    chosen = "from=2025-01-04&to=2025-01-01&source=sandbox"  # chosen backwards
    plan = client.text(f"/admin/calendar/plan?{chosen}")
    assert "2025-01-01 – 2025-01-04" in plan
    assert "<html" not in plan
    assert jobs() == []
    form = plan[plan.index("<form") : plan.index("</form>")]
    assert 'action="/admin/fetch/range"' in form
    assert 'data-confirm="Fetch 4 days of sandbox (2025-01-01 – 2025-01-04)?"' in form
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    del sent["csrf_token"]
    client.press("/admin/fetch/range", **sent)
    (job,) = jobs()
    assert {item.key for item in items_of(job.id)} == {
        (FIRST + timedelta(days=n)).isoformat() for n in range(4)
    }


def test_one_day_that_was_stored_can_be_opened_instead(client: Visitor) -> None:
    days()
    plan = client.text("/admin/calendar/plan?from=2025-01-03&to=2025-01-03&source=sandbox")
    assert "Fetch 1 day<" in plan
    assert re.search(r'href="/admin/days/details/\?id=\d+"', plan)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("from=x&to=2025-01-01&source=sandbox", "“x” is not a date"),
        ("from=2025-02-30&to=&source=sandbox", "is not a day of the calendar"),
        ("from=2000-01-01&to=2025-01-01&source=sandbox", "at most 3700"),
        ("from=2025-01-01&to=2025-01-01&source=nonsense", "There is no source “nonsense”"),
        ("from=2025-01-01&to=2025-01-01&source=espn", "is not switched on"),
        ("from=&to=&source=sandbox", "is not a date"),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence(client: Visitor, chosen: str, said: str) -> None:
    plan = client.text(f"/admin/calendar/plan?{chosen}")
    assert said in plan
    assert "<form" not in plan
    assert said in client.text(f"{PAGE}&{chosen}") or "from=&" in chosen


def test_whatever_stands_in_the_address_the_answer_is_a_page(client: Visitor) -> None:
    for text in ("x", "-1", "99999999999999999999", "1899", "2101", ""):
        assert f"<small>{now().year}</small>" in client.text(f"/admin/calendar/?year={text}")
    assert "29 February 2024" in client.text("/admin/calendar/?year=2024&of=nonsense")
    assert 'data-source="football_data"' not in client.text(f"{PAGE}&of=sandbox")


def test_a_viewer_looks_and_fetches_nothing(app: Flask) -> None:
    viewer = signed_in(app, Role.VIEWER)
    page = viewer.text(PAGE)
    assert "1 January 2025: never asked" in page
    assert 'id="choice"' not in page
    assert viewer.get("/admin/calendar/plan?from=2025-01-01&source=sandbox").status_code == 403
    asked = viewer.text(f"{PAGE}&from=2025-01-01&to=2025-01-01&source=sandbox")
    assert "data-confirm" not in asked.split("<main")[1]


def test_the_names_of_days_and_months_are_turkish_too(client: Visitor) -> None:
    client.press("/language", language="tr")
    page = client.text(PAGE)
    assert "1 Ocak 2025: hiç sorulmadı" in page
    assert '<th scope="col">Pt</th>' in page
