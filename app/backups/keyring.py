"""The recovery keys: proposed, proved, in force, retired. Of each only the public half is kept.

keyring.json     what is known of every key; who had it in hand, and when
recipients.txt   those in force: what backups are encrypted to (`keys.Keys` reads it)
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import filelock
import msgspec
import pyrage
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.backups.keys import Keys, recipient, replace_text
from app.core.clock import now
from app.core.text import N_, RequestError, Sentence

T = TypeVar("T")
SHOW_AGAIN_AFTER = timedelta(days=90)
IDENTITY = "AGE-SECRET-KEY-1"


class Key(msgspec.Struct, kw_only=True):
    """One recovery key, by its public half."""

    recipient: str
    made_at: datetime | None = None  # None: it was written into recipients.txt by hand
    proved_at: datetime | None = None  # when somebody last showed that he has the other half
    retired_at: datetime | None = None  # since then new backups do without it
    challenge: str = ""  # a short text for this key, as age encrypted it
    answer_hash: str = ""  # of that text
    in_force: bool = False

    @property
    def short(self) -> str:
        """What it is called where people compare."""
        return short_of(self.recipient)


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of an installation, in the folder of its other keys."""

    folder: Path

    def known(self) -> list[Key]:
        """Every key that is known, those in force first, each in the order in which it came."""
        in_force = Keys(self.folder).recipients()
        known = {key.recipient: key for key in self._read()}
        for line in in_force:
            known.setdefault(line, Key(recipient=line))
        for key in known.values():
            key.in_force = key.recipient in in_force
        return sorted(known.values(), key=lambda key: not key.in_force)

    def generate(self) -> tuple[str, Key]:
        """A new key: its secret half, which is kept nowhere, and what was noted of it."""
        identity = pyrage.x25519.Identity.generate()
        return str(identity), self.propose(str(identity.to_public()))

    def propose(self, line: str) -> Key:
        """Note a key by its public half. It is not in force until somebody proves that he has it.

        RequestError when it is no age recipient, or in force already.
        """
        line = line.strip()
        public = recipient(line)
        answer = secrets.token_hex(10)
        packed = pyrage.encrypt(f"{answer}\n".encode(), [public], armored=True).decode()

        def add(keys: list[Key]) -> Key:
            if any(key.recipient == line and key.in_force for key in keys):
                raise RequestError(N_("The key %(key)s is in force already."), key=short_of(line))
            keys[:] = [key for key in keys if key.recipient != line]
            hashed = _hash(answer)
            keys.append(Key(recipient=line, made_at=now(), challenge=packed, answer_hash=hashed))
            return keys[-1]

        return self._change(add)

    def prove(self, shown: str) -> Key:
        """Put the key in force of which somebody shows the secret half, or the decrypted text.

        RequestError when it is that of no key we know.
        """
        shown = shown.strip()

        def put(keys: list[Key]) -> Key:
            key = _shown_one(keys, shown)
            key.proved_at, key.retired_at, key.in_force = now(), None, True
            return key

        return self._change(put)

    def retire(self, name: str, *, last_too: bool = False) -> Key:
        """Encrypt no new backup to a key. RequestError for the last one, unless that is meant."""

        def drop(keys: list[Key]) -> Key:
            key = _named(keys, name)
            others = [one for one in keys if one.in_force and one is not key]
            if not others and not last_too:
                raise RequestError(
                    N_(
                        "%(key)s is the last key in force: without it new backups are not "
                        "encrypted. Put another one in force first, or say that this is meant."
                    ),
                    key=key.short,
                )
            key.in_force, key.retired_at = False, now()
            return key

        return self._change(drop)

    def doubts(self, at: datetime) -> list[Sentence]:
        """Keys in force that nobody has shown, or not for long."""
        return [told for key in self.known() if key.in_force and (told := _doubt(key, at))]

    # --- the files ---

    @property
    def _path(self) -> Path:
        return self.folder / "keyring.json"

    def _read(self) -> list[Key]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Key])
        except FileNotFoundError:
            return []
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RequestError(
                N_("%(path)s cannot be read: put back the file that was there, or move it away."),
                path=self._path,
            ) from error

    def _change(self, change: Callable[[list[Key]], T]) -> T:
        """One at a time; recipients.txt last, since it is what counts."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(self.folder / ".keyring.lock", timeout=10):
            keys = self.known()
            before = [key.recipient for key in keys if key.in_force]
            result = change(keys)
            after = [key.recipient for key in keys if key.in_force]
            replace_text(self._path, msgspec.json.format(msgspec.json.encode(keys)).decode())
            if before != after:
                replace_text(self.folder / "recipients.txt", "".join(f"{one}\n" for one in after))
        return result


def note_key(session: Session, what: str, key: Key) -> None:
    """Into the audit log: by its public half."""
    note(session, f"backup.key.{what}", ("backup_key", key.short), after={"age": key.recipient})


def short_of(line: str) -> str:
    """Sixteen digits in fours, for people who compare paper with a screen."""
    digits = hashlib.sha256(line.encode()).hexdigest()[:16]
    return "-".join(digits[place : place + 4] for place in range(0, 16, 4))


def _shown_one(keys: list[Key], shown: str) -> Key:
    wanted = _public_of(shown) if shown.upper().startswith(IDENTITY) else None
    hashed = _hash(shown)
    for key in keys:
        answered = bool(key.answer_hash) and hmac.compare_digest(key.answer_hash, hashed)
        if key.recipient == wanted or answered:
            return key
    raise RequestError(
        N_(
            "That belongs to no key that was proposed here. Type the whole recovery key "
            "(AGE-SECRET-KEY-1…), or the text that age made of the challenge."
        )
    )


def _public_of(shown: str) -> str | None:
    try:
        return str(pyrage.x25519.Identity.from_str(shown.upper()).to_public())
    except pyrage.IdentityError:
        return None


def _named(keys: list[Key], name: str) -> Key:
    fitting = [key for key in keys if key.in_force and name in (key.recipient, key.short)]
    if not fitting:
        raise RequestError(
            N_("No key in force is called “%(name)s”. See: flask --app wsgi backup keys list"),
            name=name[:80],
        )
    return fitting[0]


def _doubt(key: Key, at: datetime) -> Sentence | None:
    if key.proved_at is None:
        told = N_(
            "Backups are encrypted to the key %(key)s, and nobody has shown that he has its other "
            "half: prove it on the page Backups, or remove the key."
        )
        return Sentence(told, {"key": key.short})
    if at - key.proved_at < SHOW_AGAIN_AFTER:
        return None
    told = N_(
        "The recovery key %(key)s was last shown at %(at)s: make sure that it is still at hand, "
        "and prove it on the page Backups."
    )
    return Sentence(told, {"key": key.short, "at": key.proved_at})


def _hash(answer: str) -> str:
    return hashlib.sha256(answer.encode()).hexdigest()
