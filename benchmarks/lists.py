"""How long the list of matches takes at a million rows: first, middle and last page, by request.

Each engine gets a database of its own for the run, filled past the ledger; what is measured is the
whole answer of the panel to a signed-in user, from the request to the last byte of the page.
"""

import itertools
import random
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.scene import POSTGRES, own_database

ROWS = 1_000_000
ROUNDS = 30
BATCH = 10_000
FIRST = datetime(2005, 1, 1, tzinfo=UTC)
STEP_S = 690  # between two matches: a million are twenty-one years
PASSWORD = "a password for a benchmark"
PLACES = ("first", "middle", "last")
Row = tuple[Any, ...]

_SYLLABLES = (
    *("ka", "ra", "ba", "ma", "ta", "la", "na", "sa", "di", "li", "mi", "ti", "ri", "ni", "si"),
    *("ko", "ro", "bo", "mo", "to", "lo", "no", "so", "ku", "ru", "bu"),
)
_ENDINGS = (
    *("FC", "SK", "United", "Spor", "City", "Athletic", "Real", "Club", "SC", "AFC", "Town"),
    *("U19", "U21", "Women", "II"),
)
_LEAGUES = ("League", "Cup", "Premier League", "Süper Lig", "2. Division")
COLUMNS = (
    "source", "source_id", "kickoff", "status", "raw_status", "home", "away", "home_score",
    "away_score", "competition", "season", "round", "country",
    "first_seen_at", "last_seen_at", "changed_at",
)  # fmt: skip


def run(rows: int = ROWS, rounds: int = ROUNDS) -> None:
    """Measure and print, on each engine that is there."""
    for name, database in databases():
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            database(folder) as url,
            _app(folder, url) as app,
        ):
            began = time.perf_counter()
            fill(app, rows)
            took = time.perf_counter() - began
            print(
                f"\n{name}: {rows:,} matches (filled in {took:.0f} s); server time in ms, p50 / p95"
            )
            measure(app, rounds)
            _writes(app)


def databases() -> Iterator[tuple[str, Any]]:
    """The engines, each as a context that gives the URL of an empty database."""
    yield "SQLite", _sqlite
    if POSTGRES:
        yield "PostgreSQL", _postgresql


@contextmanager
def _sqlite(folder: str) -> Iterator[str]:
    yield f"sqlite:///{Path(folder) / 'fikstur.db'}"


@contextmanager
def _postgresql(_folder: str) -> Iterator[str]:
    with own_database() as url:
        yield url


@contextmanager
def _app(folder: str, url: str) -> Iterator[Flask]:
    from flask_migrate import upgrade

    import config
    from app.core.db import db
    from app.core.memory import keep_what_is_loaded

    environ = {
        "DATA_DIR": folder,
        "DATABASE_URL": url,
        "SECRET_KEY": "a-key-for-benchmarks-that-opens-nothing-01234",
        "LOG_LEVEL": "warning",
        "LANGUAGE": "en",
    }
    config.load = lambda *_any, **_more: config.Config.from_env(environ, env_file=None)
    from app import create_app

    app = create_app(config.load())
    with app.app_context():
        upgrade(directory=str(Path(__file__).parent.parent / "migrations"))
        keep_what_is_loaded()  # as `flask web` does
        yield app
        db.session.remove()
        db.engine.dispose()


# --- a million matches ----------------------------------------------------------------------------


class World:
    """Thirty thousand teams in two thousand competitions, with names that share their parts."""

    def __init__(self) -> None:
        self.chance = random.Random(7)
        towns = [self._town() for _ in range(6000)]
        pick = self.chance.sample
        self.teams = sorted({f"{town} {end}" for town in towns for end in pick(_ENDINGS, 6)})
        self.competitions = [f"{town} {name}" for town in towns[:400] for name in _LEAGUES]
        self.countries = towns[500:700]
        # A few competitions have many matches, most have few.
        weights = (1 / (place + 5) for place in range(len(self.competitions)))
        self._often = list(itertools.accumulate(weights))

    def _town(self) -> str:
        parts = self.chance.choices(_SYLLABLES, k=self.chance.randint(2, 4))
        return "".join(parts).capitalize()

    def rows(self, count: int) -> Iterator[Row]:
        """Matches in the order of time; one in five hundred has no kick-off yet."""
        chance, everyone = self.chance, range(len(self.competitions))
        for number in range(count):
            (at,) = chance.choices(everyone, cum_weights=self._often)
            kickoff = FIRST + timedelta(seconds=number * STEP_S + chance.randint(0, 86_400))
            yield (
                "sofascore" if chance.random() < 0.9 else "football_data",
                str(10_000_000 + number),
                kickoff if number % 500 else None,
                "FINISHED" if chance.random() < 0.97 else chance.choice(_OTHER),
                "finished/100",
                self._team(at),
                self._team(at),
                chance.randint(0, 4),
                chance.randint(0, 4),
                self.competitions[at],
                "2024/25",
                "7",
                self.countries[at % len(self.countries)],
                kickoff,
                kickoff,
                kickoff,
            )

    def _team(self, competition: int) -> str:
        return self.teams[(competition * 18 + self.chance.randint(0, 30)) % len(self.teams)]


