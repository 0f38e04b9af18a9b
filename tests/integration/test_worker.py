import contextlib
import threading
import time

import pytest
from factories import a_job, counts, items_of, overdue
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from statements import statements

from app.core.db import db, db_now, persist, reading, transaction
from app.errors.models import FixtureError
from app.jobs import ledger, steer, steward
from app.jobs.allowance import Order, Unlimited, claim_unlimited
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, Job, JobItem
from app.jobs.models import Worker as WorkerRow
from app.jobs.moves import Claim, Report, StaleError
from app.jobs.report import live_workers, totals
from app.jobs.runner import Handler, Next, next_item, work_on
from app.jobs.worker import Worker

pytestmark = pytest.mark.usefixtures("app")
KINDS = ["fetch_day"]


def hold(worker: Worker, job_id: int, most: int = 1) -> list[Claim]:
    return worker.claim(job_id, KINDS, deadline_s=300, most=most)


def finish(claim: Claim, _worker: Worker) -> None:
    persist(lambda session: ledger.finish(session, claim, ItemOutcome.STORED, Report("OK")))


def test_a_renewed_lease_moves_on() -> None:
    worker = Worker(lease_s=5)
    job_id = a_job()
    hold(worker, job_id)
    before = items_of(job_id)[0].lease_until
    time.sleep(0.05)
    worker.renew()
    assert items_of(job_id)[0].lease_until > before


def test_who_lost_an_item_is_told_at_the_next_check() -> None:
    worker, other = Worker(lease_s=30), Worker(lease_s=30)
    job_id = a_job()
    (claim,) = hold(worker, job_id)
    worker.check(claim)
    overdue(claim)
    steward.take_back_expired()
    hold(other, job_id)
    worker.renew()
    with pytest.raises(StaleError):
        worker.check(claim)


def test_who_cannot_renew_in_time_stops_by_itself() -> None:
    worker = Worker(lease_s=0.05)
    (claim,) = hold(worker, a_job())
    time.sleep(0.06)
    with pytest.raises(StaleError, match="could not be renewed"):
        worker.check(claim)


def test_a_cancelled_job_is_noticed_and_the_item_dropped() -> None:
    worker = Worker(lease_s=30)
    job_id = a_job()

    def cancelled_meanwhile(claim: Claim, its: Worker) -> None:
        persist(lambda session: steer.cancel(session, job_id, by="ayşe"))
        its.notice_cancels()
        its.check(claim)

    work_on(worker, job_id, {"fetch_day": Handler(cancelled_meanwhile)})
    assert counts(job_id)["cancelled"] == 1


def test_kinds_that_a_job_does_not_have_are_not_looked_for_among_its_items() -> None:
    job_id = a_job(days=3)
    with statements() as asked:
        assert next_item(job_id, ["fetch_day"]) == Next("fetch_day", "sandbox")
        assert next_item(job_id, ["prune_history"]) is None
        assert [next_item(job_id, ["prune_history"]) for _ in range(3)] == [None] * 3
    of_items = [words for words in asked if "job_item" in words]
    assert len(of_items) == 2  # its kinds once, and what is next


def test_another_job_that_a_restore_gives_the_same_number_has_kinds_of_its_own() -> None:
    job_id = a_job()
    assert next_item(job_id, ["prune_history"]) is None
    with transaction() as session:
        session.execute(delete(Job))
        session.add(
            Job(
                id=job_id,
                kind="prune_history",
                params={},
                trigger="cli",
                requested_by="tester",
                submitted=1,
                submitted_at=db_now(),
            )
        )
        session.flush()
        session.add(JobItem(job_id=job_id, kind="prune_history", key="x", not_before=db_now()))
    assert next_item(job_id, ["prune_history"]) == Next("prune_history", None)


def test_stop_gives_back_what_is_in_hand_and_takes_nothing_more() -> None:
    worker = Worker(lease_s=30)
    job_id = a_job(days=3)
    claims = hold(worker, job_id, most=2)
    assert worker.stop() == 2
    assert counts(job_id)["waiting"] == 3
    with pytest.raises(StaleError):
        worker.check(claims[0])
    assert work_on(worker, job_id, {"fetch_day": Handler(finish)}) is False
    assert counts(job_id)["waiting"] == 3


