"""A stream among others: when it ends, how much it takes, what becomes of it when it breaks."""

import itertools
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from factories import items_of
from fakes import FakeOutside, a_desk
from flask import current_app
from shapes import the_api
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.db import reading, transaction
from app.fixtures.details import DetailWork
from app.fixtures.details_request import details_plan
from app.fixtures.models import RawAnswer
from app.jobs import ledger, stream
from app.jobs.models import ItemState, Trigger
from app.jobs.moves import Claim
from app.jobs.stream import Streams
from app.jobs.submit import submit
from app.jobs.worker import Worker
from app.sources.registry import adapter

pytestmark = pytest.mark.usefixtures("app")

SLOWLY_S = 0.005  # per request


def a_job(count: int, first: int = 1) -> int:
    ids = [str(n) for n in range(first, first + count)]
    with transaction() as session:
        plan = details_plan(session, adapter("sandbox", "http://127.0.0.1:9"), ids, ["event"])
        assert plan.job is not None
        return submit(session, plan.job, by="tester", trigger=Trigger.CLI).job_id


def slowly(request: Any) -> Any:
    time.sleep(SLOWLY_S)
    return the_api(request)


class Work(DetailWork):
    """As in the product, from one thread; may break at what a test says."""

    def __init__(self) -> None:
        super().__init__(a_desk(FakeOutside(slowly)), lambda _source: 1)
        self.looks_break: list[Exception] = []
        self.writes_break: list[Exception] = []
        self.writes = 0

    def look(self, session: Session, claims: Sequence[Claim]) -> Any:
        if self.looks_break:
            raise self.looks_break.pop()
        return super().look(session, claims)

    def settle(self, session: Session, answers: Sequence[Any]) -> None:
        self.writes += 1
        if self.writes_break:
            raise self.writes_break.pop()
        super().settle(session, answers)


def away() -> OperationalError:
    return OperationalError("SELECT 1", None, sqlite3.OperationalError("database is locked"))


def states(job_id: int) -> dict[str, int]:
    found = [item.state for item in items_of(job_id)]
    return {state: found.count(state) for state in set(found)}


def run_one_slice(bells: Collection[int], monkeypatch: pytest.MonkeyPatch) -> int:
    """Of a job that lasts for four slices: how many of its items came to an end."""
    monkeypatch.setattr(stream, "AT_ONCE", 4)  # a hand of no more than a moment's work
    monkeypatch.setattr(stream, "MOST_SPARE", 4)
    job_id = a_job(200)
    Streams(Worker(lease_s=30), Work(), lambda: bells).work_on(job_id, slice_s=0.25)
    return states(job_id).get(ItemState.DONE, 0)


def test_a_slice_ends_when_another_job_waits_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < run_one_slice({1, 999}, monkeypatch) < 150


def test_it_goes_on_while_only_its_own_bells_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_one_slice({1}, monkeypatch) == 200


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_S", 0.5)
    assert 0 < run_one_slice((), monkeypatch) < 200


def test_two_jobs_of_one_source_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claims alone for a while; both come to their end."""
    monkeypatch.setattr(stream, "AT_ONCE", 2)
    monkeypatch.setattr(stream, "MOST_SPARE", 2)
    monkeypatch.setattr(stream, "TURN_S", 0.3)
    first, second = a_job(150), a_job(150, 1000)
    work, claimed = Work(), list[int]()

    def look(session: Session, claims: Sequence[Claim]) -> Any:
        claimed.append(claims[0].job_id)
        return DetailWork.look(work, session, claims)

    work.look = look  # type: ignore[method-assign]
    streams, app = Streams(Worker(lease_s=30), work), current_app._get_current_object()

    def work_on(job_id: int) -> None:
        with app.app_context():
            while streams.work_on(job_id):
                pass

    threads = [threading.Thread(target=work_on, args=[job_id]) for job_id in (first, second)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    turns = (time.monotonic() - began) / 0.3
    assert states(first) == states(second) == {ItemState.DONE: 150}
    changes = sum(one != other for one, other in itertools.pairwise(claimed))
    assert 2 <= changes <= turns + 2, "in turn, not one claim each"
    assert len(claimed) > 3 * changes


def heard_in_two_slices(monkeypatch: pytest.MonkeyPatch) -> list[list[set[int]]]:
    """A bell at each look of the job's own stream: what is to be passed on, slice by slice."""
    monkeypatch.setattr(stream, "AT_ONCE", 4)
    monkeypatch.setattr(stream, "MOST_SPARE", 4)
    job_id, work, said = a_job(400), Work(), list[list[set[int]]]()
    streams = Streams(Worker(lease_s=30), work, lambda: {999})

    def hear_then_look(session: Session, claims: Sequence[Claim]) -> Any:
        for _ in range(2):
            assert not streams.work_on(job_id)
            said[-1].append(streams.bells_for_others())
        return DetailWork.look(work, session, claims)

    work.look = hear_then_look  # type: ignore[method-assign]
    for _ in range(2):
        said.append([])
        assert streams.work_on(job_id, slice_s=0.05)
    return said


