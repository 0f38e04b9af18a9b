"""/api/jobs: as `flask jobs`."""

from collections.abc import Callable

from flask import jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from app.accounts.permissions import Permission
from app.api.base import (
    blueprint,
    choice_arg,
    found,
    language,
    limit_arg,
    me,
    needs,
    number_arg,
)
from app.core.db import persist, reading
from app.jobs import steer
from app.jobs.models import ItemState, JobState
from app.jobs.present import item_as_dict, job_as_dict
from app.jobs.report import job_report, list_items, list_jobs

jobs = blueprint("jobs")
_ID = f"<int(max={2**63 - 1}):job_id>"


@jobs.get("/jobs")
@needs(Permission.SEE)
def index() -> ResponseReturnValue:
    """The newest first: ?state= &before= &limit="""
    state = choice_arg("state", [state.value for state in JobState])
    wanted = JobState(state) if state else None
    with reading() as session:
        rows = list_jobs(session, state=wanted, before=number_arg("before"), most=limit_arg(20))
        reports = [job_report(session, job.id) for job in rows]
    return jsonify([job_as_dict(report, language()) for report in reports])


@jobs.get(f"/jobs/{_ID}")
@needs(Permission.SEE)
def show(job_id: int) -> ResponseReturnValue:
    """One job with its sums."""
    return _answer_job(job_id)


@jobs.get(f"/jobs/{_ID}/items")
@needs(Permission.SEE)
def items(job_id: int) -> ResponseReturnValue:
    """As they were asked for: ?state= &after= &limit="""
    state = choice_arg("state", [state.value for state in ItemState])
    with reading() as session:
        with found():
            job_report(session, job_id)
        after = number_arg("after") or 0
        rows = list_items(session, job_id, state=state, after=after, most=limit_arg(100))
    return jsonify([item_as_dict(item, language()) for item in rows])


@jobs.post(f"/jobs/{_ID}/cancel")
@needs(Permission.FETCH)
def cancel(job_id: int) -> ResponseReturnValue:
    """What waits ends at once, what runs when its worker looks."""
    by = me().username
    return _steer(job_id, lambda session: steer.cancel(session, job_id, by=by))


@jobs.post(f"/jobs/{_ID}/pause")
@needs(Permission.FETCH)
def pause(job_id: int) -> ResponseReturnValue:
    """Hand out no more of its items."""
    return _steer(job_id, lambda session: steer.pause(session, job_id))


@jobs.post(f"/jobs/{_ID}/resume")
@needs(Permission.FETCH)
def resume(job_id: int) -> ResponseReturnValue:
    """Go on with a paused job."""
    return _steer(job_id, lambda session: steer.resume(session, job_id))


def _steer(job_id: int, change: Callable[[Session], object]) -> ResponseReturnValue:
    with reading() as session, found():
        job_report(session, job_id)
    persist(change)
    return _answer_job(job_id)


def _answer_job(job_id: int) -> ResponseReturnValue:
    with reading() as session, found():
        report = job_report(session, job_id)
    return jsonify(job_as_dict(report, language()))
