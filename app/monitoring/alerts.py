"""Telling administrators by mail what is wrong with the backups: each thing once, and its end."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.backups import incidents
from app.backups.status import Status, status
from app.backups.work import bench_of
from app.core.db import current_time, one_at_a_time, persist, reading
from app.core.text import N_, Sentence
from app.jobs.models import Trigger
from app.jobs.submit import submit
from app.mail.ask import letter_request
from app.mail.letters import Kind

if TYPE_CHECKING:
    from config import Config


def look(config: "Config") -> None:
    """Compare what is wrong with what was told, and ask for the letters that are due."""
    with reading() as session:
        at = current_time(session)
        found = incidents.amiss(session, config, at)
        news = incidents.is_news(session, found, can_tell=incidents.can_tell(session, config))
    if news:
        persist(lambda session: _tell(session, config, found, at))


def _tell(session: Session, config: "Config", found: dict[str, Sentence], at: datetime) -> None:
    one_at_a_time(session, "backup incidents")
    can_tell = incidents.can_tell(session, config)
    news = incidents.reconcile(session, found, at, can_tell=can_tell)
    if can_tell and news.begun:
        _write(session, config, Kind.BACKUP_ALERT, news.begun)
    if can_tell and news.over:
        _write(session, config, Kind.BACKUP_OVER, news.over)


def digest(session: Session, config: "Config", at: datetime) -> int | None:
    """Ask for the weekly letter; one of its jobs, None where nobody is to have one."""
    if config.backup.mail != "all" or not incidents.can_tell(session, config):
        return None
    found = status(session, bench_of(config).depot, config, at)
    return _write(session, config, Kind.BACKUP_DIGEST, _summary(found))


def _summary(found: Status) -> list[Sentence]:
    """What the week came to, the worst first. Pure."""
    told = [problem.sentence for problem in found.problems]
    if not told:
        told.append(Sentence(N_("The backups are in order.")))
    if found.last_good:
        values = {"file": found.last_good.file, "at": found.last_good.at}
        told.append(Sentence(N_("The newest good one: %(file)s, as of %(at)s."), values))
    if found.last_drill and found.last_drill.drilled_at:
        values = {
            "at": found.last_drill.drilled_at,
            "seconds": round(found.last_drill.drill_s or 0),
        }
        told.append(Sentence(N_("Last restored on trial at %(at)s, in %(seconds)s s."), values))
    counts = {"count": found.good, "size": found.size // 2**20, "free": found.free // 2**20}
    told.append(
        Sentence(N_("Good backups: %(count)s, %(size)s MB in all; %(free)s MB are free."), counts)
    )
    if found.offsite:
        there = {"store": found.offsite.store, "count": found.offsite.copied}
        told.append(Sentence(N_("Copies in %(store)s: %(count)s."), there))
    if found.next_run:
        told.append(Sentence(N_("The next one is due at %(at)s."), {"at": found.next_run}))
    return told


def _write(session: Session, config: "Config", kind: Kind, told: Sequence[Sentence]) -> int | None:
    """A letter to each administrator; the number of one of the jobs."""
    job_id = None
    for user in incidents.readers(session) if config.backup.mail != "off" else ():
        language = user.language or config.language
        request = letter_request(session, kind, user.email or "", language, in_lines(told))
        job_id = submit(session, request, by="schedule", trigger=Trigger.SCHEDULE).job_id
    return job_id


def in_lines(told: Sequence[Sentence]) -> Sentence:
    """One after the other, a line each."""
    return reduce(_two_lines, told)


def _two_lines(first: Sentence, second: Sentence) -> Sentence:
    return Sentence("%(first)s\n%(second)s", {"first": first, "second": second})
