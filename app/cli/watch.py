"""Waiting for a job at the terminal: a line that moves, and reasons to stop looking."""

import shutil
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import NoReturn

import click
from sqlalchemy.orm import Session

from app.cli.base import answer, language, say, tell, wants_json
from app.core.db import current_time, reading
from app.core.text import N_, Sentence
from app.jobs.models import ItemState, JobState
from app.jobs.present import WORDS, job_as_dict
from app.jobs.report import JobReport, earliest_start, job_report, live_workers

POLL_S = 0.5
QUIET_S = 5.0  # between lines where there is no terminal to rewrite
HELD_S = 300.0  # who must wait longer for the next try had better do something else
NO_WORKER_S = 60.0
INTERRUPTED = 130  # what shells say of Ctrl-C


def watch(job_id: int) -> JobReport:
    """Follow a job; Ctrl-C says how to go on without us and exits 130."""
    try:
        return _follow(job_id)
    except KeyboardInterrupt:
        click.echo(err=True)
        say(
            N_(
                "Job %(id)s goes on. Watch it: flask --app wsgi jobs watch %(id)s - "
                "cancel it: flask --app wsgi jobs cancel %(id)s"
            ),
            id=job_id,
        )
        click.get_current_context().exit(INTERRUPTED)


def end_with(report: JobReport, **more: object) -> NoReturn:
    """The last word on a watched job: exit 0 when every item is done, else 1."""
    answer(job_as_dict(report, language()) | more, lambda: tell(summary(report)))
    click.get_current_context().exit(0 if report.job.state == JobState.DONE else 1)


def _follow(job_id: int) -> JobReport:
    line, patience = _Line(), _Patience()
    while True:
        with reading() as session:
            report = job_report(session, job_id)
            why = patience.is_out(session, report)
        line.show(report)
        if why is not None or not report.is_open:
            break
        time.sleep(POLL_S)
    line.end()
    if why is not None:
        tell(why)
        say(N_("Waiting for it ends here; job %(id)s stays open."), id=job_id)
    return report


# --- when to stop looking -------------------------------------------------------------------------


class _Patience:
    """Ends where nothing will happen for long: a pause, a late next try, nobody at work."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._moved_at = time.monotonic()

    def is_out(self, session: Session, report: JobReport) -> Sentence | None:
        """Why there is nothing to wait for; None while there is."""
        if report.items != self._seen or live_workers(session):
            self._seen, self._moved_at = report.items, time.monotonic()
        if not report.is_open:
            return None
        if time.monotonic() - self._moved_at >= NO_WORKER_S:
            return Sentence(N_("No worker is running. Start one: flask --app wsgi worker"))
        if report.items[ItemState.RUNNING] or not self._is_held(session, report):
            return None
        return report.waits_for

    def _is_held(self, session: Session, report: JobReport) -> bool:
        start = earliest_start(session, report.job)
        return start is not None and start - current_time(session) > timedelta(seconds=HELD_S)


# --- showing --------------------------------------------------------------------------------------


class _Line:
    """One line rewritten in place; on anything but a terminal a new line, now and then."""

    def __init__(self) -> None:
        self._stream = sys.stderr if wants_json() else sys.stdout
        self._rewrites = self._stream.isatty()
        self._shown: dict[str, int] = {}
        self._shown_at = float("-inf")

    def show(self, report: JobReport) -> None:
        text = "  ".join(part.to(language()) for part in _parts(report))
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            click.echo("\r" + text[:width].ljust(width), file=self._stream, nl=False)
        elif self._is_news(report):
            click.echo(text, file=self._stream)
            self._shown, self._shown_at = report.items, time.monotonic()

    def end(self) -> None:
        if self._rewrites:
            click.echo(file=self._stream)

    def _is_news(self, report: JobReport) -> bool:
        waited = time.monotonic() - self._shown_at >= QUIET_S
        return report.items != self._shown and (waited or not report.is_open)


def _parts(report: JobReport) -> Iterator[Sentence]:
    numbers = {"id": report.job.id, "ended": report.ended, "all": report.job.submitted}
    yield Sentence(N_("Job %(id)s: %(ended)s of %(all)s"), numbers)
    for state in (ItemState.FAILED, ItemState.QUARANTINED, ItemState.CANCELLED):
        if report.items[state]:
            yield Sentence(WORDS[state], {"count": report.items[state]})
    if report.is_open and report.rate is not None:
        yield Sentence(N_("%(rate)s per second"), {"rate": round(report.rate, 1)})
    if report.left_s is not None:
        yield Sentence(N_("%(time)s left"), {"time": timedelta(seconds=round(report.left_s))})
    if report.waits_for is not None:
        yield report.waits_for


def summary(report: JobReport) -> Sentence:
    """How a job stands, in one line."""
    return Sentence(
        N_("Job %(id)s is %(state)s: %(items)s."),
        {
            "id": report.job.id,
            "state": report.job.state,
            "items": counted(report.items) or counted({ItemState.DONE: 0}),
        },
    )


def counted(sums: dict[str, int]) -> str:
    """The sums that are not zero, in words."""
    told = (Sentence(WORDS[name], {"count": sums[name]}) for name in WORDS if sums.get(name))
    return ", ".join(sentence.to(language()) for sentence in told)
