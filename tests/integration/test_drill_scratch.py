"""The place a drill makes for itself, and what is left of it: nothing, whoever dies."""

import logging
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from conftest import POSTGRES, REDIS
from filelock import FileLock

from app.core import queue
from app.core.slots import Slots
from app.core.text import RequestError
from app.drill import scratch as scratch_module
from app.drill.scratch import Instance, clear_up, scratch

# Of this run alone: another on the same server may be at the same test.
OLD = f"fikstur_drill_20200101000000_{secrets.token_hex(4)}"
YOUNG = f"fikstur_drill_29990101000000_{secrets.token_hex(4)}"
pytestmark = pytest.mark.xdist_group("drills")  # one clears up what others left on the server
needs_postgres = pytest.mark.skipif(not POSTGRES, reason="FIKSTUR_TEST_POSTGRES_URL is not set")
needs_redis = pytest.mark.skipif(not REDIS, reason="FIKSTUR_TEST_REDIS_URL is not set")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder in which nobody else's drills are."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def instance(stack: dict[str, str], tmp_path: Path) -> Instance:
    """Each stack."""
    own = f"sqlite:///{tmp_path / 'fikstur.db'}"
    return Instance(stack.get("DATABASE_URL", own), stack.get("REDIS_URL"))


def databases() -> set[str]:
    engine = sa.create_engine(str(POSTGRES))
    with engine.connect() as connection:
        names = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
    engine.dispose()
    return names


@pytest.fixture
def make_database() -> Iterator[object]:
    """Databases of these names, gone afterwards whatever the test does."""
    engine = sa.create_engine(str(POSTGRES), isolation_level="AUTOCOMMIT")
    made = []

    def make(name: str) -> None:
        made.append(name)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))
    engine.dispose()


def a_leftover(temporary: Path, name: str) -> Path:
    folder = temporary / name
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "drill.db").write_bytes(b"something")
    return folder


def test_the_place_is_its_own_and_goes_with_all_that_is_in_it(
    instance: Instance, temporary: Path
) -> None:
    with scratch(instance) as own:
        assert own.folder.parent == temporary
        assert own.database_url != instance.database_url
        assert own.not_on is None
        engine = sa.create_engine(own.database_url)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE t (n integer)"))
        (own.folder / "data" / "more").write_text("x")
        if own.engine == "postgresql":
            assert own.name in databases()
        own_name = own.name
        engine.dispose()
    assert list(temporary.iterdir()) == []
    if instance.database_url.startswith("postgresql"):
        assert own_name not in databases()


def test_it_goes_also_when_the_drill_breaks_and_somebody_is_still_connected(
    instance: Instance, temporary: Path
) -> None:
    with pytest.raises(ZeroDivisionError), scratch(instance) as own:
        engine = sa.create_engine(own.database_url)
        connection = engine.connect()
        name = own.name
        raise ZeroDivisionError
    connection.invalidate()
    connection.close()
    engine.dispose()
    assert list(temporary.iterdir()) == []
    if instance.database_url.startswith("postgresql"):
        assert name not in databases()


