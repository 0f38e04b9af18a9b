"""`flask fixtures renormalise`: read what is stored again with today's adapters, count, correct."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from types import FrameType
from typing import NoReturn

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.cli.base import (
    Command,
    Mistyped,
    answer,
    language,
    option,
    say,
    table,
    tell,
    typed,
    wants_json,
    word,
)
from app.core.db import persist
from app.core.text import N_, Sentence
from app.fixtures.renormalise import Report, Wanted, wanted_of
from app.fixtures.renormalise import renormalise as read_again
from app.fixtures.request import parse_day

INTERRUPTED = 130  # what shells say of Ctrl-C
QUIET_S = 5.0  # between lines where there is no terminal to rewrite
MOST_SHOWN = 50  # of the answers that cannot be read
WHAT = {
    "days": N_("days"),
    "places": N_("places in lists"),
    "matches": N_("matches"),
    "details": N_("details"),
    "statistics": N_("statistics"),
    "incidents": N_("incidents"),
    "lineups": N_("players"),
}


@click.command(
    "renormalise",
    cls=Command,
    help=N_(
        "Read every current raw answer again with today's adapters, without a request: "
        "say what differs, ask, then correct it."
    ),
)
@option("--source", metavar="NAME", help=N_("Only of this source."))
@option("--from", "first", metavar="DATE", help=N_("Only days from here, and their matches."))
@option("--to", "last", metavar="DATE", help=N_("Only days up to here, and their matches."))
@option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help=N_("Only day lists (day) or this kind of detail; may be repeated."),
)
@option("--dry-run", is_flag=True, help=N_("Count what differs; change nothing."))
@option("--yes", is_flag=True, help=N_("Do not ask."))
@with_appcontext
def renormalise(
    source: str | None,
    first: str | None,
    last: str | None,
    kinds: Sequence[str],
    dry_run: bool,  # noqa: FBT001  click hands it over by name
    yes: bool,  # noqa: FBT001
) -> None:
    """Exit 0 when all could be read, 1 when some could not or the answer was no, 130 on Ctrl-C."""
    wanted = _wanted(source, first, last, kinds)
    if not (dry_run or yes or at_a_terminal()):
        raise Mistyped(
            Sentence(N_("This changes what is stored. Give --yes, or look first with --dry-run."))
        )
    counted = _run(wanted, write=False)
    _show(counted, N_("What today's adapters read differently; nothing is changed yet:"))
    _name_unreadable(counted)
    if dry_run or counted.stopped or not counted.report.differs:
        _end(counted)
    if not yes:
        _ask()
    corrected = _run(wanted, write=True)
    persist(lambda session: _note(session, wanted, corrected.report))
    _show(corrected, N_("Corrected:"))
    _end(counted, corrected)


def _note(session: Session, wanted: Wanted, report: Report) -> None:
    """Into the audit log, also when Ctrl-C ended it: what was corrected by then is."""
    rows = sum(found.differing for found in report.rows.values())
    note(session, "match.renormalise", ("source", wanted.source or "*"), after={"corrected": rows})


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _wanted(
    source: str | None, first: str | None, last: str | None, kinds: Sequence[str]
) -> Wanted:
    with typed():
        from_day, to_day = (parse_day(day) if day else None for day in (first, last))
        return wanted_of(source, from_day, to_day, kinds)


def _ask() -> None:
    yes = word(N_("yes"))
    question = Sentence(N_("Type “%(yes)s” to correct it"), {"yes": yes}).to(language())
    said = click.prompt(question, default="", show_default=False, err=True)
    if said.strip().casefold() not in {"yes", yes.casefold()}:
        say(N_("Nothing was changed."))
        click.get_current_context().exit(1)


# --- running --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """A pass over the answers, and whether Ctrl-C ended it."""

    report: Report
    write: bool
    stopped: bool


def _run(wanted: Wanted, *, write: bool) -> _Run:
    line, report, stopped = _Line(), Report(), False
    with _ctrl_c() as is_pressed:
        for report in read_again(wanted, write=write):
            line.show(report)
            if stopped := is_pressed() and report.done < report.total:
                break
    line.end()
    return _Run(report, write, stopped)


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C is only noted: the batch in hand ends first. The second time it interrupts."""
    pressed: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


