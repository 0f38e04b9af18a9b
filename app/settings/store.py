"""Stored settings: reading, changing, and what is in force with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.trail import HIDDEN, note, who
from app.core.clock import now
from app.core.db import one_at_a_time
from app.core.text import N_, RequestError, Sentence
from app.settings.catalogue import ENTRIES, Entry, entry_of
from app.settings.cipher import locked, opened
from app.settings.models import Setting
from config import Config, ConfigError, Problem

VERSION = "version"  # the row that counts the changes
LONGEST = 2000


class InBothTongues(Sentence, frozen=True):
    """A sentence of config.py, which brings its own translation along."""

    def to(self, language: str) -> str:
        """The sentence in `language`."""
        return str(self.values["tr" if language == "tr" else "en"])


def _told(problem: Problem) -> Sentence:
    return InBothTongues("", {"en": problem.english, "tr": problem.turkish})


class UnfitError(RequestError):
    """The value will not do; the sentence is config.py's."""

    def __init__(self, error: ConfigError) -> None:
        self.sentence = _told(error.problems[0])
        Exception.__init__(self, error.problems[0].english)


@dataclass(frozen=True, slots=True)
class InForce:
    """The configuration with what is stored, and what of that cannot be used."""

    config: Config
    stored: Mapping[str, str] = field(repr=False, default_factory=dict)  # what can be used
    problems: Mapping[str, Sentence] = field(default_factory=dict)  # by name


def version(session: Session) -> int:
    """How often something was changed; 0 when nothing ever was. One row by its key."""
    value: Any = session.scalar(select(Setting.value).where(Setting.key == VERSION))
    return value if isinstance(value, int) else 0


def rows(session: Session) -> Sequence[Setting]:
    """What is stored, by name."""
    query = select(Setting).where(Setting.key != VERSION).order_by(Setting.key)
    return session.scalars(query).all()


def in_force(session: Session, base: Config) -> InForce:
    """The configuration of the environment under what is stored. Never raises for a bad value.

    What cannot be decrypted or will not do is left out and named with the reason.
    """
    values, problems = _readable(rows(session), base.secret_key)
    try:
        return InForce(base.with_stored(values), values, problems)
    except ConfigError:
        return _one_by_one(base, values, problems)


def _readable(
    stored: Sequence[Setting], secret_key: str
) -> tuple[dict[str, str], dict[str, Sentence]]:
    values: dict[str, str] = {}
    problems: dict[str, Sentence] = {}
    for row in stored:
        entry, value = ENTRIES.get(row.key), _plain(row, secret_key)
        if entry is None:
            problems[row.key] = Sentence(N_("%(name)s is not a setting."), {"name": row.key})
        elif value is None:
            problems[row.key] = Sentence(_CANNOT_BE_READ, {"name": row.key})
        else:
            values[row.key] = value
    return values, problems


_CANNOT_BE_READ = N_(
    "%(name)s cannot be read: it was stored with another SECRET_KEY. "
    "The environment's value is used; set it again."
)


def _plain(row: Setting, secret_key: str) -> str | None:
    if not isinstance(row.value, str):
        return None
    return opened(row.value, secret_key) if row.encrypted else row.value


def _one_by_one(
    base: Config, values: Mapping[str, str], problems: Mapping[str, Sentence]
) -> InForce:
    """Each value that does no harm to those before it."""
    good: dict[str, str] = {}
    found, config = dict(problems), base
    for name in sorted(values, key=_rank):
        try:
            config = base.with_stored(good | {name: values[name]})
            good[name] = values[name]
        except ConfigError as error:
            found[name] = _told(error.problems[0])
    return InForce(config, good, found)


def _rank(name: str) -> tuple[bool, bool, str]:
    """SOURCES before what leans on it, a bucket after the key that it needs."""
    return (name != "SOURCES", name == "OFFSITE_BUCKET", name)


def put(session: Session, base: Config, name: str, value: str) -> None:
    """Store a setting. RequestError says what is wrong with the value; then nothing is changed."""
    put_many(session, base, {name: value})


def put_many(session: Session, base: Config, wanted: Mapping[str, str | None]) -> list[str]:
    """Store some settings together; None gives the environment its say again.

    Returns the names that changed. RequestError when one will not do, or they do not fit together.
    """
    one_at_a_time(session, "settings")
    entries = {entry_of(name): value for name, value in wanted.items()}
    before = in_force(session, base)
    after = dict(before.stored)
    for entry, value in entries.items():
        after.pop(entry.name, None)
        if value is not None:
            after[entry.name] = _checked(entry, value)
    try:
        base.with_stored(after)
    except ConfigError as error:
        raise UnfitError(error) from error
    there = {row.key for row in rows(session)}
    changed = [
        entry
        for entry in entries
        if before.stored.get(entry.name) != after.get(entry.name)
        or (entry.name in there and entry.name not in after)
    ]
    for entry in changed:
        _write(session, base, entry, before.stored.get(entry.name), after.get(entry.name))
    if changed:
        _count(session)
    return [entry.name for entry in changed]


def drop(session: Session, base: Config, name: str) -> bool:
    """Give the environment its say again; False when nothing was stored."""
    return bool(put_many(session, base, {name: None}))


def _checked(entry: Entry, value: str) -> str:
    value = value.strip()
    if not value:
        raise RequestError(
            N_("%(name)s needs a value. To return to the environment's, unset it."),
            name=entry.name,
        )
    if len(value) > LONGEST or "\0" in value:
        raise RequestError(
            N_("The value of %(name)s is too long: at most %(most)s characters."),
            name=entry.name,
            most=LONGEST,
        )
    return value


def _write(session: Session, base: Config, entry: Entry, old: str | None, new: str | None) -> None:
    if new is None:
        session.delete(session.get_one(Setting, entry.name))
        note(session, "setting.unset", ("setting", entry.name), before=_shown(entry, old))
        return
    kept = locked(new, base.secret_key) if entry.secret else new
    session.merge(
        Setting(
            key=entry.name,
            value=kept,
            encrypted=entry.secret,
            updated_at=now(),
            updated_by=who(),
        )
    )
    changed = {"before": _shown(entry, old)} if old is not None and not entry.secret else {}
    note(session, "setting.set", ("setting", entry.name), after=_shown(entry, new), **changed)


def _shown(entry: Entry, value: str | None) -> dict[str, object]:
    return {"value": HIDDEN if entry.secret and value else value}


def _count(session: Session) -> None:
    session.merge(
        Setting(
            key=VERSION,
            value=version(session) + 1,
            encrypted=False,
            updated_at=now(),
            updated_by=who(),
        )
    )
