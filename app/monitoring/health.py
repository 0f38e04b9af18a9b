"""Is the house in order? Each check says yes, or why not and what to do. Reads only.

The queue is asked by a callable that is handed in: this module knows no queue and no web.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from app.backups.incidents import open_ones
from app.backups.schedule import schedules
from app.core import db as database
from app.core.db import current_time, db, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.audit import imbalances
from app.jobs.report import live_workers, totals
from app.sources.models import SourceState
from app.sources.pause import UNTIL_RESUMED, pause_of
from app.sources.registry import SourceTable

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"
LEAST_FREE_BYTES = 500 * 1024 * 1024
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found; `message` also says what to do when it is not ok."""

    name: str  # English, for programs
    ok: bool
    message: Sentence


def checks(
    sources: SourceTable,
    data_dir: Path,
    ask_queue: Callable[[], int],
    zone: str,
    stored: Mapping[str, Sentence],
) -> list[Check]:
    """Every check, in the order in which to mend things. Never raises.

    `ask_queue` says how many bells wait, or raises whatever the queue's library raises; `zone` is
    the time zone in which schedules are meant; `stored` are the settings that cannot be used.
    """
    looks: Mapping[str, Callable[[], Check]] = {
        "database": check_database,
        "migrations": check_migrations,
        "queue": lambda: check_queue(ask_queue),
        "worker": check_worker,
        "disk": lambda: check_disk(data_dir),
        "sources": lambda: check_sources(sources),
        "settings": lambda: check_settings(stored),
        "books": check_books,
        "backups": lambda: check_backups(zone),
    }
    return [_look(name, look) for name, look in looks.items()]


def _look(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except SQLAlchemyError as error:
        return _not_ok(
            name,
            N_("It could not be checked (%(reason)s). Mend the database first."),
            reason=_first_line(error),
        )


def check_database() -> Check:
    """Does it answer?"""
    try:
        database.reachable()
    except SQLAlchemyError as error:
        message = N_(
            "The database does not answer (%(reason)s). Check that it runs, and DATABASE_URL."
        )
        return _not_ok("database", message, reason=_first_line(error))
    return _ok("database", N_("It answers (%(engine)s)."), engine=db.engine.dialect.name)


def check_migrations() -> Check:
    """Are the tables those this code expects?"""
    with db.engine.connect() as connection:
        current = set(MigrationContext.configure(connection).get_current_heads())
    if current != set(ScriptDirectory(str(MIGRATIONS)).get_heads()):
        message = N_("The database is not set up for this version. Run: flask --app wsgi setup")
        return _not_ok("migrations", message)
    return _ok("migrations", N_("The tables are those of this version."))


def check_queue(ask: Callable[[], int]) -> Check:
    """Can workers be rung for?"""
    try:
        bells = ask()
    except Exception as error:  # noqa: BLE001  whatever its library raises: it does not answer
        message = N_(
            "The queue does not answer (%(reason)s). Work goes on, more slowly. "
            "Check that it runs, and REDIS_URL."
        )
        return _not_ok("queue", message, reason=_first_line(error))
    return _ok("queue", N_("It answers; %(count)s messages wait."), count=bells)


def check_worker() -> Check:
    """Is anybody working?"""
    with reading() as session:
        alive = len(live_workers(session))
    if not alive:
        message = N_("No worker is running. Start one: flask --app wsgi worker")
        return _not_ok("worker", message)
    return _ok("worker", N_("%(count)s worker processes are alive."), count=alive)


def check_disk(data_dir: Path) -> Check:
    """Is there room?"""
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        message = N_("The data folder cannot be read (%(reason)s). Check DATA_DIR.")
        return _not_ok("disk", message, reason=_first_line(error))
    if free < LEAST_FREE_BYTES:
        message = N_("Only %(free)s MB are free where the data is. Make room.")
        return _not_ok("disk", message, free=free // MEBIBYTE)
    return _ok("disk", N_("%(free)s MB are free where the data is."), free=free // MEBIBYTE)


def check_sources(sources: SourceTable) -> Check:
    """May at least one be asked, and is none of those switched on refused or paused?"""
    wrong = [reason for name in sources.on if (reason := _why_not_asked(sources, name))]
    if not sources.on:
        wrong = [Sentence(N_("No source is switched on. Name one in SOURCES."))]
    if wrong:
        return Check("sources", ok=False, message=reduce(_and, wrong))
    names = ", ".join(sources.usable())
    return _ok("sources", N_("May be asked: %(names)s."), names=names)


def check_settings(stored: Mapping[str, Sentence]) -> Check:
    """Can all that is stored be used?"""
    if stored:
        return Check("settings", ok=False, message=reduce(_and, stored.values()))
    return _ok("settings", N_("All that is stored can be used."))


def check_books() -> Check:
    """Does every job add up? Reads the whole ledger once."""
    with reading() as session:
        wrong = imbalances(session)
        submitted = totals(session)["submitted"]
    if wrong:
        message = N_("%(count)s jobs do not add up. See: flask --app wsgi jobs audit")
        return _not_ok("books", message, count=len(wrong))
    message = N_("Every job adds up: %(count)s items submitted, all accounted for.")
    return _ok("books", message, count=submitted)


def check_backups(zone: str) -> Check:
    """Is there one for each schedule that was due?"""
    with reading() as session:
        wrong = open_ones(session, zone, current_time(session))
        scheduled = [one.name for one in schedules(session) if one.enabled]
    if wrong:
        return Check("backups", ok=False, message=reduce(_and, wrong))
    if not scheduled:
        return _ok("backups", N_("None is scheduled. See: flask --app wsgi backup schedules"))
    return _ok("backups", N_("None is late: %(names)s."), names=", ".join(scheduled))


def _why_not_asked(sources: SourceTable, name: str) -> Sentence | None:
    try:
        sources.get(name)
    except RequestError as error:
        return error.sentence
    with reading() as session:
        state = pause_of(session, name, current_time(session))
    return None if state is None else pause_notice(state)


def pause_notice(state: SourceState) -> Sentence:
    """That a source is paused, until when, and how to end it."""
    forever = state.paused_until is None or state.paused_until >= UNTIL_RESUMED
    return Sentence(
        N_(
            "Source %(source)s is paused (%(code)s) until %(until)s. "
            "Resume it now: flask --app wsgi sources resume %(source)s"
        ),
        {
            "source": state.source,
            "code": state.code,
            "until": Sentence(N_("somebody resumes it")) if forever else state.paused_until,
        },
    )


def _and(first: Sentence, second: Sentence) -> Sentence:
    return Sentence("%(first)s %(second)s", {"first": first, "second": second})


def _ok(name: str, message: str, **values: object) -> Check:
    return Check(name, ok=True, message=Sentence(message, values))


def _not_ok(name: str, message: str, **values: object) -> Check:
    return Check(name, ok=False, message=Sentence(message, values))


def _first_line(error: Exception) -> str:
    """The library's own words, without the statement that SQLAlchemy adds."""
    reason = getattr(error, "orig", None) or error
    return (str(reason).strip() or type(error).__name__).partition("\n")[0][:300]
