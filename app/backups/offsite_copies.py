"""The copies elsewhere as rows: what is still to be copied, what became of it, and what stays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.backups.depot import said_by_name
from app.backups.models import GOOD, Backup, FarCopy
from app.backups.offsite import Sent
from app.backups.retention import Candidate, Policy, decide
from app.core.db import insert_into
from app.core.text import Sentence

TRY_AGAIN = timedelta(hours=6)  # after a job has given up
LATE = timedelta(hours=2)  # a good backup that is not there after so long is a problem
BLIPS = 3  # so many failures in a row are one


@dataclass(frozen=True, slots=True)
class Standing:
    """How the far side stands to the good backups here."""

    store: str
    copied: int
    waiting: Sequence[Backup]  # ought to be there and are not, the newest first
    failing: Sequence[FarCopy]  # of these, those whose last try failed
    newest: datetime | None  # the newest data that are there
    lag_s: float | None  # how much older that is than the newest good backup; None: nothing there


def copies(session: Session, store: str) -> Mapping[str, FarCopy]:
    """Every row about that store, by file name."""
    rows = session.scalars(select(FarCopy).where(FarCopy.store == store))
    return {row.file: row for row in rows}


def of_file(session: Session, file: str) -> Sequence[FarCopy]:
    """Every row about one archive, in whichever store."""
    return session.scalars(select(FarCopy).where(FarCopy.file == file)).all()


def standing(session: Session, store: str, keep: int, at: datetime) -> Standing:
    """What is there, and what ought to be."""
    known = copies(session, store)
    good = session.scalars(select(Backup).where(Backup.state.in_(GOOD))).all()
    waiting = wanted(good, known, keep, at)
    there = [row.at for row in known.values() if row.verified_at]
    newest = max(there, default=None)
    best = max((row.at for row in good), default=None)
    lag = max((best - newest).total_seconds(), 0.0) if best and newest else None
    failing = [known[row.file] for row in waiting if row.file in known and known[row.file].message]
    return Standing(store, len(there), waiting, failing, newest, lag)


def wanted(
    good: Sequence[Backup], known: Mapping[str, FarCopy], keep: int, at: datetime
) -> list[Backup]:
    """The good backups that are not there and would stay if they were, the newest first. Pure."""
    there = [row for row in known.values() if row.verified_at]
    ours = [row for row in good if row.file not in {copy.file for copy in there}]
    stay = _staying([*there, *ours], keep, at)
    return sorted(
        (row for row in ours if row.file in stay), key=lambda row: (row.at, row.id), reverse=True
    )


def due(session: Session, store: str, keep: int, at: datetime) -> list[Backup]:
    """What a job should be submitted for now: not what has failed a while ago."""
    known = copies(session, store)
    found = standing(session, store, keep, at).waiting
    return [row for row in found if _may_try(known.get(row.file), at)]


def _may_try(copy: FarCopy | None, at: datetime) -> bool:
    return copy is None or copy.failed_at is None or copy.failed_at + TRY_AGAIN < at


def to_remove(known: Mapping[str, FarCopy], keep: int, at: datetime) -> list[str]:
    """Copies that need not stay: beyond `keep` of each type, never the newest. Pure.

    Only what was sent from here and read back is looked at; of what else lies there nothing goes.
    """
    there = [row for row in known.values() if row.verified_at]
    stay = _staying(there, keep, at)
    return [row.file for row in there if row.file not in stay]


def _staying(rows: Sequence[FarCopy | Backup], keep: int, at: datetime) -> set[str]:
    """The newest `keep` of each type, and what they build on."""
    candidates = [Candidate(row.file, row.type, row.at, good=True) for row in rows]
    decided = decide(Policy(count=keep), candidates, at, ZoneInfo("UTC"))
    stay = {one.candidate.id for one in decided if one.keep}
    needed = {one for row in rows if row.file in stay for one in (row.needs or "").split()}
    return stay | {row.file for row in rows if _id_of(row) in needed}


def _id_of(row: FarCopy | Backup) -> str | None:
    return row.id if isinstance(row, Backup) else row.backup_id


# --- writing --------------------------------------------------------------------------------------


def note_sent(session: Session, store: str, backup: Backup, sent: Sent, at: datetime) -> None:
    """It is there and was read back."""
    found = {"size": sent.size, "sha256": sent.sha256, "verified_at": at, "failures": 0}
    _put(session, store, backup, {**found, "failed_at": None, "message": None})


def note_failed(
    session: Session, store: str, backup: Backup, message: Sentence, at: datetime
) -> None:
    """It could not be brought there."""
    row = session.get(FarCopy, (store, backup.file))
    failures = row.failures + 1 if row else 1
    found = {"failures": failures, "failed_at": at, "message": message, "verified_at": None}
    _put(session, store, backup, found)


def _put(session: Session, store: str, backup: Backup, found: dict[str, Any]) -> None:
    row = {"store": store, "file": backup.file, "type": backup.type, "at": backup.at, **found}
    row |= {"backup_id": backup.id, "needs": backup.needs}
    row.setdefault("failures", 0)
    statement = insert_into(session, FarCopy).values(**row)
    keys = ("store", "file")
    changed = {name: value for name, value in row.items() if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def forget(session: Session, store: str, file: str) -> None:
    """It is not there any more."""
    session.execute(delete(FarCopy).where(FarCopy.store == store, FarCopy.file == file))


def compare(session: Session, store: str, there: Mapping[str, int]) -> list[str]:
    """Bring the rows in line with what lies there; what is new is seen, not verified.

    Returns the file names whose copy is gone or has another size: they are to be copied again.
    """
    known = copies(session, store)
    lost = [name for name, row in known.items() if row.size not in (None, there.get(name))]
    for name in lost:
        forget(session, store, name)
    for name in there.keys() - known.keys():
        if told := said_by_name(name):
            row = {"store": store, "file": name, "type": told[0], "at": told[1], "failures": 0}
            statement = insert_into(session, FarCopy).values(**row, size=there[name])
            session.execute(statement.on_conflict_do_nothing())
    return lost
