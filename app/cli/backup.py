"""`flask backup`: make, prove, restore and keep backups. Exit codes: docs/backup-format.md."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import click
from flask import current_app

import tasks
from app.backups import catalogue
from app.backups import request as requests
from app.backups.archive import opened, verify
from app.backups.depot import Depot, LockedError, Tell, tell_nobody
from app.backups.drill import drill as drill_archive
from app.backups.hands import UNREACHABLE
from app.backups.keys import identities
from app.backups.layout import DamagedError
from app.backups.manifest import Type
from app.backups.models import Backup, State
from app.backups.offsite_work import handlers as offsite_handlers
from app.backups.present import WORDS, backup_as_dict, step_told
from app.backups.work import DAMAGED, LOCKED, Bench, bench_of, handlers, surroundings
from app.cli import watch as watching
from app.cli.base import (
    Command,
    Group,
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
from app.core.db import persist, reading
from app.core.text import N_, Sentence
from app.jobs.models import ItemState, JobItem, Trigger
from app.jobs.report import job_report, list_items
from app.jobs.runner import work_on
from app.jobs.steward import Steward, duties_of
from app.jobs.submit import JobRequest
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker

MEBIBYTE = 1024 * 1024


class Unproven(Refused):
    """An archive is not what was written: exit code 4."""

    exit_code: ClassVar[int] = 4


class Incomplete(Refused):
    """Files that should be in an archive are not: exit code 3."""

    exit_code: ClassVar[int] = 3


class Occupied(Refused):
    """Somebody else is at work on the backups: exit code 5."""

    exit_code: ClassVar[int] = 5


class _Command(Command):
    def invoke(self, ctx: click.Context) -> Any:
        """A refusal with the exit code of its reason."""
        try:
            return super().invoke(ctx)
        except Refused as refused:
            cause = refused.__cause__
            if isinstance(cause, DamagedError):
                raise Unproven(cause.sentence) from cause
            if isinstance(cause, LockedError):
                raise Occupied(cause.sentence) from cause
            raise
        except OSError as error:
            raise Refused(surroundings(error)) from error


class _Group(Group):
    command_class = _Command


backup = _Group("backup", help=N_("Make, prove, restore and prune backups."))
which = argument(
    "which",
    metavar="BACKUP",
    help=N_("A file, the beginning of an id, or latest."),
)
identity = option(
    "--identity",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=N_("The age identity that opens an encrypted archive; instead of BACKUP_IDENTITY_FILE."),
)


def bench_for(identity_file: Path | None = None, told: Tell = tell_nobody) -> Bench:
    """The bench of this installation, with another identity where one is given."""
    bench = bench_of(settings(), told)
    if identity_file is None:
        return bench
    return replace(bench, depot=replace(bench.depot, identity_file=identity_file))


@contextlib.contextmanager
def at_work(identity_file: Path | None = None) -> Iterator[Bench]:
    """A bench that shows what it does, until the end of the block."""
    line = _Line()
    try:
        yield bench_for(identity_file, line.tell)
    finally:
        line.clear()


def path_of(depot: Depot, text: str) -> Path:
    """Files first: they are there when the database is not."""
    for path in (Path(text), depot.folder / text):
        if path.is_file():
            return path
    return depot.folder / catalogue.find(text).file


# --- making and proving ---------------------------------------------------------------------------


@backup.command("create", help=N_("Make a backup, verify it, and restore it on trial."))
@option(
    "--type",
    "type_",
    type=click.Choice([one.value for one in Type]),
    default=Type.FULL.value,
    help=N_("What goes in: full is the database, the media folder and the settings."),
)
@option("--incremental", is_flag=True, help=N_("Leave out what the last one of its type has."))
@option("--name", default="backup", metavar="NAME", help=N_("What to call it."))
@option("--no-drill", is_flag=True, help=N_("Verify only, without restoring it on trial."))
@option("--background", is_flag=True, help=N_("Leave it to a worker."))
def create(
    type_: str,
    name: str,
    incremental: bool,  # noqa: FBT001
    no_drill: bool,  # noqa: FBT001
    background: bool,  # noqa: FBT001
) -> None:
    """Through the ledger, by this very process unless it is left to a worker."""
    with typed():
        request = requests.create_request(
            name, Type(type_), drill=not no_drill, incremental=incremental
        )
    if background:
        submitted = tasks.submit(request, by=by(), trigger=Trigger.CLI)
        value = {"job_id": submitted.job_id, "id": request.items[0].key}
        answer(value, lambda: say(N_("Job %(id)s was submitted."), id=submitted.job_id))
        return
    with at_work() as bench:
        do(request, bench)
    made = catalogue.find(request.items[0].key)
    _answer_backup(made)
    if made.state == State.INCOMPLETE and made.message is not None:
        raise Incomplete(made.message)


@backup.command("verify", help=N_("Check signature and every hash; exit 4 if anything is wrong."))
@which
@identity
def verify_(which: str, identity: Path | None) -> None:
    """What is in the catalogue by a job, any other file by itself."""
    with at_work(identity) as bench:
        path = path_of(bench.depot, which)
        if known := _in_catalogue(bench.depot, path):
            do(requests.verify_request(known), bench)
        else:
            with opened(path, identities(bench.depot.identity_file)) as archive:
                read = verify(archive, bench.tell)
    if known:
        _answer_backup(catalogue.find(known.id))
        return
    value = {"file": path.name, "whole": True, "contents_read": read}
    answer(value, lambda: say(N_("%(file)s is whole."), file=path.name))


@backup.command("drill", help=N_("Restore a backup into a scratch database and compare."))
@which
@identity
def drill(which: str, identity: Path | None) -> None:
    """As `verify`: with a job where the catalogue knows it."""
    with at_work(identity) as bench:
        path = path_of(bench.depot, which)
        if known := _in_catalogue(bench.depot, path):
            do(requests.drill_request(known), bench)
        else:
            with bench.depot.locked():
                drilled = drill_archive(bench.depot, path, bench.tell)
    if known:
        _answer_backup(catalogue.find(known.id))
        return
    value = {"file": path.name, "rows": drilled.rows, "seconds": round(drilled.seconds, 3)}
    message = N_("%(file)s was restored into a scratch database: %(rows)s rows in %(seconds)s s.")
    answer(value, lambda: say(message, **value))


def _in_catalogue(depot: Depot, path: Path) -> Backup | None:
    if path.parent.resolve() != depot.folder.resolve():
        return None
    return next((row for row in catalogue.all_backups() if row.file == path.name), None)


def do(request: JobRequest, bench: Bench) -> None:
    """Submit a job of one item and work on it here; another worker may be faster."""
    submitted = persist(lambda session: submit_job(session, request, by=by(), trigger=Trigger.CLI))
    work_through(submitted.job_id, bench)


def work_through(job_id: int, bench: Bench) -> JobItem:
    """Work on a job of one item until it has ended: the item. Refused when it was not done."""
    with _hands() as worker:
        kinds = {**handlers(bench), **offsite_handlers(settings, bench.tell)}
        work_on(worker, job_id, kinds)
    with reading() as session:
        report = job_report(session, job_id)
        (item,) = list_items(session, job_id)
    if item.state == ItemState.WAITING and item.code in (LOCKED, UNREACHABLE):
        _refuse_failure(item)  # it is patient, whoever typed the command is not
    if report.is_open:
        watching.watch(job_id)
    with reading() as session:
        (item,) = list_items(session, job_id)
    _refuse_failure(item)
    return item


@contextlib.contextmanager
def _hands() -> Iterator[Worker]:
    """A worker of this process's own, with somebody to renew its lease."""
    worker = Worker(settings().lease_s)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    steward = Steward(duties_of(worker), app.app_context)
    steward.start()
    try:
        yield worker
    finally:
        steward.stop()
        worker.stop()


