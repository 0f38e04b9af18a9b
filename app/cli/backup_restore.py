"""`flask backup`, second half: preview, restore, undo, prune, rescan."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from app.backups import catalogue
from app.backups import prune as pruning
from app.backups import request as requests
from app.backups.archive import opened
from app.backups.choice import SECTIONS, Part, part_of
from app.backups.journal import Entry, Journal
from app.backups.keys import identities
from app.backups.present import entry_as_dict, preview_as_dict, pruned_as_list
from app.backups.preview import Preview, warnings
from app.backups.preview import preview as preview_of
from app.backups.restore import Terms
from app.backups.restore import restore as restore_archive
from app.backups.restore import undo as undo_last
from app.cli.backup import at_work, backup, bench_for, do, identity, path_of, which
from app.cli.base import (
    Mistyped,
    Refused,
    answer,
    by,
    language,
    local_time,
    option,
    say,
    table,
    tell,
    typed,
    wants_json,
    word,
)
from app.core.db import db
from app.core.text import N_, Sentence

__all__ = ["backup"]

force_option = option("--force", is_flag=True, help=N_("Do not ask."))
_PART = (
    option(
        "--table",
        "tables",
        multiple=True,
        metavar="TABLE",
        help=N_("Only this table; may be given more than once."),
    ),
    option(
        "--settings",
        "section",
        type=click.Choice(list(SECTIONS)),
        help=N_("Only this section of the stored settings."),
    ),
    option(
        "--media",
        metavar="PATH",
        help=N_("Only what is under this path in the media folder; . for all of it."),
    ),
)


def part_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What of an archive is wanted."""
    for one in reversed(_PART):
        command = one(command)
    return command


# --- restoring ------------------------------------------------------------------------------------


@backup.command("preview", help=N_("What a restore would change, table by table; changes nothing."))
@which
@identity
@part_options
def preview(which: str, identity: Path | None, **wanted: Any) -> None:
    """Reads both completely."""
    with typed():
        part = part_of(**wanted)
    with at_work(identity) as bench:
        found = preview_of(bench.depot, path_of(bench.depot, which), bench.tell, part)
    answer(preview_as_dict(found, language()), lambda: _show_preview(found))


def _show_preview(found: Preview) -> None:
    headers = (N_("Table"), N_("Rows now"), N_("In the backup"), N_("Lost"), N_("Back"))
    table(
        (*headers, N_("Changed")),
        [
            (one.name, one.now, one.in_backup, *map(_count, (one.lost, one.back, one.changed)))
            for one in found.tables
        ],
    )
    for warning in found.warnings:
        tell(warning)


def _show_warnings(path: Path, identity: Path | None) -> None:
    """What whoever does not want to be asked should know all the same."""
    depot = bench_for(identity).depot
    with opened(path, identities(depot.identity_file)) as archive:
        for warning in warnings(depot, archive):
            click.echo(warning.to(language()), err=True)


def _show_what_changes(path: Path, identity: Path | None, part: Part) -> None:
    try:
        with at_work(identity) as bench:
            found = preview_of(bench.depot, path, bench.tell, part)
        _show_preview(found)
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        say(N_("The live database cannot be compared with it (%(reason)s)."), reason=reason)


def _count(value: int | None) -> str:
    return "?" if value is None else str(value)


@backup.command("restore", help=N_("Put a backup in place of the live database; can be undone."))
@which
@identity
@force_option
@option("--trust", is_flag=True, help=N_("Accept an archive that an unknown installation signed."))
@part_options
def restore(
    which: str,
    identity: Path | None,
    force: bool,  # noqa: FBT001
    trust: bool,  # noqa: FBT001
    **wanted: Any,
) -> None:
    """Here and now, without the ledger: it is part of what is replaced."""
    with typed():
        part = part_of(**wanted)
    path = path_of(bench_for().depot, which)
    if not force:
        _show_what_changes(path, identity, part)
        _ask(N_("To replace what is live by it, type the name of the file"), path.name)
    else:
        _show_warnings(path, identity)
    with at_work(identity) as bench, bench.depot.locked():
        entry = restore_archive(bench.depot, path, Terms(by(), trust, part), bench.tell)
    db.engine.dispose()
    message = N_(
        "Restored from %(file)s in %(seconds)s s; nobody could write for %(stopped)s s. "
        "Until %(until)s it can be undone: flask --app wsgi backup undo"
    )
    _answer_entry(entry, message)