_OTHER = ("POSTPONED", "CANCELLED", "ABANDONED", "SCHEDULED")


def fill(app: Flask, count: int) -> None:
    """Write them, without the indexes at first: it takes a third of the time."""
    from app.core.db import db, table_of
    from app.core.letters import fold
    from app.fixtures.models import Match, Name

    world, table = World(), table_of(Match)
    names = {*world.teams, *world.competitions, *world.countries}
    with db.engine.begin() as connection:
        told = [{"name": name, "folded": fold(name)} for name in sorted(names)]
        connection.execute(table_of(Name).insert(), told)
        for index in table.indexes:
            index.drop(connection)
    with db.engine.begin() as connection:
        _insert(connection, world.rows(count))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        with db.engine.begin() as connection:
            index.create(connection)
    if db.engine.dialect.name == "postgresql":  # as autovacuum does by and by
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))


def _insert(connection: sa.Connection, rows: Iterable[Row]) -> None:
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(COLUMNS)
    if connection.dialect.name == "postgresql":
        # A machine that does other things too may be slow to make rows.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        with driver.cursor() as cursor, cursor.copy(f"COPY match ({columns}) FROM STDIN") as out:
            for row in rows:
                out.write_row(row)
        return
    marks = ", ".join("?" * len(COLUMNS))
    told = (tuple(map(_for_sqlite, row)) for row in rows)
    driver.executemany(f"INSERT INTO match ({columns}) VALUES ({marks})", told)


