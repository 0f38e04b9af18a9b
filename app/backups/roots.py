"""SQLite: another content brought into the live file beside the old one, then exchanged with it.

The rows come into tables of their own, a few at a time: whoever writes meanwhile waits for a slice,
never for all of it. The exchange gives each table and each index the root page of its twin: a small
transaction, however large the tables are. What was live is then in the twins, and copied out of
them at leisure. No file is renamed: Windows allows that for none that is in use.
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from app.backups.depot import Tell, sync_folder
from app.core.sqlite_file import begin_to_write

TWIN = "fikstur_twin_"
LOG = "audit_log"  # no restore takes back what is written to it, not even meanwhile
SLICE_S = 0.02  # how long a slice holds the writer's lock, and how long others may have it then
ROWS = 100  # between two looks at the clock
_AUTO = "sqlite_autoindex_"


def fits(live: Path, new: Path) -> bool:
    """Whether both have the same tables, the live ones are whole, and SQLite lets us."""
    with closing(sqlite3.connect(live)) as one, closing(sqlite3.connect(new)) as other:
        shape = _shape(one)
        alike = bool(shape) and shape == _shape(other) and _may_exchange()
        return alike and one.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)


def _may_exchange() -> bool:
    """Some systems build an SQLite that defends its schema against everybody."""
    with closing(sqlite3.connect(":memory:")) as file, suppress(sqlite3.Error):
        file.execute("PRAGMA writable_schema = ON")
        file.execute("UPDATE sqlite_master SET rootpage = rootpage")
        return True
    return False


def bring_beside(live: Path, new: Path, patience_s: float, tell: Tell) -> float:
    """Copy the rows of `new` into twins of the live tables; the longest slice in seconds."""
    clear(live, patience_s)
    longest = 0.0
    with closing(_opened(live, patience_s)) as file:
        file.execute("ATTACH ? AS new", (str(new),))
        names = _make_twins(file)
        for number, name in enumerate(names):
            tell(f"place {name}", number, len(names))
            longest = max(longest, _copy_rows(file, name))
    return longest


def last_of_log(live: Path) -> int:
    """The number of the last entry."""
    with closing(sqlite3.connect(live)) as file:
        return int(file.execute(f'SELECT coalesce(max(id), 0) FROM "{LOG}"').fetchone()[0])  # noqa: S608


def exchange(live: Path, new: Path, mark: int, patience_s: float, logged: int) -> float:
    """Every table and index gets the root page of its twin; seconds of standstill.

    Afterwards the twins hold what was live, to the last row that anybody committed. What was
    written to the log after entry `logged` comes along.
    """
    with closing(_opened(live, patience_s)) as file:
        file.execute("PRAGMA wal_checkpoint(PASSIVE)")
        file.execute("PRAGMA wal_autocheckpoint=0")  # the next one to write does it
        file.execute("PRAGMA synchronous=FULL")
        file.execute("ATTACH ? AS new", (str(new),))
        file.execute("ANALYZE sqlite_master")  # makes the table of statistics if there is none
        with _writing(file):
            began = time.monotonic()
            _take_statistics(file)
            _take_log(file, logged)
            _exchange_roots(file)
            file.execute(f"PRAGMA user_version = {int(mark)}")
        return time.monotonic() - began


def keep_old(live: Path, keep: Path, patience_s: float) -> None:
    """Copy what the twins hold into a file of its own, unless that is done; then clear them away.

    Nobody waits for it. Cut off, it is done from the beginning the next time.
    """
    if not keep.exists():
        partial = keep.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _copy_out(live, partial)
        partial.replace(keep)
        sync_folder(keep.parent)
    clear(live, patience_s)


def has_twins(live: Path) -> bool:
    """Whether something was left of an exchange."""
    with closing(sqlite3.connect(live)) as file:
        return bool(_twins(file, "table"))


def clear(live: Path, patience_s: float) -> None:
    """Remove the twins with what is in them, a slice at a time."""
    with closing(_opened(live, patience_s)) as file:
        for name in _twins(file, "index"):
            if not name.startswith(_AUTO):
                file.execute(f'DROP INDEX "{name}"')
        for name in _twins(file, "table"):
            _in_slices(file, f'DELETE FROM "{name}" WHERE rowid > ? AND rowid <= ?', f'"{name}"')  # noqa: S608
            file.execute(f'DROP TABLE "{name}"')


# --- the twins ------------------------------------------------------------------------------------


def _opened(file: Path, patience_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=patience_s, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")  # as the application has it
    connection.execute("PRAGMA synchronous=NORMAL")  # the exchange makes sure of everything
    return connection


def _shape(file: sqlite3.Connection) -> dict[str, list[tuple[str, ...]]]:
    """The live tables and what columns they have."""
    return {
        name: file.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        for name, _sql in _objects(file, "table")
    }


def _objects(file: sqlite3.Connection, kind: str, schema: str = "main") -> list[tuple[str, str]]:
    """Names and definitions, without twins and without what SQLite makes for itself."""
    found = file.execute(
        f"SELECT name, sql FROM {schema}.sqlite_master "  # noqa: S608  a name of this module
        "WHERE type = ? AND sql IS NOT NULL ORDER BY rowid",
        (kind,),
    )
    return [(name, sql) for name, sql in found if not name.startswith((TWIN, "sqlite_"))]


def _twins(file: sqlite3.Connection, kind: str) -> list[str]:
    found = file.execute(
        "SELECT name FROM sqlite_master WHERE type = ? AND substr(tbl_name, 1, ?) = ?",
        (kind, len(TWIN), TWIN),
    )
    return [name for (name,) in found]


_OF_TABLE = re.compile(r'\b(CREATE TABLE|REFERENCES)\s+"?(\w+)"?', re.IGNORECASE)
_OF_INDEX = re.compile(r'^(CREATE (?:UNIQUE )?INDEX)\s+"?(\w+)"? ON "?(\w+)"?', re.IGNORECASE)


def _make_twins(file: sqlite3.Connection) -> list[str]:
    """Defined as the live tables are, and pointing at each other as those do."""
    tables = _objects(file, "table")
    with _writing(file):
        for _name, sql in tables:
            file.execute(_OF_TABLE.sub(rf'\1 "{TWIN}\2"', sql))
        for _name, sql in _objects(file, "index"):
            file.execute(_OF_INDEX.sub(rf'\1 "{TWIN}\2" ON "{TWIN}\3"', sql, count=1))
    return [name for name, _sql in tables]


def _columns(file: sqlite3.Connection, name: str, *without: str) -> str:
    told = file.execute("SELECT name FROM pragma_table_info(?)", (name,))
    return ", ".join(f'"{column}"' for (column,) in told if column not in without)


def _copy_rows(file: sqlite3.Connection, name: str) -> float:
    columns = _columns(file, name)
    statement = (
        f'INSERT INTO main."{TWIN}{name}" ({columns}) '  # noqa: S608  names of our migrations
        f'SELECT {columns} FROM new."{name}" WHERE rowid > ? AND rowid <= ?'
    )
    return _in_slices(file, statement, f'new."{name}"')


def _in_slices(file: sqlite3.Connection, statement: str, table: str) -> float:
    """Run it for all rows of a table, some at a time by their numbers; the longest slice."""
    some = (
        f"SELECT max(rowid) FROM (SELECT rowid FROM {table} WHERE rowid > ? "  # noqa: S608
        f"ORDER BY rowid LIMIT {ROWS})"
    )
    last, longest = -(2**63), 0.0
    while (upto := file.execute(some, (last,)).fetchone()[0]) is not None:
        with _writing(file):
            began = time.monotonic()
            while upto is not None and time.monotonic() - began < SLICE_S:
                file.execute(statement, (last, upto))
                last = upto
                upto = file.execute(some, (last,)).fetchone()[0]
            longest = max(longest, time.monotonic() - began)
        time.sleep(SLICE_S)  # SQLite keeps no queue: let those pass who wait
    return longest


@contextmanager
def _writing(file: sqlite3.Connection, *, lock: bool = True) -> Iterator[None]:
    if lock:
        begin_to_write(file)
    else:
        file.execute("BEGIN")
    try:
        yield
        file.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            file.execute("ROLLBACK")
        raise


# --- the exchange ---------------------------------------------------------------------------------


def _exchange_roots(file: sqlite3.Connection) -> None:
    told = file.execute("SELECT type, name, rootpage FROM sqlite_master WHERE rootpage > 0")
    roots = {(kind, name): root for kind, name, root in told if name not in _OWN}
    twins = {(kind, name): (kind, _twin_of(name)) for kind, name in roots if not _is_twin(name)}
    if {*twins.values(), *twins} != roots.keys():
        raise sqlite3.OperationalError("its tables were changed meanwhile")
    file.execute("PRAGMA writable_schema = ON")
    for one, other in twins.items():
        for here, root in ((one, roots[other]), (other, roots[one])):
            file.execute(
                "UPDATE sqlite_master SET rootpage = ? WHERE type = ? AND name = ?", (root, *here)
            )
    version = file.execute("PRAGMA schema_version").fetchone()[0]
    file.execute(f"PRAGMA schema_version = {version + 1}")  # everybody reads the roots anew


_OWN = {"sqlite_stat1", "sqlite_stat4", "sqlite_sequence"}


def _twin_of(name: str) -> str:
    if name.startswith(_AUTO):
        return f"{_AUTO}{TWIN}{name.removeprefix(_AUTO)}"
    return f"{TWIN}{name}"


def _is_twin(name: str) -> bool:
    return name.removeprefix(_AUTO).startswith(TWIN)


def _take_statistics(file: sqlite3.Connection) -> None:
    """What the planner must know of the rows that come."""
    file.execute("DELETE FROM main.sqlite_stat1")
    if file.execute("SELECT 1 FROM new.sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        file.execute("INSERT INTO main.sqlite_stat1 SELECT * FROM new.sqlite_stat1")


def _take_log(file: sqlite3.Connection, logged: int) -> None:
    columns = _columns(file, LOG, "id")
    file.execute(
        f'INSERT INTO main."{TWIN}{LOG}" ({columns}) '  # noqa: S608
        f'SELECT {columns} FROM main."{LOG}" WHERE id > ? ORDER BY id',
        (logged,),
    )


# --- what is kept ---------------------------------------------------------------------------------


def _copy_out(live: Path, to: Path) -> None:
    """Under the names that the tables had."""
    with closing(sqlite3.connect(to, isolation_level=None)) as file:
        to.chmod(0o600)
        file.execute("PRAGMA journal_mode=OFF")
        file.execute("ATTACH ? AS live", (str(live),))
        with _writing(file, lock=False):  # or the live file would be locked too
            for name, sql in _objects(file, "table", "live"):
                file.execute(sql)
                file.execute(f'INSERT INTO main."{name}" SELECT * FROM live."{TWIN}{name}"')  # noqa: S608
            for _name, sql in _objects(file, "index", "live"):
                file.execute(sql)
        file.execute("PRAGMA main.analysis_limit = 1000")
        file.execute("ANALYZE main")
    with to.open("rb+") as made:
        os.fsync(made.fileno())
