"""The rows of a table as lines of JSON, the same bytes from both engines, and back.

The database builds the lines, or all but their brackets: no value becomes a Python object on its
way into an archive.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Annotated, Any, cast

import msgspec
import sqlalchemy as sa

from app.backups.layout import DamagedError
from app.backups.schema import Kind, Table
from app.core.text import N_, RequestError

PIECE = 1024 * 1024  # lines are handed on in pieces of about this size
LONGEST_LINE = 48 * 1024 * 1024  # an answer of 33 MB that cannot be compressed


# --- out ------------------------------------------------------------------------------------------


def lines(connection: sa.Connection, table: Table) -> Iterator[bytes]:
    """Every row in the order of its key, as whole lines in pieces of about a megabyte."""
    if connection.dialect.name == "sqlite":
        return (piece for piece, _count in _gathered(table, _lines_of_sqlite(connection, table)))
    return (as_json(*some) for some in _gathered(table, _csv_of_postgresql(connection, table)))


def hash_of(connection: sa.Connection, table: Table) -> str:
    """The SHA-256 of all lines of a table: equal rows, equal hash, on either engine."""
    digest = hashlib.sha256()
    for piece in lines(connection, table):
        digest.update(piece)
    return digest.hexdigest()


def _gathered(table: Table, single: Iterable[bytes | memoryview]) -> Iterator[tuple[bytes, int]]:
    """Lines put together to pieces, and of how many each is made."""
    piece, count = bytearray(), 0
    for line in single:
        if len(line) > LONGEST_LINE:
            raise RequestError(
                N_("A row of table %(table)s is longer than %(most)s MB: no archive takes it."),
                table=table.name,
                most=LONGEST_LINE // PIECE,
            )
        piece += line
        count += 1
        if len(piece) >= PIECE:
            yield bytes(piece), count
            piece.clear()
            count = 0
    if piece:
        yield bytes(piece), count


def _lines_of_sqlite(connection: sa.Connection, table: Table) -> Iterator[bytes]:
    values = ", ".join(map(_in_sqlite, table.columns))
    order = ", ".join(f'"{name}"' for name in table.key)
    statement = f'SELECT json_array({values}) FROM "{table.name}" ORDER BY {order}'  # noqa: S608
    connection.exec_driver_sql("SELECT 1")  # the driver alone would begin no transaction
    driver: Any = connection.connection.driver_connection
    for (line,) in driver.execute(statement):
        yield line.encode() + b"\n"


def _in_sqlite(column: Any) -> str:
    name = f'"{column.name}"'
    match column.kind:
        case Kind.BOOLEAN:
            return f"CASE {name} WHEN 1 THEN json('true') WHEN 0 THEN json('false') END"
        case Kind.TIME:  # as PostgreSQL shows it: without zeros at the end of the fraction
            short = f"rtrim(rtrim({name}, '0'), '.')"
            return f"CASE WHEN length({name}) = 26 THEN {short} ELSE time_of({name}) END"
        case Kind.BYTES:
            return f"base64_of({name})"
        case Kind.FLOAT:
            return f"float_of({name})"
        case Kind.JSON:  # of a bare number SQLite makes one
            return f"CAST({name} AS TEXT)"
    return name


def _csv_of_postgresql(connection: sa.Connection, table: Table) -> Iterator[memoryview]:
    """Rows of values as JSON has them, but for control characters in texts: see `as_json`.

    Making JSON of each value would take the server three times as long.
    """
    values = ", ".join(f'{_in_postgresql(column)} AS "{column.name}"' for column in table.columns)
    quoted = ", ".join(f'"{column.name}"' for column in table.columns if column.kind not in _BARE)
    keys = {column.name: column.kind for column in table.columns}
    order = ", ".join(
        f'"{table.name}"."{name}"' + (' COLLATE "C"' if keys[name] == Kind.TEXT else "")
        for name in table.key
    )
    statement = (
        f'COPY (SELECT {values} FROM "{table.name}" ORDER BY {order}) '  # noqa: S608
        "TO STDOUT WITH (FORMAT csv, DELIMITER ',', QUOTE '\"', ESCAPE '\\', NULL 'null'"
        + (f", FORCE_QUOTE ({quoted}))" if quoted else ")")
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        yield from copy


_BARE = {Kind.INTEGER, Kind.BOOLEAN}  # no quotes around these


def _in_postgresql(column: Any) -> str:
    name = f'"{column.name}"'
    match column.kind:
        case Kind.BOOLEAN | Kind.JSON:
            return f"{name}::text"
        case Kind.TIME:
            return f"{name} AT TIME ZONE 'UTC'"
        case Kind.BYTES:
            return f"replace(encode({name}, 'base64'), E'\\n', '')"
        case Kind.FLOAT:
            digits = f"ltrim(to_char({name} + 0.0, '9.{'9' * 16}EEEE'))"  # SQLite knows no -0
            special = f"{name} IN ('Infinity', '-Infinity', 'NaN')"
            return f"CASE WHEN {special} THEN {name}::text ELSE {digits} END"
    return name


def as_json(csv: bytes, count: int) -> bytes:
    """So many rows of CSV, in it a backslash before each quote and backslash, as lines of JSON."""
    if len(csv.translate(None, _NO_CONTROL)) == count:  # the ends of the rows alone
        return b"[" + csv[:-1].replace(b"\n", b"]\n[") + b"]\n"
    rows = (found[0][:-1] for found in _CSV_ROW.finditer(csv))
    return b"".join(b"[" + _CONTROL.sub(_escaped, row) + b"]\n" for row in rows)


_NO_CONTROL = bytes(range(32, 256))
_CONTROL = re.compile(rb"[\x00-\x1f]")
_CSV_ROW = re.compile(rb'(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"\n])*\n', re.DOTALL)
_SHORT = {b"\b": rb"\b", b"\f": rb"\f", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t"}


def _escaped(found: re.Match[bytes]) -> bytes:
    """As both engines write it in JSON."""
    return _SHORT.get(found[0]) or b"\\u%04x" % found[0][0]


# --- in -------------------------------------------------------------------------------------------


def load(connection: sa.Connection, table: Table, pieces: Iterable[bytes]) -> int:
    """Write lines into an empty table, and say how many.

    DamagedError names what does not fit, RequestError why the database takes nothing.
    """
    rows = decoded(table, pieces)
    connection.exec_driver_sql("SELECT 1")  # so that SQLAlchemy knows of a transaction to commit
    driver: Any = connection.dialect.dbapi
    try:
        if connection.dialect.name == "sqlite":
            return _load_into_sqlite(connection, table, rows)
        return _load_into_postgresql(connection, table, rows)
    except (driver.IntegrityError, driver.DataError) as error:
        raise DamagedError(
            N_("The rows of table %(table)s cannot be loaded (%(reason)s)."),
            table=table.name,
            reason=str(error).partition("\n")[0][:200],
        ) from error
    except driver.Error as error:  # a full disk, a server that went away: not the archive's fault
        raise RequestError(
            N_("The database does not take the rows of table %(table)s (%(reason)s)."),
            table=table.name,
            reason=str(error).partition("\n")[0][:200],
        ) from error


def decoded(table: Table, pieces: Iterable[bytes]) -> Iterator[list[Any]]:
    """The values of each line, each of its column's type. DamagedError for any that is not."""
    kinds = [_JSON_TYPES[column.kind] for column in table.columns]
    decoder = msgspec.json.Decoder(cast(Any, tuple)[tuple(kinds)])
    for line in split(pieces):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _misfit(table, error) from error


