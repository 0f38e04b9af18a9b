"""What a drill counts: a ledger brought into known states, and the numbers that must come out."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from factories import overdue
from flask import Flask
from sqlalchemy import insert

from app.core.clock import now
from app.core.db import table_of, transaction
from app.drill.books import FIRST_ID, Books, requests
from app.fixtures.models import MatchDetail, RawAnswer
from app.jobs import ledger
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, Job, JobEvent
from app.jobs.moves import Claim, Report, note_job

ITEMS = 6
KEYS = [str(FIRST_ID + n) for n in range(ITEMS)]


@pytest.fixture
def books(app: Flask, database_url: str) -> Iterator[Books]:
    """A job of six items, nothing of it done."""
    made = Books(database_url)
    made.submit(ITEMS)
    yield made
    made.close()


def take(books: Books, worker: str = "host:1:boot", most: int = ITEMS) -> list[Claim]:
    with transaction() as session:
        terms = Terms(lease_s=30, deadline_s=300, most=most)
        return ledger.claim(
            session, books.job_id, worker=worker, kinds=["detail_event"], terms=terms
        )


def store(key: str, times: int = 1) -> None:
    body = {"http_status": 200, "sha256": "x", "size": 1, "body": b"x", "fetched_at": now()}
    raw = {"source": "sandbox", "kind": "detail_event", "key": key, **body}
    with transaction() as session:
        session.execute(insert(table_of(RawAnswer)), [raw] * times)
        head = {"source": "sandbox", "source_id": key, "kind": "event", "code": "OK"}
        seen = {"missing": "", "fetched_at": now(), "looked_at": now()}
        session.execute(insert(table_of(MatchDetail)), [head | seen])


def finish(*claims: Claim) -> None:
    for claim in claims:
        store(claim.key)
        with transaction() as session:
            ledger.finish(session, claim, ItemOutcome.STORED, Report("OK"))


def lose(*claims: Claim) -> None:
    for claim in claims:
        overdue(claim)
    with transaction() as session:
        ledger.reap(session)


def once() -> Counter[str]:
    return Counter(KEYS)


def test_a_clean_run_counts_clean(books: Books) -> None:
    finish(*take(books))
    tally = books.tally(once())
    assert (tally.done_once, tally.effects, tally.doubled) == (ITEMS, ITEMS, 0)
    assert (tally.executions, tally.never_asked, tally.unexplained) == (ITEMS, 0, 0)
    assert (tally.claimed_again, tally.explained) == (0, 0)
    look = books.look()
    assert (look.done, look.balanced, look.is_open) == (ITEMS, True, False)


def test_what_was_lost_and_done_again_is_explained(books: Books) -> None:
    first, *rest = take(books)
    lose(first)
    finish(*rest)
    finish(*take(books, "host:2:boot"))
    tally = books.tally(once() + Counter([first.key]))
    assert (tally.executions, tally.unexplained) == (ITEMS + 1, 0)
    assert (tally.claimed_again, tally.explained) == (1, 1)


def test_an_effect_that_happened_twice_is_seen(books: Books) -> None:
    claims = take(books)
    finish(*claims)
    with transaction() as session:
        raw = session.query(RawAnswer).filter_by(key=KEYS[2]).one()
        twin = {c.name: getattr(raw, c.name) for c in RawAnswer.__table__.columns if c.name != "id"}
        session.execute(insert(table_of(RawAnswer)), [twin])
    assert books.tally(once()).doubled == 1


def test_an_end_that_happened_twice_is_seen(books: Books) -> None:
    first, *_ = claims = take(books)
    finish(*claims)
    row = {"job_id": first.job_id, "item_id": first.item_id, "at": now(), "event": "done"}
    with transaction() as session:
        session.execute(insert(table_of(JobEvent)), [row | {"state": "done", "fence": 1}])
    tally = books.tally(once())
    assert (tally.doubled, tally.done_once) == (1, ITEMS - 1)


def test_an_effect_without_an_end_and_an_end_without_an_effect_are_seen(books: Books) -> None:
    first, second, *rest = take(books)
    finish(*rest)
    store(first.key)
    with transaction() as session:
        ledger.finish(session, second, ItemOutcome.STORED, Report("OK"))
    tally = books.tally(once())
    assert (tally.done_once, tally.effects) == (ITEMS - 1, ITEMS - 1)
    assert books.look().done == ITEMS - 1


def test_requests_that_nobody_claimed_and_items_nobody_asked_for_are_seen(books: Books) -> None:
    finish(*take(books))
    asked = Counter({KEYS[0]: 3, **dict.fromkeys(KEYS[2:], 1), "7": 1})
    tally = books.tally(asked)
    assert (tally.unexplained, tally.never_asked) == (3, 1)


def test_a_claim_that_the_history_does_not_explain_is_seen(books: Books) -> None:
    lose(*take(books, most=1))
    with transaction() as session:
        session.query(JobEvent).filter_by(event="crashed").delete()
    take(books)
    tally = books.tally(once())
    assert (tally.claimed_again, tally.explained) == (1, 0)


def test_books_that_do_not_add_up_are_seen(books: Books) -> None:
    with transaction() as session:
        session.get_one(Job, books.job_id).submitted = ITEMS + 1
    assert not books.look().balanced


def test_what_is_in_whose_hands(books: Books) -> None:
    one = take(books, "host:1:boot", most=2)
    take(books, "host:2:boot", most=3)
    held = books.held()
    assert {name: len(each.fences) for name, each in held.items()} == {
        "host:1:boot": 2,
        "host:2:boot": 3,
    }
    assert held["host:1:boot"].fences == {claim.item_id: 1 for claim in one}
    lose(*one)
    lose(*take(books, "host:3:boot", most=2))
    assert books.held()["host:2:boot"].most_crashes == 0


def test_recovery_ends_when_the_last_item_is_back_and_when_it_runs_again(books: Books) -> None:
    one, two, three, *_rest = take(books)
    fences = {claim.item_id: claim.fence for claim in (one, two, three)}
    assert books.aftermath(fences) == (None, None)
    killed_at = books.now()
    finish(one)
    lose(two, three)
    back, again = books.aftermath(fences)
    assert back is not None
    assert timedelta(0) <= back - killed_at < timedelta(seconds=30)
    assert again is None, "nobody has claimed them yet"
    take(books, "host:2:boot", most=1)
    assert books.aftermath(fences)[1] is None, "one of two runs again"
    take(books, "host:2:boot")
    back_later, again = books.aftermath(fences)
    assert back_later == back
    assert again is not None
    assert again >= back


def test_events_of_the_job_itself_disturb_nothing(books: Books) -> None:
    with transaction() as session:
        note_job(session, books.job_id, "paused", None)
    finish(*take(books))
    assert books.tally(once()).explained == 0


def test_the_sandboxes_log_is_counted_by_match(tmp_path: Path) -> None:
    log = tmp_path / "asked.jsonl"
    lines = [{"path": f"/api/v1/event/{key}", "status": 200} for key in ("5", "6", "5")]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert requests(log) == {"5": 2, "6": 1}
