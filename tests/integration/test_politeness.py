"""Slots, breaker, speed and retries as the ledger sees them, on both engines."""

import threading
import time
from datetime import timedelta

import pytest
from factories import a_job, counts, items_of
from fakes import FakeOutside, a_desk, answer, work_all
from sqlalchemy import func, select, update

from app.core.clock import now
from app.core.db import db_now, reading, transaction
from app.errors.models import FixtureError
from app.fixtures.fetch import fetch_day
from app.jobs import ledger
from app.jobs.ledger import Terms
from app.jobs.models import ItemState, Job, JobItem
from app.jobs.models import Worker as WorkerRow
from app.jobs.report import job_report
from app.jobs.runner import Handler, work_on
from app.jobs.steward import duty_at_slots, ring_waiting
from app.jobs.worker import Worker
from app.sources import breaker, limits, pace, pause
from app.sources.base import Code, Failure
from app.sources.limits import Grant, Rate
from app.sources.models import SourceState

pytestmark = pytest.mark.usefixtures("app")

GOOD = answer(b'{"events": []}')
BROKEN = answer(b"{}", 500)
ON_TRIAL = {"failures": 10, "opens": 1, "paused_until": None}


class FakeLimiter:
    """So many slots in all for each source; none for others."""

    def __init__(self, **slots: int) -> None:
        self.slots = slots
        self.asked: list[tuple[str, int, float]] = []
        self._lock = threading.Lock()

    def limits(self, source: str) -> bool:
        return True

    def grant(self, source: str, want: int, factor: float = 1.0) -> Grant:
        with self._lock:
            self.asked.append((source, want, factor))
            granted = min(want, self.slots.get(source, 0))
            self.slots[source] = self.slots.get(source, 0) - granted
        return Grant(granted, 0.0 if granted == want else 30.0)


class Bell:
    """Hears who was rung for."""

    def __init__(self) -> None:
        self.rung: list[int] = []

    def __call__(self, _kind: str, job_id: int, _times: int) -> bool:
        self.rung.append(job_id)
        return True


def a_worker(**slots: int) -> Worker:
    return Worker(30, FakeLimiter(**slots))


def take(worker: Worker, job_id: int, most: int = 1) -> list[str]:
    claims = worker.claim(job_id, ["fetch_day"], deadline_s=60, most=most)
    return [claim.source or "" for claim in claims]


def work_once(worker: Worker, job_id: int, outside: FakeOutside) -> None:
    desk = a_desk(outside)
    work_on(worker, job_id, {"fetch_day": Handler(lambda claim, w: fetch_day(desk, claim, w))})


def state(source: str = "sandbox") -> SourceState:
    with reading() as session:
        return session.get_one(SourceState, source)


def put(source: str = "sandbox", **values: object) -> None:
    """What is written down of a source."""
    with transaction() as session:
        pace.wait_for_slot(session, source, 0)
        session.execute(
            update(SourceState).where(SourceState.source == source).values(free_at=None, **values)
        )


def make_due(job_id: int) -> None:
    with transaction() as session:
        session.execute(
            update(JobItem).where(JobItem.job_id == job_id).values(not_before=db_now(-1))
        )


def rung() -> list[int]:
    bell = Bell()
    ring_waiting(bell)
    return bell.rung


def why(job_id: int) -> str:
    with reading() as session:
        return str(job_report(session, job_id).waits_for)


# --- slots ----------------------------------------------------------------------------------------


def test_no_more_is_claimed_than_there_are_slots_and_the_rest_waits_unrung() -> None:
    job_id, worker = a_job(10), a_worker(sandbox=3)
    assert rung() == [job_id]
    assert take(worker, job_id, most=8) == ["sandbox"] * 3
    assert take(worker, job_id) == []
    assert counts(job_id) | {"running": 3, "waiting": 7} == counts(job_id)
    assert state().free_at is not None
    assert rung() == []


