import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from factories import a_job, counts
from flask import Flask
from sqlalchemy.exc import OperationalError, StatementError

from app.core.db import (
    Base,
    current_time,
    db,
    db_now,
    keep_few_pages,
    persist,
    reading,
    transaction,
)
from app.jobs.models import Job, JobEvent, JobItem, Trigger
from app.jobs.prune import prune
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job
from app.sources.models import RequestLog, SourceState

pytestmark = pytest.mark.usefixtures("app")


def test_the_migrations_make_exactly_what_the_models_say() -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_times_come_back_aware_in_utc_whatever_zone_they_had() -> None:
    noon = datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    with transaction() as session:
        session.add(SourceState(source="x", paused_until=noon))
    with reading() as session:
        kept = session.get_one(SourceState, "x").paused_until
    assert kept == noon
    assert kept.tzinfo is UTC


def test_a_naive_time_is_refused() -> None:
    naive = datetime(2025, 6, 1)  # noqa: DTZ001  that is the point
    with pytest.raises(StatementError, match="naive"), transaction() as session:
        session.add(SourceState(source="x", paused_until=naive))
        session.flush()


def test_the_databases_clock_agrees_with_what_it_compares() -> None:
    with transaction() as session:
        session.add(SourceState(source="x", paused_until=current_time(session)))
    with reading() as session:
        past = sa.select(SourceState.paused_until <= db_now(1))
        future = sa.select(SourceState.paused_until > db_now(-5.5))
        assert session.scalar(past) is True
        assert session.scalar(future) is True
        assert abs(current_time(session) - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_transaction_that_breaks_leaves_nothing() -> None:
    with pytest.raises(ZeroDivisionError), transaction() as session:
        session.add(SourceState(source="x"))
        session.flush()
        raise ZeroDivisionError
    with reading() as session:
        assert session.get(SourceState, "x") is None


def test_persist_tries_again_while_the_database_is_away_and_then_gives_up() -> None:
    tries: list[int] = []

    def away(_session: object) -> None:
        tries.append(1)
        raise OperationalError("", {}, Exception("gone"), connection_invalidated=True)

    with pytest.raises(OperationalError):
        persist(away, give_up_after_s=0.5)
    assert len(tries) > 1


def test_persist_does_not_repeat_what_can_never_work() -> None:
    tries: list[int] = []

    def wrong(session: sa.orm.Session) -> None:
        tries.append(1)
        session.execute(sa.text("SELECT * FROM no_such_table"))

    with pytest.raises(sa.exc.DBAPIError):
        persist(wrong)
    assert len(tries) == 1


def test_many_writers_at_once_all_get_through(app: Flask) -> None:
    """The replaced system lost a third of its rows to "database is locked"."""
    done: list[int] = []

    def write(number: int) -> None:
        with app.app_context():
            for n in range(20):
                with transaction() as session:
                    session.scalar(sa.select(sa.func.count()).select_from(SourceState))
                    session.add(SourceState(source=f"{number}-{n}"))
        done.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SourceState)) == 160


def test_pruning_forgets_what_is_old_and_ended_and_leaves_the_rest() -> None:
    old, young, still_open = a_job(days=2), a_job(), a_job()
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=100)
    with transaction() as session:
        for job_id, at in ((old, long_ago), (young, now)):
            session.execute(sa.update(JobItem).where(JobItem.job_id == job_id).values(state="done"))
            session.execute(
                sa.update(Job).where(Job.id == job_id).values(state="DONE", finished_at=at)
            )
        session.execute(sa.update(JobEvent).where(JobEvent.job_id == old).values(at=long_ago))
        for at in (long_ago, now):
            session.add(RequestLog(at=at, source="s", template="t", key="k", code="OK", status=200))
    gone = prune(now - timedelta(days=90), now - timedelta(days=30))
    assert gone | {"request_log": 1, "job": 1, "job_event": 1} == gone
    with reading() as session:
        assert set(session.scalars(sa.select(Job.id))) == {young, still_open}
        left = session.scalars(sa.select(JobItem.job_id).distinct())
        assert set(left) == {young, still_open}
    assert counts(still_open)["waiting"] == 1


def test_ten_thousand_items_are_submitted_in_one_transaction() -> None:
    items = [ItemRequest("fetch_day", str(n), "sandbox") for n in range(10_000)]
    with transaction() as session:
        job_id = submit_job(
            session, JobRequest("fetch_range", items), by="x", trigger=Trigger.CLI
        ).job_id
    assert counts(job_id)["waiting"] == 10_000


def test_a_worker_keeps_few_pages_of_an_sqlite_file() -> None:
    keep_few_pages()
    db.engine.dispose()
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA cache_size").scalar() == -500