def test_a_bell_that_nobody_here_needs_is_passed_on_and_not_on_and_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "SHORTEST_REST_S", 10.0)
    monkeypatch.setattr(stream, "LONGEST_REST_S", 10.0)
    for said in heard_in_two_slices(monkeypatch):
        assert (said[0], any(said[1:])) == ({1}, False)


def test_after_a_rest_it_is_passed_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST_REST_S", 0.0)
    for said in heard_in_two_slices(monkeypatch):
        assert said == [{1}] * len(said)


def test_what_a_broken_stream_had_in_hand_is_given_back_and_nothing_counted() -> None:
    job_id, worker, work = a_job(30), Worker(lease_s=30), Work()
    work.looks_break = [away()]
    with pytest.raises(OperationalError):
        Streams(worker, work).work_on(job_id)
    assert states(job_id) == {ItemState.RUNNING: 30}
    for _ in range(2):
        worker.renew()  # at the second he knows them for strays
    assert states(job_id) == {ItemState.WAITING: 30}
    assert {item.crashes for item in items_of(job_id)} == {0}
    Streams(worker, work).work_on(job_id)
    assert states(job_id) == {ItemState.DONE: 30}


def test_when_the_database_is_away_for_long_nothing_is_tried_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "persist", once)
    job_id, worker, work = a_job(30), Worker(lease_s=30), Work()
    work.writes_break = [away()]
    with pytest.raises(OperationalError):
        Streams(worker, work).work_on(job_id)
    assert work.writes == 1
    for _ in range(2):
        worker.renew()
    Streams(worker, work).work_on(job_id)
    assert states(job_id) == {ItemState.DONE: 30}


def test_what_cannot_be_read_spoils_itself_alone() -> None:
    job_id, work = a_job(30), Work()
    ask = work.ask

    def unreadable(claims: Sequence[Claim], before: Any) -> Any:
        read = ask(claims, before)
        return read if claims[0].key != "7" else lambda: 1 // 0

    work.ask = unreadable  # type: ignore[method-assign]
    Streams(Worker(lease_s=30), work).work_on(job_id)
    assert states(job_id) == {ItemState.DONE: 29, ItemState.WAITING: 1}
    (broken,) = [item for item in items_of(job_id) if item.state == ItemState.WAITING]
    assert (broken.key, broken.code) == ("7", "INTERNAL")


def once(work: Any) -> Any:
    with transaction() as session:
        return work(session)


def test_a_hand_is_as_large_as_the_source_was_quick_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stream.time, "monotonic", lambda: now[0])
    one = stream.Stream(Worker(lease_s=30), 1, Work(), None, lambda: 1)  # type: ignore[arg-type]
    for rate, spare in ((1500, stream.MOST_SPARE), (1500, stream.MOST_SPARE), (5, 64)):
        for _ in range(60):
            now[0] += 1
            one._back += rate
            found = one._spare()
        assert found == spare


def test_an_item_that_comes_back_while_its_first_answer_is_on_the_way_ends_once() -> None:
    job_id, worker, work = a_job(20), Worker(lease_s=30), Work()
    look, robbed = work.look, set[int]()

    def rob(session: Session, claims: Sequence[Claim]) -> Any:
        if not robbed:
            robbed.add(claims[0].item_id)
            with transaction() as other:
                ledger.give_back(other, [(claims[0].item_id, claims[0].fence)])
        return look(session, claims)

    work.look = rob  # type: ignore[method-assign]
    while Streams(worker, work).work_on(job_id):
        pass
    assert states(job_id) == {ItemState.DONE: 20}
    assert {item.id: item.fence for item in items_of(job_id) if item.fence > 1} == dict.fromkeys(
        robbed, 2
    )
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(RawAnswer)) == 20
