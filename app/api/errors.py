"""/api/errors: as `flask errors`."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app, jsonify, request
from flask.typing import ResponseReturnValue

import tasks
from app.accounts.permissions import Permission
from app.api.base import (
    blueprint,
    body,
    found,
    language,
    limit_arg,
    me,
    needs,
    number_arg,
    numbers_of,
    text_of,
)
from app.core.db import reading
from app.core.text import N_, RequestError
from app.errors.groups import DAYS, group_as_dict, last_midnights, open_groups
from app.errors.present import error_as_dict
from app.fixtures.accept import accept_request
from app.fixtures.report import get_error, list_errors
from app.fixtures.retry import Filter, all_matching, chosen, retry_request
from app.jobs.models import Trigger
from app.jobs.present import job_as_dict
from app.jobs.report import job_report
from app.jobs.submit import JobRequest, Submitted

errors = blueprint("errors")


@errors.get("/errors")
@needs(Permission.SEE)
def index() -> ResponseReturnValue:
    """Open problems, the newest first: ?source= &code= &kind= &text= &group= &all=1 …"""
    with reading() as session:
        rows = list_errors(
            session,
            _filter(request.args),
            with_resolved=request.args.get("all") == "1",
            before=number_arg("before"),
            most=limit_arg(50),
        )
    return jsonify([error_as_dict(row, language()) for row in rows])


@errors.get("/errors/groups")
@needs(Permission.SEE)
def groups() -> ResponseReturnValue:
    """The open problems by their cause, the most frequent first."""
    zone = ZoneInfo(current_app.config["FIKSTUR"].time_zone)
    with reading() as session:
        found = open_groups(session, last_midnights(DAYS, zone))
    return jsonify([group_as_dict(group, language()) for group in found])


@errors.get(f"/errors/<int(max={2**63 - 1}):error_id>")
@needs(Permission.SEE)
def show(error_id: int) -> ResponseReturnValue:
    """One problem with its evidence."""
    with reading() as session, found():
        row = get_error(session, error_id)
    return jsonify(error_as_dict(row, language(), with_evidence=True))


@errors.post("/errors/retry")
@needs(Permission.FETCH)
def retry() -> ResponseReturnValue:
    """{"ids": [number]}, or {"all": true, "filter": {"source", "code", …}}, as the list."""
    sent = body()
    ids = numbers_of(sent, "ids")
    if bool(ids) == (sent.get("all") is True):
        raise RequestError(N_("Send either “ids” or “all”: true, perhaps with a “filter”."))
    wanted = sent.get("filter") or {}
    if not isinstance(wanted, dict):
        raise RequestError(N_("“filter” must be an object."))
    request = _request(ids, _filter(wanted))
    return _started(tasks.submit(request, by=me().username, trigger=Trigger.API))


@errors.post("/errors/accept")
@needs(Permission.FETCH)
def accept() -> ResponseReturnValue:
    """{"ids": [number]}: the lists of these days truly shrank; ask again and take them."""
    ids = numbers_of(body(), "ids")
    submitted = tasks.submit_made(
        lambda session: accept_request(session, ids), by=me().username, trigger=Trigger.API
    )
    return _started(submitted)


def _started(submitted: Submitted) -> ResponseReturnValue:
    with reading() as session:
        report = job_report(session, submitted.job_id)
    more = {"joined": submitted.joined, "asked": submitted.items}
    return jsonify(job_as_dict(report, language()) | more), 202


def _filter(sent: Mapping[str, Any]) -> Filter:
    return Filter(
        source=text_of(sent, "source"),
        code=text_of(sent, "code"),
        kind=text_of(sent, "kind"),
        text=text_of(sent, "text"),
        group=text_of(sent, "group"),
    )


def _request(ids: Sequence[int], wanted: Filter) -> JobRequest:
    with reading() as session:
        rows = chosen(session, ids) if ids else all_matching(session, wanted)
        return retry_request(session, rows, "asked")
