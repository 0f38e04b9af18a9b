"""The forms "Fetch a day" and "Fetch a range": from what was typed to a job."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import gettext, lazy_gettext, ngettext

from app.accounts.permissions import Permission
from app.admin import sources
from app.admin.base import PanelView
from app.admin.errors import submit
from app.admin.language import say
from app.core.clock import now
from app.core.text import N_, RequestError
from app.fixtures.request import MOST_HOURS, DaysWanted, FetchRequest, request_of


def today() -> date:
    """The day it is where people read times."""
    return now().astimezone(ZoneInfo(current_app.config["FIKSTUR"].time_zone)).date()


def day_form(values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The fields of "Fetch a day", as typed or as proposed."""
    if values is None:
        values = {"date": today().isoformat()}
    fields = {name: values.get(name, "") for name in ("date", "source", "failover")}
    return {**fields, "order": order()}


def range_form(values: Any = None) -> dict[str, Any]:
    """The fields of "Fetch a range", as typed or as proposed: the week that ends today."""
    if values is None:
        first = today() - timedelta(days=6)
        return {
            "from": first.isoformat(),
            "to": today().isoformat(),
            "sources": sources.table().usable(),
            "failover": "",
            "order": order(),
            "skip": fresh(),
        }
    fields = {name: values.get(name, "").strip() for name in ("from", "to", "failover", "skip")}
    return {**fields, "sources": values.getlist("sources"), "order": order()}


def fresh() -> str:
    """How many hours a fetch stays fresh, as set; empty for none."""
    return str(current_app.config["FIKSTUR"].fresh_hours or "")


def order() -> list[str]:
    """The sources that may be asked: first those of the setting FAILOVER, in its order."""
    usable = sources.table().usable()
    first = [name for name in current_app.config["FIKSTUR"].failover if name in usable]
    return list(dict.fromkeys([*first, *usable]))


def day_request(form: Mapping[str, Any]) -> FetchRequest:
    """RequestError says what is wrong with the form."""
    chosen = [form["source"]] if form["source"] else []
    one_by_one = list(dict.fromkeys([*chosen, *form["order"]]))
    return _request(form, chosen, one_by_one, first=form["date"])


def range_request(form: Mapping[str, Any]) -> FetchRequest:
    """RequestError says what is wrong with the form."""
    chosen, known = form["sources"], form["order"]
    if not chosen:
        raise RequestError(N_("No source was chosen. Choose one; the page Sources says which can."))
    one_by_one = sorted(chosen, key=lambda name: known.index(name) if name in known else -1)
    days = {"first": form["from"], "last": form["to"]}
    return _request(form, chosen, one_by_one, **days, skip_fresh_h=hours(form["skip"]))


def _request(
    form: Mapping[str, Any], chosen: list[str], one_by_one: list[str], **more: Any
) -> FetchRequest:
    ways: dict[str, Any] = {"failover": one_by_one} if form["failover"] else {"sources": chosen}
    return request_of(DaysWanted(**ways, **more), sources.table())


def hours(text: str) -> int:
    """A number of hours, none when nothing was typed. RequestError says what is wrong."""
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > MOST_HOURS:
        raise RequestError(
            N_("“%(value)s” is not a number of hours. Write a whole number up to %(most)s."),
            value=text[:40],
            most=MOST_HOURS,
        )
    return int(text)


class FetchView(PanelView):
    """The two forms as pages of their own, where a refused form comes back with its sentence."""

    permission = Permission.FETCH

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Fetch"), endpoint="fetch", url="fetch")

    def is_visible(self) -> bool:
        """Reached from the dashboard, not from the menu."""
        return False

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """The simpler of the two."""
        return redirect(url_for("fetch.day"))

    @expose("/day", methods=("GET", "POST"))
    def day(self) -> ResponseReturnValue:
        """One day of one source or of all."""
        form = day_form(request.form if request.method == "POST" else None)
        return self._answer("panel/fetch_day.html", form, day_request)

    @expose("/range", methods=("GET", "POST"))
    def range(self) -> ResponseReturnValue:
        """Many days of chosen sources."""
        form = range_form(request.form if request.method == "POST" else None)
        return self._answer("panel/fetch_range.html", form, range_request)

    def _answer(self, template: str, form: dict[str, Any], ask: Any) -> ResponseReturnValue:
        status = 200
        if request.method == "POST":
            try:
                return start(ask(form))
            except RequestError as error:
                flash(say(error.sentence), "error")
                status = 422
        return self.render(template, form=form, usable=sources.table().usable()), status


def start(wanted: FetchRequest) -> ResponseReturnValue:
    """Submit what is not fresh, and show it."""
    if wanted.job is None:
        flash(gettext("Everything asked for is fresh enough; nothing was started."), "info")
        return redirect(url_for("days.index_view"))
    if wanted.fresh:
        flash(
            ngettext(
                "%(num)s list is fresh enough and left out.",
                "%(num)s lists are fresh enough and left out.",
                wanted.fresh,
            ),
            "info",
        )
    return redirect(url_for("job.page", job_id=submit(wanted.job)))