@needs_redis
def test_of_redis_only_its_own_names_are_emptied(tmp_path: Path) -> None:
    client = redis.Redis.from_url(str(REDIS), decode_responses=True)
    client.flushdb()
    client.set("somebody", "else")
    queue.build_huey(REDIS, tmp_path).storage.enqueue(b"a bell of the instance")
    Slots(REDIS, tmp_path).take("sandbox", [(5, 60.0)], 2)
    before = {key: client.type(key) for key in client.scan_iter()}
    assert len(before) == 3
    with scratch(Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", REDIS)) as own:
        bells = queue.build_huey(REDIS, own.folder, own.name).storage
        bells.enqueue(b"a bell of the drill")
        slots = Slots(REDIS, own.folder, own.name)
        slots.take("sandbox", [(5, 60.0)], 2)
        assert len(client.keys()) == 5
        own.wipe_queue()
        assert bells.queue_size() == 0
        bells.enqueue(b"another")
        assert len(client.keys()) == 5
        slots.close()
    assert {key: client.type(key) for key in client.scan_iter()} == before
    assert client.llen("huey.redis.fikstur") == 1
    client.flushdb()
    client.close()


def test_on_sqlite_wiping_empties_the_queue_in_its_folder(tmp_path: Path) -> None:
    with scratch(Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", None)) as own:
        bells = queue.build_huey(None, own.folder / "data", own.name).storage
        bells.enqueue(b"a bell of the drill")
        own.wipe_queue()
        assert bells.queue_size() == 0
        bells.close()


def test_a_redis_that_does_not_answer_is_a_sentence(tmp_path: Path, temporary: Path) -> None:
    nowhere = Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", "redis://127.0.0.1:9/0")
    with pytest.raises(RequestError, match="The queue cannot be reached"), scratch(nowhere):
        pass
    assert list(temporary.iterdir()) == []


# --- what a drill leaves that was killed ----------------------------------------------------------


def test_what_a_dead_drill_left_is_removed_and_what_a_living_one_has_is_not(
    instance: Instance, temporary: Path
) -> None:
    dead, living = a_leftover(temporary, OLD), a_leftover(temporary, YOUNG)
    strange = a_leftover(temporary, "fikstur_drill_of_somebody")
    with FileLock(f"{living}.lock"):
        clear_up(instance)
        assert not dead.exists()
        assert living.exists()
    assert strange.exists()
    clear_up(instance)
    assert not living.exists()


@needs_postgres
def test_a_dead_drills_database_goes_with_its_folder(temporary: Path, make_database) -> None:
    make_database(YOUNG)
    a_leftover(temporary, YOUNG)
    clear_up(Instance(str(POSTGRES), None))
    assert YOUNG not in databases()


@needs_postgres
def test_a_database_made_elsewhere_goes_after_a_day(make_database) -> None:
    other = "fikstur_drillers_20200101000000"
    for name in (OLD, YOUNG, other):
        make_database(name)
    clear_up(Instance(str(POSTGRES), None))
    assert databases() & {OLD, YOUNG, other} == {YOUNG, other}


@needs_postgres
def test_where_the_role_may_not_create_databases_sqlite_is_used_and_said(temporary: Path) -> None:
    url = sa.make_url(str(POSTGRES)).update_query_dict({"options": "-c role=pg_read_all_stats"})
    text = url.render_as_string(hide_password=False)
    engine = sa.create_engine(url)
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        pytest.skip("the tests' role cannot play one with fewer rights")
    finally:
        engine.dispose()
    with scratch(Instance(text, None)) as own:
        assert (own.engine, own.not_on) == ("sqlite", "postgresql")
    assert list(temporary.iterdir()) == []


def test_what_cannot_be_removed_is_logged_and_stops_nobody(
    tmp_path: Path, temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = a_leftover(temporary, OLD)
    with caplog.at_level(logging.WARNING):
        clear_up(Instance(f"sqlite:///{tmp_path / 'fikstur.db'}", "redis://127.0.0.1:9/0"))
    assert f"Redis keeps what is named {OLD}" in caplog.text
    assert not left.exists()


@needs_postgres
def test_the_folder_of_a_database_that_stays_waits_for_the_next_drill(
    temporary: Path,
    make_database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_database(YOUNG)
    left = a_leftover(temporary, YOUNG)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        patched.setattr(scratch_module, "_DROPS", 1)
        patched.setattr(scratch_module, "_server", away)
        with pytest.raises(sa.exc.OperationalError):  # of asking for what others left
            clear_up(Instance(str(POSTGRES), None))
    assert f"{YOUNG} could not be removed" in caplog.text
    assert left.exists()
    clear_up(Instance(str(POSTGRES), None))
    assert not left.exists()
    assert YOUNG not in databases()


def away(url: sa.URL) -> object:
    raise sa.exc.OperationalError("DROP", {}, Exception("is being accessed by others"))


@needs_postgres
def test_a_database_that_does_not_go_at_once_is_asked_to_go_again(
    temporary: Path, make_database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_database(YOUNG)
    a_leftover(temporary, YOUNG)
    server, asked = scratch_module._server, []

    def busy(url: sa.URL) -> object:
        asked.append(url)
        if len(asked) < 2:  # the real ones may need another, on a busy server
            away(url)
        return server(url)

    monkeypatch.setattr(scratch_module, "_server", busy)
    clear_up(Instance(str(POSTGRES), None))
    assert len(asked) >= 2
    assert YOUNG not in databases()
    assert list(temporary.iterdir()) == []


def test_nothing_without_the_name_of_a_drill_is_ever_removed(instance: Instance) -> None:
    for name in ("postgres", "fikstur", "fikstur_drill_", f"{OLD}; DROP TABLE job", f"../{OLD}"):
        with pytest.raises(ValueError, match="not the name of a drill"):
            scratch_module._remove(instance, name)
