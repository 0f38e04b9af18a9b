"""`flask errors`: open problems, and asking again."""

import json
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import click

import tasks
from app.cli import watch as watching
from app.cli.base import (
    ID,
    LIMIT,
    Group,
    Mistyped,
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
)
from app.core.db import reading
from app.core.text import N_, Sentence
from app.errors.groups import DAYS, ErrorGroup, group_as_dict, last_midnights, open_groups
from app.errors.models import FixtureError
from app.errors.present import error_as_dict
from app.fixtures.accept import accept_request
from app.fixtures.report import get_error, list_errors
from app.fixtures.retry import Filter, all_matching, chosen, retry_request
from app.jobs.models import Trigger
from app.jobs.present import job_as_dict
from app.jobs.report import job_report
from app.jobs.submit import JobRequest, Submitted
from app.sources.base import Code
from app.sources.registry import adapter

errors = Group("errors", help=N_("See open problems and ask again."))
source_option = option("--source", metavar="NAME", help=N_("Only of this source."))
code_option = option(
    "--code",
    type=click.Choice([code.value for code in Code], case_sensitive=False),
    metavar="CODE",
    help=N_("Only with this code, such as RATE_LIMITED."),
)
kind_option = option("--kind", metavar="KIND", help=N_("Only of this work, such as fetch_day."))
group_option = option(
    "--group", metavar="GROUP", help=N_("Only of this group; see flask errors groups.")
)
wait_option = option(
    "--wait", is_flag=True, help=N_("Wait until the job has ended; exit 1 if any of it failed.")
)


@errors.command("list", help=N_("Open problems, the newest first."))
@source_option
@code_option
@kind_option
@group_option
@option("--all", "with_resolved", is_flag=True, help=N_("Those that were resolved too."))
@option("--limit", type=LIMIT, default=50, help=N_("At most so many."))
@option("--before", type=ID, metavar="ID", help=N_("Older than this problem: the next page."))
def list_(
    with_resolved: bool,  # noqa: FBT001  click hands it over by name
    limit: int,
    before: int | None,
    **which: str | None,
) -> None:
    """Reads only."""
    wanted = _filter(**which)
    with reading() as session:
        rows = list_errors(session, wanted, with_resolved=with_resolved, before=before, most=limit)
    answer([error_as_dict(row, language()) for row in rows], lambda: _show_list(rows))


def _filter(source: str | None, code: str | None, kind: str | None, group: str | None) -> Filter:
    with typed():
        name = adapter(source).name if source else None
    return Filter(source=name, code=code, kind=kind, group=group)


def _show_list(rows: Sequence[FixtureError]) -> None:
    if not rows:
        say(N_("There are no open errors."))
        return
    table(
        (
            N_("Error"),
            N_("Source"),
            N_("Key"),
            N_("Code"),
            N_("Attempts"),
            N_("Last seen"),
            N_("Next try"),
            N_("Message"),
        ),
        [
            (
                row.id,
                row.source,
                row.key,
                row.code,
                row.attempts,
                local_time(row.last_seen_at),
                local_time(row.next_try_at) or "-",
                row.message.to(language()),
            )
            for row in rows
        ],
    )


@errors.command("groups", help=N_("Open problems by their cause, the most frequent first."))
def groups() -> None:
    """Reads only."""
    with reading() as session:
        found = open_groups(session, last_midnights(DAYS, ZoneInfo(settings().time_zone)))
    answer([group_as_dict(group, language()) for group in found], lambda: _show_groups(found))


def _show_groups(found: Sequence[ErrorGroup]) -> None:
    if not found:
        say(N_("There are no open errors."))
        return
    head = (N_("Group"), N_("Open"), N_("Code"), N_("First seen"), N_("Last seen"), N_("Message"))
    rows = [
        (
            group.fingerprint,
            group.open,
            group.code,
            local_time(group.first_seen_at),
            local_time(group.last_seen_at),
            group.message.to(language()),
        )
        for group in found
    ]
    table(head, rows)


@errors.command("show", help=N_("One problem with its evidence."))
@argument("error_id", metavar="ID", type=ID, help=N_("The number of an error."))
def show(error_id: int) -> None:
    """Open or resolved."""
    with reading() as session:
        row = get_error(session, error_id)
    answer(error_as_dict(row, language(), with_evidence=True), lambda: _show_error(row))


def _show_error(row: FixtureError) -> None:
    _show_list([row])
    if row.resolved_at is not None:
        say(
            N_("Resolved at %(at)s by %(by)s."),
            at=local_time(row.resolved_at),
            by=row.resolved_by,
        )
    click.echo(json.dumps(row.evidence, ensure_ascii=False, indent=2, default=str))


@errors.command("retry", help=N_("Ask again: for these errors, or with --all for all that fit."))
@argument("ids", metavar="[ID]...", nargs=-1, type=ID, help=N_("The numbers of errors."))
@option("--all", "everything", is_flag=True, help=N_("All open errors that fit the filter."))
@source_option
@code_option
@kind_option
@group_option
@wait_option
def retry(
    ids: Sequence[int],
    everything: bool,  # noqa: FBT001  click hands it over by name
    wait: bool,  # noqa: FBT001
    **which: str | None,
) -> None:
    """One item per problem; those that are being tried already are left out."""
    if bool(ids) == everything:
        raise Mistyped(Sentence(N_("Name the errors to retry by their numbers, or give --all.")))
    if ids and any(which.values()):
        raise Mistyped(Sentence(N_("A filter goes with --all, not with numbers.")))
    request = _request(ids, _filter(**which))
    _follow(tasks.submit(request, by=by(), trigger=Trigger.CLI), wait=wait)


@errors.command(
    "accept", help=N_("The lists of these days truly shrank (SUSPECT_EMPTY): ask again, take them.")
)
@argument(
    "ids", metavar="ID...", nargs=-1, type=ID, required=True, help=N_("The numbers of errors.")
)
@wait_option
def accept(ids: Sequence[int], wait: bool) -> None:  # noqa: FBT001  click hands it over by name
    """All of them or none; what comes shorter still is suspect again."""
    submitted = tasks.submit_made(
        lambda session: accept_request(session, ids), by=by(), trigger=Trigger.CLI
    )
    _follow(submitted, wait=wait)


def _request(ids: Sequence[int], wanted: Filter) -> JobRequest:
    with reading() as session:
        rows = chosen(session, ids) if ids else all_matching(session, wanted)
        return retry_request(session, rows, "asked")


def _follow(submitted: Submitted, *, wait: bool) -> None:
    tell(
        Sentence(
            N_("Job %(id)s asks again for %(count)s."),
            {"id": submitted.job_id, "count": submitted.items},
        )
    )
    extra = {"joined": submitted.joined, "asked": submitted.items}
    if wait:
        watching.end_with(watching.watch(submitted.job_id), **extra)
    with reading() as session:
        report = job_report(session, submitted.job_id)
    answer(job_as_dict(report, language()) | extra, lambda: None)
