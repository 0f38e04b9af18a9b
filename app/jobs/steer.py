"""Cancelling, pausing and resuming a job by hand."""

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.audit.trail import note
from app.core.db import db_now
from app.core.text import N_, RequestError
from app.jobs.models import OPEN_JOB, ItemState, Job, JobItem
from app.jobs.moves import move, note_job, settle


def cancel(session: Session, job_id: int, *, by: str) -> int:
    """Stop a job: what waits is cancelled at once, what runs when its worker next looks.

    Returns how many items were cancelled. RequestError when there is no such open job.
    """
    _open_job(session, job_id)
    # Items first, then the job: a claim takes its locks in the same order.
    rows = move(
        session,
        JobItem.job_id == job_id,
        from_state=ItemState.WAITING,
        event="cancelled",
        ends_jobs=False,
        state=ItemState.CANCELLED,
        finished_at=db_now(),
    )
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.state.in_(OPEN_JOB))
        .values(
            cancel_requested_at=func.coalesce(Job.cancel_requested_at, db_now()), cancelled_by=by
        )
    )
    note_job(session, job_id, "cancel_requested", None)
    note(session, "job.cancel", ("job", job_id), after={"cancelled": len(rows)})
    settle(session, [job_id])
    return len(rows)


def pause(session: Session, job_id: int) -> None:
    """Hand out no more items of a job until it is resumed."""
    _open_job(session, job_id)
    session.execute(update(Job).where(Job.id == job_id).values(paused_at=db_now()))
    note_job(session, job_id, "paused", None)
    note(session, "job.pause", ("job", job_id))


def resume(session: Session, job_id: int) -> None:
    """Go on with a paused job."""
    _open_job(session, job_id)
    session.execute(update(Job).where(Job.id == job_id).values(paused_at=None, rung_at=None))
    note_job(session, job_id, "resumed", None)
    note(session, "job.resume", ("job", job_id))


def _open_job(session: Session, job_id: int) -> None:
    state = session.scalar(select(Job.state).where(Job.id == job_id))
    if state is None:
        raise RequestError(N_("There is no job %(id)s."), id=job_id)
    if state not in OPEN_JOB:
        raise RequestError(
            N_("Job %(id)s has already ended (%(state)s); there is nothing left to change."),
            id=job_id,
            state=state,
        )
