"""What is claimed is held back too: pauses, breaker and limits as streams of details see them."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import counts
from fakes import FakeOutside, a_desk, answer, stream_all
from flask import current_app
from shapes import the_api
from sqlalchemy import func, select, update

from app.core.clock import now
from app.core.db import current_time, reading, transaction
from app.errors import classify
from app.fixtures import details
from app.fixtures.details import DetailWork
from app.fixtures.details_request import details_plan
from app.jobs.models import JobEvent, Trigger
from app.jobs.stream import Streams
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources import pace, pause
from app.sources.base import Code, Failure, Request
from app.sources.limits import Grant
from app.sources.models import RequestLog, SourceState
from app.sources.registry import adapter

pytestmark = pytest.mark.usefixtures("app")


def ask(items: int, source: str = "sandbox", kind: str = "event", first: int = 1) -> int:
    ids = [str(first + n) for n in range(items)]
    with transaction() as session:
        job = details_plan(session, adapter(source, "http://127.0.0.1:9"), ids, [kind]).job
        assert job is not None
        return submit_job(session, job, by="tester", trigger=Trigger.CLI).job_id


def state(source: str = "sandbox") -> SourceState | None:
    with reading() as session:
        return session.get(SourceState, source)


def test_a_good_answer_that_is_the_last_one_allowed_pauses_though_others_were_good_before() -> None:
    def says_how_many_are_left(request: Request) -> Any:
        left = 9 - int(request.url.split("/matches/")[1].split("/")[0])
        headers = {"x_requests_available_minute": str(left), "x_requestcounter_reset": "40"}
        return answer(b"{}", 404, **headers)  # no such part of the match: a good answer

    job_id = ask(9, "football_data", "head2head")
    stream_all(job_id, FakeOutside(says_how_many_are_left))
    found = state("football_data")
    assert found is not None
    assert found.code == "RATE_LIMITED"


class Process:
    """A process that works on streams, and what it asks for; its clock may be off."""

    def __init__(self, *replies: Any, clock_s: float = 0, limiter: Any = None) -> None:
        self.outside = FakeOutside(*replies)
        self.worker = Worker(30, limiter)
        desk = replace(a_desk(self.outside), now=lambda: now() + timedelta(seconds=clock_s))
        self.details = DetailWork(desk)
        self.streams = Streams(self.worker, self.details)

    def work(self, job_id: int, slice_s: float = 2) -> None:
        while self.streams.work_on(job_id, slice_s=slice_s):
            pass


def events(job_id: int, name: str) -> int:
    mine = (JobEvent.job_id == job_id, JobEvent.event == name)
    with reading() as session:
        return session.scalar(select(func.count()).where(*mine)) or 0


def resume(source: str = "sandbox") -> None:
    with transaction() as session:
        assert pause.resume(session, source)


def slow(reply: Callable[[Request], Any]) -> Callable[[Request], Any]:
    def after_a_while(request: Request) -> Any:
        time.sleep(0.1)
        return reply(request)

    return after_a_while


def test_after_a_resume_the_process_that_was_refused_asks_at_once() -> None:
    job_id = ask(100)
    process = Process(answer(b"{}", 429, retry_after="600"))
    process.work(job_id)
    assert len(process.outside.asked) <= 8
    resume()
    process.outside.replies = [the_api]
    began = time.monotonic()
    while counts(job_id)["waiting"] > 8:  # those that were refused wait for their own time
        process.work(job_id)
        assert time.monotonic() - began < 10
    assert events(job_id, "claimed") < 400


def test_what_is_given_back_is_not_claimed_again_at_once() -> None:
    """The refusal is known here and not written yet: the database still hands out."""
    job_id = ask(20)
    process = Process(the_api)
    process.details._close("sandbox", 600, written=False)
    rounds, began = 0, time.monotonic()
    while time.monotonic() - began < 1.5:
        process.streams.work_on(job_id, slice_s=2)
        rounds += 1
    assert process.outside.asked == []
    assert events(job_id, "gave_back") <= 60 < 20 * rounds


def test_an_open_breaker_reaches_what_is_in_hand() -> None:
    job_id = ask(400)
    process = Process(slow(lambda _request: answer(b"{}", 500)))
    process.work(job_id)
    assert state().code == "BREAKER_OPEN"
    assert 10 <= len(process.outside.asked) < 100, "about 190 were in hand"
    assert events(job_id, "gave_back") > 0


def test_a_pause_by_hand_reaches_what_is_in_hand() -> None:
    app = current_app._get_current_object()
    once = threading.Event()

    def somebody_pauses(request: Request) -> Any:
        if not once.is_set():
            once.set()
            with app.app_context(), transaction() as session:
                pause.pause_by_hand(session, "sandbox", "somebody")
        return the_api(request)

    job_id = ask(400)
    process = Process(slow(somebody_pauses))
    process.work(job_id)
    assert len(process.outside.asked) < 120, "about 190 were in hand"
    resume()
    process.work(job_id)
    time.sleep(1)
    process.work(job_id)
    assert counts(job_id)["done"] == 400


@pytest.mark.parametrize("clock_s", [-600, 600])
def test_a_worker_whose_clock_is_off_pauses_for_as_long_as_was_asked(clock_s: float) -> None:
    job_id = ask(300)
    process = Process(answer(b"{}", 429, retry_after="60"), clock_s=clock_s)
    process.work(job_id)
    with reading() as session:
        left = (session.get_one(SourceState, "sandbox").paused_until) - current_time(session)
    assert 40 < left.total_seconds() <= 60
    assert len(process.outside.asked) <= 8


def test_a_worker_whose_clock_is_behind_asks_again_once_the_pause_is_over() -> None:
    job_id = ask(20)
    Process(answer(b"{}", 429, retry_after="5")).work(job_id)
    process = Process(the_api, clock_s=-600)
    time.sleep(5.6)
    process.work(job_id)
    assert counts(job_id)["done"] == 20


def large(request: Request) -> Any:
    whole = the_api(request)
    return answer(whole.body + b" " * details.SMALL)


@pytest.mark.parametrize(
    ("reply", "at_once"),
    [
        (the_api, False),
        (large, True),
        (answer(b"{}", 429, retry_after="60"), True),
        (answer(b"{}", 404), True),
        (Failure(Code.CONN_RESET, "reset", 5), True),
    ],
    ids=["small and good", "large", "refused", "not found", "no answer"],
)
def test_only_a_small_good_answer_waits_for_being_read_with_others(
    reply: Any, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal stops those who ask beside it; hundreds of large ones would fill the memory."""
    job_id, process, read = ask(1), Process(reply), []
    monkeypatch.setattr(
        details, "classify", lambda *a, **k: read.append(a) or classify.classify(*a, **k)
    )
    claims = process.worker.claim(job_id, ["detail_event"], deadline_s=60)
    with reading() as session:
        before = process.details.look(session, claims)
    reads = process.details.ask(claims, before)
    assert bool(read) == at_once
    (answered,) = reads()
    assert answered.claim == claims[0]
    assert len(read) == 1


