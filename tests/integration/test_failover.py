"""A day that one source cannot answer is answered by the next, on both engines."""

import json
import threading
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from factories import FIRST_DAY, counts, items_of, overdue
from fakes import FakeOutside, Reply, a_desk, answer, work_all
from flask import Flask
from shapes import a_list, a_match
from sqlalchemy import select, update

from app.core.clock import now
from app.core.db import db_now, reading, transaction
from app.errors.models import FixtureError
from app.fixtures import retry
from app.fixtures.models import FixtureDay
from app.fixtures.request import fetch_request
from app.jobs import ledger, slices, steer
from app.jobs.audit import imbalances
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, Job, JobEvent, JobItem, Trigger
from app.jobs.moves import Claim, Report, StaleError
from app.jobs.report import earliest_start, job_report, timeline
from app.jobs.steward import pass_on_if_needed
from app.jobs.submit import JobRequest, Submitted
from app.jobs.submit import submit as submit_job
from app.sources import pause
from app.sources.base import Request
from app.sources.models import RequestLog, SourceState

ORDER = ["sofascore", "football_data", "espn"]
ONE_DAY = timedelta(days=1)

GONE = answer(b"{}", 404)
BROKEN = answer(b"{}", 500)
BLOCKED = answer(b'{"error": {"code": 403, "reason": "challenge"}}', 403)
SOFASCORE = answer(a_list(*(a_match(n) for n in range(1, 4))))
NOTHING = answer(json.dumps({"resultSet": {"count": 0}, "matches": []}))
FOOTBALL_DATA = answer(
    json.dumps(
        {
            "resultSet": {"count": 2},
            "matches": [
                {
                    "id": n,
                    "utcDate": "2025-05-05T14:00:00Z",
                    "status": "TIMED",
                    "homeTeam": {"id": n, "name": f"Göztepe {n}"},
                    "awayTeam": {"id": -n, "name": f"Iğdır {n}"},
                    "score": {"fullTime": {"home": None, "away": None}},
                    "competition": {"id": 1, "name": "Süper Lig"},
                }
                for n in (1, 2)
            ],
        }
    )
)


class Outside(FakeOutside):
    """Each source with a reply of its own."""

    def __init__(self, **replies: Reply) -> None:
        super().__init__(lambda request: replies[source_of(request)])

    @property
    def asked_of(self) -> list[str]:
        return [source_of(request) for request in self.asked]


def source_of(request: Request) -> str:
    if "scoreboard" in request.url:
        return "espn"
    return "football_data" if "/v4/" in request.url else "sofascore"


def wanted(
    order: list[str] | None = None, days: int = 1, first: date = FIRST_DAY, in_turn: bool = True
) -> JobRequest:
    with reading() as session:
        last = first + (days - 1) * ONE_DAY
        job = fetch_request(session, order or ORDER, first, last, failover=in_turn).job
    assert job is not None
    return job


def submit(request: JobRequest) -> Submitted:
    with transaction() as session:
        return submit_job(session, request, by="tester", trigger=Trigger.CLI)


def ask(order: list[str] | None = None, days: int = 1) -> int:
    return submit(wanted(order, days)).job_id


def work(job_id: int, outside: Outside, waits: int = 8) -> None:
    """Work until nothing is left, as if the waits between the tries were over."""
    for _ in range(waits):
        work_all(job_id, a_desk(outside))
        with transaction() as session:
            session.execute(
                update(JobItem).where(JobItem.job_id == job_id).values(not_before=db_now(-1))
            )


def item_of(job_id: int) -> JobItem:
    (item,) = items_of(job_id)
    return item


def events_of(job_id: int) -> list[JobEvent]:
    with reading() as session:
        return list(timeline(session, item_of(job_id).id))


def steps(job_id: int) -> list[str]:
    """The moves from source to source, as they were told."""
    return [str(event.message) for event in events_of(job_id) if event.event == "failed_over"]


def open_errors() -> dict[str, str]:
    with reading() as session:
        rows = session.scalars(select(FixtureError).where(FixtureError.resolved_at.is_(None)))
        return {row.source: row.code for row in rows}


def days() -> dict[str, tuple[str, int]]:
    with reading() as session:
        return {row.source: (row.code, row.count) for row in session.scalars(select(FixtureDay))}


def pause_by_hand(*sources: str) -> None:
    with transaction() as session:
        for source in sources:
            pause.pause_by_hand(session, source, "somebody")


def take(job_id: int, worker: str = "w1", most: int = 1) -> list[Claim]:
    with transaction() as session:
        terms = Terms(30, 300, most)
        return ledger.claim(session, job_id, worker=worker, kinds=["fetch_day"], terms=terms)


