import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import shapes
from collection import HOSTILE, NOON, a_match, fill
from flask import Flask
from panel import Visitor, signed_in, visitor
from sqlalchemy import select
from statements import statements

from app.accounts.models import Role
from app.admin import fetch, matches
from app.admin.matches import QUICK, SINCE, UNTIL
from app.core.db import reading, transaction
from app.fixtures.board import Chip, board, condition
from app.fixtures.models import FixtureDay, FixtureDayMatch, Match, MatchDetail, RawAnswer
from app.fixtures.store import pack
from app.jobs.models import Job

DAY = "/admin/matches/?date=2025-05-05"
KINDS = ("event", "statistics", "incidents", "lineups")


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app)


def write(*rows: Any) -> None:
    with transaction() as session:
        session.add_all(rows)


def known(source_id: str, *kinds: str, **more: Any) -> list[MatchDetail]:
    fields = {"source": "sandbox", "code": "OK", "fetched_at": NOON, "looked_at": NOON, **more}
    return [MatchDetail(source_id=source_id, kind=kind, **fields) for kind in kinds]


def some() -> None:
    """A match of each sort on the 5th of May, one on each side of its midnights."""
    at = [{"kickoff": NOON + timedelta(minutes=n)} for n in range(7)]
    write(
        a_match("1", "Beşiktaş", "Göztepe", **at[1]),
        a_match("2", "Sivas", "Rize", status="LIVE", competition="Kupa", **at[2]),
        a_match("3", "Bursa", "Konya", status="POSTPONED", home_score=None, **at[3]),
        a_match("4", "Århus", "Łódź", country=None, competition=None, **at[4]),
        a_match("5", HOSTILE, "Iğdır", **at[5]),
        a_match("6", "Adana", "Hatay", status="SCHEDULED", home_score=None, **at[6]),
        a_match("1", "Real Madrid", "Atlético", source="football_data", country="España"),
        # 21:00 UTC is midnight in Istanbul
        a_match("7", "Yesterday", "Late", kickoff=datetime(2025, 5, 4, 20, 59, tzinfo=UTC)),
        a_match("8", "First", "Minute", kickoff=datetime(2025, 5, 4, 21, 0, tzinfo=UTC)),
        a_match("9", "Tomorrow", "Early", kickoff=datetime(2025, 5, 5, 21, 0, tzinfo=UTC)),
        *known("1", *KINDS),
        *known("5", *KINDS[:2]),
        *known("5", "incidents", fetched_at=None, code="NOT_FOUND"),
        *known("8", *KINDS[:3]),
        *known("8", "lineups", fetched_at=None, code="NO_DATA"),
    )


def games(page: str) -> list[str]:
    """The matches of the page, in their order."""
    found = re.findall(r'game-home">(.*?)</span>', page)
    return [unescape(name) for name in found]


def counts(page: str) -> dict[str, int]:
    found = re.findall(r'show=(\w+)[^"]*"[^>]*>[^<]+<span class="many">(\d+)</span>', page)
    return {name: int(count) for name, count in found}


# --- a day ----------------------------------------------------------------------------------------


