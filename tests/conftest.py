"""The stage for all tests: an app on a scratch database of each engine, never your own."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import FileSystemBytecodeCache

import config as configuration

ROOT = Path(__file__).parent.parent
SCRATCH = Path(tempfile.mkdtemp(prefix="fikstur-tests-"))
POSTGRES = os.environ.get("FIKSTUR_TEST_POSTGRES_URL")


def _own(url: str | None) -> str | None:
    """The Redis database of this process: those side by side have the next ones."""
    if not url:
        return None
    place = urlsplit(url)
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return place._replace(path=f"/{int(place.path.strip('/') or 0) + beside}").geturl()


REDIS = _own(os.environ.get("FIKSTUR_TEST_REDIS_URL"))


def settings(data_dir: Path, **changes: str) -> configuration.Config:
    """A configuration that reads neither the environment nor .env."""
    environ = {
        "DATA_DIR": str(data_dir),
        "SECRET_KEY": "a-key-for-tests-that-opens-nothing-0123456789",
        "SOURCES": "sandbox,sofascore,football_data",
        "SOFASCORE_PERMITTED": "true",
        "FOOTBALL_DATA_TOKEN": "not-a-real-token",
        "LOG_LEVEL": "warning",
        "LEASE_SECONDS": "3",
        **changes,
    }
    return configuration.Config.from_env(environ, env_file=None)


# tasks.py reads the configuration when it is imported: it must not find the developer's.
configuration.load = lambda: settings(SCRATCH / "tasks")


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_worked_out_twice() -> None:
    """Hundreds of apps are made here: each would compile its pages and make costly hashes.

    Real processes do as ever; what the tests want to know of neither depends on the price.
    """
    from app.accounts import users

    users._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    compiled = FileSystemBytecodeCache(tempfile.mkdtemp(dir=SCRATCH))
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": compiled}


LONGEST = {"chaos": 0, "test_recorded_details.py": 1, "browser": 2}


@pytest.hookimpl(trylast=True)  # after the shuffling
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first: at the end, one process would work on them alone."""
    items.sort(key=lambda item: min(LONGEST.get(part, 3) for part in item.path.parts))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if os.environ.get("CI") == "true" and skipped and exitstatus == 0:
        reporter.write_line(f"{skipped} skipped: under CI nothing may skip", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _migrate(app: Flask) -> None:
    from flask_migrate import upgrade

    with app.app_context():
        upgrade(directory=str(ROOT / "migrations"))


@pytest.fixture(scope="session")
def migrated_sqlite() -> Path:
    """A migrated, empty SQLite file to copy from."""
    from app import create_app
    from app.core.db import db

    folder = SCRATCH / "template"
    app = create_app(settings(folder))
    _migrate(app)
    with app.app_context():
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        db.engine.dispose()
    return folder / "fikstur.db"


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this run's own."""
    from app import create_app
    from app.core.db import db

    if not POSTGRES:
        pytest.skip("FIKSTUR_TEST_POSTGRES_URL is not set")
    name = f"fikstur_test_{uuid.uuid4().hex[:10]}"
    server = sa.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    url = sa.make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    app = create_app(settings(SCRATCH / "postgres", DATABASE_URL=url))
    _migrate(app)
    with app.app_context():
        db.engine.dispose()
    yield url
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> str:
    """Both engines, one after the other."""
    return request.param


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database."""
    if engine == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "fikstur.db")
        return f"sqlite:///{tmp_path / 'fikstur.db'}"
    url = request.getfixturevalue("migrated_postgres")
    empty(url)
    return url


def empty(url: str) -> None:
    """Only the tables that were touched: emptying all of them takes ten times as long.

    And without what the undo of a restore keeps: tables of the same names.
    """
    from app.core.db import Base

    names = [table.name for table in Base.metadata.sorted_tables]
    filled = " UNION ALL ".join(f"SELECT '{n}' WHERE EXISTS (SELECT 1 FROM {n})" for n in names)
    counted = "SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL"
    kept = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'fikstur%'"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for schema in connection.scalars(sa.text(kept)).all():
            connection.execute(sa.text(f'DROP SCHEMA "{schema}" CASCADE'))
        touched = set(connection.scalars(sa.text(filled)))
        touched |= {name.removesuffix("_id_seq") for name in connection.scalars(sa.text(counted))}
        if tables := ", ".join(sorted(touched & set(names))):
            connection.execute(sa.text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    engine.dispose()


@pytest.fixture
def edges(request: pytest.FixtureRequest) -> bool:
    """Whether the app of a test has its panel, API and commands.

    To make them takes longer than most tests of what lies under them; those of these that do speak
    of a page or a command say so with a fixture of their own.
    """
    return "integration" not in request.path.parts


@pytest.fixture
def app(database_url: str, tmp_path: Path, edges: bool) -> Iterator[Flask]:
    """The app on an empty database, its context open."""
    from app import create_app
    from app.core.db import db

    made = create_app(settings(tmp_path, DATABASE_URL=database_url), edges=edges)
    made.testing = True
    with made.app_context():
        yield made
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def recorded_days() -> list[Path]:
    """The recorded SofaScore day lists."""
    from payloads import PAYLOADS

    if PAYLOADS is None:
        pytest.skip("the recorded answers are not here (FIKSTUR_PAYLOADS)")
    return sorted((PAYLOADS / "sofascore" / "daily").glob("*.json.gz"))


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres+redis", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ]
)
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings of each stack for real processes: SQLite alone, and PostgreSQL with Redis.

    Both are migrated; SQLite where a `stage` in the test's folder looks for it.
    """
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "data" / "fikstur.db")
        return {}
    if not REDIS:
        pytest.skip("FIKSTUR_TEST_REDIS_URL is not set")
    url = request.getfixturevalue("migrated_postgres")
    empty(url)
    import redis

    client = redis.Redis.from_url(REDIS)
    client.flushdb()
    client.close()
    return {"DATABASE_URL": url, "REDIS_URL": REDIS}
