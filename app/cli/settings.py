"""`flask settings`: what can be changed while everything runs."""

import sys
from collections.abc import Sequence

import click
from flask import current_app

import tasks
from app.accounts import users
from app.cli.base import (
    Group,
    Mistyped,
    answer,
    argument,
    by,
    language,
    option,
    say,
    table,
    tell,
    typed,
    word,
)
from app.core.db import persist, reading
from app.core.text import N_, Sentence
from app.jobs.models import Trigger
from app.mail.ask import trial_request
from app.settings import store
from app.settings.catalogue import entry_of
from app.settings.live import Live
from app.settings.present import ORIGINS, Line, line_as_dict, lines

settings = Group("settings", help=N_("See and change the settings that are stored."))


def _live() -> Live:
    followed: Live = current_app.extensions["live"]
    return followed


def _lines() -> Sequence[Line]:
    with reading() as session:
        return lines(session, _live().base)


@settings.command("list", help=N_("Every setting, what is in force and where it comes from."))
def list_() -> None:
    """Secrets are shown only as being there."""
    known = _lines()
    heads = (N_("Name"), N_("Value"), N_("Comes from"), N_("Set by"))
    answer(
        [line_as_dict(line, language()) for line in known],
        lambda: _show(heads, known),
    )


def _show(heads: Sequence[str], known: Sequence[Line]) -> None:
    table(
        heads,
        [
            (line.entry.name, line.value or "-", word(ORIGINS[line.origin]), line.updated_by or "-")
            for line in known
        ],
    )
    for line in known:
        if line.problem is not None:
            tell(line.problem)


@settings.command("get", help=N_("One setting: what is in force."))
@argument("name", metavar="NAME")
def get(name: str) -> None:
    """A secret is not shown."""
    with typed():
        entry = entry_of(name)
    line = next(line for line in _lines() if line.entry.name == entry.name)
    answer(line_as_dict(line, language()), lambda: click.echo(line.value))


@settings.command("set", help=N_("Store a setting; it holds everywhere within two seconds."))
@argument("name", metavar="NAME")
@argument("value", metavar="VALUE", required=False)
@option("--stdin", "from_stdin", is_flag=True, help=N_("Read the value from standard input."))
def set_(name: str, value: str | None, from_stdin: bool) -> None:  # noqa: FBT001
    """A key on the command line stays in the shell's history: --stdin is for those."""
    if from_stdin == (value is not None):
        raise Mistyped(Sentence(N_("Give either a value or --stdin.")))
    given = sys.stdin.readline().rstrip("\r\n") if from_stdin else value or ""
    _change(name, given)


@settings.command("unset", help=N_("Give the environment its say again."))
@argument("name", metavar="NAME")
def unset(name: str) -> None:
    """Nothing happens when nothing is stored."""
    _change(name, None)


def _change(name: str, value: str | None) -> None:
    with typed():
        entry = entry_of(name)
    base = _live().base
    changed = persist(lambda session: store.put_many(session, base, {entry.name: value}))
    line = next(line for line in _lines() if line.entry.name == entry.name)
    said = N_("%(name)s: %(value)s") if changed else N_("%(name)s stays as it was: %(value)s")
    answer(
        line_as_dict(line, language()) | {"changed": bool(changed)},
        lambda: say(said, name=entry.name, value=line.value or "-"),
    )


@settings.command("test-mail", help=N_("Send a user a mail that says that mail works."))
@argument("user", metavar="USER")
def test_mail(user: str) -> None:
    """Sent by a worker; its job says what became of it."""
    sent = tasks.submit_made(
        lambda session: trial_request(session, users.get(session, user), language()),
        by=by(),
        trigger=Trigger.CLI,
    )
    answer(
        {"job": sent.job_id},
        lambda: say(N_("Job %(job)s sends a test mail to %(name)s."), job=sent.job_id, name=user),
    )
