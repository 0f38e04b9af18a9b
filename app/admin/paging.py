"""Pages of a list by the last row seen, not by counting rows: page 20,000 costs what page 1 costs.

A list is ordered by its sort columns and then by its key, so no two rows are equal and a page stays
where it is while rows arrive. What has no value in the first sort column comes last, whichever way
and on both engines: those rows are a stretch of their own, so that a plain index serves both.
"""

import base64
import binascii
import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    String,
    and_,
    false,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.types import Boolean, TypeDecorator

from app.core.db import on_postgresql, reading

MOST_COUNTED = 10_000
COUNTED_WITHIN_MS = 20
MOST_LETTERS = 1000  # of a cursor in an address
_SURROGATE = re.compile("[\ud800-\udfff]")  # no text that a database takes
_STEPS = 2000  # of SQLite's machine between two looks at the clock

AFTER, BEFORE, LAST = "after", "before", "last"
ADDRESSED = (AFTER, BEFORE, LAST)


class NoSuchPlaceError(ValueError):
    """What stands in the address is no row of this list in this order."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One column of an order, in reading direction. Rows without a value there come last."""

    column: Any
    down: bool = False
    may_be_empty: bool = False
    empty_first: bool = False

    @classmethod
    def by(cls, column: Any, *, down: bool = False) -> "Sort":
        """The order of a mapped column."""
        return cls(column, down, bool(getattr(column.expression, "nullable", True)))

    def turned(self) -> "Sort":
        """The other way round, as a list is read backward."""
        return replace(self, down=not self.down, empty_first=not self.empty_first)

    def filled(self) -> "Sort":
        """The same among the rows that have a value."""
        return replace(self, may_be_empty=False)

    def said(self) -> Iterator[ColumnElement[Any]]:
        """As ORDER BY says it, the same on both engines."""
        if self.may_be_empty:
            is_empty = self.column.is_(None)
            yield is_empty.desc() if self.empty_first else is_empty
        yield self.column.desc() if self.down else self.column.asc()

    def behind(self, value: Any) -> ColumnElement[bool]:
        """The rows that this column alone puts after one that has the value."""
        is_empty = self.column.is_(None)
        if value is None:
            return ~is_empty if self.empty_first else false()
        further = self.column < value if self.down else self.column > value
        return or_(further, is_empty) if self.may_be_empty and not self.empty_first else further


@dataclass(frozen=True, slots=True)
class Place:
    """Where to read on: forward or backward from a row, or from an end of the list."""

    values: tuple[Any, ...] | None = None  # of the row's sort columns; None: from the end
    backward: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the addresses' ends of what lies before and behind them."""

    rows: Sequence[Any]
    before: Mapping[str, str] | None = None  # the arguments that lead there; None: nothing there
    after: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows a list has: exact, or a bound that was passed, or not known in time."""

    count: int | None
    more: bool = False


# --- the page -------------------------------------------------------------------------------------


def page(query: Any, order: Sequence[Sort], asked: Mapping[str, str], size: int) -> Page:
    """The page the address asks for. NoSuchPlaceError when it names no place of this order."""
    place = _place(order, asked)
    rows = _read(query, order, place, size + 1)
    if place.values is not None and len(rows) <= size and (place.backward or not rows):
        # The beginning, or nothing behind what was the last row: a full page from that end.
        place = Place(backward=not place.backward)
        rows = _read(query, order, place, size + 1)
    more, rows = len(rows) > size, rows[:size]
    if place.backward:
        rows = rows[::-1]
    come_from = place.values is not None  # there is a row where one comes from
    is_before, is_after = (more, come_from) if place.backward else (come_from, more)
    return Page(
        rows,
        {BEFORE: _cursor(order, rows[0])} if is_before and rows else None,
        {AFTER: _cursor(order, rows[-1])} if is_after and rows else None,
    )


def _place(order: Sequence[Sort], asked: Mapping[str, str]) -> Place:
    for name in (AFTER, BEFORE):
        if name in asked:
            return Place(_values(order, asked[name]), backward=name == BEFORE)
    return Place(backward=LAST in asked)


def _read(query: Any, order: Sequence[Sort], place: Place, most: int) -> list[Any]:
    rows: list[Any] = []
    for stretch in _stretches(order, place):
        if len(rows) < most:
            wanted = query.filter(stretch.condition).order_by(None).order_by(*stretch.order)
            rows += wanted.limit(most - len(rows)).all()
    return rows


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of the list that one index can be read along."""

    condition: ColumnElement[bool]
    order: Sequence[ColumnElement[Any]]


