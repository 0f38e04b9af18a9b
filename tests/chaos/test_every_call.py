"""A worker that dies at its first call to the database or the queue, at its second, at each.

The whole way of four items, from asking to a clean stop, is walked in a process of its own that
ends with os._exit at call number k; whoever comes after must find nothing lost and nothing doubled.
"""

import functools
import os
import traceback
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import settings
from eyes import look
from factories import FIRST_DAY
from fakes import FakeOutside, a_desk, answer
from shapes import a_list, a_match, the_api
from sqlalchemy import event, func, select, update

import tasks
from app import create_app
from app.core import many, queue, sqlite_file
from app.core.db import db, db_now, persist, reading, transaction
from app.fixtures.details import DetailWork
from app.fixtures.fetch import fetch_day
from app.fixtures.models import FixtureDay, MatchDetail, RawAnswer
from app.jobs import ledger, steer
from app.jobs.audit import imbalances
from app.jobs.models import OPEN_ITEM, ItemOutcome, ItemState, Job, JobEvent, JobItem, Trigger
from app.jobs.moves import Claim, Report
from app.jobs.runner import Handler, work_on
from app.jobs.steward import ring_waiting, sweep_if_needed, take_back_expired
from app.jobs.stream import Streams
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources.base import Request
from app.sources.limiter import build_limiter
from app.sources.limits import Rate

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DIED, FINISHED = 9, 0
DETAILS = 3


class Countdown:
    """Ends the process at call number `at`; 0: only counts them."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, *_arguments: object, **_names: object) -> None:
        self.calls += 1
        if self.calls == self.at:
            os._exit(DIED)

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def counted(*arguments: Any, **names: Any) -> Any:
            self()
            return call(*arguments, **names)

        return counted

    def watch(self) -> None:
        """Count every statement, every commit, every COPY and every word with Redis.

        Each dies just before it: just after it is just before the next.
        """
        from redis.connection import AbstractConnection

        event.listen(db.engine, "before_cursor_execute", self)
        db.engine.dialect.do_commit = self.before(db.engine.dialect.do_commit)
        many.copy = self.before(many.copy)
        sqlite_file.begin_to_write = self.before(sqlite_file.begin_to_write)
        for name in ("send_packed_command", "read_response"):
            setattr(AbstractConnection, name, self.before(getattr(AbstractConnection, name)))


class Life:
    """What a worker does with a job of a day and of details, step after step."""

    def __init__(self, config: Any, number: int) -> None:
        self.huey = queue.build_huey(config.redis_url, config.data_dir)
        self.huey._registry = tasks.huey._registry
        self.worker = Worker(60, build_limiter(config, {"sandbox": [Rate(5000, 1)]}))
        self.number = number
        outside = FakeOutside(self.told)
        self.desk = a_desk(outside)
        self.handlers = {"fetch_day": Handler(lambda claim, w: fetch_day(self.desk, claim, w))}

    def told(self, request: Request) -> Any:
        if "scheduled" not in request.url:
            return the_api(request)
        first = 900_000_000 + 10 * self.number
        return answer(a_list(a_match(first), a_match(first + 1)))

    @property
    def day(self) -> date:
        return FIRST_DAY + timedelta(days=self.number)

    @property
    def ids(self) -> list[str]:
        return [str(100_000_000 + 10 * self.number + n) for n in range(DETAILS)]

    def ask(self) -> int:
        items = [ItemRequest("fetch_day", self.day.isoformat(), "sandbox")]
        items += [ItemRequest("detail_event", match_id, "sandbox") for match_id in self.ids]
        request = JobRequest("fetch_details", items, {"number": self.number})
        return persist(lambda s: submit_job(s, request, by="tester", trigger=Trigger.CLI)).job_id

    def ring(self, kind: str, job_id: int, times: int = 1) -> bool:
        return queue.ring(self.huey, kind, job_id, times)

    def close(self) -> None:
        self.huey.storage.close()

    def work(self, job_id: int) -> None:
        streams = Streams(self.worker, DetailWork(self.desk))
        more = True
        while more:
            more = work_on(self.worker, job_id, self.handlers)
            more = streams.work_on(job_id, slice_s=1) or more or self.worker.may_go_on(job_id)

    def begin(self) -> None:
        """What is done before calls are counted."""

    def live(self) -> None:
        """Every transition once."""
        job_id = self.ask()
        self.ring("fetch_details", job_id)
        self.worker.beat()
        persist(lambda session: steer.pause(session, job_id))
        persist(lambda session: steer.resume(session, job_id))
        held = self.worker.claim(job_id, ["detail_event"], deadline_s=60, most=1)
        self.worker.renew()
        let_run_out(self.number)
        take_back_expired()
        for claim in held:
            self.worker.let_go(claim)
        self.worker.claim(job_id, ["detail_event"], deadline_s=60, most=1)
        ring_waiting(self.ring)
        self.work(job_id)
        self.worker.stop()

    def finish(self) -> None:
        """The next worker finds the leases run out and does what is left."""
        let_run_out(self.number)
        take_back_expired()
        sweep_if_needed()
        ring_waiting(self.ring)
        for job_id in jobs_of(self.number):
            if not look(job_id).is_open:
                continue
            with transaction() as session:  # he may have died between a pause and its end
                paused = session.get_one(Job, job_id).paused_at is not None
            if paused:
                persist(functools.partial(steer.resume, job_id=job_id))
            self.work(job_id)


class EveryEnd(Life):
    """The other ends an item can have: failed, tried again, cancelled, dropped, quarantined."""

    def __init__(self, config: Any, number: int) -> None:
        super().__init__(config, number)
        self.worker = Worker(60)
        self.handlers = dict.fromkeys(("fetch_day", "detail_event"), Handler(done))

    def begin(self) -> None:
        job_id = self.ask()
        doom(job_id)
        self.doomed = self.worker.claim(job_id, self.handlers, deadline_s=60, most=4)
        let_run_out(self.number)

    def live(self) -> None:
        (doomed,) = self.doomed
        job_id = doomed.job_id
        take_back_expired()
        self.worker.let_go(doomed)
        failed, tried, dropped = self.worker.claim(job_id, self.handlers, deadline_s=60, most=4)
        persist(lambda session: ledger.fail(session, failed, Report("NOT_FOUND")))
        persist(
            lambda s: ledger.wait_again(s, tried, 0, Report("SERVER_ERROR"), burns_attempt=True)
        )
        persist(lambda session: steer.cancel(session, job_id, by="tester"))
        self.worker.notice_cancels()
        persist(lambda session: ledger.drop(session, dropped))

    def work(self, job_id: int) -> None:
        while work_on(self.worker, job_id, self.handlers):
            pass


def done(claim: Claim, _worker: Worker) -> None:
    persist(lambda session: ledger.finish(session, claim, ItemOutcome.STORED, Report("OK")))


def doom(job_id: int) -> None:
    with transaction() as session:
        first = select(func.min(JobItem.id)).where(JobItem.job_id == job_id).scalar_subquery()
        session.execute(update(JobItem).where(JobItem.id == first).values(crashes=2))


def let_run_out(number: int) -> None:
    mine = select(Job.id).where(Job.params["number"].as_integer() == number)
    with transaction() as session:
        session.execute(
            update(JobItem)
            .where(JobItem.job_id.in_(mine), JobItem.state == ItemState.RUNNING)
            .values(lease_until=db_now(-1))
        )


def jobs_of(number: int) -> list[int]:
    with reading() as session:
        wanted = select(Job.id).where(Job.params["number"].as_integer() == number)
        return list(session.scalars(wanted))


def die_at(config: Any, number: int, at: int, way: type[Life] = Life) -> tuple[int, int]:
    """Live in a process of its own: how it ended, and how many calls it made."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            db.engine.dispose(close=False)
            countdown = Countdown(at)
            life = way(config, number)
            life.begin()
            countdown.watch()
            life.live()
            os.write(tell, str(countdown.calls).encode())
            code = FINISHED
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    calls = int(os.read(told, 20) or 0)
    os.close(told)
    return os.waitstatus_to_exitcode(status), calls


