"""Backups as plain values, for JSON."""

from datetime import UTC, datetime
from typing import Any

from app.backups.journal import Entry
from app.backups.models import Backup
from app.backups.preview import Preview
from app.backups.prune import Pruned


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
        "encrypted": row.encrypted,
        "trusted": row.trusted,
        "pinned": row.pinned,
        "verified_at": _time(row.verified_at),
        "drilled_at": _time(row.drilled_at),
        "drill_s": row.drill_s,
        "message": row.message.to(language) if row.message else None,
        "job_id": row.job_id,
    }


def preview_as_dict(found: Preview, language: str) -> dict[str, Any]:
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
        "undo_until": _time(entry.kept_until) if entry.kept else None,
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