def split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Single lines out of pieces cut anywhere. DamagedError for one of absurd length."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        if b"\n" not in piece:
            if len(rest) > LONGEST_LINE:
                raise DamagedError(N_("The archive is refused: a line of it is too long."))
            continue
        *whole, last = rest.split(b"\n")
        rest = last
        yield from map(bytes, whole)
    if rest:
        raise DamagedError(N_("The archive is damaged: its last line has no end."))


_JSON_TYPES: dict[Kind, Any] = {
    Kind.INTEGER: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None,
    Kind.BOOLEAN: bool | None,
    Kind.FLOAT: str | None,
    Kind.TEXT: str | None,
    Kind.TIME: str | None,
    Kind.DATE: str | None,
    Kind.JSON: str | None,
    Kind.BYTES: str | None,
}


def _load_into_sqlite(connection: sa.Connection, table: Table, rows: Iterator[list[Any]]) -> int:
    converters = _converters(table, _TO_SQLITE)
    places = ", ".join("?" * len(table.columns))
    statement = f'INSERT INTO "{table.name}" ({_names(table)}) VALUES ({places})'  # noqa: S608
    driver: Any = connection.connection.driver_connection
    written = driver.executemany(statement, _converted(table, rows, converters))
    return max(int(written.rowcount), 0)


def _load_into_postgresql(
    connection: sa.Connection, table: Table, rows: Iterator[list[Any]]
) -> int:
    converters = _converters(table, _TO_POSTGRESQL)
    statement = f'COPY "{table.name}" ({_names(table)}) FROM STDIN'
    driver: Any = connection.connection.driver_connection
    count = 0
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in _converted(table, rows, converters):
            copy.write_row(row)
            count += 1
    return count


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


Converter = Callable[[Any], Any]


def _converters(table: Table, of_kind: dict[Kind, Converter]) -> list[tuple[int, Converter]]:
    kinds = enumerate(column.kind for column in table.columns)
    return [(place, of_kind[kind]) for place, kind in kinds if kind in of_kind]


def _converted(
    table: Table, rows: Iterable[Sequence[Any]], converters: Sequence[tuple[int, Converter]]
) -> Iterator[list[Any]]:
    for row in rows:
        values = list(row)
        try:
            for place, convert in converters:
                if values[place] is not None:
                    values[place] = convert(values[place])
        except (ValueError, binascii.Error) as error:
            raise _misfit(table, error) from error
        yield values


def _misfit(table: Table, error: Exception) -> RequestError:
    return DamagedError(
        N_("The archive is damaged: a row of table %(table)s does not fit it (%(reason)s)."),
        table=table.name,
        reason=str(error)[:200],
    )


def _time(text: str) -> str:
    """With six digits of a fraction: the text in which SQLite compares and sorts times."""
    return datetime.fromisoformat(text).isoformat(" ", "microseconds")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_TO_SQLITE: dict[Kind, Converter] = {
    Kind.TIME: _time,
    Kind.DATE: lambda text: date.fromisoformat(text).isoformat(),
    Kind.FLOAT: float,
    Kind.BYTES: _bytes,
}
_TO_POSTGRESQL: dict[Kind, Converter] = {
    Kind.TIME: lambda text: f"{_time(text)}+00",
    Kind.BYTES: _bytes,
}