def test_what_is_claimed_while_a_stop_comes_is_given_back() -> None:
    job_id = a_job(days=2)

    class StopComes(Unlimited):
        def limits(self, _source: str) -> bool:
            worker.stopping.set()  # as another thread would, while this one claims
            return False

    worker = Worker(30, StopComes())
    assert hold(worker, job_id, most=2) == []
    assert counts(job_id)["waiting"] == 2
    assert {item.crashes for item in items_of(job_id)} == {0}
    assert worker.stop() == 0


def test_an_item_that_saw_two_workers_die_is_alone_in_its_process() -> None:
    worker = Worker(30)
    innocent, suspect = a_job(days=2), a_job()
    with transaction() as session:
        session.get_one(JobItem, items_of(suspect)[0].id).crashes = 2
    (first,) = hold(worker, innocent)
    assert hold(worker, suspect) == [], "not beside another"
    assert not worker.may_go_on(suspect)
    worker.let_go(first)
    assert not worker.may_go_on(innocent), "it was not sent away"
    assert worker.may_go_on(suspect)
    (alone,) = hold(worker, suspect)
    assert hold(worker, innocent) == [], "nothing beside it"
    assert not worker.may_go_on(innocent)
    assert hold(Worker(30), innocent), "in another process, yes"
    overdue(alone)
    steward.take_back_expired()
    worker.renew()
    assert worker.may_go_on(innocent)
    assert counts(suspect)["quarantined"] == 1
    overdue(hold_of(innocent))
    steward.take_back_expired()
    assert hold(worker, innocent), "what hangs and was taken from it keeps it from nothing"


def hold_of(job_id: int) -> Claim:
    item = next(item for item in items_of(job_id) if item.state == "running")
    return Claim(item.id, job_id, item.kind, item.source, item.key, item.fence, 0, 0)


class Died(BaseException):
    """The process of a thread is gone."""


def test_of_four_threads_with_a_day_each_only_the_poisoned_one_is_quarantined(app: Flask) -> None:
    job_id = a_job(days=8)
    poison = items_of(job_id)[1].key
    while any(item.state in ("waiting", "running") for item in items_of(job_id)):
        Life(app, job_id, poison).live()
        for item in items_of(job_id):
            if item.state == "running":
                overdue(Claim(item.id, job_id, item.kind, None, item.key, item.fence, 0, 0))
        steward.take_back_expired()
    ended = {item.key: (item.state, item.crashes) for item in items_of(job_id)}
    assert ended.pop(poison) == ("quarantined", 3)
    assert {state for state, _ in ended.values()} == {"done"}
    assert any(crashes for _, crashes in ended.values()), "others were there when it killed"