def _for_sqlite(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value


# --- the list -------------------------------------------------------------------------------------


def measure(app: Flask, rounds: int) -> None:
    """Every kind of request at every place of the list."""
    client, view = _signed_in(app), _matches(app)
    middle = _middle(view)
    worst = 0.0
    for name, arguments in requests(view).items():
        told = []
        for place, more in zip(PLACES, ({}, middle, {"last": "1"}), strict=True):
            if "sort" in arguments and place == "middle":
                more = _after_first(client, view, arguments)
            url = _url(app, view, {**arguments, **more})
            times = sorted(_asked(client, url) for _ in range(rounds))
            p50, p95 = times[len(times) // 2], times[int(len(times) * 0.95)]
            worst = max(worst, p95)
            told.append(f"{place} {times[0]:4.0f} {p50:4.0f} {p95:4.0f}")
        print(f"  {name:36} {'   '.join(told)}", flush=True)
    print(f"  slowest p95: {worst:.0f} ms")


def requests(view: Any) -> Mapping[str, Mapping[str, Any]]:
    """What is asked, by what it is called."""
    by = {each.slug: view.filter_arg(at) for at, each in enumerate(view._filters)}
    columns = [name for name, _label in view._list_columns]
    return {
        "everything": {},
        "a status that most have": {by["status"]: "FINISHED"},
        "a status that one in 130 has": {by["status"]: "POSTPONED"},
        "a status that nobody has": {by["status"]: "LIVE"},
        "a source with one in ten": {by["source"]: "football_data"},
        "a competition": {by["competition"]: World().competitions[40]},
        "a country": {by["country"]: World().countries[50]},
        "one year": {by["kickoff_from"]: "2015-01-01", by["kickoff_until"]: "2015-12-31"},
        "a source, a status and a year": {
            by["source"]: "football_data",
            by["status"]: "POSTPONED",
            by["kickoff_from"]: "2015-01-01",
        },
        "search: one team": {"search": World().teams[1234]},
        "search: part of a hundred names": {"search": "kara"},
        "search: part of 2,000 names": {"search": "spor"},
        "search: two words": {"search": "kara united"},
        "search: nothing like it": {"search": "zzzz"},
        "search and a status": {"search": "kara", by["status"]: "POSTPONED"},
        "sorted by home team": {"sort": columns.index("home")},
        "sorted by away team, down": {"sort": columns.index("away"), "desc": 1},
    }


def _matches(app: Flask) -> Any:
    views = app.extensions["admin"][0]._views
    return next(view for view in views if view.endpoint == "matches")


def _middle(view: Any) -> dict[str, str]:
    """A place in the middle of the usual order."""
    from app.admin import paging
    from app.core.db import db
    from app.fixtures.models import Match

    half = db.session.scalar(sa.select(sa.func.max(Match.id))) // 2
    with_kickoff = sa.select(Match).where(Match.id >= half, Match.kickoff.is_not(None)).limit(1)
    row = db.session.scalars(with_kickoff.order_by(Match.id)).one()
    cursor = paging._cursor(view.order(None, sort_desc=False), row)
    db.session.rollback()  # PostgreSQL ends who stays idle in a transaction
    return {paging.AFTER: cursor}


def _after_first(client: FlaskClient, view: Any, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The middle of another order: behind the row with the middle id."""
    from app.admin import paging
    from app.core.db import db
    from app.fixtures.models import Match

    column = view._get_column_by_idx(arguments["sort"])[0]
    half = db.session.scalar(sa.select(sa.func.max(Match.id))) // 2
    row = db.session.scalars(sa.select(Match).where(Match.id >= half).limit(1)).one()
    cursor = paging._cursor(view.order(column, bool(arguments.get("desc"))), row)
    db.session.rollback()
    return {paging.AFTER: cursor}


def _url(app: Flask, view: Any, arguments: Mapping[str, Any]) -> str:
    from flask import url_for

    with app.test_request_context():
        return url_for(f"{view.endpoint}.index_view", **{"view": 0, **arguments})


def _asked(client: FlaskClient, url: str) -> float:
    from app.core.db import db

    began = time.perf_counter()
    answer = client.get(url)
    took = time.perf_counter() - began
    db.session.remove()  # the context is ours and stays; a server's ends with the request
    if answer.status_code != 200:
        raise SystemExit(f"{url}: {answer.status_code}")
    return took * 1000


def _signed_in(app: Flask) -> FlaskClient:
    from app.accounts import users
    from app.accounts.models import Role
    from app.core.db import transaction

    with transaction() as session:
        users.create(session, "bench", PASSWORD, role=Role.VIEWER)
    client = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
    form = {"csrf_token": token[1] if token else "", "username": "bench", "password": PASSWORD}
    if client.post("/sign-in", data=form).status_code != 302:
        raise SystemExit("the user of the benchmark could not sign in")
    return client


# --- what it costs those who write ----------------------------------------------------------------


def _writes(app: Flask) -> None:
    """New matches in batches, as a fetch writes them: with what the list needs, and without."""
    from app.core.db import db, table_of
    from app.fixtures.models import Match

    with_it = _rate()
    added = [i for i in table_of(Match).indexes if i.name not in _BEFORE]
    with db.engine.begin() as connection:
        for index in added:
            index.drop(connection)
    without = _rate(names=False)
    print(
        f"  1,000 new matches: {with_it:.0f} ms with the indexes and names of the list, "
        f"{without:.0f} ms without (x{with_it / without:.2f})"
    )


_BEFORE = ("ix_match_kickoff", "ix_match_changed_at")
_numbers = itertools.count(50_000_000)


def _rate(*, names: bool = True, batches: int = 20) -> float:
    """Milliseconds for 1,000 matches that are new, the median of some batches."""
    from app.core.db import transaction
    from app.fixtures import store
    from app.fixtures.names import know

    store.names.know = know if names else lambda _session, _rows: None
    world, times = World(), []
    for _ in range(batches):
        rows = [_as_written(row) for row in world.rows(1000)]
        began = time.perf_counter()
        with transaction() as session:
            store.write_matches(session, rows, ["last_seen_at"])
        times.append(time.perf_counter() - began)
    store.names.know = know
    return sorted(times)[len(times) // 2] * 1000


def _as_written(row: Sequence[Any]) -> dict[str, Any]:
    return {**dict(zip(COLUMNS, row, strict=True)), "source_id": str(next(_numbers))}
