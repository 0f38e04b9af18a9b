"""The audit log for people and programs: its words, its filter, its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.audit.models import AuditEntry
from app.audit.trail import Via
from app.core.text import N_

ACTIONS: Mapping[str, str] = {
    "user.create": N_("User created"),
    "user.invite": N_("User invited"),
    "user.change": N_("User changed"),
    "user.password": N_("Password changed"),
    "user.sign_out": N_("Signed out everywhere"),
    "user.reset": N_("Reset link sent"),
    "user.delete": N_("User deleted"),
    "setting.set": N_("Setting changed"),
    "setting.unset": N_("Setting removed"),
    "source.pause": N_("Source paused"),
    "source.resume": N_("Source resumed"),
    "source.reset": N_("Source reset"),
    "match.renormalise": N_("Matches corrected"),
    "day.accept": N_("Shorter list accepted"),
    "job.submit": N_("Job submitted"),
    "job.cancel": N_("Job cancelled"),
    "job.pause": N_("Job paused"),
    "job.resume": N_("Job resumed"),
    "backup.restore": N_("Backup restored"),
    "backup.undo": N_("Restore undone"),
    "backup.schedule": N_("Backup schedule changed"),
    "backup.download": N_("Backup downloaded"),
    "backup.upload": N_("Backup uploaded"),
    "backup.key.propose": N_("Recovery key proposed"),
    "backup.key.prove": N_("Recovery key proved"),
    "backup.key.retire": N_("Recovery key retired"),
    "backup.delete": N_("Backup deleted"),
    "view.save": N_("View saved"),
    "view.change": N_("View changed"),
    "view.delete": N_("View deleted"),
}
KINDS: Mapping[str, str] = {
    "user": N_("User"),
    "setting": N_("Setting"),
    "source": N_("Source"),
    "job": N_("Job"),
    "day": N_("Day"),
    "backup": N_("Backup"),
    "view": N_("View"),
}
VIAS: Mapping[str, str] = {
    Via.PANEL: N_("panel"),
    Via.CLI: N_("command line"),
    Via.API: N_("API"),
    Via.SCHEDULE: N_("schedule"),
    Via.SYSTEM: N_("system"),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; None leaves a column open. `since` is included, `until` is not."""

    who: str | None = None
    action: str | None = None
    kind: str | None = None
    object: str | None = None
    via: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def matching(wanted: Filter, before: int | None = None) -> Select[AuditEntry]:
    """The entries that fit, the newest first; with `before` those older than that one."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc())
    for name in ("who", "action", "kind", "object", "via"):
        if value := getattr(wanted, name):
            query = query.where(getattr(AuditEntry, name) == value)
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    return query if before is None else query.where(AuditEntry.id < before)


def entries(
    session: Session, wanted: Filter, *, before: int | None = None, most: int
) -> Sequence[AuditEntry]:
    """At most so many of them."""
    return session.scalars(matching(wanted, before).limit(most)).all()


def entry_as_dict(entry: AuditEntry) -> dict[str, Any]:
    """As JSON says it."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "via": entry.via,
        "address": entry.address,
        "action": entry.action,
        "kind": entry.kind,
        "object": entry.object,
        "before": entry.before,
        "after": entry.after,
    }


def in_one_line(values: Mapping[str, Any] | None) -> str:
    """The fields of one side, for a cell of a table."""
    return ", ".join(f"{name}: {_plain(value)}" for name, value in (values or {}).items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "–" if value is None or value == "" else str(value)