def assert_done_once(number: int) -> None:
    jobs = jobs_of(number)
    assert len(jobs) <= 1, "asked for once"
    for job_id in jobs:
        report = look(job_id)
        assert report.job.state == "DONE", (number, report.items)
        with reading() as session:
            ends = select(func.count()).where(JobEvent.job_id == job_id, JobEvent.event == "done")
            assert session.scalars(ends.group_by(JobEvent.item_id)).all() == [1] * (DETAILS + 1)


def assert_ended_once(number: int) -> None:
    for job_id in jobs_of(number):
        assert not look(job_id).is_open
        with reading() as session:
            items = select(JobItem.id).where(JobItem.job_id == job_id)
            ends = (
                select(JobEvent.item_id, func.count())
                .where(JobEvent.job_id == job_id, JobEvent.item_id.is_not(None))
                .where(JobEvent.state.not_in(OPEN_ITEM))
                .group_by(JobEvent.item_id)
            )
            assert dict(session.execute(ends).all()) == dict.fromkeys(session.scalars(items), 1)


@pytest.fixture
def config(stack: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    if not stack:
        (tmp_path / "fikstur.db").write_bytes(
            request.getfixturevalue("migrated_sqlite").read_bytes()
        )
    return settings(tmp_path, **stack)


def test_dying_at_any_call_ends_every_item_once_however_it_ends(config: Any) -> None:
    with create_app(config, edges=False).app_context():
        ended, calls = die_at(config, 0, 0, EveryEnd)
        assert ended == FINISHED
        (job_id,) = jobs_of(0)
        states = [name for name, count in look(job_id).items.items() for _ in range(count)]
        assert states == ["failed", "cancelled", "cancelled", "quarantined"]
        for at in range(1, calls + 1):
            assert die_at(config, at, at, EveryEnd)[0] == DIED
            EveryEnd(config, at).finish()
            assert_ended_once(at)
        db.engine.dispose()


def test_dying_at_any_call_loses_nothing_and_doubles_nothing(
    config: Any,
) -> None:
    with create_app(config, edges=False).app_context():
        ended, calls = die_at(config, 0, 0)
        assert ended == FINISHED
        assert calls > 60
        Life(config, 0).finish()
        assert_done_once(0)
        for at in range(1, calls + 1):
            ended, _ = die_at(config, at, at)
            # A walk is not always of the same length: the last few may get through alive.
            assert ended == DIED or (ended == FINISHED and at > calls * 0.8)
            Life(config, at).finish()
            assert_done_once(at)
        with reading() as session:
            assert imbalances(session) == []
            asked = len(session.scalars(select(Job.id)).all())
            assert session.scalar(select(func.count()).select_from(FixtureDay)) == asked
            assert session.scalar(select(func.count()).select_from(MatchDetail)) == asked * DETAILS
            raws = select(func.count()).select_from(RawAnswer).group_by(RawAnswer.key)
            assert set(session.scalars(raws)) == {1}
        assert asked > calls * 0.9
        db.engine.dispose()
