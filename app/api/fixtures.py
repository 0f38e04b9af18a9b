"""/api/fixtures: as `flask fixtures`."""

from collections.abc import Sequence

from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

import tasks
from app.accounts.permissions import Permission
from app.api.base import blueprint, body, found, language, me, needs, text_of, texts_of
from app.core.db import reading
from app.core.text import N_, RequestError
from app.fixtures.present import day_as_dict
from app.fixtures.report import day_report
from app.fixtures.request import FetchRequest, fetch_request, parse_day
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
    """{"from": day, "to": day, "sources": [name]}; the last two may be missing."""
    sent = body()
    first, last = text_of(sent, "from"), text_of(sent, "to")
    if first is None:
        raise RequestError(N_("“from” is missing: the day to fetch, for example 2024-11-05."))
    asked = _request(first, last or first, texts_of(sent, "sources"))
    if asked.job is None:  # only with a filter for freshness, which is not offered here
        raise RequestError(N_("There is nothing to fetch."))
    submitted = tasks.submit(asked.job, by=me().username, trigger=Trigger.API)
    with reading() as session:
        report = job_report(session, submitted.job_id)
    more = {"joined": submitted.joined, "asked": submitted.items}
    return jsonify(job_as_dict(report, language()) | more), 202


def _request(first: str, last: str, sources: Sequence[str]) -> FetchRequest:
    known = _known()
    names = [known.get(name).name for name in sources] or known.usable()
    if not names:
        raise RequestError(N_("No source may be asked: flask --app wsgi sources list"))
    first_day, last_day = parse_day(first), parse_day(last)
    with reading() as session:
        return fetch_request(session, names, first_day, last_day)


def _known() -> SourceTable:
    return source_table(current_app.config["FIKSTUR"])


def _by_use() -> list[str]:
    """Every known source, those that may be asked first."""
    return list(dict.fromkeys([*_known().usable(), *ADAPTERS]))
