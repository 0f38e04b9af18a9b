"""The settings that can be changed while everything runs: the variables of config.py, in groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.text import N_, RequestError
from config import BACKUP_MAIL, KNOWN_SOURCES, LANGUAGES, MAIL_BACKENDS, MAIL_TLS


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting: its variable, what people call it, and how it is asked for."""

    name: str
    label: str
    secret: bool = False
    choices: tuple[str, ...] = ()
    hint: str = ""


GENERAL = (
    Entry("TIME_ZONE", N_("Time zone"), hint=N_("Such as Europe/Istanbul.")),
    Entry("LANGUAGE", N_("Language"), choices=LANGUAGES, hint=N_("For who has not chosen one.")),
    Entry("PUBLIC_URL", N_("Address of the panel"), hint=N_("What links in mails begin with.")),
    Entry("FRESH_HOURS", N_("Hours a fetch stays fresh"), hint=N_("What the forms propose.")),
)
KEEPING = (
    Entry("KEEP_HISTORY_DAYS", N_("Days the history of jobs is kept")),
    Entry("KEEP_REQUESTS_DAYS", N_("Days the log of requests is kept")),
    Entry("KEEP_AUDIT_DAYS", N_("Days the audit log is kept")),
)
MAIL = (
    Entry(
        "MAIL_BACKEND",
        N_("How mail is sent"),
        choices=MAIL_BACKENDS,
        hint=N_("“file” and “console” only for trying out."),
    ),
    Entry("MAIL_FROM", N_("Sender"), hint=N_("Such as Fikstür <fikstur@example.com>.")),
    Entry("SMTP_HOST", N_("Mail server")),
    Entry("SMTP_PORT", N_("Port")),
    Entry(
        "SMTP_TLS",
        N_("Encryption"),
        choices=MAIL_TLS,
        hint=N_("“starttls” with port 587, “tls” with port 465."),
    ),
    Entry("SMTP_USER", N_("User name")),
    Entry("SMTP_PASSWORD", N_("Password"), secret=True),
)
BACKUPS = (
    Entry(
        "BACKUP_MAIL",
        N_("Mail about backups"),
        choices=BACKUP_MAIL,
        hint=N_("To administrators: “all” with a weekly summary, “failures” without."),
    ),
    Entry("OFFSITE_FOLDER", N_("Copy to a folder"), hint=N_("On another disk, such as /mnt/nas.")),
    Entry("OFFSITE_BUCKET", N_("Copy to a bucket"), hint=N_("Of any S3-compatible store.")),
    Entry(
        "OFFSITE_ENDPOINT",
        N_("Address of the store"),
        hint=N_("Such as https://s3.example.com; empty: Amazon's."),
    ),
    Entry("OFFSITE_REGION", N_("Region")),
    Entry("OFFSITE_PREFIX", N_("Names there begin with")),
    Entry("OFFSITE_KEY_ID", N_("Access key")),
    Entry("OFFSITE_SECRET", N_("Secret key"), secret=True),
    Entry("OFFSITE_KEEP", N_("How many of each type stay there")),
)
ASKING = (
    Entry("SOURCES", N_("Sources switched on"), hint=N_("Names separated by commas.")),
    Entry(
        "FAILOVER",
        N_("Asked one after the other"),
        hint=N_("Two or more of them in their order, or nothing: then each is asked."),
    ),
    Entry(
        "SOFASCORE_PERMITTED",
        N_("SofaScore: I have an agreement with it"),
        choices=("0", "1"),
        hint=N_("1 declares that you may use it."),
    ),
)


def of_source(name: str) -> tuple[Entry, ...]:
    """What can be set of one source."""
    upper = name.upper()
    return (
        Entry(f"{upper}_BASE_URL", N_("Address"), hint=N_("Empty: the provider's own.")),
        Entry(f"{upper}_TOKEN", N_("Key"), secret=True),
        Entry(f"{upper}_LIMITS", N_("Limit"), hint=N_("Requests/seconds: 9/60, or none.")),
    )


GROUPS: Mapping[str, Sequence[Entry]] = {
    N_("General"): GENERAL,
    N_("Kept for how long"): KEEPING,
    N_("Mail"): MAIL,
    N_("Backups"): BACKUPS,
    N_("Sources"): (*ASKING, *(entry for name in KNOWN_SOURCES for entry in of_source(name))),
}
ENTRIES: Mapping[str, Entry] = {
    entry.name: entry for entries in GROUPS.values() for entry in entries
}


def entry_of(name: str) -> Entry:
    """The setting of that name, whatever its case. RequestError when there is none."""
    entry = ENTRIES.get(name.upper())
    if entry is None:
        raise RequestError(
            N_("“%(name)s” cannot be set here. See: flask --app wsgi settings list"), name=name
        )
    return entry
