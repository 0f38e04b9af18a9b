"""The settings for people and programs: what is in force and where it comes from. No secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from app.audit.trail import HIDDEN
from app.core.text import N_, Sentence
from app.settings.catalogue import GROUPS, Entry
from app.settings.models import Setting
from app.settings.store import in_force, rows
from config import Config, SourceSettings


class Origin(StrEnum):
    """Where a value comes from."""

    STORED = "stored"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


ORIGINS: Mapping[str, str] = {
    Origin.STORED: N_("set here"),
    Origin.ENVIRONMENT: N_("from the environment"),
    Origin.DEFAULT: N_("the default"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as it is in force; of a secret only whether there is one."""

    entry: Entry
    group: str
    value: str
    origin: Origin
    problem: Sentence | None  # why what is stored is not used
    is_stored: bool
    updated_by: str | None
    updated_at: datetime | None


def lines(session: Session, base: Config) -> Sequence[Line]:
    """All of them in their order, from what is stored at this moment."""
    now, kept = in_force(session, base), {row.key: row for row in rows(session)}

    def line(group: str, entry: Entry) -> Line:
        row: Setting | None = kept.get(entry.name)
        return Line(
            entry,
            group,
            _shown(now.config, entry),
            _origin(base, now.stored, entry.name),
            now.problems.get(entry.name),
            row is not None,
            row.updated_by if row else None,
            row.updated_at if row else None,
        )

    return [line(group, entry) for group, entries in GROUPS.items() for entry in entries]


def line_as_dict(line: Line, language: str) -> dict[str, Any]:
    """As JSON says it."""
    return {
        "name": line.entry.name,
        "value": line.value,
        "secret": line.entry.secret,
        "origin": line.origin.value,
        "problem": line.problem.to(language) if line.problem else None,
        "updated_by": line.updated_by,
        "updated_at": line.updated_at.isoformat() if line.updated_at else None,
    }


def _origin(base: Config, stored: Mapping[str, str], name: str) -> Origin:
    if name in stored:
        return Origin.STORED
    given = name in base.given or f"{name}_FILE" in base.given
    return Origin.ENVIRONMENT if given else Origin.DEFAULT


def _shown(config: Config, entry: Entry) -> str:
    value = _value(config, entry.name)
    if entry.secret:
        return HIDDEN if value else ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)


def _value(config: Config, name: str) -> object:
    """What the configuration holds under the name of a variable."""
    if name in {"MAIL_BACKEND", "MAIL_FROM"}:
        return config.mail.backend if name == "MAIL_BACKEND" else config.mail.sender
    if name.startswith("SMTP_"):
        return getattr(config.mail, name.removeprefix("SMTP_").lower())
    if name.startswith("OFFSITE_"):
        return getattr(config.offsite, name.removeprefix("OFFSITE_").lower())
    if name == "BACKUP_MAIL":
        return config.backup.mail
    for source, settings in config.source_settings.items():
        what = name.removeprefix(f"{source.upper()}_")
        if what in {"BASE_URL", "TOKEN", "LIMITS"}:
            return _of_source(settings, what)
    return getattr(config, name.lower())


def _of_source(settings: SourceSettings, what: str) -> object:
    if what != "LIMITS":
        return settings.base_url if what == "BASE_URL" else settings.token
    if settings.limits is None:
        return None
    return tuple(f"{count}/{seconds:g}" for count, seconds in settings.limits) or "none"
