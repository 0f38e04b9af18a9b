"""Any order of what people, workers and time can do to a job: the books stay balanced."""

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import settings
from flask import Flask
from hypothesis import HealthCheck, Phase, assume
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app import create_app
from app.core.db import db, db_now, reading, transaction
from app.core.text import RequestError, Sentence
from app.jobs import ledger, steer
from app.jobs.audit import imbalances
from app.jobs.ledger import Terms
from app.jobs.models import ItemOutcome, ItemState, Job, JobEvent, JobItem, Trigger
from app.jobs.moves import Claim, End, Report, StaleError, move_held
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job

FINE = Report("OK", Sentence("fine"))
WORKERS = ("one", "two")
ENDED = {ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED, ItemState.QUARANTINED}


class Ledger(RuleBasedStateMachine):
    """Jobs and claims; the model is nothing but the fences that hold and the items that ended."""

    jobs = Bundle("jobs")
    seen: ClassVar[Counter[str]] = Counter()  # over all examples: what the machine came to try

    def __init__(self) -> None:
        super().__init__()
        self.claimed: list[Claim] = []
        self.holders: dict[int, Claim] = {}  # item -> the claim that holds it
        self.ended: dict[int, str] = {}  # item -> how
        self.days = 0

    @initialize(target=jobs)
    def begin(self) -> int:
        with transaction() as session:
            for table in (JobEvent, JobItem, Job):
                session.execute(table.__table__.delete())
        job_id = self.submit(4)
        self.claim(job_id, 2, WORKERS[0])
        return job_id

    @rule(target=jobs, items=st.integers(1, 4))
    def submit(self, items: int) -> int:
        keys = range(self.days, self.days + items)
        self.days += items
        request = JobRequest("fetch_range", [ItemRequest("fetch_day", str(k), "x") for k in keys])
        with transaction() as session:
            return submit_job(session, request, by="tester", trigger=Trigger.CLI).job_id

    @rule(job_id=jobs, most=st.integers(1, 4), worker=st.sampled_from(WORKERS))
    def claim(self, job_id: int, most: int, worker: str) -> None:
        terms = Terms(lease_s=60, deadline_s=600, most=most)
        with transaction() as session:
            taken = ledger.claim(session, job_id, worker=worker, kinds=["fetch_day"], terms=terms)
        for claim in taken:
            assert claim.item_id not in self.holders, "held by somebody"
            assert claim.item_id not in self.ended, "ended before"
            self.holders[claim.item_id] = claim
        self.claimed += taken

    @rule(worker=st.sampled_from(WORKERS))
    def renew(self, worker: str) -> None:
        with transaction() as session:
            held = ledger.renew(session, worker, 60)
        mine = [claim for claim in self.holders.values() if claim.worker == worker]
        assert held == {claim.item_id: claim.fence for claim in mine}

    def some_claim(self, data: st.DataObject) -> Claim:
        """One that holds, as often as any that was ever made."""
        held = list(self.holders.values())
        return data.draw(
            st.sampled_from(held if held and data.draw(st.booleans()) else self.claimed)
        )

    def holds(self, claim: Claim) -> bool:
        return self.holders.get(claim.item_id) == claim

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), way=st.sampled_from(["finish", "fail", "drop"]))
    def end(self, data: st.DataObject, way: str) -> None:
        """Whoever holds it ends it; anybody else is stale and leaves no effect."""
        claim = self.some_claim(data)
        call, state = {
            "finish": (lambda s: ledger.finish(s, claim, ItemOutcome.STORED, FINE), ItemState.DONE),
            "fail": (lambda s: ledger.fail(s, claim, FINE), ItemState.FAILED),
            "drop": (lambda s: ledger.drop(s, claim), ItemState.CANCELLED),
        }[way]
        if self.does(call, claim, way):
            del self.holders[claim.item_id]
            self.ended[claim.item_id] = state

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), burns=st.booleans())
    def wait_again(self, data: st.DataObject, *, burns: bool) -> None:
        claim = self.some_claim(data)
        call = functools.partial(
            ledger.wait_again, claim=claim, after_s=0, report=FINE, burns_attempt=burns
        )
        if self.does(call, claim, "retry"):
            self.is_let_go(claim.item_id)

    def does(self, call: Callable[[Session], None], claim: Claim, what: str) -> bool:
        """Whether it could; a stale one must not."""
        self.seen[what if self.holds(claim) else "stale"] += 1
        if self.holds(claim):
            with transaction() as session:
                call(session)
            return True
        with pytest.raises(StaleError), transaction() as session:
            call(session)
        return False

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        claim = self.some_claim(data)
        with transaction() as session:
            given = ledger.give_back(session, [(claim.item_id, claim.fence)])
        assert given == int(self.holds(claim))
        if given:
            self.is_let_go(claim.item_id)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data())
    def settle_many(self, data: st.DataObject) -> None:
        some = data.draw(st.lists(st.sampled_from(self.claimed), max_size=6, unique=True))
        with transaction() as session:
            ours = ledger.hold_all(session, some)
            assert ours == {claim for claim in some if self.holds(claim)}
            done = [claim for claim in some if claim in ours]
            move_held(
                session,
                [End(c, ItemState.DONE, "done", FINE, ItemOutcome.STORED) for c in done],
            )
        self.seen["settled"] += len(done)
        for claim in done:
            del self.holders[claim.item_id]
            self.ended[claim.item_id] = ItemState.DONE

    def is_let_go(self, item_id: int) -> None:
        del self.holders[item_id]
        with reading() as session:
            state = session.scalar(select(JobItem.state).where(JobItem.id == item_id))
        if state in ENDED:
            self.ended[item_id] = state

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def lease_runs_out(self, data: st.DataObject) -> None:
        often = max(self.holders.values(), key=lambda claim: claim.crashes).item_id
        item_id = data.draw(st.sampled_from([often, *sorted(self.holders)]))
        with transaction() as session:
            mine = update(JobItem).where(JobItem.id == item_id)
            session.execute(mine.values(lease_until=db_now(-1)))
            rows = ledger.reap(session)
        assert [row.id for row in rows] == [item_id]
        assert rows[0].crashes == self.holders[item_id].crashes + 1
        assert (rows[0].state == ItemState.QUARANTINED) == (rows[0].crashes == 3)
        self.seen[rows[0].state] += 1
        self.is_let_go(item_id)

    @rule(job_id=jobs, really=st.sampled_from([True, False, False]))
    def cancel(self, job_id: int, *, really: bool) -> None:
        assume(really)  # else nearly every job would be
        try:
            with transaction() as session:
                steer.cancel(session, job_id, by="tester")
        except RequestError:
            assume(False)
        self.note_ends(job_id)

    @rule(job_id=jobs, way=st.sampled_from([steer.pause, steer.resume]))
    def pause_or_resume(self, job_id: int, way: object) -> None:
        try:
            with transaction() as session:
                way(session, job_id)
        except RequestError:
            assume(False)

    @rule()
    def sweep(self) -> None:
        with transaction() as session:
            ledger.sweep(session)
            jobs = list(session.scalars(select(Job.id)))
        for job_id in jobs:
            self.note_ends(job_id)

    def note_ends(self, job_id: int) -> None:
        with reading() as session:
            wanted = select(JobItem.id, JobItem.state).where(JobItem.job_id == job_id)
            for row in session.execute(wanted.where(JobItem.state.in_(ENDED))):
                assert self.ended.setdefault(row.id, row.state) == row.state

    @invariant()
    def books_are_balanced(self) -> None:
        with reading() as session:
            assert imbalances(session) == []
            running = select(JobItem.id, JobItem.fence).where(JobItem.state == ItemState.RUNNING)
            fences = {item_id: claim.fence for item_id, claim in self.holders.items()}
            assert dict(session.execute(running).all()) == fences
            ended = select(JobItem.id, JobItem.state).where(JobItem.state.in_(ENDED))
            assert dict(session.execute(ended).all()) == self.ended
            done = select(func.count()).where(JobEvent.event == "done").group_by(JobEvent.item_id)
            assert set(session.scalars(done)) <= {1}


