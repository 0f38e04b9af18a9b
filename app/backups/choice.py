"""A part of an archive: some tables, one section of the settings, or a piece of the media."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.backups.archive import Archive
from app.backups.carry import STAYS
from app.backups.media import is_plain
from app.backups.schema import CARRIED, head, schema_at
from app.core.text import N_, RequestError
from app.settings.catalogue import GROUPS
from app.settings.models import Setting

# The ledger adds up only as a whole, and workers hold numbers of it in their hands.
LEDGER = frozenset({"job", "job_item", "job_event", "worker"})

# What a command calls a section -> its title in the panel.
SECTIONS: Mapping[str, str] = {
    "general": "General",
    "keeping": "Kept for how long",
    "mail": "Mail",
    "backups": "Backups",
    "sources": "Sources",
}


@dataclass(frozen=True, slots=True)
class Part:
    """What of an archive is wanted; everything when nothing is said."""

    tables: tuple[str, ...] = ()
    section: str | None = None  # of SECTIONS
    media: str | None = None  # a path in the media folder; "": all of it

    @property
    def is_all(self) -> bool:
        return not self.tables and self.section is None and self.media is None

    @property
    def told(self) -> str:
        """For the journal and the audit log."""
        if self.section is not None:
            return f"settings: {self.section}"
        return f"media: {self.media or '/'}" if self.media is not None else ", ".join(self.tables)

    @property
    def live_tables(self) -> tuple[str, ...]:
        """The tables whose rows it changes."""
        return (Setting.__tablename__,) if self.section is not None else self.tables

    def as_params(self) -> dict[str, Any]:
        """For the params of a job."""
        return {"tables": list(self.tables), "section": self.section, "media": self.media}


def part_of(
    tables: Sequence[str] = (), section: str | None = None, media: str | None = None
) -> Part:
    """What somebody wants. RequestError names what there is not, or cannot be had by itself."""
    if (bool(tables) + (section is not None) + (media is not None)) > 1:
        raise RequestError(
            N_("Tables, settings and media are restored one after the other: choose one of them.")
        )
    if section is not None and section not in SECTIONS:
        raise RequestError(
            N_("“%(section)s” is no section of the settings. Known are: %(known)s."),
            section=section,
            known=", ".join(SECTIONS),
        )
    return Part(_checked_tables(tables), section, None if media is None else _checked_path(media))


def from_params(params: Mapping[str, Any]) -> Part:
    """What `as_params` gave."""
    return part_of(params.get("tables") or (), params.get("section"), params.get("media"))


def choosable() -> list[str]:
    """The tables that can be restored by themselves."""
    return [table.name for table in schema_at(head()).tables if table.name not in LEDGER | STAYS]


def names_in(section: str) -> frozenset[str]:
    """The settings of a section."""
    return frozenset(entry.name for entry in GROUPS[SECTIONS[section]])


def _checked_tables(wanted: Sequence[str]) -> tuple[str, ...]:
    known = choosable()
    for name in wanted:
        if name in LEDGER:
            raise RequestError(
                N_("%(table)s is of the ledger, which is restored with everything or not at all."),
                table=name,
            )
        if name in STAYS or name in CARRIED:
            raise RequestError(N_("%(table)s is never taken back by a restore."), table=name)
        if name not in known:
            raise RequestError(
                N_("There is no table “%(table)s”. Known are: %(known)s."),
                table=name,
                known=", ".join(known),
            )
    return tuple(name for name in known if name in wanted)  # parents first


def _checked_path(text: str) -> str:
    path = text.strip().replace("\\", "/").strip("/")
    if path in ("", "."):
        return ""
    if not is_plain(path):
        raise RequestError(
            N_("“%(path)s” is no path in the media folder: write it as logos/2026."), path=text
        )
    return path


def refuse_without_part(archive: Archive, part: Part) -> None:
    """RequestError when the archive has nothing of the kind."""
    manifest = archive.manifest
    lacks_media = part.media is not None and manifest.media is None
    if lacks_media or (part.live_tables and manifest.database is None):
        raise RequestError(
            N_("%(file)s holds none of it: %(part)s."), file=archive.path.name, part=part.told
        )
