"""`flask jobs`: what the ledger says of jobs, and steering them."""

from collections.abc import Sequence
from typing import Any

import click

from app.cli import watch as watching
from app.cli.base import (
    ID,
    LIMIT,
    Group,
    Refused,
    answer,
    argument,
    by,
    language,
    local_time,
    option,
    say,
    table,
    tell,
)
from app.core.db import persist, reading
from app.core.text import N_, Sentence
from app.jobs import steer
from app.jobs.audit import imbalances
from app.jobs.models import ItemState, JobEvent, JobItem, JobState
from app.jobs.present import event_as_dict, imbalance_as_dict, item_as_dict, job_as_dict
from app.jobs.report import (
    JobReport,
    job_report,
    list_items,
    list_jobs,
    requests_of,
    timeline,
    totals,
)
from app.sources.models import RequestLog

jobs = Group("jobs", help=N_("See, watch, pause and cancel jobs."))
job_id_argument = argument("job_id", metavar="ID", type=ID, help=N_("The number of a job."))
item_states = click.Choice([state.value for state in ItemState])


@jobs.command("list", help=N_("The newest jobs first."))
@option("--state", type=click.Choice([s.value for s in JobState]), help=N_("Only in this state."))
@option("--limit", type=LIMIT, default=20, help=N_("At most so many."))
@option("--before", type=ID, metavar="ID", help=N_("Older than this job: the next page."))
def list_(state: str | None, limit: int, before: int | None) -> None:
    """Each with its sums, as `show` gives them."""
    wanted = JobState(state) if state else None
    with reading() as session:
        rows = list_jobs(session, state=wanted, before=before, most=limit)
        reports = [job_report(session, job.id) for job in rows]
    answer([job_as_dict(report, language()) for report in reports], lambda: _show_list(reports))


def _show_list(reports: list[JobReport]) -> None:
    if not reports:
        say(N_("There are no jobs. Submit one: flask --app wsgi fixtures fetch 2024-11-05"))
        return
    table(
        (N_("Job"), N_("Kind"), N_("State"), N_("Ended"), N_("Asked by"), N_("Submitted at")),
        [
            (
                report.job.id,
                report.job.kind,
                report.job.state,
                f"{report.ended}/{report.job.submitted}",
                report.job.requested_by,
                local_time(report.job.submitted_at),
            )
            for report in reports
        ],
    )


@jobs.command("show", help=N_("One job with its sums."))
@job_id_argument
@option("--items", "state", type=item_states, help=N_("Also the items in this state."))
def show(job_id: int, state: str | None) -> None:
    """With --items up to 100 of them; `items` gives all."""
    with reading() as session:
        report = job_report(session, job_id)
        rows = list_items(session, job_id, state=state) if state else []
    value = job_as_dict(report, language())
    if state:
        value["listed"] = [item_as_dict(item, language()) for item in rows]
    answer(value, lambda: _show_job(report, list(rows)))


def _show_job(report: JobReport, rows: list[JobItem]) -> None:
    job = report.job
    say(
        N_("Job %(id)s (%(kind)s): %(state)s"),
        id=job.id,
        kind=job.kind,
        state=job.state,
    )
    say(
        N_("Asked by %(who)s (%(trigger)s) at %(at)s"),
        who=job.requested_by,
        trigger=job.trigger,
        at=local_time(job.submitted_at),
    )
    say(
        N_("Items: %(submitted)s submitted = %(items)s"),
        submitted=job.submitted,
        items=watching.counted(report.items),
    )
    _show_sums(report)
    if rows:
        _show_items(rows)


def _show_sums(report: JobReport) -> None:
    if outcomes := watching.counted(report.outcomes):
        say(N_("Of the done ones: %(outcomes)s"), outcomes=outcomes)
    _show_order(report)
    for code, count in sorted(report.errors.items()):
        click.echo(f"  {code}: {count}")
    if report.rate is not None:
        say(N_("%(rate)s per second"), rate=round(report.rate, 1))
    if report.waits_for is not None:
        tell(report.waits_for)
    if not report.balanced:
        say(N_("The books of this job do not balance: flask --app wsgi jobs audit"))


def _show_order(report: JobReport) -> None:
    if report.order:
        order = ", ".join(report.order)
        say(N_("One after the other until one answers: %(order)s"), order=order)
    if report.answered_by:
        told = ", ".join(f"{source} {count}" for source, count in report.answered_by.items())
        say(N_("Answered by: %(sources)s"), sources=told)