@backup.command("undo", help=N_("Put back what the last restore replaced."))
@force_option
def undo(force: bool) -> None:  # noqa: FBT001
    """What it replaces is kept in its turn."""
    last = Journal(bench_for().depot.folder).undoable()
    if not force and last is not None:
        say(N_("%(file)s was restored at %(at)s."), file=last.file, at=local_time(last.at))
        _ask(N_("To put back what was there before, type the name of the file"), last.file)
    with at_work() as bench, bench.depot.locked():
        entry = undo_last(bench.depot, by(), bench.tell)
    db.engine.dispose()
    message = N_(
        "What was there before %(file)s is back; nobody could write for %(stopped)s s. "
        "Until %(until)s this can be undone in its turn."
    )
    _answer_entry(entry, message)


def _answer_entry(entry: Entry, message: str) -> None:
    values = {
        "file": entry.file,
        "seconds": round(entry.seconds or 0, 1),
        "stopped": round(entry.stopped_s or 0, 3),
        "until": entry.kept_until,
    }
    answer(entry_as_dict(entry), lambda: say(message, **values))


def _ask(question: str, name: str) -> None:
    if wants_json():
        raise Mistyped(Sentence(N_("Nobody can be asked with --json: add --force.")))
    if click.prompt(f"{word(question)} ({name})", default="", show_default=False) != name:
        raise Refused(Sentence(N_("That is not its name; nothing was changed.")))


# --- keeping --------------------------------------------------------------------------------------


@backup.command("prune", help=N_("Move backups that no rule keeps into the trash for a day."))
@option(
    "--dry-run", is_flag=True, help=N_("Only say what would be removed, and why the rest stays.")
)
def prune(dry_run: bool) -> None:  # noqa: FBT001
    """The rules are settings: BACKUP_KEEP and its kin."""
    bench = bench_for()
    planned = pruning.plan(bench.policy, bench.zone)
    if not dry_run:
        do(requests.prune_request(), bench)
    answer(pruned_as_list(planned, language()), lambda: _show_pruned(planned))


def _show_pruned(pruned: pruning.Pruned) -> None:
    table(
        (N_("Id"), N_("As of"), N_("Kept"), N_("Why")),
        [
            (
                verdict.candidate.id[:8],
                local_time(verdict.candidate.at),
                word(N_("yes")) if verdict.keep else word(N_("no")),
                "; ".join(reason.to(language()) for reason in verdict.why),
            )
            for verdict in pruned.verdicts
        ],
    )


@backup.command(
    "rescan", help=N_("Compare the catalogue with the folder; exit 1 if files are bad.")
)
def rescan() -> None:
    """New files become rows, rows without a file are marked."""
    found = catalogue.rescan(bench_for().depot)
    unreadable = [{"file": name, "why": why.to(language())} for name, why in found.unreadable]
    value = {"added": found.added, "missing": found.missing, "unreadable": unreadable}
    answer(value, lambda: _show_rescan(found))
    click.get_current_context().exit(1 if unreadable else 0)


def _show_rescan(found: catalogue.Rescan) -> None:
    say(
        N_("%(added)s added, %(missing)s missing, %(bad)s unreadable."),
        added=len(found.added),
        missing=len(found.missing),
        bad=len(found.unreadable),
    )
    for name, why in found.unreadable:
        click.echo(f"{name}: {why.to(language())}")
