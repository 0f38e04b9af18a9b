"""The fixture days: what each source's list of each date held when it was last fetched."""

from flask import url_for
from flask_babel import lazy_gettext, ngettext
from markupsafe import Markup, escape

from app.admin import filters, look
from app.admin.base import ListView
from app.fixtures.models import FixtureDay


def matches_link(row: FixtureDay) -> Markup:
    """The number of matches, leading to them."""
    if row.fetched_at is None:
        return look.NONE
    url = url_for("matches.index_view", day=row.id)
    text = ngettext("%(num)s match", "%(num)s matches", row.count)
    return Markup('<a href="{}">{}</a>').format(url, text)


def rejected(row: FixtureDay) -> Markup:
    """Rows that could not be read stand out."""
    if not row.rejected:
        return escape(0)
    return look.mark("warn", row.rejected)


class DaysView(ListView):
    """Newest date first."""

    model_class = FixtureDay
    label = lazy_gettext("Days")
    place = "days"
    intro = lazy_gettext("Each source's list of each day, as it was last fetched.")
    empty = lazy_gettext("No day was fetched yet. Press “Fetch a day” on the dashboard.")
    simple_list_pager = False  # a few thousand rows per source

    column_list = (
        "date",
        "source",
        "data_id",
        "count",
        "in_progress",
        "finished",
        "rejected",
        "code",
        "fetched_at",
    )
    column_details_list = (*column_list, "message", "looked_at", "changed_at", "raw_id")
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "date": lazy_gettext("Day"),
        "source": lazy_gettext("Source"),
        "data_id": lazy_gettext("Data id"),
        "count": lazy_gettext("Matches"),
        "in_progress": lazy_gettext("Being played"),
        "finished": lazy_gettext("Finished"),
        "rejected": lazy_gettext("Rejected rows"),
        "code": lazy_gettext("Last look"),
        "message": lazy_gettext("What it said"),
        "fetched_at": lazy_gettext("Fetched"),
        "looked_at": lazy_gettext("Looked at"),
        "changed_at": lazy_gettext("Last change"),
        "raw_id": lazy_gettext("Raw answer"),
    }
    column_formatters = {  # noqa: RUF012
        "count": look.row_cell(matches_link),
        "rejected": look.row_cell(rejected),
        "code": look.cell(look.code),
        "raw_id": look.cell(look.answer_link),
    }
    column_formatters_detail = column_formatters
    column_sortable_list = column_list
    column_default_sort = [("date", True), ("source", False)]  # noqa: RUF012
    column_searchable_list = ("data_id",)
    column_filters = (
        filters.of_source(FixtureDay.source),
        filters.of_code(FixtureDay.code),
        filters.DayOnOrAfter(FixtureDay.date, lazy_gettext("From")),
        filters.DayOnOrBefore(FixtureDay.date, lazy_gettext("Until")),
    )