class Life:
    """Of a process with four threads: to the end of the job, or until the poison kills it."""

    def __init__(self, app: Flask, job_id: int, poison: str) -> None:
        self.app, self.job_id, self.poison = app, job_id, poison
        self.worker, self.dead = Worker(lease_s=30), threading.Event()

    def live(self) -> None:
        while not self.dead.is_set() and counts(self.job_id)["waiting"]:
            threads = [threading.Thread(target=self.thread) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def thread(self) -> None:
        handlers = {"fetch_day": Handler(self.work)}
        with self.app.app_context(), contextlib.suppress(Died):
            while not self.dead.is_set() and work_on(self.worker, self.job_id, handlers):
                pass

    def work(self, claim: Claim, its: Worker) -> None:
        if claim.key == self.poison:
            time.sleep(0.1)
            self.dead.set()
        if self.dead.wait(0.15):
            raise Died
        finish(claim, its)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.usefixtures("engine")
def test_suspects_are_not_taken_for_what_others_are_taking() -> None:
    job_id = a_job(days=4)
    with transaction() as session:
        for item in items_of(job_id)[2:]:
            session.get_one(JobItem, item.id).crashes = 2
    order = Order(job_id, "w2", KINDS, Terms(30, 300, 4))
    with transaction() as first, Session(db.engine) as second:
        terms = Terms(30, 300, 2)
        assert len(ledger.claim(first, job_id, worker="w1", kinds=KINDS, terms=terms)) == 2
        wishes, claims = claim_unlimited(second, Unlimited(), order)
        assert (wishes[0].items, claims) == (2, [])


def test_every_kind_is_given_the_time_of_its_own_handler() -> None:
    worker = Worker(30)
    job_id = a_job()
    given: list[float] = []

    def work(claim: Claim, its: Worker) -> None:
        (item,) = items_of(job_id)
        given.append((item.deadline_at - item.started_at).total_seconds())
        finish(claim, its)

    patient = Handler(finish, deadline_s=3600, most=5)
    work_on(worker, job_id, {"prune_history": patient, "fetch_day": Handler(work)})
    assert given == [pytest.approx(300, abs=1)]


def test_stop_waits_for_what_is_nearly_done() -> None:
    worker = Worker(lease_s=30)
    (claim,) = hold(worker, a_job())
    threading.Timer(0.2, lambda: worker.let_go(claim)).start()
    assert worker.stop(grace_s=5) == 0


def test_our_mistake_is_tried_three_times_then_failed_with_its_traceback() -> None:
    worker = Worker(lease_s=30)
    job_id = a_job()

    def broken(_claim: Claim, _worker: Worker) -> None:
        raise ZeroDivisionError("oops")

    for _ in range(4):
        work_on(worker, job_id, {"fetch_day": Handler(broken)})
        with transaction() as session:
            items_of(job_id)
            from sqlalchemy import update

            from app.core.db import db_now
            from app.jobs.models import JobItem

            session.execute(update(JobItem).values(not_before=db_now(-1)))
    (item,) = items_of(job_id)
    assert (item.state, item.code, item.attempts) == ("failed", "INTERNAL", 4)
    with reading() as session:
        error = session.scalars(select(FixtureError)).one()
    assert "ZeroDivisionError: oops" in error.evidence["traceback"]
    assert error.attempts == 4


def test_a_quarantined_item_is_an_open_error_that_names_its_worker() -> None:
    worker = Worker(lease_s=30)
    job_id = a_job()
    for _ in range(3):
        overdue(hold(worker, job_id)[0])
        steward.take_back_expired()
        worker.renew()
    with reading() as session:
        error = session.scalars(select(FixtureError)).one()
    assert error.evidence["worker"] == worker.id
    assert counts(job_id)["quarantined"] == 1


def test_the_steward_rings_for_what_waits_urgent_first_and_not_again_at_once() -> None:
    usual, urgent = a_job(), a_job()
    with transaction() as session:
        session.get_one(Job, urgent).priority = 9
    heard: list[tuple[str, int]] = []

    def ring(kind: str, job_id: int, _times: int) -> bool:
        heard.append((kind, job_id))
        return True

    steward.ring_waiting(ring)
    steward.ring_waiting(ring)
    assert heard == [("fetch_range", urgent), ("fetch_range", usual)]


def test_a_bell_nobody_could_hear_is_rung_again_at_once() -> None:
    job_id = a_job()
    heard: list[int] = []
    steward.ring_waiting(lambda _kind, _id, _times: False)
    steward.ring_waiting(lambda _kind, number, _times: bool(heard.append(number)) or True)
    assert heard == [job_id]


def test_the_sweep_ends_a_job_whose_last_two_items_ended_at_the_same_moment() -> None:
    job_id = a_job()
    (claim,) = hold(Worker(lease_s=30), job_id)
    finish(claim, Worker(lease_s=30))
    with transaction() as session:  # as if the end of the job had been missed by both
        session.get_one(Job, job_id).state = "PROCESSING"
        session.get_one(Job, job_id).finished_at = None
    steward.sweep_if_needed()
    with reading() as session:
        assert session.get_one(Job, job_id).state == "DONE"


def test_a_duty_that_fails_does_not_keep_the_others_from_theirs(caplog) -> None:
    done: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError

    duties = [steward.Duty("break", broken), steward.Duty("work", lambda: done.append("x"))]
    steward.run_due(duties, at=100.0)
    assert done == ["x"]
    assert "could not break" in caplog.text
    steward.run_due(duties, at=100.5)
    assert done == ["x"], "not due yet"


def test_a_worker_is_seen_alive_until_it_stops() -> None:
    worker = Worker(lease_s=30)
    worker.beat()
    worker.beat()
    with reading() as session:
        assert [row.id for row in live_workers(session)] == [worker.id]
    worker.stop()
    with reading() as session:
        assert live_workers(session) == []
        assert session.get_one(WorkerRow, worker.id).stopped_at is not None


def test_the_sum_over_all_jobs_is_what_was_submitted(app: Flask) -> None:
    first, _second = a_job(days=3), a_job(days=2)
    worker = Worker(lease_s=30)
    finish(hold(worker, first)[0], worker)
    with reading() as session:
        told = totals(session)
    assert told["submitted"] == 5 == sum(told["items"].values())
    assert app.name == "app"
