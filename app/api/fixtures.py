"""/api/fixtures: as `flask fixtures`."""

from collections.abc import Mapping
from typing import Any

from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

import tasks
from app.accounts.permissions import Permission
from app.api.base import blueprint, body, found, language, me, needs, text_of, texts_of, whole_of
from app.core.db import reading
from app.core.text import N_, RequestError
from app.fixtures.present import day_as_dict
from app.fixtures.report import day_report
from app.fixtures.request import MOST_HOURS, DaysWanted, parse_day, request_of
from app.jobs.models import Trigger
from app.jobs.present import job_as_dict
from app.jobs.report import job_report
from app.sources.registry import ADAPTERS, SourceTable, adapter, source_table

fixtures = blueprint("fixtures")


@fixtures.get("/fixtures/<day>")
@needs(Permission.SEE)
def show(day: str) -> ResponseReturnValue:
    """The stored list of a day: ?source="""
    source = request.args.get("source")
    names = [adapter(source).name] if source else _by_use()
    wanted = parse_day(day)
    with reading() as session, found():
        report = day_report(session, names, wanted)
    return jsonify(day_as_dict(report, language()))


@fixtures.post("/fixtures/fetch")
@needs(Permission.FETCH)
def fetch() -> ResponseReturnValue:
    """{"from": day, "to": day, "sources" or "failover": [name], "skip_fresh_hours": number}

    Only "from" must be there. 200 instead of 202 when all of it is fresh and nothing was submitted.
    """
    asked = request_of(_wanted(body()), _known())
    if asked.job is None:
        return jsonify(id=None, joined=False, asked=0, fresh=asked.fresh)
    submitted = tasks.submit(asked.job, by=me().username, trigger=Trigger.API)
    with reading() as session:
        report = job_report(session, submitted.job_id)
    more = {"joined": submitted.joined, "asked": submitted.items, "fresh": asked.fresh}
    return jsonify(job_as_dict(report, language()) | more), 202


def _wanted(sent: Mapping[str, Any]) -> DaysWanted:
    first = text_of(sent, "from")
    if first is None:
        raise RequestError(N_("“from” is missing: the day to fetch, for example 2024-11-05."))
    return DaysWanted(
        first=first,
        last=text_of(sent, "to"),
        sources=texts_of(sent, "sources"),
        failover=texts_of(sent, "failover", each_once=False),
        skip_fresh_h=whole_of(sent, "skip_fresh_hours", MOST_HOURS),
    )


def _known() -> SourceTable:
    return source_table(current_app.config["FIKSTUR"])


def _by_use() -> list[str]:
    """Every known source, those that may be asked first."""
    return list(dict.fromkeys([*_known().usable(), *ADAPTERS]))
