"""`flask users`: who may sign in."""

import secrets
import sys
from typing import Any

import click
from sqlalchemy.orm import Session

import tasks
from app.accounts import people
from app.accounts import users as accounts
from app.accounts.models import Role, User
from app.accounts.permissions import ROLES, TOLD, Permission, allows
from app.accounts.present import user_as_dict
from app.cli.base import (
    Group,
    Mistyped,
    answer,
    argument,
    by,
    language,
    local_time,
    option,
    say,
    table,
    typed,
    word,
)
from app.core.db import one_at_a_time, reading, transaction
from app.core.text import N_, Sentence
from app.jobs.models import Trigger
from app.jobs.submit import JobRequest, Submitted
from app.mail.ask import letter_to, person_request

users = Group("users", help=N_("See, invite, change and delete users."))
stdin_option = option(
    "--password-stdin",
    "from_stdin",
    is_flag=True,
    help=N_("Read the password from standard input, one line."),
)
generate_option = option(
    "--generate", is_flag=True, help=N_("Make a password and print it, this once.")
)
role_option = option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in Role]),
    help=N_("The role: what the user may do."),
)


@users.command("create", help=N_("Add a user; asks for a password unless told otherwise."))
@argument("name", metavar="NAME", help=N_("The name to sign in with."))
@role_option
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
    new_hash = accounts.hashed(password)
    with transaction() as session:
        user_id = accounts.get(session, name).id
        user = people.set_hash(session, user_id, new_hash, given=generate)
    _answer_password(
        user,
        N_("The password of %(name)s was changed; every session of that user has ended."),
        password if generate else None,
    )


@users.command("invite", help=N_("Add a user who chooses his password by a link in a mail."))
@argument("name", metavar="NAME", help=N_("The name to sign in with."))
@option("--email", required=True, help=N_("The e-mail address."))
@role_option
def invite(name: str, email: str, role: str) -> None:
    """The mail is sent by a worker."""

    def make(session: Session) -> JobRequest:
        user = accounts.create(session, name, None, role=Role(role), email=email)
        return letter_to(session, user, language())

    submitted = tasks.submit_made(make, by=by(), trigger=Trigger.CLI)
    answer(
        {"username": name, "email": email, "job": submitted.job_id},
        lambda: say(
            N_("%(name)s is invited; job %(job)s sends the mail."), name=name, **_job(submitted)
        ),
    )


@users.command("send-link", help=N_("Mail a user a link to choose a password with."))
@argument("name", metavar="NAME")
def send_link(name: str) -> None:
    """An invitation while he has no password, else a link for a new one."""

    def make(session: Session) -> JobRequest:
        return person_request(session, accounts.get(session, name).id, language())

    submitted = tasks.submit_made(make, by=by(), trigger=Trigger.CLI)
    answer(
        {"username": name, "job": submitted.job_id},
        lambda: say(N_("Job %(job)s sends the link to %(name)s."), name=name, **_job(submitted)),
    )


def _job(submitted: Submitted) -> dict[str, int]:
    return {"job": submitted.job_id}


@users.command("change", help=N_("Change a user; what is not named stays."))
@argument("name", metavar="NAME")
@option("--username", help=N_("Another name to sign in with."))
@option("--email", help=N_('Another e-mail address; "" for none.'))
@option("--first-name", help=N_("The first name."))
@option("--last-name", help=N_("The last name."))
@option("--role", type=click.Choice([role.value for role in Role]), help=N_("Another role."))
@option("--active/--inactive", "is_active", default=None, help=N_("May sign in, or not."))
def change(name: str, **wanted: Any) -> None:
    """The last active administrator stays one."""
    changes = {field: value for field, value in wanted.items() if value is not None}
    if not changes:
        raise Mistyped(Sentence(N_("Name at least one thing to change; see --help.")))
    with transaction() as session:
        user = people.change(session, accounts.get(session, name).id, changes)
    answer(_as_dict(user), lambda: say(N_("%(name)s was changed."), name=user.username))


@users.command("delete", help=N_("Delete a user for good."))
@argument("name", metavar="NAME")
@option("--yes", "typed", metavar="NAME", required=True, help=N_("The name once more, exactly."))
def delete(name: str, typed: str) -> None:
    """What he did stays in the audit log."""
    with transaction() as session:
        user = people.delete(session, accounts.get(session, name).id, typed)
    answer({"deleted": user.username}, lambda: say(N_("%(name)s was deleted."), name=user.username))


@users.command("sign-out", help=N_("End every session of a user."))
@argument("name", metavar="NAME")
def sign_out(name: str) -> None:
    """At the next click he is asked to sign in."""
    with transaction() as session:
        user = people.sign_out_everywhere(session, accounts.get(session, name).id)
    answer(
        {"username": user.username},
        lambda: say(N_("Every session of %(name)s has ended."), name=user.username),
    )


@users.command("roles", help=N_("What each role may do."))
def roles() -> None:
    """The table that the panel, the commands and the API ask."""
    allowed = {role.value: [p.value for p in Permission if allows(role, p)] for role in Role}
    heads = (N_("Permission"), *ROLES.values())
    answer(allowed, lambda: table(heads, [_permission_row(p) for p in Permission]))


def _permission_row(permission: Permission) -> list[str]:
    yes, no = word(N_("yes")), word(N_("no"))
    return [word(TOLD[permission]), *(yes if allows(role, permission) else no for role in ROLES)]


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
    return user_as_dict(user)


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
