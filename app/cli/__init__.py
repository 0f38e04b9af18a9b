"""The commands: `flask --app wsgi …`."""

from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from flask_migrate import Migrate

from app.core.db import db

HOUSE = Path(__file__).parent.parent.parent

if TYPE_CHECKING:
    from config import Config


def init_app(app: Flask, config: "Config") -> None:
    """Add the commands to the app."""
    import click

    from app.cli import (
        audit,
        backup_keys,
        details,
        doctor,
        drill,
        errors,
        fixtures,
        jobs,
        renormalise,
        settings,
        setup,
        sources,
        users,
        web,
        worker,
    )
    from app.cli.base import hide, speak

    fixtures.fixtures.add_command(renormalise.renormalise)
    groups = (
        audit.audit,
        backup_keys.backup,
        fixtures.fixtures,
        details.details,
        drill.drill,
        errors.errors,
        jobs.jobs,
        settings.settings,
        sources.sources,
        users.users,
    )
    for command in (*groups, doctor.doctor, setup.setup, web.web, worker.worker):
        app.cli.add_command(command)
    if context := click.get_current_context(silent=True):  # somebody typed a command
        speak(config.language)
        hide(context.find_root().command)
    Migrate(app, db, directory=str(HOUSE / "migrations"))
    hide(app.cli)
