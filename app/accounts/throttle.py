"""Slowing down those who guess, without locking out those who know.

Three counts, in the database so that all web processes share them: of an account from one address,
of an address whatever the account, and of an account from all addresses it never came in from. An
address from which the account came in lately is not held up by what others do to the account.
"""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_
from sqlalchemy.orm import Session

from app.accounts.models import Throttle
from app.accounts.users import key_of
from app.core.db import one_at_a_time
from app.core.text import N_, RequestError

FORGET = timedelta(hours=1)  # since the last try
KNOWN = timedelta(days=30)
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries are free; then each one doubles the wait, from `first_s` to `most_s`."""

    free: int
    first_s: float
    most_s: float

    def wait_s(self, failures: int) -> float:
        """Seconds until the next try after so many in vain; 0 while they are free."""
        if failures < self.free:
            return 0.0
        return min(self.first_s * 2.0 ** min(failures - self.free, 30), self.most_s)


@dataclass(frozen=True, slots=True)
class Door:
    """Something that is tried, and how often."""

    name: str
    pair: Limit  # one account from one address
    address: Limit
    account: Limit  # from addresses it never came in from


SIGN_IN = Door("sign-in", Limit(5, 30, 900), Limit(30, 30, 900), Limit(50, 30, 900))
RESET = Door("reset", Limit(3, 300, 3600), Limit(10, 300, 3600), Limit(10, 300, 3600))


class TooManyError(RequestError):
    """Wait `seconds` before the next try."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(round(seconds), 1)
        if self.seconds < 2 * MINUTE_S:
            super().__init__(
                N_("Too many tries. Wait %(seconds)s seconds, then try again."),
                seconds=self.seconds,
            )
        else:
            minutes = -(-self.seconds // MINUTE_S)
            super().__init__(
                N_("Too many tries. Wait %(minutes)s minutes, then try again."), minutes=minutes
            )


@dataclass(frozen=True, slots=True)
class _Count:
    key: str
    limit: Limit


def take(session: Session, door: Door, account: str, address: str, at: datetime) -> None:
    """Count a try before it is made, so that many at once do not slip through.

    TooManyError when it must not be made; that one is not counted. `worked` takes a count back.
    """
    counts = _counts(door, account, address)
    for key in sorted(count.key for count in counts):
        one_at_a_time(session, key)
    rows = [_row(session, count.key, at) for count in counts]
    known = rows[0].known_at is not None and rows[0].known_at > at - KNOWN
    binding = rows[:2] if known else rows
    wait = max(((row.until or at) - at for row in binding), default=timedelta())
    if wait > timedelta():
        raise TooManyError(wait.total_seconds())
    for row, count in zip(rows, counts, strict=True):
        if row is rows[2] and known:
            continue
        row.failures += 1
        row.last_at = at
        wait_s = count.limit.wait_s(row.failures)
        row.until = at + timedelta(seconds=wait_s) if wait_s else None


def worked(session: Session, door: Door, account: str, address: str, at: datetime) -> None:
    """It was the right one: the account starts anew from this address, and is known to it."""
    counts = _counts(door, account, address)
    for key in sorted(count.key for count in counts):
        one_at_a_time(session, key)
    pair, *others = [_row(session, count.key, at) for count in counts]
    pair.failures, pair.until, pair.known_at, pair.last_at = 0, None, at, at
    for row, count in zip(others, counts[1:], strict=True):
        row.failures = max(row.failures - 1, 0)
        if not count.limit.wait_s(row.failures):
            row.until = None


def forget_old(session: Session, at: datetime) -> int:
    """Delete the counts that say nothing any more, and how many they were."""
    old = Throttle.last_at < at - timedelta(days=1)
    stranger = or_(Throttle.known_at.is_(None), Throttle.known_at < at - KNOWN)
    gone = session.execute(delete(Throttle).where(old, stranger).returning(Throttle.key))
    return len(gone.all())


def _row(session: Session, key: str, at: datetime) -> Throttle:
    row = session.get(Throttle, key)
    if row is None:
        row = Throttle(key=key, failures=0, last_at=at)
        session.add(row)
    elif row.last_at < at - FORGET and (row.until is None or row.until <= at):
        row.failures, row.until = 0, None
    return row


def _counts(door: Door, account: str, address: str) -> Sequence[_Count]:
    who, where = key_of(account), _network(address)
    return (
        _Count(_key(door.name, "pair", who, where), door.pair),
        _Count(_key(door.name, "address", where), door.address),
        _Count(_key(door.name, "account", who), door.account),
    )


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _network(address: str) -> str:
    """The address; of IPv6 the half that one household has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
