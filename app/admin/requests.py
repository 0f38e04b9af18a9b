"""The request log: every HTTP request to a source, until it is pruned."""

from flask_babel import lazy_gettext

from app.admin import filters, look
from app.admin.base import ListView
from app.sources.models import RequestLog


class RequestsView(ListView):
    """Newest first."""

    model_class = RequestLog
    label = lazy_gettext("Requests")
    place = "requests"
    intro = lazy_gettext("Every request made to a source. Old ones are forgotten by themselves.")
    fold_search = False  # millions of rows, and nothing in them has an accent

    column_list = (
        "at",
        "source",
        "key",
        "template",
        "status",
        "code",
        "bytes",
        "elapsed_ms",
        "attempt",
        "job_id",
    )
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "at": lazy_gettext("Time"),
        "source": lazy_gettext("Source"),
        "key": lazy_gettext("Key"),
        "template": lazy_gettext("Address"),
        "status": lazy_gettext("HTTP"),
        "code": lazy_gettext("Code"),
        "bytes": lazy_gettext("Bytes"),
        "elapsed_ms": lazy_gettext("Milliseconds"),
        "attempt": lazy_gettext("Attempt"),
        "job_id": lazy_gettext("Job"),
    }
    column_formatters = {  # noqa: RUF012
        "code": look.cell(look.code),
        "template": look.cell(look.long_text),
        "bytes": look.cell(look.number),
        "elapsed_ms": look.cell(look.number),
        "job_id": look.row_cell(look.job_item_link),
    }
    column_formatters_detail = column_formatters
    column_details_exclude_list = ("item_id",)
    column_sortable_list = ("at", "elapsed_ms", "bytes")
    column_default_sort = ("id", True)
    column_searchable_list = ("key", "template")
    column_filters = (
        filters.of_source(RequestLog.source),
        filters.of_code(RequestLog.code),
        filters.Exactly(RequestLog.key, lazy_gettext("Key")),
        filters.OnOrAfter(RequestLog.at, lazy_gettext("From")),
        filters.OnOrBefore(RequestLog.at, lazy_gettext("Until")),
        filters.AtLeast(RequestLog.elapsed_ms, lazy_gettext("Milliseconds at least")),
        filters.AtLeast(RequestLog.status, lazy_gettext("HTTP from")),
        filters.AtMost(RequestLog.status, lazy_gettext("HTTP to")),
    )
