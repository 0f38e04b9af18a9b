"""The filters above the lists: plain form fields, and what each does to the query."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from flask_admin.contrib.sqla.filters import BaseSQLAFilter
from flask_babel import lazy_gettext

from app.admin import look, search
from app.admin.look import word
from app.sources.base import Code
from app.sources.registry import ADAPTERS


class Filter(BaseSQLAFilter):
    """One field of the filter bar; `input_type` is what the browser shows."""

    input_type = "text"
    suffix = ""  # of its name in saved views, where a column has several

    @property
    def slug(self) -> str:
        """Its name in saved views."""
        return f"{self.column.key}{self.suffix}"

    def told(self, value: str) -> str:
        """A value of it in words."""
        return value

    def operation(self) -> str:
        """Flask-Admin wants a name for it; ours is in the label."""
        return ""


class Choice(Filter):
    """One of a few values."""

    def __init__(
        self, column: Any, name: Any, values: Iterable[str], words: Mapping[str, str]
    ) -> None:
        super().__init__(column, name, options=lambda: self.offered())
        self._values = list(values)
        self._words = words

    def offered(self) -> list[tuple[str, str]]:
        """The values and what they are called in the language of the page."""
        return [(value, word(self._words, value)) for value in self._values]

    def told(self, value: str) -> str:
        """What it is called in the language of the page."""
        return word(self._words, value)

    def validate(self, value: str) -> bool:
        """Only what is offered."""
        return value in self._values

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Equals."""
        return query.filter(self.get_column(alias) == value)


class Contains(Filter):
    """A part of a name, whatever the case and the accents."""

    def clean(self, value: str) -> str:
        """PostgreSQL refuses NUL in a text."""
        return value.replace("\0", "")

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Folded on both sides."""
        return query.filter(search.found(query.session, [self.get_column(alias)], [value]))


class Exactly(Contains):
    """The whole value; an index can help."""

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Equals."""
        return query.filter(self.get_column(alias) == value)


class OnOrAfter(Filter):
    """From the beginning of a day."""

    input_type = "date"
    suffix = "_from"
    plus_days = 0

    def clean(self, value: str) -> date:
        """ValueError when it is not a day we can count from."""
        day = date.fromisoformat(value)
        if not 1900 <= day.year <= 2200:
            raise ValueError(value)
        return day + timedelta(days=self.plus_days)

    def told(self, value: str) -> str:
        """As days are written on the page."""
        return str(look.day(date.fromisoformat(value)))

    def apply(self, query: Any, value: date, alias: Any = None) -> Any:
        """At or after its first second."""
        return query.filter(self.get_column(alias) >= self.bound(value))

    def bound(self, value: date) -> Any:
        """The column holds times: a day begins at midnight in the zone people read times in."""
        return midnight(value)


class OnOrBefore(OnOrAfter):
    """Until the end of a day."""

    suffix = "_until"
    plus_days = 1

    def apply(self, query: Any, value: date, alias: Any = None) -> Any:
        """Before the next day's first second."""
        return query.filter(self.get_column(alias) < self.bound(value))


class DayOnOrAfter(OnOrAfter):
    """The same for a column of dates, which have no zone."""

    def bound(self, value: date) -> Any:
        """As it is."""
        return value


class DayOnOrBefore(OnOrBefore):
    """The same for a column of dates."""

    def bound(self, value: date) -> Any:
        """As it is."""
        return value


class AtLeast(Filter):
    """From a number on."""

    input_type = "number"
    suffix = "_min"

    def clean(self, value: str) -> int:
        """ValueError when it is no number that a column can hold."""
        number = int(value)
        if abs(number) >= 2**31:
            raise ValueError(value)
        return number

    def told(self, value: str) -> str:
        """With the separators of the language."""
        return str(look.number(int(value)))

    def apply(self, query: Any, value: int, alias: Any = None) -> Any:
        """That number too."""
        return query.filter(self.get_column(alias) >= value)


class AtMost(AtLeast):
    """Up to a number."""

    suffix = "_max"

    def apply(self, query: Any, value: int, alias: Any = None) -> Any:
        """That number too."""
        return query.filter(self.get_column(alias) <= value)


def midnight(day: date) -> datetime:
    """The first moment of a day in the configured zone."""
    zone = ZoneInfo(current_app.config["FIKSTUR"].time_zone)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def of_source(column: Any) -> Choice:
    """The sources we know."""
    return Choice(column, lazy_gettext("Source"), ADAPTERS, {})


def of_code(column: Any) -> Choice:
    """The whole taxonomy."""
    return Choice(column, lazy_gettext("Code"), sorted(Code), {})
