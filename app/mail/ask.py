"""Asking for a letter: a row and a job, in the transaction of what the letter is about."""

from datetime import timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.accounts import people
from app.accounts.models import User
from app.audit.trail import note
from app.core.clock import now
from app.core.text import N_, RequestError, Sentence
from app.jobs.submit import ItemRequest, JobRequest
from app.mail.letters import Kind
from app.mail.models import Mail

KIND = "send_mail"
KEEP = timedelta(days=90)
URGENT = 8  # somebody waits for it


def letter_request(
    session: Session, kind: Kind, to: str, language: str, told: Sentence | None = None
) -> JobRequest:
    """Write down the letter; the job that sends it. Whether anybody has the address is not asked.

    So that a request for a reset link takes the same time for every address.
    """
    at = now()
    session.execute(delete(Mail).where(Mail.asked_at < at - KEEP))
    mail = Mail(kind=kind, to=to, language=language, asked_at=at, told=told)
    session.add(mail)
    session.flush()
    items = [ItemRequest(KIND, str(mail.id))]
    return JobRequest(KIND, items, {"letter": kind.value}, priority=URGENT)


def letter_to(session: Session, user: User, language: str) -> JobRequest:
    """The letter by which a user chooses a password: an invitation while he has none.

    RequestError when he has no address, or may not sign in.
    """
    if not user.email:
        raise RequestError(
            N_("%(name)s has no e-mail address: give one, or a password."), name=user.username
        )
    if not user.is_active:
        raise RequestError(N_("%(name)s may not sign in; no link was sent."), name=user.username)
    kind = Kind.INVITE if user.is_invited else Kind.RESET
    return letter_request(session, kind, user.email, user.language or language)


def person_request(session: Session, user_id: str, language: str) -> JobRequest:
    """As `letter_to` for a user who is there already; noted in the audit log."""
    user = people.by_id(session, user_id)
    request = letter_to(session, user, language)
    note(session, "user.reset", ("user", user.username))
    return request


def trial_request(session: Session, user: User, language: str) -> JobRequest:
    """A letter to oneself that says that mail works. RequestError without an address."""
    if not user.email:
        raise RequestError(
            N_("Your profile has no e-mail address to send a test mail to: write one there.")
        )
    return letter_request(session, Kind.TEST, user.email, user.language or language)
