"""The raw answers: when each came and what it is; the body itself is not shown here."""

from typing import Any

from flask_babel import lazy_gettext
from sqlalchemy.orm import defer

from app.admin import filters, look, words
from app.admin.base import ListView
from app.fixtures.models import RawAnswer


class AnswersView(ListView):
    """Newest first."""

    model_class = RawAnswer
    label = lazy_gettext("Raw answers")
    place = "answers"
    intro = lazy_gettext("Every good answer, kept as it came. The same body again is not kept.")
    fold_search = False

    column_list = ("id", "fetched_at", "source", "kind", "key", "http_status", "size")
    column_details_list = (*column_list, "sha256", "etag", "last_modified")
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "id": lazy_gettext("Number"),
        "fetched_at": lazy_gettext("Fetched"),
        "source": lazy_gettext("Source"),
        "kind": lazy_gettext("Kind"),
        "key": lazy_gettext("Key"),
        "http_status": lazy_gettext("HTTP"),
        "size": lazy_gettext("Bytes"),
        "sha256": lazy_gettext("SHA-256"),
        "etag": lazy_gettext("ETag"),
        "last_modified": lazy_gettext("Last-Modified"),
    }
    column_formatters = {  # noqa: RUF012
        "kind": look.named(words.KINDS),
        "size": look.cell(look.number),
    }
    column_formatters_detail = column_formatters
    column_sortable_list = ("id", "fetched_at", "size")
    column_default_sort = ("id", True)
    column_searchable_list = ("key",)
    column_filters = (
        filters.of_source(RawAnswer.source),
        filters.Exactly(RawAnswer.key, lazy_gettext("Key")),
        filters.OnOrAfter(RawAnswer.fetched_at, lazy_gettext("From")),
        filters.OnOrBefore(RawAnswer.fetched_at, lazy_gettext("Until")),
    )

    def get_query(self) -> Any:
        """Without the bodies: they are large."""
        return super().get_query().options(defer(RawAnswer.body))
