import itertools
import re
from datetime import date, timedelta
from typing import Any

import pytest
from collection import HOSTILE, NOON, a_match, fill
from flask import Flask
from panel import Visitor, signed_in

from app.accounts.models import Role
from app.admin import fetch
from app.core.db import transaction
from app.fixtures.models import MatchChange

PAGE = "/admin/changes/"
DAY = f"{PAGE}?date=2025-05-05"
NUMBERS = itertools.count(1)


@pytest.fixture
def client(app: Flask) -> Visitor:
    return signed_in(app, Role.VIEWER)


def a_change(field: str, old: str | None, new: str | None, **more: Any) -> int:
    """A match of its own that changed so: its id."""
    seen_at = more.pop("seen_at", NOON)
    fields = {"home": f"Ev {field}", **more}
    with transaction() as session:
        match = a_match(str(next(NUMBERS)), away="Konuk", **fields)
        session.add(match)
        session.flush()
        told = {"field": field, "old": old, "new": new}
        session.add(MatchChange(match_id=match.id, seen_at=seen_at, raw_id=None, **told))
        return match.id


def tabs(page: str) -> dict[str, str]:
    """The counts on top."""
    text = page.split('class="tabs"')[1].split("</nav>")[0]
    return dict(re.findall(r">([^<>]+?) ([\d,.]+)</a>", text))


def names(page: str) -> list[str]:
    return re.findall(r'/admin/matches/details/\?id=\d+">([^<]+)</a>', page)


def test_each_kind_is_counted_and_shown_with_its_match(client: Visitor) -> None:
    moved = a_change("kickoff", "2025-05-05T17:00:00Z", "2025-05-06T18:30:00Z")
    a_change("home_score", "2", "3")
    a_change("status", "FINISHED", "SCHEDULED", status="SCHEDULED")
    a_change("home", "Eski", HOSTILE)
    a_change("round", "7", "8")
    a_change("status", "SCHEDULED", "FINISHED", home="Ev played")
    page = client.text(DAY)
    assert tabs(page) == {
        "Worth a look": "5",
        "Status turned back": "1",
        "Score corrected": "1",
        "Teams changed": "1",
        "Kick-off moved": "1",
        "Other": "1",
        "Was played": "1",
        "All": "6",
    }
    assert "Ev played" not in page
    assert "Ev played" in client.text(f"{DAY}&show=all")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    one = client.text(f"{DAY}&show=kickoff")
    assert names(one) == ["Ev kickoff – Konuk"]
    assert f"/admin/matches/details/?id={moved}" in one
    text = " ".join(re.sub(r"<[^>]+>", "", one).split())
    assert "Kick-off 2025-05-05 20:00:00 → 2025-05-06 21:30:00" in text  # in Istanbul
    back = " ".join(re.sub(r"<[^>]+>", "", client.text(f"{DAY}&show=status_back")).split())
    assert "finished → scheduled" in back


def test_the_day_is_the_one_where_people_read_times(client: Visitor) -> None:
    late = NOON.replace(hour=21)  # midnight in Istanbul
    a_change("round", "1", "2", seen_at=late)
    assert names(client.text(DAY)) == []
    assert len(names(client.text(f"{PAGE}?date=2025-05-06"))) == 1


def test_today_is_shown_unless_a_day_is_asked_for(
    client: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "today", lambda: date(2025, 5, 5))
    a_change("round", "1", "2")
    assert len(names(client.text(PAGE))) == 1
    page = client.text(f"{PAGE}?date=nonsense")
    assert "“nonsense” is not a date" in page
    assert len(names(page)) == 1


def test_a_source_can_be_picked(client: Visitor) -> None:
    a_change("round", "1", "2", home="Ours")
    a_change("round", "1", "2", source="espn", home="Theirs")
    assert names(client.text(f"{DAY}&source=espn")) == ["Theirs – Konuk"]
    assert len(names(client.text(f"{DAY}&source=nonsense"))) == 2


def test_a_long_day_is_paged(client: Visitor) -> None:
    for n in range(55):
        a_change("round", "1", "2", seen_at=NOON + timedelta(seconds=n), home=f"Ev {n}")
    first = client.text(DAY)
    following = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = client.text(following)
    assert names(first)[0] == "Ev 54 – Konuk"
    assert (len(names(first)), len(names(second))) == (50, 5)
    assert not set(names(first)) & set(names(second))


def test_whatever_stands_in_the_address_the_answer_is_a_page(client: Visitor) -> None:
    fill()
    for query in ("show=x", "before=x", "before=-1", "before=99999999999999999999", "date=%00"):
        assert client.text(f"{PAGE}?{query}")
    assert "Nothing changed on this day" in client.text(f"{PAGE}?date=2001-01-01")
    assert client.text(f"{PAGE}?date=2100-12-31")


def test_it_stands_in_the_menu_in_both_languages(client: Visitor) -> None:
    for language in ("tr", "en"):
        client.press("/language", language=language)
        assert f'href="{PAGE}"' in client.text("/admin/")
        assert f'<html lang="{language}">' in client.text(DAY)