@pytest.fixture(autouse=True)
def _the_books_balance(app: Flask) -> Iterator[None]:
    yield
    with reading() as session:
        assert imbalances(session) == []


# --- what fails for good --------------------------------------------------------------------------


def test_the_first_answers_and_nobody_else_is_asked() -> None:
    outside = Outside(sofascore=SOFASCORE)
    job_id = ask()
    work(job_id, outside, waits=1)
    assert (item_of(job_id).source, item_of(job_id).outcome) == ("sofascore", "stored")
    assert outside.asked_of == ["sofascore"]
    assert steps(job_id) == []


def test_what_fails_for_good_is_asked_of_the_next_and_the_record_says_who_answered() -> None:
    outside = Outside(sofascore=BROKEN, football_data=FOOTBALL_DATA)
    job_id = ask()
    work(job_id, outside)
    item = item_of(job_id)
    assert (item.state, item.outcome, item.source) == ("done", "stored", "football_data")
    assert outside.asked_of == ["sofascore"] * 6 + ["football_data"], "its own tries come first"
    assert item.attempts == 1, "they are counted anew"
    assert [event.event for event in events_of(job_id)][-4:] == [
        "claimed",
        "failed_over",
        "claimed",
        "done",
    ]
    (told,) = steps(job_id)
    assert told.startswith("sofascore cannot answer (SERVER_ERROR); football_data is asked instead")
    assert open_errors() == {"sofascore": "SERVER_ERROR"}, "repaired on its own, later"
    assert days() == {"sofascore": ("SERVER_ERROR", 0), "football_data": ("OK", 2)}
    with reading() as session:
        report = job_report(session, job_id)
        log = session.scalars(select(RequestLog.source).order_by(RequestLog.id)).all()
    assert (report.job.state, report.job.submitted) == ("DONE", 1)
    assert report.answered_by == {"football_data": 1}
    assert log == outside.asked_of


def test_the_sum_holds_at_every_moment_and_the_fence_only_rises() -> None:
    job_id = ask(days=2)
    fences: list[int] = []
    for _ in range(6):
        for claim in take(job_id):
            fences.append(claim.fence)
            with transaction() as session:
                ledger.fail(session, claim, Report("NOT_FOUND"))
        with reading() as session:
            assert job_report(session, job_id).balanced
            assert imbalances(session) == []
    assert sorted(fences) == [1, 1, 2, 2, 3, 3]
    assert counts(job_id) | {"failed": 2} == counts(job_id)
    assert {item.source for item in items_of(job_id)} == {"espn"}


def test_when_the_last_fails_too_it_has_failed_with_the_last_verdict() -> None:
    outside = Outside(sofascore=GONE, football_data=BLOCKED, espn=answer(b"{}", 401))
    job_id = ask()
    work(job_id, outside)
    item = item_of(job_id)
    assert (item.state, item.source, item.code) == ("failed", "espn", "AUTH_INVALID")
    assert outside.asked_of == ORDER
    assert open_errors() == {
        "sofascore": "NOT_FOUND",
        "football_data": "BLOCKED",
        "espn": "AUTH_INVALID",
    }
    with reading() as session:
        report = job_report(session, job_id)
    assert (report.job.state, report.answered_by) == ("FAILED", {})


def test_nothing_on_that_day_is_an_answer() -> None:
    outside = Outside(sofascore=GONE, football_data=NOTHING)
    job_id = ask()
    work(job_id, outside)
    assert (item_of(job_id).outcome, item_of(job_id).source) == ("no_data", "football_data")
    assert outside.asked_of == ["sofascore", "football_data"]


def test_without_an_order_nobody_else_is_asked() -> None:
    outside = Outside(sofascore=GONE)
    job_id = submit(wanted(["sofascore"], in_turn=False)).job_id
    work(job_id, outside)
    assert (item_of(job_id).state, outside.asked_of) == ("failed", ["sofascore"])


def test_our_own_mistake_with_one_sources_answer_leaves_the_next() -> None:
    outside = Outside(sofascore=ZeroDivisionError("oops"), football_data=FOOTBALL_DATA)
    job_id = ask()
    work(job_id, outside)
    assert item_of(job_id).source == "football_data"
    assert open_errors() == {"sofascore": "INTERNAL"}


def test_a_job_without_retries_left_goes_on_at_once() -> None:
    job_id = ask()
    with transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(retries=50))
    outside = Outside(sofascore=BROKEN, football_data=FOOTBALL_DATA)
    work_all(job_id, a_desk(outside))
    assert outside.asked_of == ["sofascore", "football_data"]


