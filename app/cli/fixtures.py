"""`flask fixtures`: fetch days and show what is stored of them."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import click

import tasks
from app.cli import watch
from app.cli.base import (
    Group,
    Refused,
    Whole,
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
from app.core.db import current_time, reading
from app.core.text import N_
from app.fixtures.models import Match
from app.fixtures.present import day_as_dict
from app.fixtures.report import DayReport, day_report
from app.fixtures.request import (
    MOST_HOURS,
    DaysWanted,
    FetchRequest,
    NoSourceError,
    parse_day,
    request_of,
)
from app.jobs.models import Trigger
from app.jobs.present import job_as_dict
from app.jobs.report import JobReport, job_report
from app.jobs.submit import Submitted
from app.monitoring.health import pause_notice
from app.sources.models import SourceState
from app.sources.pause import pause_of
from app.sources.registry import ADAPTERS, adapter, source_table

fixtures = Group("fixtures", help=N_("Fetch fixture days and show them."))


@fixtures.command("fetch", help=N_("Fetch the fixture list of a day, or of every day to --to."))
@argument("day", metavar="DATE", help=N_("A day, as 2024-11-05."))
@option("--to", "last", metavar="DATE", help=N_("The last day of a range."))
@option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help=N_("Ask this source; may be repeated. Without it: every source that may be asked."),
)
@option(
    "--failover",
    "order",
    metavar="NAME,NAME",
    help=N_("Instead: ask these one after the other, each day until one answers."),
)
@option(
    "--skip-fresh",
    "skip_fresh_h",
    type=Whole(0, MOST_HOURS),
    default=0,
    metavar="HOURS",
    help=N_("Leave out the days that were fetched in the last so many hours."),
)
@option(
    "--wait", is_flag=True, help=N_("Wait until the job has ended; exit 1 if any of it failed.")
)
def fetch(
    day: str,
    last: str | None,
    sources: Sequence[str],
    order: str | None,
    skip_fresh_h: int,
    wait: bool,  # noqa: FBT001  click hands it over by name
) -> None:
    """Check everything, then submit; nothing is written when something typed is wrong."""
    names = () if order is None else [name.strip() for name in order.split(",")]
    request = _request(
        DaysWanted(first=day, last=last, sources=sources, failover=names, skip_fresh_h=skip_fresh_h)
    )
    if request.job is None:
        _say_all_fresh(request)
        return
    submitted = tasks.submit(request.job, by=by(), trigger=Trigger.CLI)
    pauses = _pauses(request.job.params["sources"])
    extra = {
        "joined": submitted.joined,
        "asked": submitted.items,
        "fresh": request.fresh,
        "paused_sources": [state.source for state in pauses],
    }
    _say_submitted(submitted, request.fresh, pauses)
    if wait:
        watch.end_with(watch.watch(submitted.job_id), **extra)
    answer(job_as_dict(_report(submitted.job_id), language()) | extra, lambda: None)


def _request(wanted: DaysWanted) -> FetchRequest:
    with typed():
        try:
            return request_of(wanted, source_table(settings()))
        except NoSourceError as error:  # nothing was mistyped
            raise Refused(error.sentence) from error


def _report(job_id: int) -> JobReport:
    with reading() as session:
        return job_report(session, job_id)


def _pauses(sources: Iterable[str]) -> list[SourceState]:
    with reading() as session:
        at = current_time(session)
        return [state for name in sources if (state := pause_of(session, name, at))]


def _say_all_fresh(request: FetchRequest) -> None:
    nothing = {"id": None, "joined": False, "asked": 0, "fresh": request.fresh}
    answer(
        nothing,
        lambda: say(N_("Nothing to do: all %(count)s are fresh enough."), count=request.fresh),
    )


def _say_submitted(submitted: Submitted, fresh: int, pauses: Sequence[SourceState]) -> None:
    if submitted.joined:
        said = N_("Job %(id)s is open already and has it; nothing new was submitted.")
    else:
        said = N_("Job %(id)s was submitted; items: %(items)s.")
    say(said, id=submitted.job_id, items=submitted.items)
    if fresh:
        say(N_("%(count)s left out: fetched not long ago."), count=fresh)
    for state in pauses:
        tell(pause_notice(state))


# --- show -----------------------------------------------------------------------------------------


@fixtures.command("show", help=N_("Show the stored fixture list of a day."))
@argument("day", metavar="DATE", help=N_("A day, as 2024-11-05."))
@option("--source", metavar="NAME", help=N_("The list of this source."))
def show(day: str, source: str | None) -> None:
    """Reads only; a day never fetched is a sentence and exit 1."""
    with typed():
        names = [adapter(source).name] if source else _by_use()
        wanted = parse_day(day)
    with reading() as session:
        report = day_report(session, names, wanted)
    answer(day_as_dict(report, language()), lambda: _show_day(report))


def _by_use() -> list[str]:
    """Every known source, those that may be asked first."""
    return list(dict.fromkeys([*source_table(settings()).usable(), *ADAPTERS]))


def _show_day(report: DayReport) -> None:
    day = report.day
    say(
        N_("%(day)s from %(source)s: %(count)s matches, fetched at %(at)s"),
        day=day.date,
        source=day.source,
        count=len(report.matches),
        at=local_time(day.fetched_at) or "-",
    )
    if day.message is not None:
        tell(day.message)
    for competition, matches in groupby(sorted(report.matches, key=_competition), key=_competition):
        click.echo(f"\n{competition}")
        table(
            (N_("Kick-off"), N_("Home"), N_("Score"), N_("Away"), N_("Status")),
            [_row(match, day.date.isoformat()) for match in matches],
        )


def _competition(match: Match) -> str:
    return ", ".join(part for part in (match.country, match.competition) if part) or "-"


def _row(match: Match, day: str) -> tuple[object, ...]:
    at = local_time(match.kickoff, "%Y-%m-%d %H:%M").removeprefix(f"{day} ")
    return at or "-", match.home, _score(match), match.away, match.status


def _score(match: Match) -> str:
    if match.home_score is None or match.away_score is None:
        return "-"
    score = f"{match.home_score}-{match.away_score}"
    if match.home_half_time is not None and match.away_half_time is not None:
        score += f" ({match.home_half_time}-{match.away_half_time})"
    if match.home_penalties is not None and match.away_penalties is not None:
        score += f" p. {match.home_penalties}-{match.away_penalties}"
    return score
