"""Finding names as people type them: "besiktas" finds Beşiktaş, "istanbul" finds İSTANBUL.

Neither engine can: SQLite folds ASCII only, and what PostgreSQL makes of I, İ, ı depends on the
locale the server was set up with. So both compare the plain letters, by one table.

Matches are a million, their names tens of thousands: a word is looked for in the names, and the
matches are found by the indexes on the columns that carry them.
"""

import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flask import Flask
from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    cast,
    event,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core import letters
from app.core.db import db
from app.core.many import fetched_one_by_one, one_of
from app.fixtures.models import Match, Name
from app.fixtures.names import NAMED
from config import KNOWN_SOURCES

_FROM, _TO = "".join(letters.TABLE), "".join(letters.TABLE.values())
# Handed over as a list; more are looked up again by the database, which is many matches for sure.
# PostgreSQL takes 20 ms to plan with a list of 2,000.
MOST_NAMES = 500
# So many matches are fetched and put in order at once; of more, the first of a page are soon met
# when the list is read in its order. Measured: at this number both cost the same.
FEW = 6000


def fold(text: str | None) -> str | None:
    """Plain lower-case letters."""
    return None if text is None else letters.fold(text)


class folded(FunctionElement[str]):  # noqa: N801  reads as the SQL function it is
    """`fold` of a column, done by the database."""

    type = String()
    inherit_cache = True


@compiles(folded, "postgresql")
def _on_postgresql(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return compiler.process(func.lower(func.translate(column, _FROM, _TO)), **options)


@compiles(folded, "sqlite")
def _on_sqlite(element: folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"fikstur_fold({compiler.process(element.clauses, **options)})"


class scanned(FunctionElement[Any]):  # noqa: N801  reads as what it asks for
    """A column whose index SQLite leaves alone; PostgreSQL knows from its statistics when to."""

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        self.type = column.type
        super().__init__(column)


@compiles(scanned)
def _scanned(element: scanned, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(scanned, "sqlite")
def _scanned_on_sqlite(element: scanned, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def init_app(app: Flask) -> None:
    """Teach SQLite the function."""
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _teach)


def _teach(connection: sqlite3.Connection, _record: object) -> None:
    connection.create_function("fikstur_fold", 1, fold, deterministic=True)


def contains(column: Any, text: str) -> ColumnElement[bool]:
    """Whether the column holds the text somewhere, whatever the case and the accents."""
    return folded(cast(column, String)).contains(fold(text), autoescape=True)


def found(session: Session, columns: Sequence[Any], words: Sequence[str]) -> ColumnElement[bool]:
    """Whether each word is in one of a table's columns; the names of matches by their index."""
    if all(_is_of_matches(column) for column in columns):
        return _found_by_name(session, [getattr(Match, column.key) for column in columns], words)
    return and_(*(or_(*(contains(column, word) for column in columns)) for word in words))


def _is_of_matches(column: Any) -> bool:
    """Whether the matches with a value in it are found otherwise than one by one."""
    table = column.expression.table.name
    return table == Match.__tablename__ and column.key in (*NAMED, Match.source_id.key)


@dataclass(frozen=True, slots=True)
class _Word:
    """What is looked for, and the names that have it in them; None when they are too many."""

    text: str
    wanted: Select[str]
    names: Sequence[str] | None

    @classmethod
    def of(cls, session: Session, text: str) -> "_Word":
        wanted = select(Name.name).where(Name.folded.contains(letters.fold(text), autoescape=True))
        names = session.scalars(wanted.limit(MOST_NAMES + 1)).all()
        return cls(text, wanted, None if len(names) > MOST_NAMES else names)


def _found_by_name(
    session: Session, columns: Sequence[Any], words: Sequence[str]
) -> ColumnElement[bool]:
    known = sorted((_Word.of(session, word) for word in words), key=_how_rare)
    rarest = known[0]
    if len(words) == len(columns) == 1 and rarest.names is not None and len(rarest.names) == 1:
        return columns[0] == rarest.names[0]  # its index has them in the order of time already
    for word in known:
        few = word.names is not None and _few_carriers(session, columns, word)
        if few is not False:
            others = [other.text for other in known if other is not word]
            return fetched_one_by_one(Match.id, _with_all(session, columns, few, others))
    return and_(
        *(or_(*(_carries(scanned(each), each, word) for each in columns)) for word in known)
    )


def _how_rare(word: _Word) -> int:
    return MOST_NAMES + 1 if word.names is None else len(word.names)


def _few_carriers(
    session: Session, columns: Sequence[Any], word: _Word
) -> Sequence[int] | Literal[False]:
    """The matches that carry it; False when they are many."""
    carriers = union_all(*(_carriers(column, word) for column in columns)).subquery()
    few = session.scalars(select(carriers.c.id).limit(FEW + 1)).all()
    return few if len(few) <= FEW else False


def _with_all(
    session: Session, columns: Sequence[Any], ids: Sequence[int], words: Sequence[str]
) -> list[int]:
    """Those of the matches that have these words too."""
    if not words:
        return sorted(set(ids))
    rows = session.execute(select(Match.id, *columns).where(fetched_one_by_one(Match.id, ids)))
    plain = functools.cache(letters.fold)  # a thousand matches have a hundred names
    wanted = [(word, plain(word)) for word in words]
    exact = [column is Match.source_id for column in columns]

    def has(values: Sequence[str | None], word: str, part: str) -> bool:
        told = zip(values, exact, strict=True)
        return any(
            v is not None and (v == word if whole else part in plain(v)) for v, whole in told
        )

    return [row[0] for row in rows if all(has(row[1:], *word) for word in wanted)]


def _carriers(column: Any, word: _Word) -> Select[int]:
    """The matches that have it there; the index on the column finds them."""
    query = select(Match.id).where(_carries(column, column, word))
    # The index on it begins with the source.
    return query.where(Match.source.in_(KNOWN_SOURCES)) if column is Match.source_id else query


def _carries(said: Any, column: InstrumentedAttribute[Any], word: _Word) -> ColumnElement[bool]:
    if column is Match.source_id:
        return said == word.text
    return said.in_(word.wanted) if word.names is None else one_of(said, word.names)
