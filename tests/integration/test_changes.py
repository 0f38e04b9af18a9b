from datetime import datetime, timedelta

import pytest
from collection import NOON, a_match

from app.core.db import reading, transaction
from app.fixtures.changes import ChangeKind, Page, Window, changes_between
from app.fixtures.models import MatchChange

pytestmark = pytest.mark.usefixtures("app")

Change = tuple[str, str | None, str | None]


def write(source_id: str, *batches: tuple[datetime, list[Change]], **fields: str) -> int:
    with transaction() as session:
        match = a_match(source_id, "Ev", "Konuk", **fields)
        session.add(match)
        session.flush()
        for seen_at, changes in batches:
            for field, old, new in changes:
                session.add(
                    MatchChange(match_id=match.id, seen_at=seen_at, field=field, old=old, new=new)
                )
            session.flush()
        return match.id


def page(**options: object) -> Page:
    source = options.pop("source", None)
    window = Window(NOON, NOON + timedelta(days=1), source)
    with reading() as session:
        return changes_between(session, window, **options)


def kinds(of: Page) -> dict[int, list[ChangeKind]]:
    return {one.match.id: one.kinds for one in of.matches}


def test_only_what_was_seen_within_the_time_counts_and_only_of_the_source() -> None:
    write("1", (NOON - timedelta(seconds=1), [("round", "1", "2")]))
    write("2", (NOON + timedelta(days=1), [("round", "1", "2")]))
    inside = write("3", (NOON, [("round", "1", "2")]))
    other = write("4", (NOON, [("round", "1", "2")]), source="espn")
    assert set(kinds(page())) == {inside, other}
    assert set(kinds(page(source="espn"))) == {other}
    assert page(source="openligadb").all == 0


def test_a_match_that_was_played_is_progress_and_a_later_correction_is_not() -> None:
    later = NOON + timedelta(hours=3)
    match = write(
        "1",
        (NOON, [("status", "SCHEDULED", "LIVE"), ("home_score", None, "0")]),
        (NOON + timedelta(hours=1), [("home_score", "0", "1")]),
        (NOON + timedelta(hours=2), [("home_score", "1", "2"), ("status", "LIVE", "FINISHED")]),
        (later, [("home_score", "2", "3")]),
    )
    (changed,) = page().matches
    assert changed.match.id == match
    assert [c.kind for c in changed.changes] == [ChangeKind.PROGRESS] * 5 + [ChangeKind.SCORE]
    assert changed.changes[-1].seen_at == later


def test_the_goals_of_a_match_that_is_being_played_are_progress() -> None:
    write("1", (NOON, [("home_score", "0", "1")]), status="LIVE")
    found = page()
    assert (found.all, found.worth) == (1, 0)


def test_what_follows_a_correction_is_one_too() -> None:
    back = [("status", "FINISHED", "LIVE"), ("raw_status", "finished/100", "live/7")]
    fixed = [("home_score", "1", "2"), ("winner", "draw", "home")]
    write("1", (NOON, fixed), (NOON + timedelta(hours=1), back))
    (changed,) = page().matches
    score, turned = ChangeKind.SCORE, ChangeKind.STATUS_BACK
    assert [change.kind for change in changed.changes] == [score, score, turned, turned]
    assert changed.kinds == [turned, score]


def test_counts_are_of_matches_and_the_kinds_choose_them() -> None:
    moved = [("kickoff", "2025-05-05T17:00:00Z", "2025-05-06T17:00:00Z"), ("round", "1", "2")]
    both = write("1", (NOON, moved))
    back = write("2", (NOON, [("status", "FINISHED", "SCHEDULED")]), status="SCHEDULED")
    found = page(kinds=[ChangeKind.KICKOFF])
    assert kinds(found) == {both: [ChangeKind.KICKOFF, ChangeKind.OTHER]}
    wanted = {ChangeKind.KICKOFF: 1, ChangeKind.OTHER: 1, ChangeKind.STATUS_BACK: 1}
    assert {kind: count for kind, count in found.counts.items() if count} == wanted
    assert (found.all, found.worth) == (2, 2)
    assert kinds(page(kinds=[ChangeKind.STATUS_BACK])) == {back: [ChangeKind.STATUS_BACK]}


def test_pages_hold_every_match_once_the_last_change_first() -> None:
    ids = [write(str(n), (NOON, [("round", "1", "2")])) for n in range(7)]
    seen, before = [], None
    while True:
        found = page(before=before, most=3)
        seen += [one.match.id for one in found.matches]
        before = found.more
        if before is None:
            break
    assert seen == ids[::-1]
