"""Any order of what people, workers and time can do to a job: the books stay balanced."""

import shutil
from collections.abc import Iterator
from pathlib import Path

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
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

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
ENDED = {ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED, ItemState.QUARANTINED}


class Ledger(RuleBasedStateMachine):
    """Jobs and claims; the model is nothing but the fences that hold and the items that ended."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.holders: dict[int, int] = {}  # item -> the fence that holds it
        self.ended: dict[int, str] = {}  # item -> how
        self.days = 0

    @initialize()
    def empty(self) -> None:
        with transaction() as session:
            for table in (JobEvent, JobItem, Job):
                session.execute(table.__table__.delete())

    @rule(target=jobs, items=st.integers(1, 4))
    def submit(self, items: int) -> int:
        keys = range(self.days, self.days + items)
        self.days += items
        request = JobRequest("fetch_range", [ItemRequest("fetch_day", str(k), "x") for k in keys])
        with transaction() as session:
            return submit_job(session, request, by="tester", trigger=Trigger.CLI).job_id

    @rule(target=claims, job_id=jobs, most=st.integers(1, 4))
    def claim(self, job_id: int, most: int) -> object:
        terms = Terms(lease_s=60, deadline_s=600, most=most)
        with transaction() as session:
            taken = ledger.claim(session, job_id, worker="w", kinds=["fetch_day"], terms=terms)
        for claim in taken:
            assert claim.item_id not in self.holders, "held by somebody"
            assert claim.item_id not in self.ended, "ended before"
            self.holders[claim.item_id] = claim.fence
        return multiple(*taken)

    @rule(job_id=jobs)
    def renew(self, job_id: int) -> None:
        with transaction() as session:
            held = ledger.renew(session, "w", 60)
        assert held == self.holders

    @rule(claim=claims, outcome=st.sampled_from(list(ItemOutcome)))
    def finish(self, claim: Claim, outcome: ItemOutcome) -> None:
        self.ends(claim, ItemState.DONE, lambda s: ledger.finish(s, claim, outcome, FINE))

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        self.ends(claim, ItemState.FAILED, lambda s: ledger.fail(s, claim, FINE))

    @rule(claim=claims)
    def drop(self, claim: Claim) -> None:
        self.ends(claim, ItemState.CANCELLED, lambda s: ledger.drop(s, claim))

    def ends(self, claim: Claim, state: str, end: object) -> None:
        """Whoever holds it ends it; anybody else is stale and leaves no effect."""
        if self.holders.get(claim.item_id) == claim.fence:
            with transaction() as session:
                end(session)
            del self.holders[claim.item_id]
            self.ended[claim.item_id] = state
        else:
            with pytest.raises(StaleError), transaction() as session:
                end(session)

    @rule(claim=claims, burns=st.booleans())
    def wait_again(self, claim: Claim, *, burns: bool) -> None:
        if self.holders.get(claim.item_id) != claim.fence:
            return
        with transaction() as session:
            ledger.wait_again(session, claim, 0, FINE, burns_attempt=burns)
        self.is_let_go(claim.item_id)

    @rule(claim=claims)
    def give_back(self, claim: Claim) -> None:
        with transaction() as session:
            given = ledger.give_back(session, [(claim.item_id, claim.fence)])
        assert given == int(self.holders.get(claim.item_id) == claim.fence)
        if given:
            self.is_let_go(claim.item_id)

    @rule(some=st.lists(claims, max_size=4, unique_by=lambda c: c.item_id))
    def settle_many(self, some: list[Claim]) -> None:
        with transaction() as session:
            ours = ledger.hold_all(session, some)
            assert ours == {c.item_id for c in some if self.holders.get(c.item_id) == c.fence}
            done = [c for c in some if c.item_id in ours]
            move_held(
                session,
                [End(c, ItemState.DONE, "done", FINE, ItemOutcome.STORED) for c in done],
            )
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
        item_id = data.draw(st.sampled_from(sorted(self.holders)))
        with transaction() as session:
            mine = update(JobItem).where(JobItem.id == item_id)
            session.execute(mine.values(lease_until=db_now(-1)))
            rows = ledger.reap(session)
        assert [row.id for row in rows] == [item_id]
        self.is_let_go(item_id)

    @rule(job_id=jobs)
    def cancel(self, job_id: int) -> None:
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
            assert dict(session.execute(running).all()) == self.holders
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
    run(examples=40)


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgres"])
@pytest.mark.usefixtures("app")
def test_nor_on_postgresql(engine: str) -> None:
    run(examples=15)


def run(examples: int) -> None:
    run_state_machine_as_test(
        Ledger,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=25,
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
