"""Finding names as people type them: "besiktas" finds Beşiktaş, "istanbul" finds İSTANBUL.

Neither engine can: SQLite folds ASCII only, and what PostgreSQL makes of I, İ, ı depends on the
locale the server was set up with. So both compare the plain letters, by one table.
"""

import sqlite3
import unicodedata
from typing import Any

from flask import Flask
from sqlalchemy import ColumnElement, String, cast, event, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.db import db

_NOT_DECOMPOSED = {"ı": "i", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "I": "i"}


def _plain(letter: str) -> str | None:
    """The ASCII letter under the accents, None when there is none."""
    base = unicodedata.normalize("NFD", letter)[0]
    return base.lower() if base != letter and base.isascii() and base.isalpha() else None


# Latin-1, Latin Extended-A and -B: what the names of European clubs are written in.
_TABLE = {
    letter: plain for letter in map(chr, range(0xC0, 0x250)) if (plain := _plain(letter))
} | _NOT_DECOMPOSED
_TRANSLATION = str.maketrans(_TABLE)
_FROM, _TO = "".join(_TABLE), "".join(_TABLE.values())


def fold(text: str | None) -> str | None:
    """Plain lower-case letters."""
    return None if text is None else text.translate(_TRANSLATION).lower()


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