def test_without_a_word_it_is_today_where_people_are(
    client: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    some()
    late = datetime(2025, 5, 4, 21, 30, tzinfo=UTC)  # half past midnight, the 5th, in Istanbul
    monkeypatch.setattr(fetch, "now", lambda: late)
    page = client.text("/admin/matches/")
    assert "First" in games(page)
    assert {"Yesterday", "Tomorrow"}.isdisjoint(games(page))
    assert 'value="2025-05-05"' in page
    assert "/admin/matches/live" in page  # today keeps itself up to date
    assert games(client.text("/admin/matches/live")) == games(page)
    assert "html lang" not in client.text("/admin/matches/live")


def test_a_day_is_grouped_by_competition_what_is_played_first(client: Visitor) -> None:
    some()
    page = client.text(DAY)
    heads = [
        " ".join(re.sub(r"<[^>]+>", " ", head).split())
        for head in re.findall(r'competition">\s*<h2>(.*?)</h2>', page, re.S)
    ]
    assert heads == [
        "Türkiye Kupa 1 1 live",
        "España Süper Lig 1",
        "Türkiye Süper Lig 5",
        "Without a competition 1",
    ]
    assert games(page)[2:7] == ["First", "Beşiktaş", "Bursa", HOSTILE, "Adana"]  # by kick-off
    assert "12:30</time>" in page
    assert "<script>alert" not in page
    assert 'href="/admin/matches/?date=2025-05-04&amp;show=all"' in page
    assert 'href="/admin/matches/?date=2025-05-06&amp;show=all"' in page
    assert "/admin/matches/live" not in page  # the past is still


def test_each_chip_counts_what_it_shows_and_leads_to_the_same_in_the_list(client: Visitor) -> None:
    some()
    told = counts(client.text(DAY))
    # Of 5 one kind is unknown and one failed; of 8 the source said it has none; 4 and the other
    # source's match were never asked for.
    assert told == {"all": 8, "live": 1, "lacking": 3, "postponed": 1}
    for chip, count in told.items():
        page = client.text(f"{DAY}&show={chip}")
        assert len(games(page)) == count
        link = re.search(r'href="(/admin/matches/all\?[^"]+)"', page)[1]
        listed = client.text(unescape(link))
        assert listed.count("row-buttons") == count, chip
    assert games(client.text(f"{DAY}&show=lacking")) == ["Real Madrid", HOSTILE, "Århus"]
    only = client.text(f"{DAY}&source=football_data")
    assert games(only) == ["Real Madrid"]
    assert counts(only) == {"all": 1, "live": 0, "lacking": 1, "postponed": 0}


def test_what_a_chip_says_of_a_row_it_says_to_the_database(app: Flask) -> None:
    some()
    since, until = NOON - timedelta(days=2), NOON + timedelta(days=2)
    with reading() as session:
        for chip in Chip:
            shown = board(session, since, until, chip).shown
            listed = session.execute(select(Match.source, Match.source_id).where(condition(chip)))
            assert {(s, i) for s, ids in shown.items() for i in ids} == {tuple(r) for r in listed}


def test_the_filters_a_chip_uses_are_those_of_the_list(app: Flask) -> None:
    view = next(v for v in app.extensions["admin"][0]._views if v.endpoint == "matches")
    of = [(f.column.key, f.input_type) for f in view._filters]
    assert of[SINCE] == of[UNTIL] == ("kickoff", "date")
    assert isinstance(view._filters[QUICK], matches.Quick)


def test_a_thousand_matches_take_one_query(app: Flask, client: Visitor) -> None:
    write(*(a_match(str(n), f"H{n}", f"A{n}", competition=f"C{n % 90}") for n in range(1000)))
    with reading() as session, statements() as said:
        found = board(session, NOON - timedelta(days=1), NOON + timedelta(days=1), Chip.ALL)
    assert len([s for s in said if "SELECT" in s]) == 1
    assert len(found.competitions) == 90
    with statements() as said:
        page = client.text(DAY)
    assert len(games(page)) == 1000
    assert len([s for s in said if "match" in s]) == 1


def test_what_is_shown_is_handed_to_fetch_details_which_says_first_what_it_would_do(
    app: Flask, client: Visitor
) -> None:
    some()
    page = client.text(f"{DAY}&show=lacking")
    forms = re.findall(r'<form method="post" action="/admin/details/">(.*?)</form>', page, re.S)
    fields = [re.findall(r'name="(\w+)" value="([^"]*)"', form) for form in forms]
    by_source = {dict(form)["source"]: form for form in fields}
    assert dict(by_source["sandbox"])["ids"] == "4 5"
    sent = [(name, value) for name, value in by_source["sandbox"] if name != "csrf_token"]
    form: dict[str, Any] = {name: [v for n, v in sent if n == name] for name, _ in sent}
    answer = client.press("/admin/details/", **form)
    assert "Start: fetch 8 details" in answer.text
    with reading() as session:
        assert session.query(Job).count() == 0
    assert "/admin/details/" not in signed_in(app, Role.VIEWER).text(DAY)


def test_whatever_stands_in_the_address_the_answer_is_a_page(client: Visitor) -> None:
    for text in ("?date=nonsense", "?date=1900-01-01", "?show=x&source=y", "?date=2100-12-31"):
        assert "No match is known on this day" in client.text(f"/admin/matches/{text}")
    kept = client.get("/admin/matches/?search=a%26b&flt1=LIVE")
    assert kept.location == "/admin/matches/all?search=a%26b&flt1=LIVE"


def test_an_empty_chip_leads_back_to_all(client: Visitor) -> None:
    write(a_match("1", "A", "B"))
    page = client.text(f"{DAY}&show=live")
    assert "None of the 1 matches of this day" in page
    assert "Show everything" in page


# --- a match --------------------------------------------------------------------------------------


def with_answers() -> dict[str, int]:
    """A match in a day's list of three, and one of its details: their raw answers."""
    listed = shapes.a_list(*(shapes.a_match(n) for n in (10, 11, 12)))
    detail = json.dumps({"event": shapes.an_event("11", 2)}).encode()
    match = a_match("11", "Çayırova 11", "Iğdır 11", home_half_time=1, away_half_time=0)
    common = {"source": "sandbox", "fetched_at": NOON, "http_status": 200}
    bodies = [pack(200, {}, body) for body in (listed, detail, b"<html>no</html>")]
    rows = [
        RawAnswer(kind=kind, key=key, sha256=b.sha256, size=b.size, body=b.packed, **common)
        for (kind, key), b in zip(
            (("fetch_day", "2025-05-05"), ("detail_event", "../11"), ("fetch_day", "2025-05-06")),
            bodies,
            strict=True,
        )
    ]
    with transaction() as session:
        session.add_all([match, *rows])
        session.flush()
        dated = {"date": NOON.date(), "data_id": 20250505, "looked_at": NOON, "code": "OK"}
        day = FixtureDay(source="sandbox", raw_id=rows[0].id, fetched_at=NOON, **dated)
        session.add_all([day, *known("11", "event", raw_id=rows[1].id)])
        session.flush()
        session.add(FixtureDayMatch(day_id=day.id, match_id=match.id, position=1))
        ids = dict(zip(("list", "detail", "text"), (row.id for row in rows), strict=True))
        return {"match": match.id, **ids}


def test_a_match_has_a_summary_its_history_and_its_answers(client: Visitor) -> None:
    ids = with_answers()
    page = client.text(f"/admin/matches/details/?id={ids['match']}")
    tabs = re.findall(r'<a class="tab" href="#(\w+)">', page)
    assert tabs == ["summary", "history", "raw"]
    assert all(f'<section id="{tab}" class="pane"' in page for tab in tabs)
    assert "Half time</span> <b>1 : 0</b>" in page
    trees = [unescape(url) for url in re.findall(r'data-json="([^"]+)"', page)]
    assert trees == [
        f"/admin/matches/raw?id={ids['detail']}",
        f"/admin/matches/raw?id={ids['list']}&match=11",
    ]


def test_a_raw_answer_is_shown_and_downloaded_as_it_came(client: Visitor) -> None:
    ids = with_answers()
    shown = client.get(f"/admin/matches/raw?id={ids['detail']}")
    assert shown.json["event"]["id"] == 11
    assert shown.content_type == "application/json"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Disposition" not in shown.headers
    saved = client.get(f"/admin/matches/raw?id={ids['detail']}&download=1")
    assert saved.data == shown.data
    name = f"sandbox-detail_event----11-{ids['detail']}.json"  # nothing that could be a path
    assert saved.headers["Content-Disposition"] == f"attachment; filename={name}"
    row = client.get(f"/admin/matches/raw?id={ids['list']}&match=11&download=1")
    assert row.json["homeTeam"]["name"] == "Çayırova 11"
    assert f"2025-05-05-{ids['list']}-11.json" in row.headers["Content-Disposition"]
    text = client.get(f"/admin/matches/raw?id={ids['text']}&download=1")
    assert text.content_type == "text/plain; charset=utf-8"  # never shown as a page
    assert text.headers["Content-Disposition"].endswith(".txt")


def test_a_raw_answer_that_is_not_there_is_not_found(app: Flask, client: Visitor) -> None:
    ids = with_answers()
    for query in ("", "id=0", "id=x", f"id={'9' * 30}", "id=1%00", f"id={ids['list']}&match=99"):
        client.text(f"/admin/matches/raw?{query}", 404)
    client.text(f"/admin/matches/raw?id={ids['text']}&match=11", 404)
    assert visitor(app).get(f"/admin/matches/raw?id={ids['list']}").status_code == 302


def test_the_pages_are_there_in_turkish_too(client: Visitor) -> None:
    ids = fill()
    client.press("/language", language="tr")
    assert "Ayrıntısı eksik" in client.text(DAY)
    assert "Özet" in client.text(f"/admin/matches/details/?id={ids['match']}")
