"""Removing backups by the rules, into the trash first; and what else has had its time."""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from app.audit.trail import note
from app.backups import catalogue
from app.backups.depot import Depot
from app.backups.journal import Journal, Step
from app.backups.manifest import Made
from app.backups.models import GOOD, Backup, State, needs_of
from app.backups.restore import forget_kept, settle
from app.backups.retention import Candidate, Policy, Verdict, decide
from app.backups.schedule import PRESETS, kept_of_each
from app.core.clock import now
from app.core.db import persist
from app.core.text import N_, RequestError

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
    verdicts = decide(policy, map(_candidate, rows), now(), zone, kept_of_each())
    return Pruned(verdicts, {row.id: row.file for row in rows})


def prune(depot: Depot, policy: Policy, zone: ZoneInfo) -> Pruned:
    """Move what no rule keeps into the trash, and empty it of what lay there for a day.

    Old data of restores past their days go too. Hold the depot's lock.
    """
    settle(depot)
    planned = plan(policy, zone)
    for verdict in planned.removed:
        _throw_away(depot, planned.files[verdict.candidate.id])
        catalogue.forget(verdict.candidate.id)
    _empty_trash(depot.trash)
    _forget_old_restores(depot)
    return planned


def throw_away(depot: Depot, backup: Backup) -> None:
    """Move one into the trash because somebody says so.

    RequestError when it is pinned or the last good one of its type. Hold the depot's lock.
    """
    about = ("backup", backup.id)
    others = [row for row in catalogue.all_backups() if row.id != backup.id]
    left = any(row.type == backup.type and row.state in GOOD for row in others)
    if backup.pinned:
        raise RequestError(N_("%(file)s is pinned and stays."), file=backup.file)
    if backup.state in GOOD and not left:
        raise RequestError(
            N_(
                "%(file)s stays: it is the last backup of its type that is known to be good. "
                "Make another one first."
            ),
            file=backup.file,
        )
    if built := next((row for row in others if backup.id in needs_of(row)), None):
        raise RequestError(
            N_("%(file)s stays: %(other)s builds on it. Delete that one first."),
            file=backup.file,
            other=built.file,
        )
    _throw_away(depot, backup.file)
    persist(lambda session: note(session, "backup.delete", about, before={"file": backup.file}))
    catalogue.forget(backup.id)


def _candidate(row: Backup) -> Candidate:
    ours = row.made == Made.SCHEDULED and row.trusted and row.name in PRESETS
    good = row.state in GOOD
    schedule = row.name if ours else None
    return Candidate(row.id, row.type, row.at, good, row.pinned, schedule, needs_of(row))


def _throw_away(depot: Depot, name: str) -> None:
    depot.trash.mkdir(mode=0o700, exist_ok=True)
    thrown = depot.trash / name
    with contextlib.suppress(FileNotFoundError):
        (depot.folder / name).replace(thrown)
        os.utime(thrown)  # its day in the trash begins now


def _empty_trash(trash: Path) -> None:
    for path in trash.iterdir() if trash.is_dir() else ():
        if time.time() - path.stat().st_mtime > TRASH_S:
            path.unlink(missing_ok=True)


def _forget_old_restores(depot: Depot) -> None:
    journal = Journal(depot.folder)
    for entry in journal.entries():
        if entry.keeps and entry.step is not Step.SWAPPING and entry.kept_until < now():
            forget_kept(depot, entry)
            journal.put(entry)
