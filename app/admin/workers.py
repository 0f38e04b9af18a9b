"""The worker processes that were seen, and which of them are alive."""

from datetime import timedelta
from typing import Any

from flask_babel import gettext, lazy_gettext
from markupsafe import Markup

from app.admin import look
from app.admin.base import ListView
from app.core.clock import now
from app.jobs.models import Worker
from app.jobs.report import WORKER_ALIVE_S


def alive(row: Worker) -> Markup:
    """Alive, stopped, or silent: it died or its machine sleeps."""
    if row.stopped_at is not None:
        colour, text = "quiet", gettext("stopped")
    elif row.heartbeat_at > now() - timedelta(seconds=WORKER_ALIVE_S):
        colour, text = "good", gettext("alive")
    else:
        colour, text = "bad", gettext("silent")
    return look.mark(colour, text)


class WorkersView(ListView):
    """The last heartbeat first."""

    model_class = Worker
    label = lazy_gettext("Workers")
    place = "workers"
    intro = lazy_gettext("The processes that do the jobs. Start one: flask --app wsgi worker")
    empty = lazy_gettext("No worker was ever seen. Start one: flask --app wsgi worker")
    can_view_details = False

    column_list = ("alive", "host", "pid", "started_at", "heartbeat_at", "stopped_at", "id")
    column_display_pk = True
    column_labels = {  # noqa: RUF012  as Flask-Admin wants it
        "alive": lazy_gettext("State"),
        "host": lazy_gettext("Machine"),
        "pid": lazy_gettext("Process"),
        "started_at": lazy_gettext("Started"),
        "heartbeat_at": lazy_gettext("Last heartbeat"),
        "stopped_at": lazy_gettext("Stopped"),
        "id": lazy_gettext("Name in the ledger"),
    }
    column_formatters = {"alive": look.row_cell(alive)}  # noqa: RUF012
    column_sortable_list = ("host", "started_at", "heartbeat_at", "stopped_at")
    column_default_sort = ("heartbeat_at", True)
    column_searchable_list = ("host", "id")

    def get_one(self, id: Any) -> Any:  # noqa: A002  Flask-Admin's name
        """A worker has no page of its own."""