def test_refusals_of_one_storm_count_once_though_they_are_written_one_after_the_other() -> None:
    job_id = ask(2)
    refusing = [Process(answer(b"{}", 429, retry_after="60")) for _ in range(2)]
    hands, came = [], []
    for process in refusing:
        claims = process.worker.claim(job_id, ["detail_event"], deadline_s=60)
        with reading() as session:
            before = process.details.look(session, claims)
        hands.append(process.details.ask(claims, before)())
        came.append(now())
    for process, answers in zip(refusing, hands, strict=True):
        time.sleep(0.5)
        with transaction() as session:
            process.details.settle(session, answers)
    assert state().factor == 0.5
    with reading() as session:
        noted = session.scalars(select(RequestLog.at).order_by(RequestLog.id)).all()
    late = [abs(at - when).total_seconds() for at, when in zip(noted, came, strict=True)]
    assert max(late) < 0.4, "when they came, not when they were written"


class Slots:
    """So many in all, whatever the source."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.asked: list[int] = []

    def limits(self, _source: str) -> bool:
        return True

    def grant(self, _source: str, want: int, _factor: float = 1.0) -> Grant:
        self.asked.append(want)
        granted = min(want, self.free)
        self.free -= granted
        return Grant(granted, 0.0 if granted == want else 30.0)


def test_a_slot_is_a_request_however_many_matches_it_names() -> None:
    job_id, slots = ask(70, "api_football", "fixture"), Slots(3)
    process = Process(answer(b'{"response": [], "errors": []}'), limiter=slots)
    process.work(job_id)
    assert slots.asked == [4], "of 20, 20, 20 and 10"
    named = [request.url.split("ids=")[1].split("-") for request in process.outside.asked]
    assert [len(ids) for ids in named] == [20, 20, 20]
    assert counts(job_id)["waiting"] == 10
    assert state("api_football").free_at is not None


def test_control_where_a_request_names_one_match_each_needs_a_slot() -> None:
    job_id, slots = ask(70), Slots(3)
    process = Process(the_api, limiter=slots)
    process.work(job_id)
    assert (slots.asked, len(process.outside.asked)) == ([70], 3)


def test_on_trial_a_batch_of_one_goes_out() -> None:
    job_id = ask(70, "api_football", "fixture")
    with transaction() as session:
        pace.wait_for_slot(session, "api_football", 0)
        session.execute(update(SourceState).values(free_at=None, failures=10, opens=1))
    slots = Slots(9)
    process = Process(answer(b"{}", 500), limiter=slots)
    process.work(job_id)
    (request,) = process.outside.asked
    assert (slots.asked, request.url.count("-")) == ([1], 0)
