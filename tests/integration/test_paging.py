import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from collection import a_match
from flask import Flask
from sqlalchemy import select

from app.admin import paging
from app.admin.paging import AFTER, BEFORE, LAST, NoSuchPlaceError, Sort
from app.core.db import db, transaction
from app.fixtures.models import Match

pytestmark = pytest.mark.usefixtures("app")

SIZE = 7
DAY = datetime(2025, 5, 5, 12, 0, 0, 123456, tzinfo=UTC)
ORDERS = (  # columns and whether they go down; the second may have no value either
    [("id", False)],
    [("id", True)],
    [("kickoff", False)],
    [("kickoff", True)],
    [("home", True)],
    [("country", True), ("kickoff", False)],
    [("kickoff", False), ("country", True)],
    [("source", False), ("home", True)],
)


def some_matches(count: int = 60) -> None:
    """Few different values, many without one."""
    rng = random.Random(5)
    with transaction() as session:
        for number in range(count):
            kickoff = rng.choice([None, DAY, DAY + timedelta(hours=rng.randint(1, 3))])
            names = {"home": rng.choice("abc"), "country": rng.choice([None, "x", "y"])}
            session.add(a_match(str(number), away="z", kickoff=kickoff, **names))


def order(columns: list[tuple[str, bool]]) -> list[Sort]:
    sorts = [Sort.by(getattr(Match, name), down=down) for name, down in columns]
    last = [] if columns[-1][0] == "id" else [Sort.by(Match.id, down=columns[0][1])]
    return [*sorts, *last]


def expected(columns: list[tuple[str, bool]]) -> list[int]:
    """By Python: what has no value comes last, whichever way."""
    rows = list(db.session.scalars(select(Match)))
    for name, down in reversed([*columns, ("id", columns[0][1])]):
        rows.sort(
            key=lambda row: (
                getattr(row, name) or DAY.min.replace(tzinfo=UTC)
                if name == "kickoff"
                else getattr(row, name) or ""
            ),
            reverse=down,
        )
        rows.sort(key=lambda row: getattr(row, name) is None)
    return [row.id for row in rows]


def walk(sorts: list[Sort], start: dict[str, str], way: str) -> list[list[int]]:
    pages, place = [], start
    while place is not None:
        found = paging.page(db.session.query(Match), sorts, place, SIZE)
        pages.append([row.id for row in found.rows])
        place = found.after if way == AFTER else found.before
        assert len(pages) < 100
    return pages


def test_every_order_shows_every_row_once_forward_and_backward() -> None:
    some_matches()
    for columns in ORDERS:
        wanted, sorts = expected(columns), order(columns)
        forward = walk(sorts, {}, AFTER)
        assert [row for page in forward for row in page] == wanted, columns
        backward = walk(sorts, {LAST: "1"}, BEFORE)
        # The last page of a walk back is the beginning of the list, full: it may overlap.
        assert backward[-1] == wanted[:SIZE], columns
        assert [row for page in backward[-2::-1] for row in page] == wanted[len(wanted) % SIZE :], (
            columns
        )


def test_rows_that_arrive_or_go_move_no_page() -> None:
    some_matches(30)
    sorts = order([("kickoff", True)])
    first = paging.page(db.session.query(Match), sorts, {}, SIZE)
    second = paging.page(db.session.query(Match), sorts, first.after or {}, SIZE)
    ids = [row.id for row in second.rows]
    db.session.rollback()
    with transaction() as session:
        session.add_all(
            a_match(f"new{n}", "a", "b", kickoff=DAY + timedelta(days=9)) for n in range(5)
        )
        session.delete(session.get(Match, first.rows[-1].id))  # the row the page begins after
    again = paging.page(db.session.query(Match), sorts, first.after or {}, SIZE)
    assert [row.id for row in again.rows] == ids


def test_behind_the_last_row_is_the_last_page_and_before_the_first_the_first() -> None:
    some_matches(20)
    sorts = order([("id", False)])
    query = db.session.query(Match)
    last = paging.page(query, sorts, {LAST: "1"}, SIZE)
    assert last.after is None
    beyond = paging.page(query, sorts, {AFTER: paging._cursor(sorts, last.rows[-1])}, SIZE)
    assert [row.id for row in beyond.rows] == [row.id for row in last.rows]
    first = paging.page(query, sorts, {}, SIZE)
    assert first.before is None
    ahead = paging.page(query, sorts, {BEFORE: paging._cursor(sorts, first.rows[2])}, SIZE)
    assert [row.id for row in ahead.rows] == [row.id for row in first.rows]


def test_an_empty_list_is_one_page() -> None:
    for place in ({}, {LAST: "1"}):
        found = paging.page(db.session.query(Match), order([("kickoff", True)]), place, SIZE)
        assert (list(found.rows), found.before, found.after) == ([], None, None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!", "bnVsbA", "W10", "WzFd", "W251bGwsbnVsbF0", "ü" * 9]
)
def test_nonsense_is_no_place(cursor: str) -> None:
    with pytest.raises(NoSuchPlaceError):
        paging.page(db.session.query(Match), order([("home", False)]), {AFTER: cursor}, SIZE)


def test_a_total_is_exact_up_to_a_bound_and_given_up_in_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_matches(20)
    query = db.session.query(Match)
    assert paging.total(query, Match.id) == paging.Total(20)
    monkeypatch.setattr(paging, "MOST_COUNTED", 10)
    assert paging.total(query, Match.id) == paging.Total(10, more=True)
    monkeypatch.setattr(paging, "MOST_COUNTED", 10**9)
    monkeypatch.setattr(paging, "_STEPS", 1)
    monkeypatch.setattr(paging, "COUNTED_WITHIN_MS", 1)
    everything: Any = query
    for _ in range(5):  # 20 to the sixth
        other = select(Match.id.label("other")).subquery()
        everything = everything.join(other, other.c.other > 0)
    assert paging.total(everything, Match.id) == paging.Total(None)
    monkeypatch.undo()
    assert paging.total(query, Match.id) == paging.Total(20)  # the connection is as it was