@pytest.fixture
def machine_app(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Flask]:
    shutil.copy(migrated_sqlite, tmp_path / "fikstur.db")
    app = create_app(settings(tmp_path), edges=False)
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.mark.usefixtures("machine_app")
def test_no_order_of_events_unbalances_the_ledger() -> None:
    run(examples=60)
    assert Ledger.seen["stale"] > 40
    for what in ("finish", "fail", "drop", "retry", "settled"):
        assert Ledger.seen[what] > 5, what
    assert Ledger.seen[ItemState.WAITING] > 5
    assert Ledger.seen[ItemState.QUARANTINED] > 0


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.usefixtures("app")
def test_nor_on_postgresql(engine: str) -> None:
    run(examples=15)


def run(examples: int) -> None:
    Ledger.seen.clear()
    run_state_machine_as_test(
        Ledger,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_machine_finds_a_ledger_without_fences(
    machine_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what nobody checks, the machine notices."""
    honest = ledger.move_claim

    def without_fence(session: object, claim: Claim, *rest: object, **values: object) -> None:
        with reading() as other:
            fence = other.scalar(select(JobItem.fence).where(JobItem.id == claim.item_id))
        as_if = Claim(claim.item_id, claim.job_id, claim.kind, None, claim.key, fence, 0, 0)
        honest(session, as_if, *rest, **values)

    monkeypatch.setattr(ledger, "move_claim", without_fence)
    with pytest.raises((AssertionError, ExceptionGroup, pytest.fail.Exception)):
        run(examples=100)
