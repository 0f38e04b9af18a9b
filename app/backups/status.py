"""Are the backups in order? One answer for the panel, the API, the command and the doctor."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.backups.depot import Depot
from app.backups.incidents import can_tell, not_copied
from app.backups.keyring import Ring
from app.backups.models import GOOD, Backup, BackupSchedule, State
from app.backups.offsite import far_of
from app.backups.offsite_copies import Standing, standing
from app.backups.progress import Progress, in_hand
from app.backups.schedule import late, next_run, schedules
from app.core.text import N_, Sentence

if TYPE_CHECKING:
    from config import Config


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    level: Level
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at one look; times in UTC, sizes in bytes."""

    at: datetime
    last_good: Backup | None
    last_drill: Backup | None
    next_run: datetime | None
    late: Sequence[Sentence]
    good: int
    size: int
    free: int
    key_confirmed: bool | None  # somebody has shown that he has a key; None: nothing is encrypted
    offsite: Standing | None  # None: no far side is set
    can_tell: bool  # a letter about trouble would reach somebody
    in_hand: Sequence[Progress]
    problems: Sequence[Problem]

    @property
    def level(self) -> Level:
        """That of the worst problem."""
        levels = {problem.level for problem in self.problems}
        return next((one for one in (Level.CRITICAL, Level.WARNING) if one in levels), Level.OK)

    @property
    def age_s(self) -> float | None:
        """How old the data of the newest good backup are."""
        return (self.at - self.last_good.at).total_seconds() if self.last_good else None


def status(session: Session, depot: Depot, config: "Config", at: datetime) -> Status:
    """Look at the catalogue, the schedules and the disk. Opens no archive, asks no far side."""
    rows = session.scalars(select(Backup).order_by(Backup.at.desc(), Backup.id)).all()
    zone = config.time_zone
    plans, overdue = schedules(session), late(session, zone, at)
    there = _far_standing(session, config, at)
    good = [row for row in rows if row.state in GOOD]
    runs = [due for one in plans if (due := next_run(one, zone, at))]
    free = shutil.disk_usage(_there(depot.folder)).free
    return Status(
        at=at,
        last_good=good[0] if good else None,
        last_drill=_last_drilled(rows),
        next_run=min(runs, default=None),
        late=overdue,
        good=len(good),
        size=sum(row.size for row in rows if row.state != State.MISSING),
        free=free,
        key_confirmed=_key_confirmed(depot, rows),
        in_hand=in_hand(depot.folder),
        offsite=there,
        can_tell=can_tell(session, config),
        problems=sorted(
            [
                *_problems(rows, plans, overdue, free),
                *_of_copies(there),
                *_of_keys(depot, at),
            ],
            key=lambda problem: problem.level != Level.CRITICAL,
        ),
    )


def _far_standing(session: Session, config: "Config", at: datetime) -> Standing | None:
    far = far_of(config.offsite)
    return standing(session, far.name, config.offsite.keep, at) if far else None


def _of_copies(there: Standing | None) -> list[Problem]:
    """Not what has just been made: a copy takes its time."""
    told = not_copied(there) if there and there.failing else None
    return [Problem(Level.WARNING, told)] if told else []


def _of_keys(depot: Depot, at: datetime) -> list[Problem]:
    return [Problem(Level.WARNING, told) for told in Ring(depot.keys.folder).doubts(at)]


def _last_drilled(rows: Sequence[Backup]) -> Backup | None:
    drilled = [(row.drilled_at, row.id, row) for row in rows if row.drilled_at]
    return max(drilled)[2] if drilled else None


def _problems(
    rows: Sequence[Backup], plans: Sequence[BackupSchedule], overdue: Sequence[Sentence], free: int
) -> list[Problem]:
    """The worst first."""
    good = [row for row in rows if row.state in GOOD]
    found = [Problem(Level.CRITICAL, sentence) for sentence in overdue]
    if not good:
        told = N_("There is no backup that is known to be good.")
        found.append(Problem(Level.CRITICAL, Sentence(told)))
    if not any(one.enabled for one in plans):
        told = N_("No backup is scheduled: they are made only when somebody asks for one.")
        found.append(Problem(Level.WARNING, Sentence(told)))
    for state, told in _BAD.items():
        if count := sum(row.state == state for row in rows):
            found.append(Problem(Level.WARNING, Sentence(told, {"count": count})))
    newest = next((row for row in good if row.engine), None)
    if newest and newest.drilled_at is None:
        values = {"file": newest.file}
        told = N_("The newest backup, %(file)s, has not been restored on trial.")
        found.append(Problem(Level.WARNING, Sentence(told, values)))
    if newest and free < 2 * newest.size:
        told = N_("Only %(free)s MB are free where the backups are. Make room.")
        found.append(Problem(Level.WARNING, Sentence(told, {"free": free // 2**20})))
    return found


_BAD = {
    State.CORRUPT: N_("Damaged backups: %(count)s."),
    State.MISSING: N_("Backups whose file is missing: %(count)s."),
    State.INCOMPLETE: N_("Backups that lack files of the media folder: %(count)s."),
}


def _key_confirmed(depot: Depot, rows: Sequence[Backup]) -> bool | None:
    if not depot.keys.recipients():
        return None
    proved = any(key.in_force and key.proved_at for key in Ring(depot.keys.folder).known())
    return proved or any(row.encrypted and row.drilled_at for row in rows)


def _there(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(path for path in (folder, *folder.parents) if path.exists())
