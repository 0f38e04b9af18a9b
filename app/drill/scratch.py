"""A place of the drill's own: folder, database and names in Redis, all gone at the end.

Everything of one drill has its name. While it lives it holds a lock on a file beside its folder,
which the system lets go of when the process dies: the next drill then clears up after it.
"""

import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from app.core import queue
from app.core.clock import now
from app.core.queue import QueueAwayError
from app.core.slots import Slots, SlotsAwayError
from app.core.text import N_, RequestError

log = logging.getLogger(__name__)

PREFIX = "fikstur_drill_"
SOURCE = "sandbox"
_NAME = re.compile(PREFIX + r"(\d{14})_[0-9a-f]{8}")
_TOO_OLD = timedelta(days=1)  # for what nobody can be asked about: a database made elsewhere
_DROPS = 3
_PAUSE_S = 0.5
_MAY_NOT = "42501"  # PostgreSQL's code: insufficient privilege


@dataclass(frozen=True, slots=True)
class Instance:
    """Where the instance keeps its own things; the drill reads nothing and writes nothing there."""

    database_url: str
    redis_url: str | None


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where the drill may do what it likes."""

    name: str
    folder: Path
    database_url: str
    redis_url: str | None
    not_on: str | None = None  # the engine of the instance, when it could not be had

    @property
    def engine(self) -> str:
        """Of its database."""
        return make_url(self.database_url).get_backend_name()

    def wipe_queue(self) -> None:
        """Forget every bell that waits, of this drill alone. RequestError when it cannot."""
        _wipe(self.redis_url, self.folder / "data", self.name)


@contextmanager
def scratch(instance: Instance) -> Iterator[Scratch]:
    """Clear up after drills that were killed, make a place, and leave nothing of it behind."""
    clear_up(instance)
    name = f"{PREFIX}{now():%Y%m%d%H%M%S}_{secrets.token_hex(4)}"
    with _owned(name) as folder:
        try:
            (folder / "data").mkdir(parents=True, mode=0o700)
            yield _make(instance, name, folder)
        finally:
            _remove(instance, name)


def _make(instance: Instance, name: str, folder: Path) -> Scratch:
    if instance.redis_url:
        _wipe(instance.redis_url, folder, name)  # better to know now that it does not answer
    url = make_url(instance.database_url)
    on_sqlite = url.get_backend_name() == "sqlite"
    if not on_sqlite and _create_database(url, name):
        own = url.set(database=name).render_as_string(hide_password=False)
        return Scratch(name, folder, own, instance.redis_url)
    own = f"sqlite:///{(folder / 'data' / 'drill.db').as_posix()}"
    not_on = None if on_sqlite else url.get_backend_name()
    return Scratch(name, folder, own, instance.redis_url, not_on)


def _wipe(redis_url: str | None, folder: Path, name: str) -> None:
    try:
        queue.wipe(redis_url, folder, name)
    except QueueAwayError as error:
        raise RequestError(
            N_("The queue cannot be reached (%(reason)s). Check that it runs, and REDIS_URL."),
            reason=error,
        ) from error


def _create_database(url: URL, name: str) -> bool:
    """False when the role may not."""
    try:
        with _server(url) as connection:
            # Not from template1: somebody who is connected to it would be in the way.
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _MAY_NOT:
            raise
        return False
    return True


@contextmanager
def _server(url: URL) -> Iterator[Connection]:
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args={"connect_timeout": 10},
    )
    with engine.connect() as connection:
        yield connection


# --- whose is it, and is he alive? ----------------------------------------------------------------


def _folder(name: str) -> Path:
    return Path(tempfile.gettempdir()) / name


@contextmanager
def _owned(name: str) -> Iterator[Path]:
    """The folder of this name, locked before it is made. Timeout when its owner lives."""
    path = Path(f"{_folder(name)}.lock")
    lock = FileLock(path, timeout=0, mode=0o600)
    lock.acquire()
    try:
        yield _folder(name)
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def clear_up(instance: Instance) -> None:
    """Remove what drills left that were killed; what cannot be removed is logged."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        if folder.is_dir() and _NAME.fullmatch(folder.name):
            # Somebody else's, or a drill that runs.
            with suppress(Timeout, OSError), _owned(folder.name):
                _remove(instance, folder.name)
    for name in _databases(instance):
        if _is_too_old(name) and not _folder(name).exists():
            _remove(instance, name)


def _is_too_old(name: str) -> bool:
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    begun = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return now() - begun > _TOO_OLD


def _databases(instance: Instance) -> list[str]:
    url = make_url(instance.database_url)
    if url.get_backend_name() == "sqlite":
        return []
    with _server(url) as connection:
        names = connection.scalars(text("SELECT datname FROM pg_database")).all()
    return [name for name in names if _NAME.fullmatch(name)]


def _remove(instance: Instance, name: str) -> None:
    """Everything of this name, as far as it goes."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name} is not the name of a drill")
    try:
        _drop_database(instance, name)
    except DBAPIError as error:
        # The folder stays: by it the next drill knows what is left.
        log.warning("%s could not be removed (%s); the next drill tries again", name, error)
        return
    try:
        _forget_in_redis(instance, name)
    except (QueueAwayError, SlotsAwayError) as error:
        log.warning("Redis keeps what is named %s: it could not be reached (%s)", name, error)
    shutil.rmtree(_folder(name), ignore_errors=True)


def _drop_database(instance: Instance, name: str) -> None:
    """More than once: on a busy server, those connected may leave later than PostgreSQL waits."""
    url = make_url(instance.database_url)
    if url.get_backend_name() == "sqlite":
        return
    for rest in reversed(range(_DROPS)):
        try:
            with _server(url) as connection:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        except DBAPIError:
            if not rest:
                raise
        else:
            return
        time.sleep(_PAUSE_S)


def _forget_in_redis(instance: Instance, name: str) -> None:
    if instance.redis_url is None:
        return
    queue.wipe(instance.redis_url, _folder(name), name)
    slots = Slots(instance.redis_url, _folder(name), name)
    try:
        slots.forget(SOURCE)
    finally:
        slots.close()
