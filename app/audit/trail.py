"""The one function that writes the audit log, and who is acting at the moment.

The edges say who acts, once per request, command or schedule; where something is changed, `note` is
called with the session of that change: both are committed or neither is.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from app.audit.models import AuditEntry
from app.core.clock import now

LONGEST = 150  # of a name; a longer one is cut
HIDDEN = "•••"
_SECRET = ("password", "token", "secret", "hash")


class Via(StrEnum):
    """The way in."""

    PANEL = "panel"
    CLI = "cli"
    API = "api"
    SCHEDULE = "schedule"
    SYSTEM = "system"  # nobody asked: set-up, a worker's own duties


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. A callable is asked when something is noted, not before."""

    who: str | Callable[[], str]
    via: Via
    address: str | None = None


NOBODY = Actor("", Via.SYSTEM)
_actor: ContextVar[Actor] = ContextVar("actor", default=NOBODY)


def act_as(actor: Actor) -> None:
    """From here on this thread acts for him."""
    _actor.set(actor)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Inside, he acts."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def note(
    session: Session,
    action: str,
    what: tuple[str, object],
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down a change in the transaction of the change; `what` is its kind and its name.

    With both sides only what differs is kept, and nothing is written when nothing does. The values
    of fields that are called like secrets are hidden, whoever hands them over.
    """
    if before is not None and after is not None:
        changed = [name for name in after if before.get(name) != after[name]]
        if not changed:
            return
        before = {name: before.get(name) for name in changed}
        after = {name: after[name] for name in changed}
    actor, (kind, name) = _actor.get(), what
    session.add(
        AuditEntry(
            at=now(),
            who=who(),
            via=actor.via,
            address=actor.address,
            action=action,
            kind=kind,
            object=str(name)[:LONGEST],
            before=_without_secrets(before),
            after=_without_secrets(after),
        )
    )


def who() -> str:
    """The name of who acts; "" when nobody is known."""
    name = _actor.get().who
    return (name if isinstance(name, str) else name())[:LONGEST]


def _without_secrets(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {name: HIDDEN if _is_secret(name) and value else value for name, value in values.items()}


def _is_secret(name: str) -> bool:
    return any(part in name.lower() for part in _SECRET)
