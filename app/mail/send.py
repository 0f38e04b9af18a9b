"""The job of a letter: find its reader, write it, send it; what fails is an open error.

A worker that dies after the server took the letter and before that is written down sends it again.
"""

import random
from datetime import timedelta

from sqlalchemy.orm import Session

from app.accounts import users
from app.accounts.entry import address_of_new_link
from app.accounts.models import User
from app.core.clock import now
from app.core.db import persist, reading
from app.core.text import N_, Sentence
from app.errors.classify import Outcome
from app.errors.policy import plan
from app.errors.record import Problem, record_error, resolve
from app.jobs import budget, ledger
from app.jobs.models import ItemOutcome
from app.jobs.moves import Claim, Report
from app.jobs.worker import Worker
from app.mail.letters import ABOUT_BACKUPS, Kind, Reader, write
from app.mail.models import Mail
from app.mail.post import NotSentError, deliver
from app.sources.base import Scope
from config import Config


def send_item(config: Config, claim: Claim, worker: Worker) -> None:
    """Send one letter. No transaction is open while the server is spoken to."""
    with reading() as session:
        mail = session.get(Mail, int(claim.key))
        user = users.find_by_address(session, mail.to) if mail else None
    if mail is None or user is None or not user.is_active:
        _end(claim, ItemOutcome.NO_DATA, Sentence(N_("Nobody who may sign in has this address.")))
        return
    worker.check(claim)
    try:
        reader = _reader(config, mail, user)
        deliver(config, write(Kind(mail.kind), reader, config.mail.sender, mail.told))
    except NotSentError as error:
        _note_failure(claim, error)
        return
    told = Sentence(N_("Sent to %(address)s."), {"address": mail.to})
    _end(claim, ItemOutcome.STORED, told, mail.id)


def _reader(config: Config, mail: Mail, user: User) -> Reader:
    name = f"{user.first_name} {user.last_name}".strip() or user.username
    link = None
    if mail.kind in ABOUT_BACKUPS:
        link = f"{config.public_url}/admin/backups/"
    elif mail.kind != Kind.TEST:
        invited = mail.kind == Kind.INVITE
        link = address_of_new_link(user, config.secret_key, config.public_url, invited=invited)
    return Reader(mail.to, name, user.username, user.language or mail.language, link)


def _end(claim: Claim, outcome: ItemOutcome, told: Sentence, sent: int | None = None) -> None:
    def both(session: Session) -> None:
        ledger.hold(session, claim)
        if sent is not None:
            session.get_one(Mail, sent).sent_at = now()
        resolve(session, claim.source or "", claim.kind, claim.key, now())
        ledger.finish(session, claim, outcome, Report(message=told))

    persist(both)


def _note_failure(claim: Claim, error: NotSentError) -> None:
    at = now()
    outcome = Outcome(error.code, error.sentence, Scope.REQUEST, None)
    decided = plan(outcome, claim.attempts + 1, now=at, random=random.random)
    again_s = decided.again_s if decided.in_job else None
    problem = Problem(
        source=claim.source or "",
        kind=claim.kind,
        key=claim.key,
        code=error.code,
        message=error.sentence,
        evidence={},
        next_try_at=None if again_s is None else at + timedelta(seconds=again_s),
        job_id=claim.job_id,
        item_id=claim.item_id,
    )
    persist(lambda session: _fail(session, claim, problem, again_s))


def _fail(session: Session, claim: Claim, problem: Problem, again_s: float | None) -> None:
    report = Report(problem.code, problem.message)
    if again_s is None:
        ledger.fail(session, claim, report)
    else:
        budget.retry(session, claim, again_s, report, burns_attempt=True)
    record_error(session, problem, now())