def test_a_job_without_a_slot_holds_no_worker_and_nobody_asks_again() -> None:
    job_id, worker = a_job(5), a_worker()
    outside = FakeOutside(GOOD)
    work_all(job_id, a_desk(outside), worker)
    work_all(job_id, a_desk(outside), worker)
    assert outside.asked == []
    assert worker.limiter.asked == [("sandbox", 1, 1.0)]
    assert counts(job_id)["running"] == 0
    assert why(job_id) == ("The limit of sandbox is reached; its next request goes out in 30 s.")


def test_between_two_slots_the_limit_is_still_why_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slot is free since a moment, and nobody has taken it yet."""
    monkeypatch.setitem(limits._told, "sandbox", (Rate(2, 10),))
    job_id = a_job(5)
    with transaction() as session:
        session.add(WorkerRow(id="w", host="h", pid=1, started_at=now(), heartbeat_at=now()))
    assert why(job_id) == "The limit of sandbox sets the pace: 2/10 (requests/seconds)."
    put(factor=0.25)
    assert "2/10 (requests/seconds), slowed down to 1/20 for now" in why(job_id)
    monkeypatch.setitem(limits._told, "sandbox", ())
    assert why(job_id) == "It waits for a free worker."


def test_the_rate_is_that_of_the_last_minute_and_none_while_the_source_is_paused() -> None:
    job_id = a_job(10)
    long_ago = now() - timedelta(minutes=30)
    with transaction() as session:
        session.execute(update(Job).values(started_at=long_ago, state="PROCESSING"))
        first = [item.id for item in items_of(job_id)]
        for ids, values in (
            (first[:3], {"state": "done", "finished_at": long_ago}),
            (first[3:5], {"state": "done", "finished_at": now()}),
            (first[5:6], {"state": "failed", "finished_at": now()}),
            (first[6:8], {"state": "cancelled", "finished_at": now()}),
        ):
            session.execute(update(JobItem).where(JobItem.id.in_(ids)).values(**values))
    with reading() as session:
        report = job_report(session, job_id)
    assert (report.rate, report.left_s, report.ended) == (pytest.approx(3 / 60), 40, 8)
    put(paused_until=now() + timedelta(hours=1), code="BLOCKED")
    with reading() as session:
        report = job_report(session, job_id)
    assert (report.rate, report.left_s) == (None, None)
    assert "Source sandbox is paused (BLOCKED) until" in str(report.waits_for)


def test_control_without_a_limit_all_of_it_is_done_at_once() -> None:
    job_id = a_job(5)
    work_all(job_id, a_desk(FakeOutside(GOOD)))
    assert counts(job_id)["done"] == 5
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(SourceState)) == 0


def test_a_source_without_a_slot_does_not_hold_up_another_of_the_same_job() -> None:
    job_id = a_job(4)
    with transaction() as session:
        last = items_of(job_id)[2:]
        session.execute(
            update(JobItem).where(JobItem.id.in_([i.id for i in last])).values(source="sofascore")
        )
    worker = a_worker(sofascore=9)
    assert take(worker, job_id) == ["sofascore"]
    assert take(worker, job_id, most=9) == ["sofascore"]


def test_a_slot_is_not_taken_where_nothing_waits() -> None:
    job_id, worker = a_job(1), a_worker(sandbox=9)
    take(worker, job_id)
    take(worker, job_id)
    assert len(worker.limiter.asked) == 1


def test_when_the_slot_is_free_it_is_rung_for_at_once() -> None:
    job_id, worker, bell = a_job(2), a_worker(), Bell()
    assert rung() == [job_id]
    take(worker, job_id)
    duty = duty_at_slots(worker, bell)
    duty.do()
    assert bell.rung == []
    worker.slot_at = 0.0  # long past
    let_the_slot_be_free()
    duty.do()
    worker.slot_at = 0.0
    duty.do()
    assert bell.rung == [job_id], "once, though it was rung for less than two seconds ago"


def let_the_slot_be_free() -> None:
    """It was taken when somebody asked, and is free now."""
    time.sleep(0.05)
    with transaction() as session:
        session.execute(update(SourceState).values(free_at=db_now(-0.02)))


def test_who_was_served_longest_ago_is_rung_for_first_when_a_slot_is_free() -> None:
    first, second, third = a_job(9), a_job(9), a_job(9)
    bell, worker, served = Bell(), a_worker(), []
    for _ in range(6):
        bell.rung = []
        ring_waiting(bell)
        worker.limiter.slots = {"sandbox": 1}
        took = [job_id for job_id in bell.rung if take(worker, job_id, most=3)]
        served += took
        let_the_slot_be_free()
    assert served == [first, second, third] * 2, "one slot each, in turn"


def test_an_urgent_job_is_rung_for_first_all_the_same() -> None:
    lazy, urgent = a_job(9), a_job(9)
    with transaction() as session:
        session.execute(update(Job).where(Job.id == urgent).values(priority=9))
    take(a_worker(sandbox=9), urgent)
    assert rung() == [urgent, lazy]


def test_an_item_without_a_source_needs_no_slot() -> None:
    job_id, worker = a_job(1, source=None), a_worker()
    assert take(worker, job_id) == [""]
    assert worker.limiter.asked == []


# --- breaker --------------------------------------------------------------------------------------


def fail_once(job_id: int, reply: object = BROKEN, worker: Worker | None = None) -> None:
    make_due(job_id)
    work_once(worker or Worker(30), job_id, FakeOutside(reply))


FAILURES = [BROKEN, Failure(Code.TIMEOUT_READ, "slow", 1), Failure(Code.DNS, "no name", 1)]


def test_ten_failures_in_a_row_leave_the_source_alone_for_a_minute() -> None:
    job_id = a_job(20)
    work_all(job_id, a_desk(FakeOutside(*FAILURES * 2, BROKEN)))
    found = state()
    assert (found.failures, found.opens, found.code) == (10, 1, "BREAKER_OPEN")
    assert (found.paused_until - found.paused_at).total_seconds() == 60
    assert found.pauses == 0, "the pauses of a block are counted apart"
    assert "failed 10 times in a row (last: SERVER_ERROR)" in str(found.message)
    assert "paused (BREAKER_OPEN)" in why(job_id)
    assert rung() == []


def test_control_a_good_answer_in_between_keeps_it_closed() -> None:
    replies = [*[BROKEN] * 9, GOOD, *[BROKEN] * 9, answer(b"{}", 404), GOOD]
    job_id = a_job(21)
    work_all(job_id, a_desk(FakeOutside(*replies)))
    assert (state().failures, state().opens, state().paused_until) == (0, 0, None)


def test_what_is_no_trouble_of_the_server_is_not_counted() -> None:
    job_id = a_job(15)
    work_all(job_id, a_desk(FakeOutside(answer(b'{"events": [{"id": 1'))))
    with reading() as session:
        found = session.get(SourceState, "sandbox")
    assert found is None or (found.failures, found.opens) == (0, 0)


def test_after_the_pause_one_probe_at_a_time_and_a_good_answer_closes_it() -> None:
    job_id = a_job(6)
    put(**ON_TRIAL)
    first, second = a_worker(sandbox=99), a_worker(sandbox=99)
    assert take(first, job_id, most=5) == ["sandbox"], "one, though five were wanted"
    assert take(second, job_id, most=5) == []
    assert second.limiter.asked == [], "no slot is wasted"
    assert rung() == []
    first.stop()
    work_once(a_worker(sandbox=99), job_id, FakeOutside(GOOD))
    assert (state().failures, state().opens) == (0, 0)
    assert counts(job_id)["done"] == 6


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    job_id = a_job(6)
    put(**ON_TRIAL)
    outside = FakeOutside(BROKEN)
    work_once(Worker(30), job_id, outside)
    assert len(outside.asked) == 1
    assert (state().failures, state().opens) == (11, 2)
    assert (state().paused_until - state().paused_at).total_seconds() == 120


def test_of_many_that_come_at_once_one_gets_the_probe() -> None:
    from flask import current_app

    job_id = a_job(20)
    put(**ON_TRIAL)
    app = current_app._get_current_object()
    workers, taken = [a_worker(sandbox=99) for _ in range(6)], []
    together = threading.Barrier(6)

    def run(worker: Worker) -> None:
        with app.app_context():
            together.wait()
            shares = {"sandbox": 3}
            with transaction() as session:
                taken.extend(
                    ledger.claim(
                        session,
                        job_id,
                        worker=worker.id,
                        kinds=["fetch_day"],
                        terms=Terms(30, 60, 3),
                        shares=shares,
                    )
                )

    threads = [threading.Thread(target=run, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_a_late_answer_does_not_end_the_pause_of_an_open_breaker() -> None:
    put(failures=10, opens=1, paused_until=now() + timedelta(seconds=50), code="BREAKER_OPEN")
    with transaction() as session:
        breaker.note(session, "sandbox", Code.OK, now())
        breaker.note(session, "sandbox", Code.SERVER_ERROR, now())
    assert (state().opens, state().failures) == (1, 11)


BLOCK = answer(b"<html>", 403, content_type="text/html")


def pause_length() -> float:
    return (state().paused_until - state().paused_at).total_seconds()


def let_the_pause_end() -> None:
    put(paused_until=now() - timedelta(seconds=1))


def test_after_a_block_one_is_asked_and_a_good_answer_opens_the_way_for_the_others() -> None:
    job_id = a_job(6)
    work_once(Worker(30), job_id, FakeOutside(BLOCK))
    assert (state().code, state().opens, pause_length()) == ("BLOCKED", 1, 6 * 3600)
    let_the_pause_end()
    first, second = a_worker(sandbox=99), a_worker(sandbox=99)
    assert take(first, job_id, most=5) == ["sandbox"]
    assert take(second, job_id, most=5) == []
    first.stop()
    work_once(a_worker(sandbox=99), job_id, FakeOutside(GOOD))
    assert state().opens == 0
    assert counts(job_id)["done"] == 5


def test_a_probe_that_is_blocked_again_closes_the_source_for_a_day() -> None:
    job_id = a_job(6)
    work_once(Worker(30), job_id, FakeOutside(BLOCK))
    let_the_pause_end()
    again = FakeOutside(BLOCK)
    work_once(Worker(30), job_id, again)
    assert (len(again.asked), pause_length()) == (1, 24 * 3600)
    with transaction() as session:
        assert pause.resume(session, "sandbox")
    assert (state().opens, state().pauses) == (0, 0)


def test_the_first_block_is_a_first_one_however_often_the_source_was_throttled() -> None:
    job_id = a_job(6)
    for _ in range(3):
        work_once(Worker(30), job_id, FakeOutside(answer(b"{}", 429, retry_after="7")))
        let_the_pause_end()
    work_once(Worker(30), job_id, FakeOutside(BLOCK))
    assert pause_length() == 6 * 3600


def test_a_server_in_trouble_that_says_how_long_is_left_alone_for_so_long() -> None:
    job_id = a_job(6)
    outside = FakeOutside(answer(b"{}", 503, retry_after="40"))
    work_all(job_id, a_desk(outside))
    assert (len(outside.asked), state().code, pause_length()) == (1, "SERVER_ERROR", 40)


def test_and_its_breaker_opens_all_the_same() -> None:
    job_id = a_job(20)
    busy = FakeOutside(answer(b"{}", 503, retry_after="7"))
    for _ in range(9):
        work_once(Worker(30), job_id, busy)
        let_the_pause_end()
    work_once(Worker(30), job_id, busy)
    assert (state().code, state().opens, pause_length()) == ("BREAKER_OPEN", 1, 60)


def test_a_good_probe_that_is_the_last_one_allowed_closes_the_breaker_too() -> None:
    job_id = a_job(2, source="football_data")
    put("football_data", **ON_TRIAL)
    last = {"x_requests_available_minute": "0", "x_requestcounter_reset": "40"}
    work_once(Worker(30), job_id, FakeOutside(answer(b'{"matches": []}', **last)))
    found = state("football_data")
    assert (found.opens, found.code) == (0, "RATE_LIMITED")


def test_resuming_closes_the_breaker() -> None:
    put(**ON_TRIAL)
    with transaction() as session:
        assert pause.resume(session, "sandbox")
    assert (state().failures, state().opens) == (0, 0)
    with transaction() as session:
        assert not pause.resume(session, "sandbox")


def test_resuming_asks_for_a_slot_again_too() -> None:
    job_id = a_job(2)
    assert take(a_worker(), job_id) == []
    with transaction() as session:
        assert pause.resume(session, "sandbox")
    assert take(a_worker(sandbox=1), job_id) == ["sandbox"]
    with transaction() as session:
        assert not pause.resume(session, "sandbox")


# --- speed ----------------------------------------------------------------------------------------


def told(code: Code, *, at: float, elapsed_ms: int = 100) -> float:
    with transaction() as session:
        moment = now() + timedelta(seconds=at)
        pace.note(session, "sandbox", code, elapsed_ms / 1000, moment)
    with reading() as session:
        found = session.get(SourceState, "sandbox")
    return 1.0 if found is None else found.factor


def test_each_refusal_halves_the_speed_down_to_an_eighth() -> None:
    assert told(Code.OK, at=0) == 1
    assert [told(Code.RATE_LIMITED, at=n) for n in range(1, 6)] == [0.5, 0.25, 1 / 8, 1 / 8, 1 / 8]


def test_those_that_were_on_the_wire_together_count_once() -> None:
    assert told(Code.RATE_LIMITED, at=10, elapsed_ms=900) == 0.5
    assert told(Code.RATE_LIMITED, at=10.5, elapsed_ms=900) == 0.5
    assert told(Code.RATE_LIMITED, at=12, elapsed_ms=900) == 0.25


def test_each_good_minute_gives_a_tenth_back() -> None:
    told(Code.RATE_LIMITED, at=0)
    assert told(Code.OK, at=30) == 0.5
    assert told(Code.SERVER_ERROR, at=61) == 0.5
    assert told(Code.OK, at=62) == pytest.approx(0.6)
    assert told(Code.OK, at=70) == pytest.approx(0.6)
    assert [told(Code.OK, at=130 + 61 * n) for n in range(5)][-1] == 1.0


def test_the_limiter_is_asked_at_the_speed_of_the_moment() -> None:
    job_id, worker = a_job(2), a_worker(sandbox=9)
    work_once(worker, job_id, FakeOutside(answer(b"{}", 429, retry_after="7")))
    assert state().factor == 0.5
    with transaction() as session:
        pause.resume(session, "sandbox")
    take(worker, job_id)
    assert worker.limiter.asked[-1] == ("sandbox", 1, 0.5)


# --- retries --------------------------------------------------------------------------------------


def test_a_job_spends_fifty_retries_and_then_failures_end_as_failed() -> None:
    job_id = a_job(60)
    with transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(retries=49))
    for _ in range(2):
        make_due(job_id)
        work_all(job_id, a_desk(FakeOutside(Failure(Code.TRUNCATED, "cut", 1))))
    assert counts(job_id)["waiting"] <= 1
    with reading() as session:
        assert session.get_one(Job, job_id).retries == 50
        errors = session.scalars(select(FixtureError)).all()
        assert job_report(session, job_id).balanced
    assert all(error.next_try_at is not None for error in errors)
    assert counts(job_id)["failed"] >= 59


def test_a_large_job_may_retry_a_fifth_of_its_items() -> None:
    job_id = a_job(300)
    with transaction() as session:
        session.execute(update(Job).where(Job.id == job_id).values(retries=59))
    work_once_of = a_worker(sandbox=2)
    work_once(work_once_of, job_id, FakeOutside(Failure(Code.TRUNCATED, "cut", 1)))
    found = counts(job_id)
    assert (found["failed"], found["waiting"]) == (1, 299)


def test_being_throttled_spends_nothing() -> None:
    job_id = a_job(1)
    fail_once(job_id, answer(b"{}", 429, retry_after="5"))
    with reading() as session:
        assert session.get_one(Job, job_id).retries == 0
    assert items_of(job_id)[0].state == ItemState.WAITING
