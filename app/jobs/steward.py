"""The steward: a loop of one second in every worker process that keeps promises the others cannot.

It renews leases, takes back expired ones, rings for what waits, and does what else it is handed.
There is no leader: each duty is safe to run in any number of processes at once. What only the
holder of items can do has a loop of its own: a queue that hangs must not cost a lease.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from app.core.clock import now
from app.core.db import db_now, persist, reading
from app.core.text import N_, Sentence
from app.errors.record import Problem, record_error
from app.jobs import failover, ledger
from app.jobs.audit import imbalances
from app.jobs.models import OPEN_ITEM, OPEN_JOB, ItemState, Job, JobEvent, JobItem
from app.jobs.moves import ItemRow
from app.jobs.worker import Worker
from app.sources.models import SourceState

log = logging.getLogger(__name__)

TICK_S = 0.25
BEAT_S = 5.0
RING_AGAIN_S = 2.0
AUDIT_S = 60.0
Ring = Callable[[str, int, int], bool]  # kind, job id, times -> somebody could be told


@dataclass(slots=True)
class Duty:
    """Something to do every `every_s` seconds. One that fails is logged and tried again."""

    name: str
    do: Callable[[], None]
    every_s: float = 1.0
    next_at: float = field(default=0.0)  # monotonic


class Steward:
    """Runs duties in a thread of its own until stopped, inside `context` (the app's)."""

    def __init__(
        self,
        duties: Sequence[Duty],
        context: Callable[[], AbstractContextManager[object]],
        soon_s: Callable[[], float] = lambda: TICK_S,  # how long the next pass may wait
    ) -> None:
        self._duties = duties
        self._context = context
        self._soon_s = soon_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="steward", daemon=True)

    def start(self) -> None:
        """Begin the loop."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop after the pass it is in."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _loop(self) -> None:
        while not self._stopped.wait(min(max(self._soon_s(), 0.01), TICK_S)):
            with self._context():
                run_due(self._duties, time.monotonic())


def run_due(duties: Sequence[Duty], at: float) -> None:
    """Do what is due at monotonic time `at`."""
    for duty in duties:
        if duty.next_at > at:
            continue
        duty.next_at = at + duty.every_s
        try:
            duty.do()
        except Exception:
            # One duty must not keep the others from theirs; the next pass tries again.
            log.exception("the steward could not %s", duty.name)


def duties_of(worker: Worker) -> list[Duty]:
    """What only the process that holds the items can do."""
    return [
        Duty("renew leases", worker.renew, every_s=worker.lease_s / 4),
        Duty("notice cancelled jobs", worker.notice_cancels),
        Duty("say that it lives", worker.beat, every_s=BEAT_S),
    ]


def duties_of_all(ring: Ring, worker: Worker | None = None) -> list[Duty]:
    """What any process may do for all; one that cannot renew its own leases takes back none."""

    def take_back() -> None:
        if worker is None or not worker.is_late():
            take_back_expired()

    return [
        Duty("take back expired leases", take_back),
        Duty("sweep", sweep_if_needed),
        Duty("pass on what waits for a closed source", pass_on_if_needed),
        Duty("ring for what waits", lambda: ring_waiting(ring)),
        Duty("audit the books", audit_recent, every_s=AUDIT_S),
    ]


def duty_at_slots(worker: Worker, ring: Ring) -> Duty:
    """Ring in the moment a slot is free, instead of up to a second later; asks nobody before."""

    def ring_if_free() -> None:
        if worker.slot_is_free():
            ring_waiting(ring)

    return Duty("ring for free slots", ring_if_free, every_s=0.0)


def take_back_expired() -> None:
    """Return items whose worker died, hangs or sleeps; quarantine those that killed three."""
    overdue = exists().where(JobItem.state == ItemState.RUNNING, JobItem.lease_until < db_now())
    with reading() as session:
        if not session.scalar(select(overdue)):
            return
    for row in persist(_reap):
        log.warning("item %s: lost by worker %s, now %s", row.id, row.worker, row.state)


def _reap(session: Session) -> list[ItemRow]:
    rows = ledger.reap(session)
    for row in rows:
        if row.state == ItemState.QUARANTINED:
            record_error(session, _quarantine(row), now())
    return rows


def _quarantine(row: ItemRow) -> Problem:
    return Problem(
        source=row.source or "",
        kind=row.kind,
        key=row.key,
        code="INTERNAL",
        message=Sentence(
            N_(
                "%(crashes)s workers died or hung with it in hand. "
                "It is quarantined; retry it by hand."
            ),
            {"crashes": row.crashes},
        ),
        evidence={"worker": row.worker},
        job_id=row.job_id,
        item_id=row.id,
    )


def audit_recent() -> None:
    """Check that what was submitted is what the states add up to, of jobs open or just ended.

    The others were looked at then. The dashboard counts all of them, and so does `jobs audit`.
    """
    lately = or_(Job.state.in_(OPEN_JOB), Job.finished_at > db_now(-2 * AUDIT_S))
    with reading() as session:
        for one in imbalances(session, session.scalars(select(Job.id).where(lately)).all()):
            log.error("the books are wrong: %s", one.sentence)


def sweep_if_needed() -> None:
    """End jobs, and items of cancelled or expired jobs, that no single transition could end."""
    open_items = (
        exists().where(JobItem.job_id == Job.id, JobItem.state.in_(OPEN_ITEM)).correlate(Job)
    )
    left_over = exists().where(
        Job.state.in_(OPEN_JOB),
        or_(Job.cancel_requested_at.is_not(None), Job.deadline_at < db_now(), ~open_items),
    )
    with reading() as session:
        if not session.scalar(select(left_over)):
            return
    persist(ledger.sweep)


def pass_on_if_needed() -> None:
    """Let a later source answer what would wait long for the one it is at."""
    with reading() as session:
        if not failover.stuck(session):
            return
    if moved := persist(failover.pass_on):
        log.info("%s items were passed on to their next source", moved)


def ring_waiting(ring: Ring) -> None:
    """Ring for jobs with something to claim that nobody was told of lately.

    Urgent ones first, then who was served longest ago: the first to come takes the free slots.
    """
    with reading() as session:
        found = session.execute(_untold()).all()
    jobs = sorted(found, key=lambda job: (-job.priority, job.served or 0))
    rung = [job.id for job in jobs if ring(job.kind, job.id, 2)]
    if rung:
        persist(lambda session: _mark_rung(session, rung))


@functools.cache  # building it costs more than asking the database, each second
def _untold() -> Select[int, str, int, int]:
    late = or_(Job.rung_at.is_(None), Job.rung_at < db_now(-RING_AGAIN_S), _rung_in_vain())
    return (
        select(Job.id, Job.kind, Job.priority, _last_claim().label("served"))
        .where(Job.state.in_(OPEN_JOB), late, ledger.has_claimable())
        .order_by(Job.priority.desc(), Job.rung_at.asc().nulls_first(), Job.id)
        .limit(16)
    )


def _rung_in_vain() -> ColumnElement[bool]:
    """A slot that it waits for was free only after its last bell."""
    waits = (  # one to be found, lest PostgreSQL looks through all that waits first
        select(JobItem.id)
        .where(
            JobItem.job_id == Job.id,
            JobItem.state == ItemState.WAITING,
            JobItem.source == SourceState.source,
        )
        .limit(1)
        .correlate(Job, SourceState)
        .scalar_subquery()
    )
    freed = and_(SourceState.free_at > Job.rung_at, SourceState.free_at <= db_now())
    return exists().where(freed, waits.is_not(None)).correlate(Job)


def _last_claim() -> ScalarSelect[int]:
    """The number of the job's last claim in the history of all."""
    claims = select(JobEvent.id).where(JobEvent.job_id == Job.id, JobEvent.event == "claimed")
    return claims.order_by(JobEvent.id.desc()).limit(1).correlate(Job).scalar_subquery()


def _mark_rung(session: Session, job_ids: list[int]) -> None:
    session.execute(update(Job).where(Job.id.in_(job_ids)).values(rung_at=db_now()))