@jobs.command("items", help=N_("The items of a job, as they were asked for."))
@job_id_argument
@option("--state", type=item_states, help=N_("Only in this state."))
@option("--key", metavar="KEY", help=N_("Only this day or match id."))
@option("--limit", type=LIMIT, default=100, help=N_("At most so many."))
@option("--after", type=ID, default=None, metavar="ID", help=N_("After this item: the next page."))
def items(job_id: int, state: str | None, key: str | None, limit: int, after: int | None) -> None:
    """Reads only."""
    with reading() as session:
        job_report(session, job_id)
        rows = list_items(session, job_id, state=state, key=key, after=after or 0, most=limit)
    answer([item_as_dict(item, language()) for item in rows], lambda: _show_items(list(rows)))


def _show_items(rows: list[JobItem]) -> None:
    table(
        (N_("Item"), N_("Source"), N_("Key"), N_("State"), N_("Result"), N_("Attempts")),
        [
            (row.id, row.source, row.key, row.state, row.outcome or row.code, row.attempts)
            for row in rows
        ],
    )


@jobs.command("timeline", help=N_("Everything that happened to an item, oldest first."))
@argument("item_id", metavar="ITEM_ID", type=ID, help=N_("The number of an item, not of a job."))
def timeline_(item_id: int) -> None:
    """History is pruned after a while: then the beginning is missing."""
    with reading() as session:
        events = timeline(session, item_id)
        item = session.get(JobItem, item_id)
        requests = requests_of(session, item) if item else ()
        is_there = bool(events) or item is not None
    if not is_there:
        raise Refused(Sentence(N_("There is no item %(id)s."), {"id": item_id}))
    answer(
        [event_as_dict(event, language()) for event in events],
        lambda: _show_events(list(events), requests),
    )


def _show_events(events: list[JobEvent], requests: Sequence[RequestLog]) -> None:
    if not events:
        say(N_("Nothing has happened to it yet."))
        return
    table(
        (N_("At"), N_("Event"), N_("State"), N_("Code"), N_("Fence"), N_("Worker"), N_("Message")),
        [
            (
                local_time(event.at),
                event.event,
                event.state,
                event.code,
                event.fence,
                event.worker,
                event.message.to(language()) if event.message else None,
            )
            for event in events
        ],
    )
    if requests:
        click.echo()
        table(
            (N_("Requested at"), N_("Address"), N_("HTTP"), N_("Code"), N_("Milliseconds")),
            [(local_time(r.at), r.template, r.status, r.code, r.elapsed_ms) for r in requests],
        )


@jobs.command("audit", help=N_("Check for every job that its items add up; exit 1 if not."))
def audit() -> None:
    """Reads everything once."""
    with reading() as session:
        wrong = imbalances(session)
        sums = totals(session)
    rows = [imbalance_as_dict(row, language()) for row in wrong]
    answer(rows, lambda: _show_books([row["message"] for row in rows], sums["submitted"]))
    click.get_current_context().exit(1 if wrong else 0)


def _show_books(wrong: list[str], submitted: int) -> None:
    for message in wrong:
        click.echo(message)
    if not wrong:
        say(N_("Every job adds up: %(count)s items submitted, all accounted for."), count=submitted)


# --- steering -------------------------------------------------------------------------------------


@jobs.command("watch", help=N_("Follow a job until it ends; exit 1 if any of it failed."))
@job_id_argument
def watch(job_id: int) -> None:
    """As `fixtures fetch --wait`."""
    watching.end_with(watching.watch(job_id))


@jobs.command("cancel", help=N_("Stop a job: what waits now, what runs when its worker looks."))
@job_id_argument
def cancel(job_id: int) -> None:
    """What is done stays done."""
    count = persist(lambda session: steer.cancel(session, job_id, by=by()))
    _answer_job(
        job_id,
        N_("Job %(id)s is cancelled: %(count)s waiting items at once, running ones shortly."),
        count=count,
    )


@jobs.command("pause", help=N_("Hand out no more items of a job until it is resumed."))
@job_id_argument
def pause(job_id: int) -> None:
    """What is in hand is finished."""
    persist(lambda session: steer.pause(session, job_id))
    said = N_("Job %(id)s is paused. Resume it: flask --app wsgi jobs resume %(id)s")
    _answer_job(job_id, said)


@jobs.command("resume", help=N_("Go on with a paused job."))
@job_id_argument
def resume(job_id: int) -> None:
    """A worker's steward rings for it within seconds."""
    persist(lambda session: steer.resume(session, job_id))
    _answer_job(job_id, N_("Job %(id)s goes on."))


def _answer_job(job_id: int, message: str, **values: Any) -> None:
    with reading() as session:
        report = job_report(session, job_id)
    answer(
        job_as_dict(report, language()),
        lambda: say(message, id=job_id, **values),
    )
