"""`flask backup`, third part: what is made by itself, and whether all is in order."""

import click

from app.backups import catalogue
from app.backups import request as requests
from app.backups import schedule as planning
from app.backups.manifest import Type
from app.backups.models import Backup, BackupSchedule
from app.backups.offsite_work import submit_due
from app.backups.present import backup_as_dict, schedule_as_dict, status_as_dict
from app.backups.schedule import PRESETS, change, fire_due, schedules
from app.backups.status import Level, Status
from app.backups.status import status as status_of
from app.cli.backup import at_work, bench_for, do, work_through
from app.cli.backup_restore import backup
from app.cli.base import (
    Mistyped,
    Refused,
    answer,
    argument,
    by,
    language,
    local_time,
    option,
    say,
    settings,
    table,
    tell,
    typed,
    word,
)
from app.core.clock import now
from app.core.db import current_time, persist, reading
from app.core.text import N_, Sentence

__all__ = ["backup"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@backup.command("schedules", help=N_("When backups are made by themselves."))
def list_() -> None:
    """All three, also those that are switched off."""
    with reading() as session:
        rows, at = schedules(session), current_time(session)
    value = [schedule_as_dict(one, settings().time_zone, at) for one in rows]
    answer(value, lambda: _show_schedules(rows))


def _show_schedules(rows: list[BackupSchedule]) -> None:
    with reading() as session:
        at = current_time(session)
    headers = (N_("Name"), N_("On"), N_("Kind"), N_("Kept"), N_("Next"))
    lines = []
    for one in rows:
        due = planning.next_run(one, settings().time_zone, at)
        on = word(N_("yes")) if one.enabled else word(N_("no"))
        lines.append((one.name, on, one.type, one.keep, local_time(due) if due else "-"))
    table(headers, lines)


@backup.command("schedule", help=N_("Change when a backup is made by itself, or switch it on."))
@argument("name", type=click.Choice(list(PRESETS)), help=N_("Which one."))
@option("--on/--off", "enabled", default=None, help=N_("Switch it on or off."))
@option("--type", "type", type=click.Choice([one.value for one in Type]), help=N_("What goes in."))
@option(
    "--incremental/--whole",
    "incremental",
    default=None,
    help=N_("Leave out what the last one of its type has, or do not."),
)
@option("--hour", type=click.IntRange(0, 23), help=N_("At this hour of TIME_ZONE."))
@option("--weekday", type=click.Choice(DAYS), help=N_("Of the weekly one."))
@option("--day", type=click.IntRange(1, 28), help=N_("Of the month, for the monthly one."))
@option(
    "--keep",
    type=click.IntRange(1, planning.MOST_KEPT),
    help=N_("How many of its backups stay."),
)
def schedule(name: str, weekday: str | None, **given: object) -> None:
    """What is not said stays as it is."""
    wanted = {key: value for key, value in given.items() if value is not None}
    if weekday is not None:
        wanted["weekday"] = DAYS.index(weekday)
    if not wanted:
        raise Mistyped(Sentence(N_("Say what to change; see --help.")))
    with typed():
        row = persist(lambda session: change(session, name, wanted))
    with reading() as session:
        at = current_time(session)
    value = schedule_as_dict(row, settings().time_zone, at)
    answer(value, lambda: _show_schedules([row]))


@backup.command("run-scheduled", help=N_("Make the scheduled backups that are due now."))
def run_scheduled() -> None:
    """Here and now; what a worker has taken already is not made twice."""
    jobs = fire_due(settings().time_zone, by())
    made, failed = [], None
    with at_work() as bench:
        for job_id in jobs:
            try:
                made.append(catalogue.find(work_through(job_id, bench).key))
            except Refused as refused:
                failed = refused
        if made:
            do(requests.prune_request(patient=True), bench)
        for job_id in submit_due(settings(), by()):
            try:
                work_through(job_id, bench)
            except Refused as refused:
                failed = refused
    answer([backup_as_dict(row, language()) for row in made], lambda: _show_made(made))
    if failed:
        raise failed


def _show_made(made: list[Backup]) -> None:
    for row in made:
        say(N_("%(file)s was made."), file=row.file)
    if not made:
        say(N_("No scheduled backup was made."))


@backup.command("status", help=N_("Are the backups in order? Exit 1 when they are not."))
def status() -> None:
    """What the panel and the API say of them."""
    with reading() as session:
        found = status_of(session, bench_for().depot, settings(), now())
    answer(status_as_dict(found, language()), lambda: _show_status(found))
    click.get_current_context().exit(1 if found.level == Level.CRITICAL else 0)


def _show_status(found: Status) -> None:
    for problem in found.problems:
        tell(problem.sentence)
    if not found.problems:
        say(N_("The backups are in order."))
    if found.last_drill and found.last_drill.drill_s is not None:
        say(
            N_("Last restored on trial at %(at)s, in %(seconds)s s."),
            at=local_time(found.last_drill.drilled_at),
            seconds=round(found.last_drill.drill_s, 1),
        )
    if found.next_run:
        say(N_("The next one is due at %(at)s."), at=local_time(found.next_run))