def test_an_item_of_a_cancelled_job_goes_nowhere() -> None:
    job_id = ask()
    (claim,) = take(job_id)
    with transaction() as session:
        steer.cancel(session, job_id, by="x")
        ledger.fail(session, claim, Report("NOT_FOUND"))
    assert (item_of(job_id).state, item_of(job_id).source) == ("failed", "sofascore")


# --- what is closed -------------------------------------------------------------------------------


def test_a_block_sends_the_other_days_to_the_next_source_as_well() -> None:
    outside = Outside(sofascore=BLOCKED, football_data=FOOTBALL_DATA)
    job_id = ask(days=9)
    work_all(job_id, a_desk(outside))
    assert counts(job_id) | {"done": 1, "waiting": 8} == counts(job_id)
    pass_on_if_needed()
    work_all(job_id, a_desk(outside))
    assert counts(job_id)["done"] == 9
    assert outside.asked_of.count("sofascore") == 1, "a block is respected"
    with reading() as session:
        assert job_report(session, job_id).answered_by == {"football_data": 9}
    assert open_errors() == {"sofascore": "BLOCKED"}


def test_what_is_asked_for_while_the_first_is_paused_begins_with_the_next() -> None:
    pause_by_hand("sofascore")
    job_id = ask()
    assert (item_of(job_id).source, item_of(job_id).state) == ("football_data", "waiting")
    (told,) = steps(job_id)
    assert told == (
        "sofascore cannot answer (PAUSED); football_data is asked instead. Paused by somebody."
    )
    outside = Outside(football_data=FOOTBALL_DATA)
    work(job_id, outside, waits=1)
    assert outside.asked_of == ["football_data"]


def test_a_source_paused_later_is_left_by_what_waits_for_it_only() -> None:
    job_id = ask(days=3)
    (claim,) = take(job_id)
    pause_by_hand("sofascore", "football_data")
    pass_on_if_needed()
    by_id = {item.id: (item.source, item.state) for item in items_of(job_id)}
    assert by_id.pop(claim.item_id) == ("sofascore", "running")
    assert set(by_id.values()) == {("espn", "waiting")}
    with transaction() as session:
        ledger.finish(session, claim, ItemOutcome.STORED, Report("OK"))


def test_where_all_are_closed_it_waits_and_nothing_is_written() -> None:
    pause_by_hand(*ORDER)
    job_id = ask()
    pass_on_if_needed()
    assert (item_of(job_id).source, steps(job_id)) == ("sofascore", [])
    with transaction() as session:
        pause.resume(session, "espn")
    pass_on_if_needed()
    assert item_of(job_id).source == "espn"


def test_a_short_throttling_is_waited_for() -> None:
    job_id = ask()
    outside = Outside(sofascore=answer(b"{}", 429, retry_after="30"))
    work_all(job_id, a_desk(outside))
    pass_on_if_needed()
    assert (item_of(job_id).source, item_of(job_id).code) == ("sofascore", "RATE_LIMITED")
    with transaction() as session:
        session.execute(update(SourceState).values(factor=0.125))
    pass_on_if_needed()
    assert item_of(job_id).source == "football_data", "refused again and again"


def test_an_item_that_waits_for_its_next_try_leaves_a_source_that_closes() -> None:
    job_id = ask()
    work_all(job_id, a_desk(Outside(sofascore=BROKEN)))
    assert (item_of(job_id).state, item_of(job_id).attempts) == ("waiting", 1)
    pause_by_hand("sofascore")
    pass_on_if_needed()
    item = item_of(job_id)
    assert (item.source, item.attempts) == ("football_data", 0)
    assert item.not_before <= now()
    assert open_errors() == {"sofascore": "SERVER_ERROR"}


def test_plain_jobs_wait_for_their_source() -> None:
    pause_by_hand("sofascore")
    job_id = submit(wanted(["sofascore"], in_turn=False)).job_id
    pass_on_if_needed()
    assert item_of(job_id).source == "sofascore"


def test_who_watches_a_job_that_is_passed_on_in_a_moment_does_not_give_up() -> None:
    job_id = ask()
    pause_by_hand("sofascore")
    with reading() as session:
        start = earliest_start(session, session.get_one(Job, job_id))
    assert start is not None
    assert start <= now() + timedelta(seconds=1)
    pause_by_hand("football_data", "espn")
    with reading() as session:
        assert earliest_start(session, session.get_one(Job, job_id)) == pause.UNTIL_RESUMED


