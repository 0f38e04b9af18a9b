"""`flask backup`, fourth part: copies elsewhere, and taking and bringing single archives."""

import shutil
from pathlib import Path

import click

from app.audit.trail import note
from app.backups import catalogue, offsite_copies
from app.backups import request as requests
from app.backups.models import Backup, FarCopy
from app.backups.offsite import Far, far_of
from app.backups.offsite_work import hurry
from app.backups.present import backup_as_dict, far_copy_as_dict
from app.backups.receive import receive
from app.backups.work import Bench
from app.cli.backup import MEBIBYTE, at_work, bench_for, do, path_of
from app.cli.backup_schedule import backup
from app.cli.base import (
    Mistyped,
    Refused,
    answer,
    argument,
    language,
    local_time,
    option,
    say,
    settings,
    table,
    word,
)
from app.core.db import current_time, persist, reading
from app.core.text import N_, Sentence

__all__ = ["backup"]

INCOMPLETE = 3  # exit code: some of it was done


def _far() -> Far:
    far = far_of(settings().offsite)
    if far is None:
        raise Mistyped(
            Sentence(N_("No place for copies is set: OFFSITE_FOLDER or OFFSITE_BUCKET."))
        )
    return far


@backup.command("copy", help=N_("Copy backups off-site now, and read them back; exit 3: not all."))
@argument("which", metavar="BACKUP", required=False, help=N_("One; else all that are due."))
def copy(which: str | None) -> None:
    """What a worker does by itself, here and now."""
    far, failed = _far(), []
    with at_work() as bench:
        for row in [catalogue.find(which)] if which else _lacking(far):
            try:
                _copy(row, bench)
            except Refused as refused:
                failed.append(refused.message)
    _answer_copies(far.name)
    for told in failed:
        click.echo(told, err=True)
    click.get_current_context().exit(INCOMPLETE if failed else 0)


def _copy(row: Backup, bench: Bench) -> None:
    persist(lambda session: hurry(session, row))
    do(requests.copy_request(row), bench)


def _lacking(far: Far) -> list[Backup]:
    """Also what has failed a moment ago: somebody asks for it now."""
    with reading() as session:
        at = current_time(session)
        there = offsite_copies.standing(session, far.name, settings().offsite.keep, at)
    return list(reversed(there.waiting))


@backup.command("copies", help=N_("What is known of the copies off-site."))
@option("--look", is_flag=True, help=N_("Try the far side out and look what lies there first."))
def copies(look: bool) -> None:  # noqa: FBT001
    """Without --look nobody is asked."""
    far = _far()
    if look:
        with at_work() as bench:
            do(requests.check_offsite_request(), bench)
    _answer_copies(far.name)


def _answer_copies(store: str) -> None:
    with reading() as session:
        rows = sorted(offsite_copies.copies(session, store).values(), key=lambda row: row.at)
    value = [far_copy_as_dict(row, language()) for row in reversed(rows)]
    answer(value, lambda: _show_copies(store, rows[::-1]))


def _show_copies(store: str, rows: list[FarCopy]) -> None:
    if not rows:
        say(N_("There is no copy in %(store)s yet."), store=store)
        return
    table(
        (N_("File"), N_("As of"), N_("MB"), N_("State")),
        [(row.file, local_time(row.at), _megabytes(row.size), _state_told(row)) for row in rows],
    )


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / MEBIBYTE:.1f}"


def _state_told(row: FarCopy) -> str:
    if row.message is not None:
        return row.message.to(language())
    if row.verified_at:
        return word(N_("read back and equal"))
    return word(N_("seen there, not checked"))


@backup.command("download", help=N_("Take a backup out: a copy in another folder."))
@argument("which", metavar="BACKUP", help=N_("A file, the beginning of an id, or latest."))
@option(
    "--to",
    "to",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help=N_("Where to; the current folder unless it only comes back from off-site."),
)
@option(
    "--from-offsite",
    is_flag=True,
    help=N_("Bring it back from off-site into BACKUP_DIR first, by its file name."),
)
def download(which: str, to: Path | None, from_offsite: bool) -> None:  # noqa: FBT001
    """What comes back is checked whole before it is listed."""
    if from_offsite:
        _far()
        with at_work() as bench:
            do(requests.fetch_request(which), bench)
    path = path_of(bench_for().depot, which)
    folder = to or (None if from_offsite else Path.cwd())
    taken = _taken(path, folder) if folder else path
    value = {"file": path.name, "path": str(taken)}
    answer(value, lambda: say(N_("%(file)s is here: %(path)s"), **value))


def _taken(path: Path, folder: Path) -> Path:
    there = folder / path.name
    if there.exists():
        raise Refused(Sentence(N_("%(path)s is there already."), {"path": there}))
    shutil.copyfile(path, there)
    there.chmod(0o600)
    about = ("backup", path.name)
    after = {"file": path.name, "to": str(folder)}
    persist(lambda session: note(session, "backup.download", about, after=after))
    return there


@backup.command("upload", help=N_("Take an archive in, after all of it was checked."))
@argument(
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=N_("The archive; it stays where it is."),
)
def upload(file: Path) -> None:
    """As the page Backups does."""
    depot = bench_for().depot
    row = receive(depot, lambda path: shutil.copyfile(file, path))
    answer(backup_as_dict(row, language()), lambda: _tell_taken(row))


def _tell_taken(row: Backup) -> None:
    say(N_("%(file)s is whole and in the list."), file=row.file)
    if not row.trusted:
        say(N_("Its signature is unknown: a restore needs --trust, and takes its rows only."))