def _refuse_failure(item: JobItem) -> None:
    if item.state == ItemState.DONE:
        return
    sentence = item.message or Sentence(N_("It was not done: %(state)s."), {"state": item.state})
    raise {DAMAGED: Unproven, LOCKED: Occupied}.get(item.code or "", Refused)(sentence)


# --- looking --------------------------------------------------------------------------------------


@backup.command("list", help=N_("The backups of the catalogue, newest first."))
def list_() -> None:
    """Reads the catalogue only; `rescan` compares it with the folder."""
    rows = catalogue.all_backups()
    answer([backup_as_dict(row, language()) for row in rows], lambda: _show_list(rows))


def _show_list(rows: Any) -> None:
    if not rows:
        say(N_("There are no backups. Make one: flask --app wsgi backup create"))
        return
    headers = (N_("Id"), N_("Name"), N_("Kind"), N_("As of"), N_("State"), N_("Rows"), N_("MB"))
    table(
        (*headers, N_("Drill")),
        [
            (
                row.id[:8],
                row.name,
                row.type,
                local_time(row.at),
                word(WORDS[row.state]),
                row.rows,
                f"{row.size / MEBIBYTE:.1f}",
                _drill_told(row),
            )
            for row in rows
        ],
    )


def _drill_told(row: Backup) -> str:
    if row.drilled_at is None or row.drill_s is None:
        return "-"
    message = N_("%(at)s, in %(seconds)s s")
    at = local_time(row.drilled_at, "%Y-%m-%d %H:%M")
    return Sentence(message, {"at": at, "seconds": round(row.drill_s, 1)}).to(language())


