"""Backups as plain values, for JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.backups.journal import Entry
from app.backups.keyring import Key
from app.backups.manifest import Made, Type
from app.backups.models import Backup, BackupSchedule, FarCopy, State, needs_of
from app.backups.preview import Preview
from app.backups.previews import Found
from app.backups.progress import Progress
from app.backups.prune import Pruned
from app.backups.schedule import facts, next_run
from app.backups.status import Status
from app.core.text import N_, Sentence

WORDS: Mapping[str, str] = {
    State.WRITTEN: N_("not checked"),
    State.CORRUPT: N_("damaged"),
    State.MISSING: N_("file missing"),
    State.INCOMPLETE: N_("incomplete"),
    State.VERIFIED: N_("verified"),
    State.DRILLED: N_("restored on trial"),
}
MADE: Mapping[str, str] = {
    Made.MANUAL: N_("by hand"),
    Made.SCHEDULED: N_("by a schedule"),
    Made.SAFETY: N_("before a restore"),
}
TYPES: Mapping[str, str] = {
    Type.FULL: N_("database, media and settings"),
    Type.DATABASE: N_("database"),
    Type.MEDIA: N_("media"),
    Type.SETTINGS: N_("settings"),
}
STEPS: Mapping[str, str] = {
    "snapshot": N_("taking a snapshot"),
    "table": N_("writing %(what)s"),
    "media": N_("media files"),
    "settings": N_("writing the settings"),
    "manifest": N_("signing"),
    "rename": N_("finishing"),
    "hashes": N_("checking the hashes"),
    "contents": N_("checking the contents"),
    "load": N_("loading %(what)s"),
    "compare": N_("comparing %(what)s"),
    "migrate": N_("migrating"),
    "swap": N_("exchanging"),
    "place": N_("putting %(what)s in place"),
    "upload": N_("sending"),
    "read_back": N_("reading back"),
    "download": N_("bringing back"),
    "try_out": N_("trying out"),
}


def step_told(step: str) -> Sentence:
    """What is being done, in words."""
    name, _, what = step.partition(" ")
    return Sentence(STEPS.get(name, name), {"what": what})


def backup_as_dict(row: Backup, language: str) -> dict[str, Any]:
    """One row of the catalogue."""
    return {
        "id": row.id,
        "file": row.file,
        "name": row.name,
        "type": row.type,
        "made": row.made,
        "state": row.state,
        "at": _time(row.at),
        "size": row.size,
        "rows": row.rows,
        "engine": row.engine,
        "revision": row.revision,
        "needs": sorted(needs_of(row)),
        "encrypted": row.encrypted,
        "trusted": row.trusted,
        "pinned": row.pinned,
        "verified_at": _time(row.verified_at),
        "drilled_at": _time(row.drilled_at),
        "drill_s": row.drill_s,
        "message": row.message.to(language) if row.message else None,
        "job_id": row.job_id,
    }


def schedule_as_dict(schedule: BackupSchedule, zone: str, at: datetime) -> dict[str, Any]:
    """One schedule: its fields, the last due time that was taken and the next one."""
    return {
        "name": schedule.name,
        **facts(schedule),
        "taken_at": _time(schedule.taken_at),
        "next_run": _time(next_run(schedule, zone, at)),
    }


def status_as_dict(found: Status, language: str) -> dict[str, Any]:
    """The answer to "are the backups in order?"; ages and lengths in seconds, sizes in bytes."""
    drill, good = found.last_drill, found.last_good
    return {
        "status": found.level.value,
        "last_success": _time(good.at) if good else None,
        "age_s": None if found.age_s is None else round(found.age_s),
        "next_run": _time(found.next_run),
        "overdue": bool(found.late),
        "last_drill": {
            "at": _time(drill.drilled_at),
            "ok": drill.state == State.DRILLED,
            "rto_s": drill.drill_s,
        }
        if drill
        else None,
        "verified_count": found.good,
        "bytes": found.size,
        "free_bytes": found.free,
        "off_site_lag_s": _lag(found),
        "off_site": _far_as_dict(found),
        "running": [_progress_as_dict(one, language) for one in found.in_hand],
        "key_confirmed": found.key_confirmed,
        "problems": [problem.sentence.to(language) for problem in found.problems],
    }


def _lag(found: Status) -> int | None:
    lag = found.offsite.lag_s if found.offsite else None
    return None if lag is None else round(lag)


def _far_as_dict(found: Status) -> dict[str, Any] | None:
    if found.offsite is None:
        return None
    there = found.offsite
    return {
        "store": there.store,
        "copied": there.copied,
        "waiting": len(there.waiting),
        "failing": len(there.failing),
        "newest": _time(there.newest),
    }


def far_copy_as_dict(row: FarCopy, language: str) -> dict[str, Any]:
    """One archive on the far side, or one that should be there."""
    return {
        "file": row.file,
        "store": row.store,
        "type": row.type,
        "at": _time(row.at),
        "size": row.size,
        "sha256": row.sha256,
        "verified_at": _time(row.verified_at),
        "failures": row.failures,
        "message": row.message.to(language) if row.message else None,
    }


def key_as_dict(key: Key, opens: int) -> dict[str, Any]:
    """One recovery key by its public half; how many backups it opens."""
    return {
        "fingerprint": key.short,
        "recipient": key.recipient,
        "in_force": key.in_force,
        "made_at": _time(key.made_at),
        "proved_at": _time(key.proved_at),
        "retired_at": _time(key.retired_at),
        "opens": opens,
        "challenge": key.challenge or None,
    }


def _progress_as_dict(one: Progress, language: str) -> dict[str, Any]:
    return {
        "id": one.job_id,
        "kind": one.kind,
        "step": step_told(one.step).to(language),
        "percent": one.percent,
        "eta_s": None if one.left_s is None else round(one.left_s),
    }


def preview_as_dict(found: Preview | Found, language: str) -> dict[str, Any]:
    """What a restore would change."""
    return {
        "tables": [
            {
                "table": table.name,
                "now": table.now,
                "in_backup": table.in_backup,
                "lost": table.lost,
                "back": table.back,
                "changed": table.changed,
            }
            for table in found.tables
        ],
        "warnings": [warning.to(language) for warning in found.warnings],
    }


def entry_as_dict(entry: Entry) -> dict[str, Any]:
    """One line of the journal."""
    return {
        "id": entry.id,
        "what": entry.what,
        "backup_id": entry.backup_id,
        "file": entry.file,
        "by": entry.by,
        "at": _time(entry.at),
        "state": entry.step.value,
        "seconds": entry.seconds,
        "stopped_s": entry.stopped_s,
        "part": entry.part,
        "undo_until": _time(entry.kept_until) if entry.keeps else None,
    }


def pruned_as_list(pruned: Pruned, language: str) -> list[dict[str, Any]]:
    """Every backup that was looked at, newest first, with the reasons."""
    return [
        {
            "id": verdict.candidate.id,
            "file": pruned.files[verdict.candidate.id],
            "keep": verdict.keep,
            "why": [reason.to(language) for reason in verdict.why],
        }
        for verdict in pruned.verdicts
    ]


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
