"""The list of jobs, each with a bar made of its items' states."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import flash, g, url_for
from flask_babel import gettext, lazy_gettext, ngettext
from markupsafe import Markup
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app.admin import filters, login, look, words
from app.admin.address import row_id
from app.admin.base import ListView
from app.admin.bulk import Action
from app.admin.language import say
from app.core.db import persist, reading
from app.core.many import one_of
from app.core.text import RequestError
from app.jobs import steer
from app.jobs.models import OPEN_JOB, ItemState, Job, JobItem, JobState, Trigger


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
    """The bar, and how many of the items are done."""
    sums = g.job_sums.get(job.id, {})
    done, of = look.number(sums.get(ItemState.DONE, 0)), look.number(job.submitted)
    told = Markup('{} <span class="aside">{} / {}</span>')
    return told.format(look.bar(sums, job.submitted), done, of)


def state(job: Job) -> Markup:
    """The state; paused is what a person wants to know first."""
    shown = look.job_badge(job.state, g.job_sums.get(job.id, {}))
    if job.paused_at is not None and job.finished_at is None:
        shown += Markup(" ") + look.mark("odd", gettext("paused"), "player-pause")
    return shown


# --- to many at once ------------------------------------------------------------------------------


def cancel(ids: list[int]) -> None:
    """Stop those of them that have not ended."""
    by = login.me().username
    _to_each(ids, lambda session, job_id: steer.cancel(session, job_id, by=by))


def pause(ids: list[int]) -> None:
    """Hand out nothing more of them."""
    _to_each(ids, steer.pause)


def resume(ids: list[int]) -> None:
    """Go on with them."""
    _to_each(ids, steer.resume)


def _to_each(ids: list[int], do: Callable[[Session, int], object]) -> None:
    """Each in a transaction of its own; what ended meanwhile stays as it is, and that is said."""
    with reading() as session:
        wanted = select(Job.id).where(one_of(Job.id, ids), Job.state.in_(OPEN_JOB))
        still_open = session.scalars(wanted.order_by(Job.id)).all()
    done = sum(_to_one(job_id, do) for job_id in still_open)
    if done:
        flash(ngettext("%(num)s job was changed.", "%(num)s jobs were changed.", done), "success")
    if left := len(ids) - done:
        text = ngettext(
            "%(num)s job had already ended and stays as it is.",
            "%(num)s jobs had already ended and stay as they are.",
            left,
        )
        flash(text, "info")


def _to_one(job_id: int, do: Callable[[Session, int], object]) -> bool:
    try:
        persist(lambda session: do(session, job_id))
    except RequestError as error:
        flash(say(error.sentence), "error")
        return False
    return True


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
        filters.AtLeast(Job.submitted, lazy_gettext("Items at least")),
    )

    actions_on_rows = (
        Action(
            "pause",
            lazy_gettext("Pause"),
            "player-pause",
            lazy_gettext("Pause {count} jobs? Nothing more of them is handed out."),
            pause,
        ),
        Action(
            "resume",
            lazy_gettext("Resume"),
            "player-play",
            lazy_gettext("Resume {count} jobs?"),
            resume,
        ),
        Action(
            "cancel",
            lazy_gettext("Cancel jobs"),
            "ban",
            lazy_gettext("Cancel {count} jobs? What waits in them is not done."),
            cancel,
            is_dangerous=True,
        ),
    )
    plain = {  # noqa: RUF012  in a file, where no job's items are counted
        "progress": lambda job: job.submitted,
        "state": lambda job: look.word(words.JOB_STATES, job.state),
    }

    def get_list(self, *args: Any, **options: Any) -> Any:
        """The page of jobs, and beside it what their bars show."""
        count, jobs = super().get_list(*args, **options)
        g.job_sums = sums_of(jobs)
        return count, jobs

    def search_condition(self, words: Sequence[str]) -> Any:
        """By who asked, or by the job's number."""
        return and_(*map(self._by_word, words))

    def _by_word(self, word: str) -> Any:
        by_name = super().search_condition([word])
        number = row_id(word)
        return by_name if number is None else or_(by_name, Job.id == number)

    def search_placeholder(self) -> Any:
        """What the search looks at."""
        return lazy_gettext("Number, requested by")