@backup.command("show", help=N_("One backup: where it comes from and what is in it."))
@which
def show(which: str) -> None:
    """From the archive itself."""
    bench = bench_for()
    path = path_of(bench.depot, which)
    with opened(path) as archive:
        row = Backup(pinned=False, **catalogue.described(bench.depot, archive))
        row.state = State.WRITTEN
        known = _in_catalogue(bench.depot, path) or row
        database = archive.manifest.database
        tables = {one.name: one.rows for one in database.tables} if database else {}
        told = archive.manifest.type != Type.DATABASE and not archive.manifest.encrypted
        kept: dict[str, object] = json.loads(archive.settings()) if told else {}
    value = backup_as_dict(known, language()) | {"tables": tables, "settings": kept}
    answer(value, lambda: _show(known, tables, kept))


def _show(row: Backup, tables: dict[str, int], kept: dict[str, object]) -> None:
    _tell_backup(row)
    if tables:
        table((N_("Table"), N_("Rows")), list(tables.items()))
    if kept:
        click.echo()
        values = [(name, json.dumps(value, ensure_ascii=False)) for name, value in kept.items()]
        table((N_("Setting"), N_("Value")), values)


def _answer_backup(row: Backup) -> None:
    answer(backup_as_dict(row, language()), lambda: _tell_backup(row))


def _tell_backup(row: Backup) -> None:
    say(
        N_("%(file)s: %(rows)s rows, %(size)s MB, as of %(at)s; %(state)s; on trial: %(drill)s"),
        file=row.file,
        rows=row.rows,
        size=f"{row.size / MEBIBYTE:.1f}",
        at=local_time(row.at),
        state=word(WORDS[State(row.state)]),
        drill=_drill_told(row),
    )
    if row.message is not None:
        tell(row.message)


# --- progress -------------------------------------------------------------------------------------


class _Line:
    """One line on stderr, rewritten while something happens; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._width = 0
        self._on = sys.stderr.isatty()

    def tell(self, step: str, done: int, of: int) -> None:
        if not self._on or time.monotonic() - self._shown_at < 0.1:
            return
        self._shown_at = time.monotonic()
        told = step_told(step).to(language())
        share = f" {100 * done // of} %" if of else f" {done / MEBIBYTE:.0f} MB" if done else ""
        self._width = shutil.get_terminal_size().columns - 1
        self._write((told + share)[: self._width])

    def clear(self) -> None:
        if self._width:
            self._write("")

    def _write(self, text: str) -> None:
        click.echo("\r" + text.ljust(self._width) + "\r", err=True, nl=False)