def _stretches(order: Sequence[Sort], place: Place) -> Iterator[_Stretch]:
    """What is still to be read from the place on, in reading direction."""
    first, whole = order[0], replace(place, values=None)
    turned = [sort.turned() if place.backward else sort for sort in order]
    if not first.may_be_empty:
        yield _along(turned, place)
        return
    empty = first.column.is_(None)
    if place.values is None:
        filled, bare = [whole], [whole]
    elif place.values[0] is None:
        filled, bare = [whole] if place.backward else [], [replace(place, values=place.values[1:])]
    else:
        filled, bare = [place], [] if place.backward else [whole]
    parts = [_with(~empty, _along([turned[0].filled(), *turned[1:]], at)) for at in filled]
    rest = [_with(empty, _without(first.column, turned[1:], at)) for at in bare]
    yield from [*rest, *parts] if place.backward else [*parts, *rest]


def _with(condition: ColumnElement[bool], stretch: _Stretch) -> _Stretch:
    return replace(stretch, condition=and_(condition, stretch.condition))


def _without(column: Any, order: Sequence[Sort], place: Place) -> _Stretch:
    """By the other columns. The empty one is said, so that PostgreSQL sees which index has this."""
    stretch = _along(order, place)
    same_way = column.desc() if order[0].down else column.asc()
    return replace(stretch, order=[same_way, *stretch.order])


def _along(order: Sequence[Sort], place: Place) -> _Stretch:
    condition = true() if place.values is None else _beyond(order, place.values)
    return _Stretch(condition, [part for sort in order for part in sort.said()])


def _beyond(order: Sequence[Sort], values: Sequence[Any]) -> ColumnElement[bool]:
    """What comes after a row that has these values."""
    if len({sort.down for sort in order}) == 1 and not any(s.may_be_empty for s in order):
        columns = [sort.column for sort in order]
        here, there = tuple_(*columns), tuple_(*values, types=[c.type for c in columns])
        return here < there if order[0].down else here > there
    ways: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for sort, value in zip(order, values, strict=True):
        ways.append(and_(*same, sort.behind(value)))
        same.append(sort.column.is_(None) if value is None else sort.column == value)
    return and_(or_(ways[0], same[0]), or_(*ways))  # the first part is what an index can use


# --- places in addresses --------------------------------------------------------------------------


def _cursor(order: Sequence[Sort], row: Any) -> str:
    values = [getattr(row, sort.column.key) for sort in order]
    told = [value.isoformat() if isinstance(value, date) else value for value in values]
    packed = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _values(order: Sequence[Sort], cursor: str) -> tuple[Any, ...]:
    try:
        packed = base64.urlsafe_b64decode(cursor[:MOST_LETTERS] + "=" * (-len(cursor) % 4))
        told = json.loads(packed)
    except (ValueError, binascii.Error, RecursionError) as error:
        raise NoSuchPlaceError(cursor) from error
    if not isinstance(told, list) or len(told) != len(order):
        raise NoSuchPlaceError(cursor)
    return tuple(_value(sort, value) for sort, value in zip(order, told, strict=True))


def _value(sort: Sort, value: Any) -> Any:
    if value is None and sort.may_be_empty:
        return None
    kind = sort.column.type
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    try:
        return _READ[next(known for known in _READ if isinstance(kind, known))](value)
    except (ValueError, TypeError, KeyError, StopIteration, OverflowError) as error:
        raise NoSuchPlaceError(str(value)) from error


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError(value)
    return value


def _moment(value: Any) -> datetime:
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or _SURROGATE.search(value):
        raise ValueError(value)
    return value


_READ: Mapping[type[Any], Any] = {
    Boolean: bool,
    Integer: _number,
    Float: float,
    DateTime: _moment,
    Date: date.fromisoformat,
    String: _text,
}


# --- how many -------------------------------------------------------------------------------------


def total(query: Any, key: Any) -> Total:
    """How many rows: exact up to a bound, and only as long as that takes no time."""
    some = query.order_by(None).with_entities(key).limit(MOST_COUNTED + 1).subquery()
    try:
        with reading() as session, _within(session, COUNTED_WITHIN_MS):
            count = session.scalar(select(func.count()).select_from(some)) or 0
    except OperationalError:
        return Total(None)
    return Total(min(count, MOST_COUNTED), count > MOST_COUNTED)


@contextmanager
def _within(session: Session, ms: int) -> Iterator[None]:
    """What is asked inside is given up after so long: OperationalError."""
    if on_postgresql(session):
        session.execute(text(f"SET LOCAL statement_timeout = {ms}"))
        yield
        return
    connection: Any = session.connection().connection.driver_connection
    end = time.monotonic() + ms / 1000
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101  for mypy
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
