"""The page Audit: who changed what, from where; to filter and to take along, not to change."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask import flash, request
from flask_admin import expose
from flask_babel import gettext, lazy_gettext
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import export, look
from app.admin.base import MOST_ID, PanelView
from app.admin.filters import midnight
from app.admin.language import say
from app.audit import present
from app.audit.models import AuditEntry
from app.audit.present import ACTIONS, KINDS, VIAS, Filter, in_one_line
from app.core.db import reading
from app.core.text import RequestError
from app.fixtures.request import parse_day

PER_PAGE = 50
AT_A_TIME = 1000  # rows in memory while a file is written
COLUMNS: Mapping[str, Any] = {
    "at": lazy_gettext("Time"),
    "who": lazy_gettext("Who"),
    "via": lazy_gettext("Way"),
    "address": lazy_gettext("Address"),
    "action": lazy_gettext("Action"),
    "kind": lazy_gettext("Of what"),
    "object": lazy_gettext("Name"),
    "before": lazy_gettext("Before"),
    "after": lazy_gettext("After"),
}
_CHOICES = {"via": VIAS, "action": ACTIONS, "kind": KINDS}
FIELDS = ("who", "via", "action", "kind", "object", "from", "until")


class AuditView(PanelView):
    """Newest first."""

    permission = Permission.SEE_AUDIT

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Audit"), endpoint="audit", url="audit")

    @expose("/")
    def index(self) -> str:
        """Whatever stands in the address, the answer is a page."""
        form = {name: request.args.get(name, "").strip() for name in FIELDS}
        before = min(max(request.args.get("before", 0, type=int), 0), MOST_ID) or None
        with reading() as session:
            rows = present.entries(session, wanted(form), before=before, most=PER_PAGE + 1)
        chosen = {name: value for name, value in form.items() if value}
        return self.render(
            "people/audit.html",
            rows=rows[:PER_PAGE],
            older=rows[PER_PAGE - 1].id if len(rows) > PER_PAGE else None,
            before=before,
            form=form,
            chosen=chosen,
            choices=_CHOICES,
            columns=COLUMNS,
            in_one_line=in_one_line,
        )

    @expose('/entries.<any("xlsx", "csv"):form>')
    def entries(self, form: str) -> Response:
        """What the filters show, all of it, as a file."""
        asked = {name: request.args.get(name, "").strip() for name in FIELDS}
        header = [str(text) for text in COLUMNS.values()]
        return export.download("audit", form, header, _rows(wanted(asked)), gettext("Audit"))


def wanted(form: Mapping[str, str]) -> Filter:
    """The filter of an address; what nobody knows is left out, and said."""
    known = {name: _choice(name, form.get(name, "")) for name in _CHOICES}
    texts = {name: form.get(name, "").replace("\0", "") or None for name in ("who", "object")}
    first, last = _day(form.get("from", "")), _day(form.get("until", ""))
    return Filter(
        **known,
        **texts,
        since=midnight(first) if first else None,
        until=midnight(last + timedelta(days=1)) if last else None,
    )


def _choice(name: str, value: str) -> str | None:
    return value if value in _CHOICES[name] else None


def _day(text: str) -> date | None:
    try:
        return parse_day(text) if text else None
    except RequestError as error:
        flash(say(error.sentence), "error")
        return None


def _rows(asked: Filter) -> Iterator[Sequence[export.Value]]:
    """Codes as words, in the language of the page; a chunk at a time, each in its transaction."""
    before: int | None = None
    while chunk := _chunk(asked, before):
        for entry in chunk:
            yield (
                entry.at,
                entry.who,
                look.word(VIAS, entry.via),
                entry.address,
                look.word(ACTIONS, entry.action),
                look.word(KINDS, entry.kind),
                entry.object,
                in_one_line(entry.before),
                in_one_line(entry.after),
            )
        before = chunk[-1].id


def _chunk(asked: Filter, before: int | None) -> Sequence[AuditEntry]:
    with reading() as session:
        return present.entries(session, asked, before=before, most=AT_A_TIME)
