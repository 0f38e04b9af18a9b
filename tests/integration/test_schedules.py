import threading
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.db import reading, transaction
from app.jobs.models import Job, Trigger
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.submit import submit as submit_job
from app.schedules.fire import fire_if_due
from app.schedules.models import ScheduleFire

EVERY_MINUTE = "* * * * *"


def submit(session: Session, due: datetime) -> int:
    request = JobRequest("fetch_day", [ItemRequest("fetch_day", due.isoformat()[:30], "sandbox")])
    return submit_job(session, request, by="schedule", trigger=Trigger.SCHEDULE).job_id


def fires() -> list[ScheduleFire]:
    with reading() as session:
        return list(session.scalars(select(ScheduleFire)))


def test_many_workers_at_once_fire_a_due_time_once(app: Flask) -> None:
    won: list[bool] = []
    together = threading.Barrier(8)

    def one() -> None:
        with app.app_context():
            together.wait()
            won.append(fire_if_due("hourly", EVERY_MINUTE, "UTC", submit))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fires()) == len({fire.due_at for fire in fires()})  # a minute may pass meanwhile
    assert sum(won) == len(fires()) <= 2
    with reading() as session:
        assert len(session.scalars(select(Job)).all()) == len(fires())


def test_control_looking_before_writing_without_the_unique_row_fires_twice(app: Flask) -> None:
    """What the unique row is for: the same race decided by a look first fires more than once."""
    looked = threading.Barrier(4)

    def one() -> None:
        with app.app_context():
            with reading() as session:
                nobody_yet = session.scalar(select(Job.id)) is None
            looked.wait()
            if nobody_yet:
                with transaction() as session:
                    submit(session, datetime(threading.get_ident() % 9000 + 1, 1, 1, tzinfo=UTC))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading() as session:
        assert len(session.scalars(select(Job)).all()) > 1


@pytest.mark.usefixtures("app")
def test_a_submission_that_breaks_leaves_no_fire_and_is_tried_again() -> None:
    def broken(_session: Session, _due: datetime) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fire_if_due("hourly", EVERY_MINUTE, "UTC", broken)
    assert fires() == []
    assert fire_if_due("hourly", EVERY_MINUTE, "UTC", submit)
    assert fires()[0].job_id is not None


@pytest.mark.usefixtures("app")
def test_a_fire_with_nothing_to_do_is_taken_too() -> None:
    assert fire_if_due("retry", EVERY_MINUTE, "UTC", lambda _session, _due: None)
    assert fires()[0].job_id is None
