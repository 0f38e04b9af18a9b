"""`flask backup keys`: the recovery keys that encrypted backups are opened with."""

import sys
from pathlib import Path
from typing import Any

import click

from app.backups import catalogue
from app.backups.keyring import Key, Ring, note_key
from app.backups.keys import identity_lines
from app.backups.kit import as_text, kit_of
from app.backups.present import key_as_dict
from app.cli.backup import bench_for
from app.cli.backup_offsite import backup
from app.cli.base import (
    Group,
    Mistyped,
    answer,
    argument,
    language,
    local_time,
    option,
    say,
    table,
    word,
)
from app.core.clock import now
from app.core.db import persist
from app.core.text import N_, Sentence

__all__ = ["backup"]

keys = Group("keys", help=N_("The recovery keys: make, prove, list and retire them."))
backup.add_command(keys)


def _ring() -> Ring:
    return Ring(bench_for().depot.keys.folder)


@keys.command("list", help=N_("Every key that is known, and how many backups it opens."))
def list_() -> None:
    """Of each only the public half."""
    rows, opens = _ring().known(), catalogue.opened_by()
    value = [key_as_dict(key, opens.get(key.recipient, 0)) for key in rows]
    answer(value, lambda: _show(rows, opens))


def _show(rows: list[Key], opens: dict[str, int]) -> None:
    if not rows:
        say(N_("There is no key: backups are not encrypted. See: backup keys new"))
        return
    headers = (N_("Fingerprint"), N_("State"), N_("Last shown"), N_("Opens"), N_("Public half"))
    lines = []
    for key in rows:
        shown = local_time(key.proved_at) if key.proved_at else "-"
        count = opens.get(key.recipient, 0)
        lines.append((key.short, word(_state(key)), shown, count, key.recipient))
    table(headers, lines)


def _state(key: Key) -> str:
    if key.in_force:
        return N_("in force")
    return N_("retired") if key.retired_at else N_("not proved yet")


@keys.command("new", help=N_("Make a recovery key; it is shown this once. Prove it afterwards."))
@option(
    "--to",
    "to",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help=N_("Write the recovery kit into this new file instead of showing it."),
)
def new(to: Path | None) -> None:
    """It is in force when somebody has proved that he has it."""
    if to is not None and to.exists():
        raise Mistyped(Sentence(N_("%(path)s is there already."), {"path": to}))
    identity, key = _ring().generate()
    kit = kit_of(identity, key, bench_for().depot.keys.public(), now())
    persist(lambda session: note_key(session, "propose", key))
    if to is not None:
        to.touch(mode=0o600, exist_ok=False)
        to.write_text(as_text(kit, language()), "utf-8")
    value: dict[str, Any] = key_as_dict(key, 0)
    value |= {"kit": str(to)} if to else {"identity": identity}
    answer(value, lambda: _tell_new(to, as_text(kit, language())))


def _tell_new(to: Path | None, text: str) -> None:
    if to is None:
        click.echo(text)
    else:
        say(N_("The recovery kit is in %(path)s. Take it away from this machine."), path=to)
    say(N_("It is not in force yet. When you have it elsewhere, type: backup keys prove"))


@keys.command("add", help=N_("Propose a key that was made elsewhere, by its public half."))
@argument("recipient", metavar="AGE1…", help=N_("What age-keygen calls the public key."))
def add(recipient: str) -> None:
    """Its owner decrypts the challenge and gives the text to `prove`."""
    key = _ring().propose(recipient)
    persist(lambda session: note_key(session, "propose", key))
    answer(key_as_dict(key, 0), lambda: _tell_challenge(key))


def _tell_challenge(key: Key) -> None:
    click.echo(key.challenge)
    say(N_("Decrypt this with age (age --decrypt -i identity.txt) and give the text to: prove"))


@keys.command("prove", help=N_("Show that you have a key; from then on backups are encrypted."))
@option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=N_("The file with the key. Else it is asked for, unseen."),
)
@option("--answer", "shown", metavar="TEXT", help=N_("The text that age made of the challenge."))
def prove(identity: Path | None, shown: str | None) -> None:
    """Nothing that is shown is kept."""
    key = _ring().prove(shown or _identity(identity))
    persist(lambda session: note_key(session, "prove", key))
    told = N_("%(key)s is proved and in force: new backups are encrypted to it.")
    opens = catalogue.opened_by()
    answer(key_as_dict(key, opens.get(key.recipient, 0)), lambda: say(told, key=key.short))


def _identity(path: Path | None) -> str:
    if path is not None:
        found = identity_lines(path)
        return found[0] if found else ""
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    return str(click.prompt(word(N_("Recovery key")), hide_input=True))


@keys.command("retire", help=N_("Encrypt no new backup to a key; old ones still need it."))
@argument("name", metavar="KEY", help=N_("Its fingerprint or its public half."))
@option("--last-too", is_flag=True, help=N_("Also the last one: then backups are not encrypted."))
def retire(name: str, last_too: bool) -> None:  # noqa: FBT001
    """Keep it as long as there is a backup that it opens."""
    key = _ring().retire(name, last_too=last_too)
    persist(lambda session: note_key(session, "retire", key))
    count = catalogue.opened_by().get(key.recipient, 0)
    told = N_("%(key)s is retired. Keep it: %(count)s backups are encrypted to it.")
    answer(key_as_dict(key, count), lambda: say(told, key=key.short, count=count))
