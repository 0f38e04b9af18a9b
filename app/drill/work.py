"""The drill as a job: asked for in the panel, done by a worker, its receipt kept."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.db import current_time, persist, reading
from app.core.text import N_, RequestError, Sentence
from app.drill.chaos import Progress, drill
from app.drill.models import DrillReceipt
from app.drill.plan import Plan
from app.drill.receipt import Facts, as_kept, headline, passed
from app.drill.scratch import Instance
from app.jobs import ledger
from app.jobs.models import ItemOutcome, Job
from app.jobs.moves import Claim, Report
from app.jobs.submit import ItemRequest, JobRequest
from app.jobs.worker import Worker

KIND = "drill_chaos"


class Configured(Protocol):
    """The part of the configuration that is read here."""

    @property
    def production(self) -> bool:
        """Then no drill is run on behalf of a button."""

    @property
    def database_url(self) -> str:
        """A scratch database is made on the same server."""

    @property
    def redis_url(self) -> str | None:
        """Shared, under another name."""


class _StoppingError(Exception):
    """This worker was told to stop."""


def drill_request(wanted: Plan) -> JobRequest:
    """The job. Never two at once: each would disturb the other's times."""
    items = [ItemRequest(KIND, f"{wanted.items}/{wanted.kills}/{int(wanted.wipe)}")]
    params = {"items": wanted.items, "kills": wanted.kills}
    return JobRequest(KIND, items, params, unique_key=KIND)


def _plan_of(claim: Claim) -> Plan:
    items, kills, wipe = map(int, claim.key.split("/"))
    return Plan.checked(items, kills, wipe=bool(wipe))


def drill_item(config: Configured, claim: Claim, worker: Worker) -> None:
    """Run the drill and keep its receipt; a stop of this worker gives the item back at once."""

    def check() -> None:
        if worker.stopping.is_set():
            raise _StoppingError
        worker.check(claim)

    instance = Instance(config.database_url, config.redis_url)
    try:
        _refuse_what_nobody_asked_for(config, claim)
        facts = drill(instance, _plan_of(claim), tell=_nobody, check=check)
    except _StoppingError:
        persist(lambda session: ledger.give_back(session, [(claim.item_id, claim.fence)]))
    except RequestError as error:
        _end(claim, error.sentence)
    except DBAPIError as error:
        _end(claim, _no_scratch(error))
    else:
        persist(lambda session: _keep(session, claim, facts))


IN_PRODUCTION = N_(
    "This is a production instance: a drill would take its processors from real work. "
    "On its machine: flask --app wsgi drill chaos"
)


def refuse_in_production(config: Configured) -> None:
    """RequestError where no button may start a drill."""
    if config.production:
        raise RequestError(IN_PRODUCTION)


def _refuse_what_nobody_asked_for(config: Configured, claim: Claim) -> None:
    """Whoever may retry jobs must not be able to start a drill that way."""
    refuse_in_production(config)
    with reading() as session:
        kind = session.get_one(Job, claim.job_id).kind
    if kind != KIND:
        raise RequestError(N_("A drill is not retried. Start a new one on the page Drill."))


def _nobody(_progress: Progress) -> None:
    """The ledger has no place for the steps of an item."""


def _end(claim: Claim, why: Sentence) -> None:
    persist(lambda session: ledger.fail(session, claim, Report(message=why)))


def _no_scratch(error: DBAPIError) -> Sentence:
    reason = str(error.orig).strip().partition("\n")[0][:300]
    said = N_("The drill's scratch database could not be used (%(reason)s).")
    return Sentence(said, {"reason": reason})


def _keep(session: Session, claim: Claim, facts: Facts) -> None:
    ledger.hold(session, claim)
    good, report = passed(facts), Report(message=headline(facts))
    session.add(
        DrillReceipt(
            job_id=claim.job_id, at=current_time(session), passed=good, facts=as_kept(facts)
        )
    )
    if good:
        ledger.finish(session, claim, ItemOutcome.STORED, report)
    else:
        ledger.fail(session, claim, report)


def receipts(session: Session, most: int = 50) -> Sequence[DrillReceipt]:
    """The newest first."""
    wanted = select(DrillReceipt).order_by(DrillReceipt.id.desc()).limit(most)
    return session.scalars(wanted).all()
