"""`flask details`: fetch statistics, incidents and line-ups of many matches, and show them."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import click
from sqlalchemy.orm import Session

import tasks
from app.cli import watch
from app.cli.base import (
    Group,
    Mistyped,
    Whole,
    answer,
    argument,
    by,
    language,
    option,
    say,
    settings,
    table,
    tell,
    typed,
)
from app.core.clock import now
from app.core.db import reading
from app.core.text import N_, Sentence
from app.fixtures import ids as match_ids
from app.fixtures.details_report import detail_as_dict, details_of
from app.fixtures.details_request import DetailsPlan, checked_kinds, details_plan
from app.fixtures.ids import Found
from app.fixtures.request import MOST_HOURS, parse_day
from app.jobs.models import Trigger
from app.jobs.present import in_words, job_as_dict
from app.jobs.report import job_report
from app.sources.base import Source
from app.sources.present import Standing, standing
from app.sources.registry import adapter, source_table

details = Group("details", help=N_("Fetch the details of matches and show them."))


@details.command("fetch", help=N_("Fetch details of the matches with these ids."))
@argument("ids", nargs=-1, metavar="[ID]...", help=N_("Match ids, or ranges such as 100-250."))
@option("--source", required=True, metavar="NAME", help=N_("The source the ids belong to."))
@option(
    "--file", "file", metavar="PATH", help=N_("A .txt, .csv or .xlsx file of ids; - for stdin.")
)
@option("--days", "first", metavar="DATE", help=N_("All matches of the stored list of this day."))
@option("--to", "last", metavar="DATE", help=N_("The last of the days."))
@option("--kind", "kinds", multiple=True, metavar="KIND", help=N_("Only this; may be repeated."))
@option(
    "--skip-fresh",
    "skip_fresh_h",
    type=Whole(0, MOST_HOURS),
    metavar="HOURS",
    help=N_("Leave out what was stored in the last so many hours."),
)
@option("--dry-run", is_flag=True, help=N_("Say what it would cost; submit nothing."))
@option(
    "--wait", is_flag=True, help=N_("Wait until the job has ended; exit 1 if any of it failed.")
)
def fetch(  # noqa: PLR0913  click hands over one argument per option
    ids: Sequence[str],
    source: str,
    file: str | None,
    first: str | None,
    last: str | None,
    kinds: Sequence[str],
    skip_fresh_h: int | None,
    dry_run: bool,  # noqa: FBT001
    wait: bool,  # noqa: FBT001
) -> None:
    """Check everything, say what it costs, then submit in one transaction."""
    with typed():
        the_source = source_table(settings()).get(source)
        the_kinds = checked_kinds(the_source, kinds)
        found = _found(the_source, ids, file, _days(first, last), the_kinds)
    _say_read(found)
    since = None if skip_fresh_h is None else now() - timedelta(hours=skip_fresh_h)
    with typed(), reading() as session:
        plan = details_plan(session, the_source, found.ids, the_kinds, fresh_since=since)
        at = _standing(session, the_source.name)
    least_s = at.least_time_s(plan.requests)
    costs = {**_costs(plan, found), "limit": at.limit, "least_s": least_s}
    costs["remarks"] = [remark.to(language()) for remark in at.remarks]
    _say_costs(plan, found)
    say(N_("Time: %(time)s."), time=_in_words(at.limit, least_s))
    for remark in at.remarks:
        tell(remark)
    if dry_run or plan.job is None:
        answer({"id": None, **costs}, lambda: None)
        return
    submitted = tasks.submit(plan.job, by=by(), trigger=Trigger.CLI)
    say(N_("Job %(id)s was submitted; items: %(items)s."), id=submitted.job_id, items=plan.to_do)
    if wait:
        watch.end_with(watch.watch(submitted.job_id), **costs)
    with reading() as session:
        report = job_report(session, submitted.job_id)
    answer(job_as_dict(report, language()) | costs, lambda: None)


def _standing(session: Session, source: str) -> Standing:
    return standing(session, source, settings().source_settings.get(source), now())


def _in_words(limit: str | None, least_s: float) -> Sentence:
    if limit is None:
        return Sentence(N_("as fast as the source answers, for it has no limit"))
    if not least_s:
        told = N_("at once, within its limit of %(limit)s (requests/seconds)")
        return Sentence(told, {"limit": limit})
    told = N_("at least about %(time)s, at its limit of %(limit)s (requests/seconds)")
    return Sentence(told, {"time": timedelta(seconds=max(round(least_s), 1)), "limit": limit})


def _days(first: str | None, last: str | None) -> tuple[date, date] | None:
    if first is None:
        if last is not None:
            raise Mistyped(Sentence(N_("--to needs --days: where does the range begin?")))
        return None
    day = parse_day(first)
    return day, parse_day(last) if last is not None else day


def _found(
    source: Source,
    ids: Sequence[str],
    file: str | None,
    days: tuple[date, date] | None,
    kinds: Sequence[str],
) -> Found:
    """The ids from wherever they were given; they may be given in several ways at once."""
    parts = [match_ids.from_text("\n".join(ids))]
    if file is not None:
        parts.append(match_ids.from_file(*_content(file)))
    if days is not None:
        with reading() as session:
            stored = {
                one: None
                for kind in kinds
                for one in match_ids.of_days(session, source.name, *days, lacking=kind)
            }
        parts.append(Found(tuple(stored), 0, (), 0))
    every = [one for part in parts for one in part.ids]
    distinct = tuple(dict.fromkeys(every))
    return Found(
        distinct,
        sum(part.repeated for part in parts) + len(every) - len(distinct),
        tuple(problem for part in parts for problem in part.problems),
        sum(part.bad for part in parts),
        next((part.read for part in parts if part.read), None),
    )


def _content(file: str) -> tuple[str, bytes]:
    if file == "-":
        return "stdin.txt", sys.stdin.buffer.read()
    try:
        return Path(file).name, Path(file).read_bytes()
    except OSError as error:
        raise Mistyped(
            Sentence(
                N_("The file %(path)s cannot be read: %(reason)s."),
                {"path": file, "reason": error.strerror or error},
            )
        ) from None


def _costs(plan: DetailsPlan, found: Found) -> dict[str, object]:
    numbers = {name: value for name, value in asdict(plan).items() if name != "job"}
    lines = [problem.to(language()) for problem in found.problems]
    return {
        "matches": len(found.ids),
        "repeated": found.repeated,
        "no_ids": found.bad,
        "problems": lines,
        "read": in_words(found.read, language()),
        "to_do": plan.to_do,
        **numbers,
    }


def _say_read(found: Found) -> None:
    """Before anything is refused: it may be why no match is left."""
    if found.read:
        tell(found.read)
    for problem in found.problems:
        click.echo(problem.to(language()), err=True)


def _say_costs(plan: DetailsPlan, found: Found) -> None:
    say(
        N_("%(matches)s matches, %(repeated)s repeated, %(bad)s lines are no ids."),
        matches=len(found.ids),
        repeated=found.repeated,
        bad=found.bad,
    )
    say(
        N_(
            "%(todo)s to fetch (%(new)s never stored before), %(fresh)s fresh enough, "
            "%(in_hand)s asked for already; requests needed: %(requests)s."
        ),
        todo=plan.to_do,
        new=plan.new,
        fresh=plan.fresh,
        in_hand=plan.in_hand,
        requests=plan.requests,
    )
    if plan.job is None:
        tell(Sentence(N_("Nothing to do.")))


@details.command("show", help=N_("Show what is stored of the details of a match."))
@argument("match_id", metavar="ID", help=N_("The match's id at its source."))
@option("--source", required=True, metavar="NAME", help=N_("The source the id belongs to."))
def show(match_id: str, source: str) -> None:
    """Reads only; nothing stored is a sentence and exit 1."""
    with typed():
        name = adapter(source).name
    with reading() as session:
        found = details_of(session, name, match_id)
    answer(
        {"source": name, "source_id": match_id, "details": [detail_as_dict(d) for d in found]},
        lambda: table(
            (N_("Kind"), N_("Code"), N_("Statistics"), N_("Incidents"), N_("Players")),
            [
                (d.head.kind, d.head.code, len(d.statistics), len(d.incidents), len(d.players))
                for d in found
            ],
        ),
    )