class _Line:
    """One line rewritten in place; on anything but a terminal a new line, now and then."""

    def __init__(self) -> None:
        self._stream = sys.stderr if wants_json() else sys.stdout
        self._rewrites = self._stream.isatty()
        self._shown_at = time.monotonic()

    def show(self, report: Report) -> None:
        waited = time.monotonic() - self._shown_at >= QUIET_S
        if not (self._rewrites or waited):
            return
        numbers = {"done": report.done, "all": report.total}
        text = Sentence(N_("%(done)s of %(all)s answers read"), numbers).to(language())
        click.echo(
            f"\r{text}" if self._rewrites else text, file=self._stream, nl=not self._rewrites
        )
        self._shown_at = time.monotonic()

    def end(self) -> None:
        if self._rewrites:
            click.echo(file=self._stream)


# --- telling --------------------------------------------------------------------------------------


def _show(run: _Run, title: str) -> None:
    """The counts for people, and what they do not say."""
    report = run.report
    if not wants_json() and report.rows:
        say(title)
        table(
            (
                N_("Source"),
                N_("Kind"),
                N_("Answers"),
                N_("Rows"),
                N_("Equal"),
                N_("Different"),
                N_("New"),
                N_("Vanished"),
            ),
            [
                (source, kind, report.answers[source, kind], word(WHAT[what]), *astuple(rows))
                for (source, kind, what), rows in report.rows.items()
            ],
        )
    for sentence in _remarks(run):
        tell(sentence)


def _remarks(run: _Run) -> Iterator[Sentence]:
    report = run.report
    if report.kept:
        yield Sentence(
            N_(
                "%(count)s matches differ, but were told last by an answer that is not the current "
                "one any more; they stay as they are."
            ),
            {"count": report.kept},
        )
    if report.overtaken:
        yield Sentence(
            N_("%(count)s answers were left alone: newer ones were stored meanwhile."),
            {"count": report.overtaken},
        )
    if run.stopped and run.write:
        yield Sentence(
            N_(
                "Stopped after %(done)s of %(all)s answers. What was corrected stays; "
                "run it again for the rest."
            ),
            {"done": report.done, "all": report.total},
        )
    elif run.stopped:
        yield Sentence(N_("Stopped. Nothing was changed."))
    elif not report.total:
        yield Sentence(N_("There are no stored answers to read."))
    elif not report.differs:
        yield Sentence(N_("Nothing differs."))


def _name_unreadable(run: _Run) -> None:
    report = run.report
    if not report.unreadable:
        return
    say(
        N_("%(count)s answers could not be read; what is stored of them stays as it is:"),
        count=report.unreadable,
    )
    if wants_json():  # they stand there
        return
    for one in report.named[:MOST_SHOWN]:
        click.echo(f"  {one.source} {one.kind} {one.key}: {one.message.to(language())}")
    if report.unreadable > MOST_SHOWN:
        say(
            N_("… and %(count)s more; --json names them."),
            count=report.unreadable - MOST_SHOWN,
        )


def _end(counted: _Run, corrected: _Run | None = None) -> NoReturn:
    last = corrected or counted
    told = {
        "stopped": last.stopped,
        "counted": _as_dict(counted.report),
        "corrected": _as_dict(corrected.report) if corrected else None,
    }
    answer(told, lambda: None)
    failed = 1 if last.report.unreadable else 0
    click.get_current_context().exit(INTERRUPTED if last.stopped else failed)


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "answers": report.total,
        "read": report.done,
        "kinds": [
            {
                "source": source,
                "kind": kind,
                "read": read,
                "unreadable": report.refused[source, kind],
                "rows": {
                    what: asdict(rows)
                    for (*place, what), rows in report.rows.items()
                    if place == [source, kind]
                },
            }
            for (source, kind), read in report.answers.items()
        ],
        "unreadable": report.unreadable,
        "unreadable_answers": [
            asdict(one) | {"message": one.message.to(language())} for one in report.named
        ],
        "kept": report.kept,
        "overtaken": report.overtaken,
    }
