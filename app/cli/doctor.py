"""`flask doctor`: is everything in order, and if not, what is to be done?"""

import functools

import click
from flask import current_app
from flask.cli import with_appcontext

import tasks
from app.cli.base import Command, answer, language, settings, word
from app.core import queue
from app.core.text import N_
from app.monitoring.health import Check, checks
from app.sources.registry import source_table


@click.command(
    "doctor",
    cls=Command,
    help=N_(
        "Check database, queue, worker, disk, sources, stored settings, the books and backups; "
        "exit 1 if anything is wrong."
    ),
)
@click.pass_context
@with_appcontext
def doctor(ctx: click.Context) -> None:
    """Asks no source anything."""
    config = settings()
    ask_queue = functools.partial(queue.check, tasks.huey)
    stored = current_app.extensions["live"].now.problems
    found = checks(source_table(config), config.data_dir, ask_queue, config.time_zone, stored)
    fine = all(check.ok for check in found)
    value = {"ok": fine, "checks": [_as_dict(check) for check in found]}
    answer(value, lambda: _show(found))
    ctx.exit(0 if fine else 1)


def _as_dict(check: Check) -> dict[str, object]:
    return {"name": check.name, "ok": check.ok, "message": check.message.to(language())}


def _show(found: list[Check]) -> None:
    for check in found:
        mark = word(N_("ok")) if check.ok else word(N_("NOT OK"))
        click.echo(f"{check.name:<12}{mark:<8}{check.message.to(language())}")
