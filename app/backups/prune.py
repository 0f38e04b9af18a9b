"""Removing backups by the rules, into the trash first; and what else has had its time."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from app.backups import catalogue
from app.backups.depot import Depot
from app.backups.journal import Journal, Step
from app.backups.models import GOOD, Backup, State
from app.backups.restore import forget_kept, settle
from app.backups.retention import Candidate, Policy, Verdict, decide
from app.core.clock import now

TRASH_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was, or with a dry run would be, removed; and why the others stay."""

    verdicts: Sequence[Verdict]
    files: dict[str, str]  # id -> file name

    @property
    def removed(self) -> Sequence[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.keep]


def plan(policy: Policy, zone: ZoneInfo) -> Pruned:
    """What `prune` would do now. Backups whose file is missing are not looked at."""
    rows = [row for row in catalogue.all_backups() if row.state != State.MISSING]
    verdicts = decide(policy, map(_candidate, rows), now(), zone)
    return Pruned(verdicts, {row.id: row.file for row in rows})


def prune(depot: Depot, policy: Policy, zone: ZoneInfo) -> Pruned:
    """Move what no rule keeps into the trash, and empty it of what lay there for a day.

    Old data of restores past their days go too. Hold the depot's lock.
    """
    settle(depot)
    planned = plan(policy, zone)
    depot.trash.mkdir(mode=0o700, exist_ok=True)
    for verdict in planned.removed:
        _throw_away(depot, planned.files[verdict.candidate.id])
        catalogue.forget(verdict.candidate.id)
    _empty_trash(depot.trash)
    _forget_old_restores(depot)
    return planned


def _candidate(row: Backup) -> Candidate:
    return Candidate(row.id, row.type, row.at, row.state in GOOD, row.pinned)


def _throw_away(depot: Depot, name: str) -> None:
    thrown = depot.trash / name
    with contextlib.suppress(FileNotFoundError):
        (depot.folder / name).replace(thrown)
        os.utime(thrown)  # its day in the trash begins now


def _empty_trash(trash: Path) -> None:
    for path in trash.iterdir():
        if time.time() - path.stat().st_mtime > TRASH_S:
            path.unlink(missing_ok=True)


def _forget_old_restores(depot: Depot) -> None:
    journal = Journal(depot.folder)
    for entry in journal.entries():
        if entry.kept and entry.step is not Step.SWAPPING and entry.kept_until < now():
            forget_kept(depot, entry)
            journal.put(entry)
