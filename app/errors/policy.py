"""What is done after each code: retries, waits and pauses as a table, and the plan; pure."""

import functools
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from app.errors.classify import LONGEST_WAIT_S, SHORTEST_WAIT_S, WINDOW_S, Outcome
from app.sources.base import Code

IN_JOB_S = 120.0  # a longer wait ends the item; its open error is retried later by the retry job
SHORTEST_JITTER_S = 2.0
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
TAIL_S = (
    HOUR_S,
    6 * HOUR_S,
    DAY_S,
)  # after the attempts, so that errors repair themselves; then daily


class Policy(msgspec.Struct, frozen=True):
    """How one code is treated.

    `max_attempts` counts the first one too: 1 means never again by itself. `waits_s` are the
    seconds after the first, second … failed attempt, the last repeats; with `jitter` each is the
    upper end of a random wait. `pause_s` pauses the whole source, longer the more often it was
    paused before; `math.inf` until a person resumes it, () for as long as the outcome says.
    """

    max_attempts: int
    waits_s: tuple[float, ...] = ()
    jitter: bool = False
    burns_attempt: bool = True
    pause_s: tuple[float, ...] | None = None
    is_error: bool = True
    tail: bool = False  # transient: goes on slowly after the attempts


_FINE = Policy(1, burns_attempt=False, is_error=False)
_NEVER_AGAIN = Policy(1)
_NETWORK = Policy(5, (4, 8, 16, 32), jitter=True, tail=True)

POLICIES: Mapping[Code, Policy] = {
    Code.OK: _FINE,
    Code.OK_UNCHANGED: _FINE,
    Code.NO_DATA: _FINE,  # the schedule looks again
    Code.CANCELLED: _FINE,
    Code.PAUSED: Policy(1, (MINUTE_S,), burns_attempt=False, is_error=False),
    Code.BREAKER_OPEN: Policy(1, (MINUTE_S,), burns_attempt=False, is_error=False),
    Code.SUSPECT_EMPTY: Policy(4, (15 * MINUTE_S, HOUR_S, 6 * HOUR_S)),
    Code.RATE_LIMITED: Policy(1, (WINDOW_S,), jitter=True, burns_attempt=False, pause_s=()),
    Code.QUOTA_EXHAUSTED: Policy(1, jitter=True, burns_attempt=False, pause_s=()),
    Code.AUTH_INVALID: Policy(1, pause_s=(math.inf,)),
    Code.FORBIDDEN_PLAN: _NEVER_AGAIN,
    # Not evaded: the first retry is the one probe after the pause, the second after the next.
    Code.BLOCKED: Policy(3, (6 * HOUR_S, DAY_S), pause_s=(6 * HOUR_S, DAY_S)),
    Code.NOT_FOUND: Policy(2, (DAY_S,)),
    Code.GONE: _NEVER_AGAIN,
    Code.BAD_REQUEST: _NEVER_AGAIN,
    Code.SERVER_ERROR: Policy(6, (4, 8, 16, 32, 64), jitter=True, tail=True),
    Code.TIMEOUT_CONNECT: _NETWORK,
    Code.TIMEOUT_READ: _NETWORK,
    Code.CONN_RESET: _NETWORK,
    Code.DNS: _NETWORK,
    Code.TLS: _NEVER_AGAIN,
    Code.TRUNCATED: Policy(4, (3, 6, 12), jitter=True, tail=True),
    Code.INVALID_JSON: Policy(3, (30, 5 * MINUTE_S), tail=True),
    Code.SCHEMA_MISSING_KEY: Policy(2, (10 * MINUTE_S,)),
    Code.ROW_REJECTED: _NEVER_AGAIN,
    Code.TOO_LARGE: _NEVER_AGAIN,
    Code.INTERNAL: Policy(4, (3, 10, 30), jitter=True, tail=True),
}


