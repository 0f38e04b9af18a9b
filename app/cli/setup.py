"""`flask setup`: bring the database up to date and make sure somebody can sign in."""

import click
from flask import current_app
from flask.cli import with_appcontext
from flask_migrate import upgrade

from app.accounts.users import ensure_administrator
from app.cli.base import Command
from app.core.db import transaction
from app.core.text import N_, RequestError, Sentence
from app.monitoring.health import MIGRATIONS, check_migrations


def refuse_without_tables() -> None:
    """RequestError when the database is not set up for this version."""
    check = check_migrations()
    if not check.ok:
        raise RequestError(check.message.message, **check.message.values)


@click.command(
    "setup", cls=Command, help=N_("Bring the database up to date; make the first administrator.")
)
@with_appcontext
def setup() -> None:
    """Migrate if needed; print a new administrator's password, this once."""
    language = current_app.config["FIKSTUR"].language
    if not check_migrations().ok:
        upgrade(directory=str(MIGRATIONS))
        click.echo(Sentence(N_("The database is up to date.")).to(language))
    with transaction() as session:
        made = ensure_administrator(session)
    if made:
        name, password = made
        told = N_("Administrator: %(name)s  Password: %(password)s  (shown only now; change it)")
        click.echo(Sentence(told, {"name": name, "password": password}).to(language))
