"""`flask users`: who may sign in."""

import secrets
import sys
from typing import Any

import click
import msgspec

from app.accounts import users as accounts
from app.accounts.models import Role, User
from app.cli.base import (
    Group,
    Mistyped,
    answer,
    argument,
    local_time,
    option,
    say,
    table,
    typed,
    word,
)
from app.core.db import one_at_a_time, reading, transaction
from app.core.text import N_, Sentence

FIELDS = ("id", "username", "email", "role", "is_active", "date_joined", "last_sign_in_at")

users = Group("users", help=N_("See and create users, change their passwords."))
stdin_option = option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help=N_("Read the password from standard input, one line."),
)
generate_option = option(
    "--generate", is_flag=True, help=N_("Make a password and print it, this once.")
)


@users.command("create", help=N_("Add a user; asks for a password unless told otherwise."))
@argument("name", metavar="NAME", help=N_("The name to sign in with."))
@option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in Role]),
    help=N_("The role: what the user may do."),
)
@option("--email", help=N_("The e-mail address."))
@stdin_option
@generate_option
def create(
    name: str,
    role: str,
    email: str | None,
    from_stdin: bool,  # noqa: FBT001  click hands it over by name
    generate: bool,  # noqa: FBT001
) -> None:
    """The password is printed only when it was generated."""
    password = _password(from_stdin=from_stdin, generate=generate)
    with transaction() as session:
        user = accounts.create(session, name, password, role=Role(role), email=email)
    _answer_password(
        user,
        N_("User %(name)s (%(role)s) was created."),
        password if generate else None,
    )


@users.command("set-password", help=N_("Change a password and sign the user out everywhere."))
@argument("name", metavar="NAME", help=N_("The name to sign in with."))
@stdin_option
@generate_option
def set_password(name: str, from_stdin: bool, generate: bool) -> None:  # noqa: FBT001  click hands them over by name
    """The password is printed only when it was generated."""
    with reading() as session:
        accounts.get(session, name)  # before anybody types a password for nothing
    password = _password(from_stdin=from_stdin, generate=generate)
    with transaction() as session:
        user = accounts.get(session, name)
        accounts.set_password(user, password)
    _answer_password(
        user,
        N_("The password of %(name)s was changed; every session of that user has ended."),
        password if generate else None,
    )


@users.command("list", help=N_("All users by name."))
def list_() -> None:
    """Reads only."""
    with reading() as session:
        rows = accounts.everybody(session)
    answer([_as_dict(user) for user in rows], lambda: _show([*rows]))


@users.command(
    "ensure-admin",
    help=N_("Make an administrator if there is none; print the password, this once."),
)
def ensure_admin() -> None:
    """Says nothing of a password when somebody is there already."""
    with transaction() as session:
        one_at_a_time(session, "ensure_administrator")
        made = accounts.ensure_administrator(session)
    name, password = made or (None, None)
    said = (
        N_("Administrator: %(name)s  Password: %(password)s  (shown only now; change it)")
        if made
        else N_("There is an administrator already.")
    )
    answer(
        {"created": made is not None, "username": name, "password": password},
        lambda: say(said, name=name, password=password),
    )


def _password(*, from_stdin: bool, generate: bool) -> str:
    """From a line, the generator or a person; Mistyped when none of them is there."""
    if from_stdin and generate:
        raise Mistyped(Sentence(N_("Choose one: --password-stdin or --generate.")))
    if generate:
        return secrets.token_urlsafe(12)
    password = _typed_line() if from_stdin else _prompted()
    with typed():
        accounts.check_password(password)
    return password


def _typed_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _prompted() -> str:
    if not _at_terminal():
        raise Mistyped(
            Sentence(N_("There is no terminal to ask at: give --password-stdin or --generate."))
        )
    password: str = click.prompt(
        word(N_("Password")), hide_input=True, confirmation_prompt=word(N_("Once more")), err=True
    )
    return password


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _answer_password(user: User, message: str, shown: str | None) -> None:
    def in_words() -> None:
        say(message, name=user.username, role=user.role)
        if shown is not None:
            say(N_("Password: %(password)s  (shown only now)"), password=shown)

    answer(_as_dict(user) | ({} if shown is None else {"password": shown}), in_words)


def _as_dict(user: User) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins({name: getattr(user, name) for name in FIELDS})
    return plain


def _show(rows: list[User]) -> None:
    if not rows:
        say(N_("There are no users. Make the first: flask --app wsgi users ensure-admin"))
        return
    table(
        (N_("Name"), N_("Role"), N_("E-mail"), N_("Active"), N_("Last sign-in")),
        [
            (
                user.username,
                user.role,
                user.email,
                word(N_("yes")) if user.is_active else word(N_("no")),
                local_time(user.last_sign_in_at) or "-",
            )
            for user in rows
        ],
    )