@functools.cache
def counted_together(code: str) -> frozenset[str]:
    """The codes whose attempts are one count: each its own, but what passes by itself is one.

    A server that fails now this way, now that, would else be asked in short intervals for ever.
    """
    policy = POLICIES.get(Code(code)) if code in set(Code) else None
    if policy is None or not policy.tail:
        return frozenset({code})
    return frozenset(str(other) for other, its in POLICIES.items() if its.tail)


class Failures(msgspec.Struct, frozen=True):
    """How often an item has failed so far, and how the last time."""

    code: str | None = None
    count: int = 0

    def now(self, code: str) -> int:
        """Which attempt it is that fails with `code` now."""
        return self.count + 1 if self.code in counted_together(code) else 1


class Plan(msgspec.Struct, frozen=True):
    """What is to be done now.

    `again_s`: ask again after so many seconds; None: not by itself. `in_job`: the same item of the
    job waits; else it ends as failed and its open error is retried later. `pause_source_s`: the
    whole source pauses so long, `math.inf` until somebody resumes it, None not at all.
    """

    again_s: float | None
    in_job: bool
    burns_attempt: bool
    pause_source_s: float | None


def plan(
    outcome: Outcome,
    attempts: int,
    *,
    pauses_before: int = 0,
    now: datetime,
    random: Callable[[], float],
) -> Plan:
    """Decide from `POLICIES`. `attempts` have failed so for this item, this one included.

    `pauses_before` counts the source's pauses in a row; `random` gives 0 to 1.
    """
    policy = POLICIES[outcome.code]
    if not policy.burns_attempt:
        return _throttled(outcome, policy, now, random)
    again_s = _again(outcome, policy, max(attempts, 1), random)
    pause_s = (
        policy.pause_s[min(pauses_before, len(policy.pause_s) - 1)] if policy.pause_s else None
    )
    if again_s is not None and pause_s is not None:
        again_s = max(again_s, pause_s)  # the source is closed until then
    in_job = again_s is not None and again_s <= IN_JOB_S
    return Plan(again_s, in_job, burns_attempt=True, pause_source_s=pause_s)


def _throttled(
    outcome: Outcome, policy: Policy, now: datetime, random: Callable[[], float]
) -> Plan:
    """The provider or a person said wait: the item keeps its place in the job, however long."""
    if outcome.code is Code.QUOTA_EXHAUSTED:
        wait_s = max(outcome.wait_s or _until_the_count_is_new(now), SHORTEST_WAIT_S)
    elif policy.waits_s:
        wait_s = min(max(outcome.wait_s or policy.waits_s[0], SHORTEST_WAIT_S), LONGEST_WAIT_S)
    else:
        return Plan(None, in_job=False, burns_attempt=False, pause_source_s=None)
    again_s = jittered(wait_s, random) if policy.jitter else wait_s
    pause_s = wait_s if policy.pause_s is not None else None
    return Plan(again_s, in_job=True, burns_attempt=False, pause_source_s=pause_s)


def jittered(wait_s: float, random: Callable[[], float]) -> float:
    """Later than told, never earlier, and not all at the same moment."""
    return wait_s * (1 + 0.1 * random())


def _until_the_count_is_new(now: datetime) -> float:
    """Seconds until 00:05 UTC: daily counters start anew at midnight, by the provider's clock."""
    now = now.astimezone(UTC)
    at = now.replace(hour=0, minute=5, second=0, microsecond=0)
    return ((at if at > now else at + timedelta(days=1)) - now).total_seconds()


def _again(
    outcome: Outcome, policy: Policy, attempts: int, random: Callable[[], float]
) -> float | None:
    if attempts < policy.max_attempts:
        wait_s = policy.waits_s[min(attempts, len(policy.waits_s)) - 1]
        if policy.jitter:
            # Full jitter: many items that failed together must not come back together.
            wait_s = SHORTEST_JITTER_S + (wait_s - SHORTEST_JITTER_S) * random()
    elif policy.tail:
        wait_s = TAIL_S[min(attempts - policy.max_attempts, len(TAIL_S) - 1)]
    else:
        return None
    return max(wait_s, outcome.wait_s or 0.0)
