"""When a crontab was due last, and taking a due time exactly once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.core.db import current_time, insert_into, persist, reading
from app.schedules.models import ScheduleFire

# A schedule that has never fired takes only a due time this fresh: a first start does not catch up.
FIRST_FIRE_WITHIN = timedelta(minutes=1)

Submit = Callable[[Session, datetime], int | None]  # session, due time -> the job it submitted


def last_due(crontab: str, zone: str, at: datetime) -> datetime:
    """The latest due time at or before `at`, in UTC. The crontab speaks the local time of `zone`.

    A local time that does not exist is due at the next valid minute; one that exists twice, once.
    """
    local = at.astimezone(ZoneInfo(zone)) + timedelta(seconds=1)  # reverse excludes its start
    return next(CronSim(crontab, local, reverse=True)).astimezone(UTC)


def due_to_fire(
    crontab: str, zone: str, at: datetime, last_fired: datetime | None
) -> datetime | None:
    """The due time to take now: the latest not yet taken, however late, and never an older one."""
    due = last_due(crontab, zone, at)
    if last_fired is None:
        return due if at - due <= FIRST_FIRE_WITHIN else None
    return due if due > last_fired else None


def fire_if_due(name: str, crontab: str, zone: str, submit: Submit) -> bool:
    """Take the schedule's due time and submit its job in one transaction; False when not ours.

    Any number of workers may call it at once: the unique row lets one through.
    """
    with reading() as session:
        at = current_time(session)
        last = session.scalar(
            select(func.max(ScheduleFire.due_at)).where(ScheduleFire.schedule == name)
        )
    due = due_to_fire(crontab, zone, at, last)
    return due is not None and persist(lambda session: _take(session, name, due, submit))


def _take(session: Session, name: str, due: datetime, submit: Submit) -> bool:
    row = {"schedule": name, "due_at": due, "fired_at": current_time(session)}
    statement = insert_into(session, ScheduleFire).values(**row).on_conflict_do_nothing()
    fire_id = session.scalar(statement.returning(ScheduleFire.id))
    if fire_id is None:
        return False
    job_id = submit(session, due)
    session.execute(update(ScheduleFire).where(ScheduleFire.id == fire_id).values(job_id=job_id))
    return True
