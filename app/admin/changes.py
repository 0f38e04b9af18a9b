"""The page "What changed": the matches of a day that an answer told differently than before."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from flask import flash, request
from flask_admin import expose
from flask_babel import gettext, lazy_gettext

from app.admin import fetch, look, words
from app.admin.base import MOST_ID, PanelView
from app.admin.filters import midnight
from app.admin.language import say
from app.core.db import reading
from app.core.text import N_, RequestError
from app.fixtures.changes import ChangeKind, Page, Window, changes_between
from app.fixtures.request import parse_day
from app.sources.registry import ADAPTERS

PER_PAGE = 50
WORTH, ALL = "worth", "all"
SHOWN = {WORTH: N_("Worth a look"), **words.CHANGE_KINDS, ALL: N_("All")}
_KINDS: Mapping[str, list[ChangeKind]] = {
    WORTH: [kind for kind in ChangeKind if kind is not ChangeKind.PROGRESS],
    ALL: list(ChangeKind),
    **{kind: [kind] for kind in ChangeKind},
}
_COLOURS = {ChangeKind.STATUS_BACK: "bad", ChangeKind.SCORE: "warn", ChangeKind.TEAMS: "warn"}


def told(field: str, value: str | None) -> Any:
    """An old or new value: a time in the reader's zone, a word where there is one."""
    if value is None:
        return gettext("nothing")
    if field == "kickoff":
        return _moment(value)
    tables = {"status": words.STATUSES, "decided_by": words.DECIDED, "winner": words.WINNERS}
    return look.word(tables.get(field, {}), value)


def _moment(text: str) -> Any:
    try:
        return look.moment(datetime.fromisoformat(text))
    except ValueError:
        return text


def colour(kind: ChangeKind) -> str:
    """How alarming it is."""
    return _COLOURS.get(kind, "quiet" if kind is ChangeKind.PROGRESS else "busy")


def counts_of(page: Page) -> dict[str, int]:
    """Matches per tab."""
    counts: dict[str, int] = {WORTH: page.worth, ALL: page.all}
    return counts | {kind.value: count for kind, count in page.counts.items()}


def wanted_day() -> date:
    """The day of the address; today when there is none or it is nonsense, which is said."""
    text = request.args.get("date", "").strip()
    try:
        return parse_day(text) if text else fetch.today()
    except RequestError as error:
        flash(say(error.sentence), "error")
        return fetch.today()


class ChangesView(PanelView):
    """One day, the last change first."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("What changed"), endpoint="changes", url="changes")

    @expose("/")
    def index(self) -> str:
        """Whatever stands in the address, the answer is a page."""
        day, source = wanted_day(), request.args.get("source")
        source = source if source in ADAPTERS else None
        show = request.args.get("show", WORTH)
        show = show if show in SHOWN else WORTH
        before = min(max(request.args.get("before", 0, type=int), 0), MOST_ID) or None
        window = Window(midnight(day), midnight(day + timedelta(days=1)), source)
        with reading() as session:
            page = changes_between(
                session, window, kinds=_KINDS[show], before=before, most=PER_PAGE
            )
        return self.render(
            "panel/changes.html",
            day=day,
            source=source,
            known=list(ADAPTERS),
            show=show,
            shown=SHOWN,
            counts=counts_of(page),
            before=before,
            page=page,
            told=told,
            colour=colour,
        )
