"""What went out and what came back: requests and failures by the hour. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, literal, select, union_all
from sqlalchemy.orm import Session

from app.errors.policy import POLICIES
from app.sources.models import RequestLog

HOURS = 24
FAILURES = frozenset(code.value for code, policy in POLICIES.items() if policy.is_error)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """The requests of one hour, and how many of them failed."""

    begins_at: datetime
    requests: int
    failed: int

    @property
    def answered(self) -> int:
        """Those that did not fail."""
        return self.requests - self.failed


def last_hours(session: Session, now: datetime, hours: int = HOURS) -> Sequence[Hour]:
    """The oldest first; the last one is the hour we are in. One query, a piece of an index each."""
    this = now.replace(minute=0, second=0, microsecond=0)
    begins = [this - _HOUR * back for back in reversed(range(hours))]
    failed = func.sum(case((RequestLog.code.in_(FAILURES), 1), else_=0))
    parts = [
        select(literal(number), func.count(), func.coalesce(failed, 0)).where(
            RequestLog.at >= at, RequestLog.at < at + _HOUR
        )
        for number, at in enumerate(begins)
    ]
    found = {number: (count, bad) for number, count, bad in session.execute(union_all(*parts))}
    return [Hour(at, *found[number]) for number, at in enumerate(begins)]
