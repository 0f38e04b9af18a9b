"""Daily, weekly and monthly backups: when each is due, that it is made once, and what is late."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.backups.manifest import Made, Type
from app.backups.models import GOOD, Backup, BackupSchedule
from app.backups.request import create_request
from app.core.db import current_time, persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.models import Trigger
from app.jobs.submit import submit
from app.schedules.fire import last_due

GRACE = timedelta(hours=2)  # after its due time a backup that is not there is late
MOST_KEPT = 1000

# How they come: switched off, and apart from each other by an hour.
PRESETS: Mapping[str, tuple[int, int]] = {"daily": (2, 7), "weekly": (3, 4), "monthly": (4, 12)}
LIMITS: Mapping[str, tuple[int, int]] = {
    "hour": (0, 23),
    "weekday": (0, 6),
    "day": (1, 28),
    "keep": (1, MOST_KEPT),
}
_WHEN = ("hour", "weekday", "day", "enabled")


def schedules(session: Session) -> list[BackupSchedule]:
    """All three, also those that nobody has changed yet."""
    rows = {row.name: row for row in session.scalars(select(BackupSchedule))}
    return [rows.get(name) or _as_it_comes(session, name) for name in PRESETS]


def _as_it_comes(session: Session, name: str) -> BackupSchedule:
    hour, keep = PRESETS[name]
    return BackupSchedule(
        name=name,
        type=Type.FULL.value,
        incremental=False,
        hour=hour,
        weekday=0,
        day=1,
        keep=keep,
        enabled=False,
        since=current_time(session),
    )


def change(session: Session, name: str, wanted: Mapping[str, Any]) -> BackupSchedule:
    """Change some of what `facts` has. RequestError says what is wrong.

    A schedule with other times begins anew: it catches up with nothing that was due before.
    """
    schedule = _named(session, name)
    before = facts(schedule)
    for key, value in wanted.items():
        setattr(schedule, key, _checked(key, value))
    after = facts(schedule)
    if any(before[key] != after[key] for key in _WHEN):
        schedule.since = current_time(session)
    session.add(schedule)
    note(session, "backup.schedule", ("backup", name), before=before, after=after)
    session.flush()
    return schedule


def facts(schedule: BackupSchedule) -> dict[str, Any]:
    """What can be changed of it."""
    return {name: getattr(schedule, name) for name in ("type", "incremental", *_WHEN, "keep")}


def _named(session: Session, name: str) -> BackupSchedule:
    if name not in PRESETS:
        raise RequestError(
            N_("There is no backup schedule “%(name)s”. Known are: %(known)s."),
            name=name,
            known=", ".join(PRESETS),
        )
    return session.get(BackupSchedule, name) or _as_it_comes(session, name)


def _checked(key: str, value: Any) -> Any:
    if key in {"enabled", "incremental"}:
        return bool(value)
    if key == "type":
        return checked_type(str(value)).value
    least, most = LIMITS[key]
    if not isinstance(value, int) or not least <= value <= most:
        raise RequestError(
            N_("“%(value)s” will not do for %(key)s: a whole number from %(least)s to %(most)s."),
            value=value,
            key=key,
            least=least,
            most=most,
        )
    return value


def checked_type(text: str) -> Type:
    """What goes into a backup. RequestError names what may."""
    try:
        return Type(text)
    except ValueError as error:
        raise RequestError(
            N_("“%(type)s” is no type of backup. Known are: %(known)s."),
            type=text,
            known=", ".join(Type),
        ) from error


# --- when -----------------------------------------------------------------------------------------


def crontab(schedule: BackupSchedule) -> str:
    """Its due times, at the full hour."""
    day = schedule.day if schedule.name == "monthly" else "*"
    weekday = (schedule.weekday + 1) % 7 if schedule.name == "weekly" else "*"
    return f"0 {schedule.hour} {day} * {weekday}"


def next_run(schedule: BackupSchedule, zone: str, at: datetime) -> datetime | None:
    """The first due time after `at`, in UTC; None when it is switched off."""
    if not schedule.enabled:
        return None
    return next(CronSim(crontab(schedule), at.astimezone(ZoneInfo(zone)))).astimezone(UTC)


def due_to_take(schedule: BackupSchedule, zone: str, at: datetime) -> datetime | None:
    """The latest due time that nobody has taken, however late; older ones are not caught up with.

    Pure.
    """
    if not schedule.enabled:
        return None
    due = last_due(crontab(schedule), zone, at)
    taken = schedule.taken_at
    return due if due > schedule.since and (taken is None or due > taken) else None


def fire_due(zone: str, by: str = "schedule") -> list[int]:
    """Take what is due and submit its backups: the jobs that were made by this call.

    Any number of workers may call it at once: each due time is one row's, and one of them gets it.
    """
    with reading() as session:
        at = current_time(session)
        found = [(one.name, due_to_take(one, zone, at)) for one in schedules(session)]
    due = [(name, slot) for name, slot in found if slot is not None]
    jobs = [_fire(name, slot, by) for name, slot in due]
    return [job for job in jobs if job is not None]


def _fire(name: str, due: datetime, by: str) -> int | None:
    return persist(lambda session: _take(session, name, due, by))


def _take(session: Session, name: str, due: datetime, by: str) -> int | None:
    """The due time and its job in one transaction; None when somebody else has taken it."""
    table = BackupSchedule
    free = or_(table.taken_at.is_(None), table.taken_at < due)
    ours = update(table).where(table.name == name, table.enabled, table.since < due, free)
    ours = ours.values(taken_at=due).execution_options(synchronize_session=False)
    taken = session.execute(ours.returning(table.type, table.incremental)).one_or_none()
    if taken is None:
        return None
    type_, incremental = taken
    request = create_request(name, Type(type_), made=Made.SCHEDULED, incremental=incremental)
    return submit(session, request, by=by, trigger=Trigger.SCHEDULE).job_id


# --- what is late ---------------------------------------------------------------------------------


def late(session: Session, zone: str, at: datetime) -> list[Sentence]:
    """What `late_by_name` found."""
    return list(late_by_name(session, zone, at).values())


def late_by_name(session: Session, zone: str, at: datetime) -> dict[str, Sentence]:
    """A sentence for each schedule whose last due time has no good backup after it.

    Any good one counts that holds as much, whoever asked for it.
    """
    found = {}
    for schedule in schedules(session):
        due = last_due(crontab(schedule), zone, at - GRACE)
        expected = schedule.enabled and due > schedule.since
        if expected and not _is_made(session, schedule.type, due):
            values = {"name": schedule.name, "due": due, "type": schedule.type}
            found[schedule.name] = Sentence(LATE, values)
    return found


LATE = N_(
    "The %(name)s backup that was due at %(due)s has not been made. Look at its job and at the "
    "workers, then make one: flask --app wsgi backup create --type %(type)s"
)


def _is_made(session: Session, type_: str, due: datetime) -> bool:
    enough: Sequence[str] = (type_, Type.FULL.value)
    made = select(Backup.id).where(
        Backup.type.in_(enough), Backup.state.in_(GOOD), Backup.at >= due
    )
    return session.scalar(made.limit(1)) is not None


def kept_of_each() -> dict[str, int]:
    """How many backups of each schedule stay."""
    with reading() as session:
        return {one.name: one.keep for one in schedules(session)}
