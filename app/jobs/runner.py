"""Working on a job: claim, hand to its handler, see to what the handler could not."""

import functools
import logging
import random
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.core.clock import now
from app.core.db import persist, reading
from app.core.log import job_in_hand
from app.core.text import N_, Sentence
from app.errors.classify import Outcome
from app.errors.policy import plan
from app.errors.record import Problem, record_error
from app.jobs import budget, ledger
from app.jobs.models import OPEN_JOB, Job, JobItem
from app.jobs.moves import Claim, Report, StaleError
from app.jobs.worker import CancelledError, Worker
from app.sources.base import Code, Scope

log = logging.getLogger(__name__)

# A bell works this long on one job, then rings for itself again behind the others: a small job
# waits for a slice of a huge one, never for all of it.
SLICE_S = 2.0
MOST_URGENT = 16  # jobs that a bell of another is put off for


@dataclass(frozen=True, slots=True)
class Handler:
    """How one kind of item is worked on.

    `work` ends the item through the ledger itself, effect and end in one transaction. It may raise
    StaleError and CancelledError; anything else it raises is our mistake and recorded as such.
    """

    work: Callable[[Claim, Worker], None]
    deadline_s: float = 300  # after so long it is taken for hung
    most: int = 1  # items per claim


def work_on(worker: Worker, job_id: int, handlers: Mapping[str, Handler]) -> bool:
    """Work on a job for a slice of time. True when more of it could run right now."""
    until = time.monotonic() + SLICE_S
    while not worker.stopping.is_set():
        claims = _claim(worker, job_id, handlers)
        for claim in claims:
            _work_on_item(worker, claim, handlers[claim.kind])
        if not claims:
            return False
        if time.monotonic() > until:
            return more_to_claim(job_id)
    return False


def _claim(worker: Worker, job_id: int, handlers: Mapping[str, Handler]) -> list[Claim]:
    """Take what is next, and only what may take as long: one deadline is set for all of a claim."""
    first = next_item(job_id, handlers.keys())
    if first is None:
        return []
    deadline_s = handlers[first.kind].deadline_s
    alike = {name: one for name, one in handlers.items() if one.deadline_s == deadline_s}
    most = min(one.most for one in alike.values())
    return worker.claim(job_id, alike.keys(), deadline_s=deadline_s, most=most)


@dataclass(frozen=True, slots=True)
class Next:
    """What is first in the order of a job."""

    kind: str
    source: str | None


def next_item(job_id: int, kinds: Collection[str]) -> Next | None:
    """The item of these kinds that would be claimed now; None when there is none."""
    waiting = select(JobItem.kind, JobItem.source).where(
        JobItem.job_id == job_id, JobItem.kind.in_(kinds), *ledger.may_run_now()
    )
    with reading() as session:
        made_at = session.scalar(select(Job.submitted_at).where(Job.id == job_id))
    if not _kinds_of(job_id, made_at).intersection(kinds):
        return None  # else each bell would look through all that waits
    with reading() as session:
        row = session.execute(waiting.order_by(JobItem.not_before, JobItem.id).limit(1)).first()
    return Next(row.kind, row.source) if row else None


@functools.lru_cache(maxsize=64)
def _kinds_of(job_id: int, _made_at: datetime | None) -> frozenset[str]:
    """The kinds of a job's items, all that it will ever have.

    The moment tells it from another one that got the same number after a restore.
    """
    with reading() as session:
        found = select(JobItem.kind).where(JobItem.job_id == job_id).distinct()
        return frozenset(session.scalars(found))


def more_to_claim(job_id: int) -> bool:
    """Whether an item of the job could be claimed now."""
    return kind_to_claim(job_id) is not None


def kind_to_claim(job_id: int) -> str | None:
    """The kind of the job, its bell's name, if an item of it could be claimed now."""
    with reading() as session:
        return session.scalar(select(Job.kind).where(Job.id == job_id, ledger.has_claimable()))


def more_urgent(job_id: int) -> list[tuple[str, int]]:
    """Kind and id of the jobs with something to claim that go before this one, urgent first."""
    this = aliased(Job)
    than = select(this.priority).where(this.id == job_id).scalar_subquery()
    before = (
        select(Job.kind, Job.id)
        .where(Job.state.in_(OPEN_JOB), Job.priority > than, ledger.has_claimable())
        .order_by(Job.priority.desc(), Job.id)
        .limit(MOST_URGENT)
    )
    with reading() as session:
        return [(kind, other) for kind, other in session.execute(before)]


def _work_on_item(worker: Worker, claim: Claim, handler: Handler) -> None:
    token = job_in_hand.set(f"job {claim.job_id} item {claim.item_id} ({claim.key})")
    try:
        worker.check(claim)
        handler.work(claim, worker)
    except Exception as error:  # noqa: BLE001  the item must end, whatever our mistake was
        end_badly(claim, error)
    finally:
        worker.let_go(claim)
        job_in_hand.reset(token)


def end_badly(claim: Claim, error: Exception) -> None:
    """See to an item whose handler raised: cancelled, taken by somebody else, or our mistake."""
    if isinstance(error, StaleError):
        log.warning("%s; another worker has it, nothing was written", error)
        return
    try:
        if isinstance(error, CancelledError):
            persist(lambda session: ledger.drop(session, claim))
        else:
            log.error("unexpected error", exc_info=error)
            _record_our_mistake(claim, error)
    except StaleError:
        log.warning("item %s was taken by another worker meanwhile", claim.item_id)


def _record_our_mistake(claim: Claim, error: Exception) -> None:
    evidence = {"traceback": "".join(traceback.format_exception(error))[-4000:]}
    message = Sentence(
        N_("An unexpected error inside Fikstür (%(error)s). It is a bug; see the evidence."),
        {"error": f"{type(error).__name__}: {error}"[:300]},
    )
    outcome = Outcome(Code.INTERNAL, message, Scope.REQUEST, None, evidence=evidence)
    persist(lambda session: _end_mistaken(session, claim, outcome))


def _end_mistaken(session: Session, claim: Claim, outcome: Outcome) -> None:
    at = now()
    decided = plan(outcome, claim.attempts + 1, now=at, random=random.random)
    report = Report(outcome.code, outcome.message)
    if decided.in_job and decided.again_s is not None:
        budget.retry(session, claim, decided.again_s, report, burns_attempt=True)
    else:
        ledger.fail(session, claim, report)
    again = decided.again_s
    record_error(
        session,
        Problem(
            source=claim.source or "",
            kind=claim.kind,
            key=claim.key,
            code=outcome.code,
            message=outcome.message,
            evidence=outcome.evidence,
            next_try_at=None if again is None else at + timedelta(seconds=again),
            job_id=claim.job_id,
            item_id=claim.item_id,
        ),
        at,
    )