def test_stewards_at_once_move_each_item_once(app: Flask) -> None:
    job_id = ask(days=40)
    pause_by_hand("sofascore")
    together = threading.Barrier(4)

    def run() -> None:
        with app.app_context():
            together.wait()
            pass_on_if_needed()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading() as session:
        moved = session.scalars(select(JobEvent.item_id).where(JobEvent.event == "failed_over"))
        assert sorted(moved) == [item.id for item in items_of(job_id)]


# --- killed in between ----------------------------------------------------------------------------


def test_a_worker_that_died_after_the_move_leaves_nothing_double() -> None:
    job_id = ask()
    (dead,) = take(job_id, worker="dead")
    with transaction() as session:
        ledger.fail(session, dead, Report("NOT_FOUND"))
    for late in (
        lambda s: ledger.fail(s, dead, Report("NOT_FOUND")),
        lambda s: ledger.finish(s, dead, ItemOutcome.STORED, Report("OK")),
        lambda s: ledger.hold(s, dead),
    ):
        with pytest.raises(StaleError), transaction() as session:
            late(session)
    assert item_of(job_id).source == "football_data", "moved once"
    work(job_id, Outside(football_data=FOOTBALL_DATA), waits=1)
    assert [event.event for event in events_of(job_id)] == [
        "claimed",
        "failed_over",
        "claimed",
        "done",
    ]
    assert [(e.fence, e.worker == "dead") for e in events_of(job_id)] == [
        (1, True),
        (1, True),
        (2, False),
        (2, False),
    ]


def test_a_worker_that_died_before_it_is_no_failure_of_the_source() -> None:
    job_id = ask()
    for crashes in (1, 2, 3):
        (claim,) = take(job_id)
        overdue(claim)
        with transaction() as session:
            ledger.reap(session)
        assert (item_of(job_id).source, item_of(job_id).crashes) == ("sofascore", crashes)
    assert item_of(job_id).state == "quarantined"


# --- asking for it and asking again ---------------------------------------------------------------


def test_a_day_is_one_item_and_the_list_is_in_the_job() -> None:
    job_id = ask(days=5)
    assert [(item.source, item.key) for item in items_of(job_id)] == [
        ("sofascore", (FIRST_DAY + n * ONE_DAY).isoformat()) for n in range(5)
    ]
    with reading() as session:
        assert session.get_one(Job, job_id).params["failover"] == ORDER


def test_a_day_is_fresh_when_any_of_the_order_has_it() -> None:
    job_id = ask()
    work(job_id, Outside(sofascore=GONE, football_data=FOOTBALL_DATA))
    with reading() as session:
        hour_ago = now() - timedelta(hours=1)
        again = fetch_request(
            session,
            ORDER,
            FIRST_DAY,
            FIRST_DAY + ONE_DAY,
            fresh_since=hour_ago,
            failover=True,
        )
    assert again.job is not None
    assert (again.fresh, [item.key for item in again.job.items]) == (1, ["2025-05-06"])


def test_the_same_order_joins_another_order_and_a_plain_request_do_not() -> None:
    first = submit(wanted())
    assert submit(wanted()).job_id == first.job_id
    assert not submit(wanted(ORDER[::-1])).joined
    plain = submit(wanted(["sofascore"], in_turn=False))
    assert not plain.joined
    assert submit(wanted(["sofascore"], in_turn=False)).job_id == plain.job_id


def test_the_error_of_a_source_is_repaired_with_that_source() -> None:
    work(ask(), Outside(sofascore=GONE, football_data=FOOTBALL_DATA))
    with reading() as session:
        request = retry.retry_request(session, retry.all_matching(session, retry.Filter()), "hand")
    job_id = submit(request).job_id
    outside = Outside(sofascore=SOFASCORE)
    work(job_id, outside, waits=1)
    assert outside.asked_of == ["sofascore"]
    assert open_errors() == {}
    assert days() == {"sofascore": ("OK", 3), "football_data": ("OK", 2)}


def test_a_failed_item_that_is_retried_begins_with_the_first_source_again() -> None:
    failed = ask(days=2)
    work(failed, Outside(sofascore=GONE, football_data=GONE, espn=GONE))
    with reading() as session:
        request, left_out = slices.retry_slice(session, slices.Slice(failed, state="failed"))
    assert (len(request.items), left_out) == (2, 0)
    assert {item.source for item in request.items} == {"sofascore"}
    pause_by_hand("sofascore")
    job_id = submit(request).job_id
    with reading() as session, pytest.raises(Exception, match="being tried right now"):
        slices.retry_slice(session, slices.Slice(failed, state="failed"))
    outside = Outside(football_data=FOOTBALL_DATA)
    work(job_id, outside, waits=1)
    assert outside.asked_of == ["football_data"] * 2
