"""The page "Calendar": a year of days for each source, and fetching what is missing of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from babel.dates import get_day_names, get_month_names
from flask import flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_babel import get_locale, lazy_gettext, ngettext
from werkzeug.wrappers import Response

from app.accounts.permissions import Permission
from app.admin import fetch, live, login, sources, words
from app.admin.base import PanelView
from app.admin.details import standing_of
from app.admin.language import say
from app.admin.look import word
from app.core.db import reading
from app.core.text import N_, RequestError
from app.fixtures.calendar import Cell, State, cells, year_of
from app.fixtures.request import EARLIEST, LATEST, DaysWanted, FetchRequest, parse_day, request_of
from app.fixtures.store import find_day
from app.sources.registry import ADAPTERS

LIVE_S = 5  # between two looks while days are being fetched
STATES: dict[str, str] = {
    State.STORED: N_("stored"),
    State.NO_DATA: N_("no data"),
    State.ERROR: N_("error"),
    State.RUNNING: N_("being fetched"),
    State.NEVER: N_("never asked"),
}
Years = Mapping[str, Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Month:
    """Its weeks from Monday to Sunday; None where a day belongs to another month."""

    number: int
    name: str
    weeks: Sequence[Sequence[Cell | None]]


@dataclass(frozen=True, slots=True)
class SourceYear:
    """The year of one source."""

    source: str
    months: Sequence[Month]
    counts: Mapping[str, int]  # days by state


@dataclass(frozen=True, slots=True)
class Plan:
    """What pressing the button would do."""

    source: str
    first: date
    last: date
    days: int
    wanted: FetchRequest
    skip: str  # hours a list stays fresh
    least_s: float
    opens: str | None  # the address of the day when it is one that was stored

    @property
    def to_do(self) -> int:
        """Days that would be fetched."""
        return len(self.wanted.job.items) if self.wanted.job else 0


class CalendarView(PanelView):
    """Everybody may look; fetching is the form of "Fetch a range"."""

    def __init__(self) -> None:
        super().__init__(name=lazy_gettext("Calendar"), endpoint="calendar", url="calendar")

    @expose("/")
    def index(self) -> ResponseReturnValue:
        """A year; with days in the address also what fetching them would do."""
        page = self._years()
        plan = wanted_plan() if request.args.get("from") else None
        today = fetch.today()
        return self.render(
            "panel/calendar.html",
            **page,
            today=today,
            plan=plan,
            days=[name for _n, name in sorted(_day_names().items())],
            offered=sources.table().usable(),
            chosen={name: request.args.get(name, "") for name in ("from", "to", "source")},
            first_year=EARLIEST.year,
            last_year=LATEST.year,
            live_s=LIVE_S,
        )

    @expose("/live")
    def live(self) -> Response:
        """The days alone; asked again until nothing is being fetched."""
        page = self._years()
        days = [name for _n, name in sorted(_day_names().items())]
        html = self.render("panel/_calendar_years.html", **page, today=fetch.today(), days=days)
        return live.answer(html, ended=not page["running"])

    @expose("/plan")
    def plan(self) -> str:
        """What fetching these days would do."""
        login.require(Permission.FETCH)
        return self.render("panel/_calendar_plan.html", plan=wanted_plan(aloud=False))

    def _years(self) -> dict[str, Any]:
        year, source = wanted_year(), request.args.get("of")
        source = source if source in ADAPTERS else None
        with reading() as session:
            found: Years = year_of(session, year)
        known = list(dict.fromkeys([*sources.table().usable(), *found]))
        shown = [name for name in known if source in (None, name)]
        nothing = cells(year, {}, set())
        years = [source_year(name, found.get(name, nothing)) for name in shown]
        return {
            "year": year,
            "source": source,
            "known": known,
            "years": years,
            "states": STATES,
            "running": any(one.counts[State.RUNNING] for one in years),
            "label": label,
            "address": address,
        }


# --- the year -------------------------------------------------------------------------------------


def wanted_year() -> int:
    """The year of the address; this one when there is none or it is nonsense."""
    text = request.args.get("year", "")
    if text.isascii() and text.isdigit() and EARLIEST.year <= int(text[:9]) <= LATEST.year:
        return int(text)
    return fetch.today().year


def source_year(source: str, days: Sequence[Cell]) -> SourceYear:
    """The days in months and weeks."""
    counts = {state.value: sum(cell.state is state for cell in days) for state in State}
    names = get_month_names("wide", context="stand-alone", locale=get_locale())
    months = [
        Month(number, names[number], _weeks(list(some)))
        for number, some in groupby(days, key=lambda cell: cell.day.month)
    ]
    return SourceYear(source, months, counts)


def _weeks(days: Sequence[Cell]) -> list[list[Cell | None]]:
    line: list[Cell | None] = [*[None] * days[0].day.weekday(), *days]
    line += [None] * (-len(line) % 7)
    return [line[start : start + 7] for start in range(0, len(line), 7)]


def _day_names() -> Mapping[int, str]:
    """Monday first."""
    names: Mapping[int, str] = get_day_names("short", context="stand-alone", locale=get_locale())
    return names


def label(cell: Cell, month: Month) -> str:
    """What a day is called before those who cannot see it: the day, its state, what is there."""
    told = [word(STATES, cell.state)]
    if cell.state in {State.ERROR, State.NO_DATA} and cell.code:
        told = [f"{told[0]} ({word(words.CODES, cell.code)})"]
    if cell.count:
        told.append(ngettext("%(num)s match", "%(num)s matches", cell.count))
    return f"{cell.day.day} {month.name} {cell.day.year}: {', '.join(told)}"


def address(cell: Cell, source: str) -> str:
    """Where a press on the day leads: to what is stored, else to the offer to fetch it."""
    if cell.state is State.STORED and cell.day_id is not None:
        return url_for("matches.index_view", day=cell.day_id)
    day = cell.day.isoformat()
    chosen: dict[str, Any] = {"from": day, "to": day, "source": source}
    return url_for("calendar.index", year=cell.day.year, **chosen, _anchor="choice")


# --- fetching -------------------------------------------------------------------------------------


def wanted_plan(*, aloud: bool = True) -> Plan | str:
    """What fetching the days of the address would do, or the sentence why it cannot be done."""
    text = {name: request.args.get(name, "").strip() for name in ("from", "to", "source")}
    try:
        return plan_of(text["source"], text["from"], text["to"] or text["from"])
    except RequestError as error:
        sentence = say(error.sentence)
        if aloud:
            flash(sentence, "error")
        return sentence


def plan_of(name: str, first: str, last: str) -> Plan:
    """RequestError says what is wrong with it."""
    source = sources.table().get(name)
    if first > last:  # chosen from the end: both are ISO dates, or refused below
        first, last = last, first
    skip = fetch.fresh()
    days = DaysWanted(first=first, last=last, sources=[name], skip_fresh_h=fetch.hours(skip))
    wanted = request_of(days, sources.table())
    to_do = len(wanted.job.items) if wanted.job else 0
    with reading() as session:
        least_s = standing_of(session, source).least_time_s(to_do)
        row = find_day(session, name, parse_day(first)) if first == last else None
    opens = url_for("days.details_view", id=row.id) if row else None
    return Plan(
        name, parse_day(first), parse_day(last), to_do + wanted.fresh, wanted, skip, least_s, opens
    )
