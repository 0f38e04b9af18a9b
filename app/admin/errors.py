"""The open problems and how to try them again: one, a selection, or all that match."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from flask import current_app, flash, redirect, request, url_for
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

import tasks
from app.accounts.permissions import Permission
from app.admin import charts, filters, login, look, words
from app.admin.base import ListView
from app.admin.bulk import known_ids
from app.admin.language import say
from app.core.db import reading
from app.core.text import N_, RequestError
from app.errors.groups import DAYS, ErrorGroup, last_midnights, open_groups
from app.errors.models import FixtureError
from app.fixtures import retry
from app.fixtures.accept import Suspect, accept_request, suspect
from app.jobs.models import Trigger
from app.jobs.submit import JobRequest, Submitted

FILTER_FIELDS = ("source", "code", "kind", "text", "group")
SHOWN = {"open": N_("Open"), "resolved": N_("Resolved"), "all": N_("All")}


class ErrorsView(ListView):
    """The open ones, last seen first. The search looks at the key, exactly as the retry does."""

    model_class = FixtureError
    label = lazy_gettext("Errors")
    place = "errors"
    empty = lazy_gettext("No open error. What fails later will stand here with its reason.")
    list_template = "panel/errors.html"
    details_template = "panel/error.html"
    kept_args = ("show", "group")
    simple_list_pager = False
    fold_search = False

    column_list = (
        "code",
        "source",
        "kind",
        "key",
        "message",
        "http_status",
        "attempts",
        "first_seen_at",
        "last_seen_at",
        "next_try_at",
    )
    column_details_list = (*column_list, "resolved_at", "resolved_by", "job_id")
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "code": lazy_gettext("Code"),
        "source": lazy_gettext("Source"),
        "kind": lazy_gettext("Kind"),
        "key": lazy_gettext("Key"),
        "message": lazy_gettext("What happened"),
        "http_status": lazy_gettext("HTTP"),
        "attempts": lazy_gettext("Attempts"),
        "first_seen_at": lazy_gettext("First seen"),
        "last_seen_at": lazy_gettext("Last seen"),
        "next_try_at": lazy_gettext("Next try"),
        "resolved_at": lazy_gettext("Resolved"),
        "resolved_by": lazy_gettext("Resolved by"),
        "job_id": lazy_gettext("Last seen in job"),
    }
    column_formatters = {  # noqa: RUF012
        "code": look.cell(look.code),
        "kind": look.named(words.KINDS),
        "job_id": look.row_cell(look.job_item_link),
    }
    column_formatters_detail = column_formatters
    column_sortable_list = (
        "code",
        "source",
        "key",
        "http_status",
        "attempts",
        "first_seen_at",
        "last_seen_at",
        "next_try_at",
    )
    column_default_sort = [("last_seen_at", True), ("id", True)]  # noqa: RUF012
    column_searchable_list = ("key",)
    # Only what `retry.Filter` knows: "all matching" must be what the list shows.
    column_filters = (
        filters.of_source(FixtureError.source),
        filters.of_code(FixtureError.code),
        filters.Choice(FixtureError.kind, lazy_gettext("Kind"), words.KINDS, words.KINDS),
    )
    shown_words: ClassVar[dict[str, str]] = SHOWN

    def get_query(self) -> Any:
        """Open, resolved or all."""
        return self._only_shown(super().get_query())

    def get_count_query(self) -> Any:
        """Of the same."""
        return self._only_shown(super().get_count_query())

    def _only_shown(self, query: Any) -> Any:
        if request.endpoint == "errors.details_view":
            return query
        if group := self.group():
            query = query.filter(FixtureError.fingerprint == group)
        if self.shown() == "all":
            return query
        is_open = FixtureError.resolved_at.is_(None)
        return query.filter(is_open if self.shown() == "open" else ~is_open)

    def shown(self) -> str:
        """Which of the three the address asks for."""
        wanted = request.args.get("show", "")
        return wanted if wanted in SHOWN else "open"

    def _apply_search(
        self, query: Any, count_query: Any, joins: Any, count_joins: Any, wanted: str
    ) -> tuple[Any, Any, Any, Any]:
        # As one text, not word by word: as the retry looks for it.
        found = self.search_condition([wanted])
        return query.filter(found), count_query.filter(found), joins, count_joins

    # --- by cause ---

    def group(self) -> str | None:
        """The group whose problems alone are asked for."""
        return request.args.get("group", "").replace("\0", "") or None

    def groups(self) -> list[ErrorGroup]:
        """All of them on the first page of the open ones; when something is looked for, none."""
        if set(request.args) - {"show"} or self.shown() != "open":
            return []
        with reading() as session:
            zone = ZoneInfo(current_app.config["FIKSTUR"].time_zone)
            return open_groups(session, last_midnights(DAYS, zone))

    def sparkline(self, group: ErrorGroup) -> Any:
        """How many came new on each day."""
        told = gettext(
            "New on each of the last %(days)s days: %(counts)s",
            days=len(group.per_day),
            counts=", ".join(map(str, group.per_day)),
        )
        return charts.sparkline(group.per_day, told)

    def at_once(self, count: int) -> int:
        """How many of so many one press of the button tries again."""
        return min(count, retry.MOST_AT_ONCE)

    # --- trying again ---

    def may_retry(self) -> bool:
        """Whether to show the buttons."""
        return login.may(Permission.FETCH)

    def wanted(self) -> dict[str, str]:
        """The filter of the list shown, as fields of the form that retries all it matches."""
        view_args = self._get_list_extra_args()
        chosen = {
            self._filters[index].column.key: value
            for index, _name, value in view_args.filters or ()
        }
        more = {"text": view_args.search, "group": self.group()}
        return chosen | {name: value for name, value in more.items() if value}

    def how_many(self) -> int:
        """How many open problems "all matching" means."""
        fitting = retry.matching(_filter(self.wanted())).order_by(None).subquery()
        with reading() as session:
            return session.scalar(select(func.count()).select_from(fitting)) or 0

    @expose("/retry", methods=("POST",))
    def retry_chosen(self) -> Response:
        """Try one or some again, by their ids."""
        texts = request.form.getlist("id")
        return self._retry(lambda session: retry.chosen(session, _ids(texts)), "chosen")

    @expose("/retry-matching", methods=("POST",))
    def retry_matching(self) -> Response:
        """Try everything again that fits the filter of the list."""
        wanted = _filter(request.form)
        return self._retry(lambda session: retry.all_matching(session, wanted), "matching")

    def _retry(self, find: Callable[[Session], Sequence[FixtureError]], why: str) -> Response:
        def start() -> int:
            with reading() as session:
                return submit(retry.retry_request(session, find(session), why))

        return self._to_job(start)

    def _to_job(self, start: Callable[[], int]) -> Response:
        """To the page of the job that was started, or back with the reason why there is none."""
        login.require(Permission.FETCH)
        try:
            return redirect(url_for("job.page", job_id=start()))
        except RequestError as error:
            flash(say(error.sentence), "error")
            return redirect(login.own_path(request.form.get("url") or url_for(".index_view")))

    # --- accepting a list that truly shrank ---

    def suspect(self, error: FixtureError) -> Suspect | None:
        """What whoever looks at the problem may accept."""
        if not self.may_retry():
            return None
        with reading() as session:
            return suspect(session, error)

    @expose("/accept", methods=("POST",))
    def accept(self) -> Response:
        """Ask again for these, and take a list as short as the suspect one."""
        texts, by = request.form.getlist("id"), login.me().username

        def make(session: Session) -> JobRequest:
            return accept_request(session, _ids(texts))

        return self._to_job(lambda: told(tasks.submit_made(make, by=by, trigger=Trigger.PANEL)))


def submit(request: JobRequest) -> int:
    """Write the job, say what will happen, and give its number."""
    return told(tasks.submit(request, by=login.me().username, trigger=Trigger.PANEL))


def told(done: Submitted) -> int:
    """The number of a job, after saying what will happen."""
    if done.joined:
        flash(gettext("Job %(id)s is doing just that already; here it is.", id=done.job_id), "info")
    else:
        flash(
            gettext("Job %(id)s was started: %(count)s to do.", id=done.job_id, count=done.items),
            "success",
        )
    return done.job_id


def _filter(values: Any) -> retry.Filter:
    return retry.Filter(
        **{name: values.get(name, "").replace("\0", "") or None for name in FILTER_FIELDS}
    )


def _ids(texts: Sequence[str]) -> list[int]:
    """RequestError when nothing was chosen, or something that is no number of ours."""
    if not texts:
        raise RequestError(N_("Nothing was selected. Tick the errors to retry first."))
    return known_ids(texts, N_("There is no error %(id)s."))
