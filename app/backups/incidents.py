"""What is wrong with the backups at this moment, and that people are told of it once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.models import Role, User
from app.backups import offsite_copies
from app.backups.models import Backup, Incident, State
from app.backups.offsite import far_of
from app.backups.offsite_copies import BLIPS, LATE, Standing
from app.backups.schedule import late_by_name
from app.backups.work import LOCKED
from app.core.text import N_, Sentence
from app.jobs.models import Job, JobItem, JobState

if TYPE_CHECKING:
    from config import Config

LOOKED_AT = 200  # jobs that ended last


@dataclass(frozen=True, slots=True)
class News:
    """What nobody has been told of yet, and what is over."""

    begun: Sequence[Sentence]
    over: Sequence[Sentence]


def amiss(session: Session, config: "Config", at: datetime) -> dict[str, Sentence]:
    """What is wrong now, by a key that stays the same as long as it is the same thing."""
    found = _overdue(session, config.time_zone, at)
    return found | _failed(session) | _spoilt(session) | _not_copied(session, config, at)


def _overdue(session: Session, zone: str, at: datetime) -> dict[str, Sentence]:
    overdue = late_by_name(session, zone, at)
    return {f"overdue:{name}": told for name, told in overdue.items()}


def _failed(session: Session) -> dict[str, Sentence]:
    """Of each name the last backup that was tried."""
    ended = (
        select(Job.params, Job.state, JobItem.message, JobItem.code)
        .join(JobItem, JobItem.job_id == Job.id)
        .where(Job.kind == "create_backup", Job.state.in_((JobState.DONE, JobState.FAILED)))
        .order_by(Job.id.desc())
        .limit(LOOKED_AT)
    )
    last: dict[str, Sentence | None] = {}
    for params, state, message, code in session.execute(ended):
        if code == LOCKED:
            continue  # whoever asked for it was told, and another one was being made
        values = {"name": params["name"], "why": message or code or "?"}
        told = Sentence(N_("The backup “%(name)s” could not be made: %(why)s"), values)
        last.setdefault(params["name"], told if state == JobState.FAILED else None)
    return {f"failed:{name}": told for name, told in last.items() if told}


def _spoilt(session: Session) -> dict[str, Sentence]:
    bad = select(Backup).where(Backup.state.in_((State.CORRUPT, State.MISSING)))
    return {
        f"{row.state}:{row.file}": Sentence(_SPOILT[State(row.state)], {"file": row.file})
        for row in session.scalars(bad.order_by(Backup.at))
    }


_SPOILT = {
    State.CORRUPT: N_("The backup %(file)s is damaged."),
    State.MISSING: N_("The file of the backup %(file)s is missing."),
}


def _not_copied(session: Session, config: "Config", at: datetime) -> dict[str, Sentence]:
    far = far_of(config.offsite)
    if far is None:
        return {}
    there = offsite_copies.standing(session, far.name, config.offsite.keep, at)
    failing = any(row.failures >= BLIPS for row in there.failing)
    waiting = any(row.verified_at and row.verified_at + LATE < at for row in there.waiting)
    told = not_copied(there) if failing or waiting else None
    return {"offsite": told} if told else {}


def not_copied(there: Standing) -> Sentence | None:
    """That good backups are not on the far side, and why; None when all are."""
    if not there.waiting:
        return None
    values: dict[str, object] = {"count": len(there.waiting), "store": there.store}
    if not there.failing:
        return Sentence(N_("Not copied to %(store)s yet: %(count)s backups."), values)
    why = {"why": there.failing[0].message}
    return Sentence(N_("Not copied to %(store)s: %(count)s backups. %(why)s"), values | why)


def readers(session: Session) -> Sequence[User]:
    """Who is told: administrators with an address."""
    everybody = select(User).where(User.role == Role.ADMINISTRATOR, User.email.is_not(None))
    return [user for user in session.scalars(everybody.order_by(User.username)) if user.is_active]


def can_tell(session: Session, config: "Config") -> bool:
    """Whether a letter would reach anybody; who wants none is not to be told that he gets none."""
    set_up = config.mail.backend != "smtp" or bool(config.mail.host)
    return config.backup.mail == "off" or (set_up and bool(readers(session)))


# --- what was told --------------------------------------------------------------------------------


def known(session: Session) -> Mapping[str, Incident]:
    """Those that are open."""
    rows = session.scalars(select(Incident).order_by(Incident.since, Incident.key))
    return {row.key: row for row in rows}


def is_news(session: Session, found: Mapping[str, Sentence], *, can_tell: bool) -> bool:
    """Whether `reconcile` would change anything."""
    rows = known(session)
    return rows.keys() != found.keys() or (can_tell and not all(r.told for r in rows.values()))


def reconcile(
    session: Session, found: Mapping[str, Sentence], at: datetime, *, can_tell: bool
) -> News:
    """Open what is new and close what is gone; what to tell people of it now.

    What nobody could be told of is told when somebody can, unless it is over by then.
    """
    rows, begun, over = known(session), [], []
    for key, told in found.items():
        row = rows.get(key) or Incident(key=key, message=told, since=at, told=False)
        if not row.told:
            begun.append(told)
        row.message, row.told = told, row.told or can_tell
        session.add(row)
    for key in rows.keys() - found.keys():
        if rows[key].told:
            over.append(rows[key].message)
        session.delete(rows[key])
    return News(begun, over)


def open_ones(session: Session, zone: str, at: datetime) -> list[Sentence]:
    """Everything that is wrong, for the dashboard and the doctor; that nobody was told, too."""
    rows = known(session)
    found = _overdue(session, zone, at)
    found |= {key: row.message for key, row in rows.items() if not key.startswith("overdue:")}
    untold = any(not row.told for row in rows.values())
    return [*found.values(), *([Sentence(UNTOLD)] if untold else [])]


UNTOLD = N_(
    "Nobody was told of it by mail: no mail server is set up, or no administrator has an address. "
    "See the page Settings."
)
