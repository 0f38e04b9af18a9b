"""The list of jobs, each with a bar made of its items' states."""

from collections.abc import Sequence
from typing import Any

from flask import g, url_for
from flask_babel import gettext, lazy_gettext
from markupsafe import Markup
from sqlalchemy import func, or_, select

from app.admin import filters, look, words
from app.admin.base import MOST_ID, ListView
from app.core.db import reading
from app.jobs.models import ItemState, Job, JobItem, JobState, Trigger


def sums_of(jobs: Sequence[Job]) -> dict[int, dict[str, int]]:
    """Items per state of each job, by one question; a job that is done need not be counted."""
    found: dict[int, dict[str, int]] = {job.id: {} for job in jobs}
    found |= {j.id: {ItemState.DONE: j.submitted} for j in jobs if j.state == JobState.DONE}
    counted = (
        select(JobItem.job_id, JobItem.state, func.count())
        .where(JobItem.job_id.in_([job.id for job in jobs if job.state != JobState.DONE]))
        .group_by(JobItem.job_id, JobItem.state)
    )
    with reading() as session:
        for job_id, state, count in session.execute(counted):
            found[job_id][state] = count
    return found


def job_link(job: Job) -> Markup:
    """Its number, leading to its page."""
    return Markup('<a href="{}">{}</a>').format(url_for("job.page", job_id=job.id), job.id)


def progress(job: Job) -> Markup:
    """The bar and the number of items."""
    bar = look.bar(g.job_sums.get(job.id, {}), job.submitted)
    return Markup('{} <span class="aside">{}</span>').format(bar, look.number(job.submitted))


def state(job: Job) -> Markup:
    """The state; paused is what a person wants to know first."""
    shown = look.badge(job.state, words.JOB_STATES)
    if job.paused_at is not None and job.finished_at is None:
        shown += Markup(" ") + look.mark("odd", gettext("paused"), "player-pause")
    return shown


class JobsView(ListView):
    """Newest first."""

    model_class = Job
    label = lazy_gettext("Jobs")
    place = "jobs"
    empty = lazy_gettext("No job was submitted yet. Press “Fetch a day” on the dashboard.")
    can_view_details = False  # the job page is ours
    fold_search = False

    column_list = (
        "id",
        "kind",
        "what",
        "state",
        "progress",
        "requested_by",
        "trigger",
        "submitted_at",
        "started_at",
        "finished_at",
    )
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "id": lazy_gettext("Number"),
        "kind": lazy_gettext("Kind"),
        "what": lazy_gettext("What"),
        "state": lazy_gettext("State"),
        "progress": lazy_gettext("Items"),
        "requested_by": lazy_gettext("Requested by"),
        "trigger": lazy_gettext("Came from"),
        "submitted_at": lazy_gettext("Submitted"),
        "started_at": lazy_gettext("Started"),
        "finished_at": lazy_gettext("Ended"),
    }
    column_formatters = {  # noqa: RUF012
        "id": look.row_cell(job_link),
        "kind": look.named(words.KINDS),
        "what": look.row_cell(look.what),
        "state": look.row_cell(state),
        "progress": look.row_cell(progress),
        "trigger": look.named(words.TRIGGERS),
    }
    column_sortable_list = ("id", "submitted_at", ("progress", "submitted"))
    column_default_sort = ("id", True)
    column_searchable_list = ("requested_by",)
    column_filters = (
        filters.Choice(Job.state, lazy_gettext("State"), JobState, words.JOB_STATES),
        filters.Choice(Job.kind, lazy_gettext("Kind"), words.KINDS, words.KINDS),
        filters.Choice(Job.trigger, lazy_gettext("Came from"), Trigger, words.TRIGGERS),
        filters.OnOrAfter(Job.submitted_at, lazy_gettext("Submitted from")),
        filters.OnOrBefore(Job.submitted_at, lazy_gettext("Submitted until")),
    )

    def get_list(self, *args: Any, **options: Any) -> Any:
        """The page of jobs, and beside it what their bars show."""
        count, jobs = super().get_list(*args, **options)
        g.job_sums = sums_of(jobs)
        return count, jobs

    def search_condition(self, term: str) -> Any:
        """By who asked, or by the job's number."""
        by_name = super().search_condition(term)
        if term.isascii() and term.isdigit() and int(term) <= MOST_ID:
            return or_(by_name, Job.id == int(term))
        return by_name

    def search_placeholder(self) -> Any:
        """What the search looks at."""
        return lazy_gettext("Number, requested by")
