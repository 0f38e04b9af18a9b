"""Which backups stay, and why. Pure: values in, verdicts out; `prune` acts on them.

Only good backups count (verified or drilled): a folder full of damaged ones pushes nothing out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from app.core.text import N_, Sentence


@dataclass(frozen=True, slots=True)
class Policy:
    """How many are kept: the newest ones, and the last of so many days, weeks, months, years."""

    count: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @property
    def is_empty(self) -> bool:
        """Then nothing is ever removed."""
        return not any((self.count, self.daily, self.weekly, self.monthly, self.yearly))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What retention knows of a backup."""

    id: str
    type: str
    at: datetime  # the instant its data are of
    good: bool
    pinned: bool = False
    schedule: str | None = None  # whose it is
    needs: frozenset[str] = frozenset()  # ids of all that it builds on


@dataclass(slots=True)
class Verdict:
    """Kept or not, and every reason for it."""

    candidate: Candidate
    why: list[Sentence] = field(default_factory=list)
    keep: bool = True


# Natural boundaries of the operator's calendar: a week begins on Monday.
_PERIODS: Sequence[tuple[str, str, Callable[[datetime], tuple[int, ...]]]] = (
    ("daily", N_("the last of day %(period)s"), lambda at: (at.year, at.month, at.day)),
    ("weekly", N_("the last of week %(period)s"), lambda at: tuple(at.isocalendar())[:2]),
    ("monthly", N_("the last of month %(period)s"), lambda at: (at.year, at.month)),
    ("yearly", N_("the last of year %(period)s"), lambda at: (at.year,)),
)


def decide(
    policy: Policy,
    candidates: Iterable[Candidate],
    now: datetime,
    zone: ZoneInfo,
    keeps: Mapping[str, int] | None = None,
) -> list[Verdict]:
    """A verdict for each, newest first. Each type is looked at by itself.

    Of what a schedule made, as many stay as `keeps` says; the policy is for all others. Whatever
    they say: the newest good one of a type is kept, and so is all of an empty policy, what is
    pinned, and what carries a time that has not come yet. A chain is one thing: what builds on
    others is good when they are, and they stay as long as it does.
    """
    sound = _sound(list(candidates))
    ordered = sorted(sound, key=lambda one: (*_group(one), one.at, one.id), reverse=True)
    verdicts: list[Verdict] = []
    for (_type, schedule), group in groupby(ordered, key=_group):
        keep = (keeps or {}).get(schedule)
        rules = policy if keep is None else Policy(count=keep)
        verdicts += _decide_alike(rules, [Verdict(one) for one in group], now, zone)
    _keep_bases(verdicts)
    return sorted(verdicts, key=lambda v: (v.candidate.at, v.candidate.id), reverse=True)


def _sound(candidates: list[Candidate]) -> list[Candidate]:
    """Good is only what finds all it builds on, and that good too."""
    good = {one.id for one in candidates if one.good}
    return [replace(one, good=one.good and one.needs <= good) for one in candidates]


def _keep_bases(verdicts: list[Verdict]) -> None:
    """What something that stays builds on stays too, and what that builds on in its turn."""
    by_id = {verdict.candidate.id: verdict for verdict in verdicts}
    waiting = [verdict.candidate for verdict in verdicts if verdict.keep]
    while waiting:
        one = waiting.pop()
        for base in (by_id[needed] for needed in sorted(one.needs) if needed in by_id):
            if not base.keep:
                base.keep, base.why = True, []
                waiting.append(base.candidate)
            base.why.append(Sentence(N_("%(id)s builds on it"), {"id": one.id[:8]}))


def _group(one: Candidate) -> tuple[str, str]:
    return (one.type, one.schedule or "")


def _decide_alike(
    policy: Policy, verdicts: list[Verdict], now: datetime, zone: ZoneInfo
) -> list[Verdict]:
    counted = [v for v in verdicts if v.candidate.good and v.candidate.at <= now]
    if counted:
        counted[0].why.append(Sentence(N_("the newest that is known to be good")))
    for number, verdict in enumerate(counted[: policy.count], start=1):
        told = {"number": number, "count": policy.count}
        verdict.why.append(Sentence(N_("number %(number)s of the last %(count)s"), told))
    for name, message, period in _PERIODS:
        _keep_last_of_each(counted, getattr(policy, name), message, period, zone)
    _see_to_the_uncounted(policy, verdicts, counted, now)
    for verdict in verdicts:
        if not verdict.why:
            verdict.keep = False
            verdict.why.append(Sentence(N_("no rule keeps it")))
    return verdicts


def _keep_last_of_each(
    counted: list[Verdict],
    most: int,
    message: str,
    period: Callable[[datetime], tuple[int, ...]],
    zone: ZoneInfo,
) -> None:
    seen: set[tuple[int, ...]] = set()
    for verdict in counted:
        key = period(verdict.candidate.at.astimezone(zone))
        if key in seen or len(seen) >= most:
            continue
        seen.add(key)
        told = "-".join(f"{number:02}" for number in key)
        verdict.why.append(Sentence(message, {"period": told}))


def _see_to_the_uncounted(
    policy: Policy, verdicts: list[Verdict], counted: list[Verdict], now: datetime
) -> None:
    enough = max(1, policy.count)
    for verdict in verdicts:
        one = verdict.candidate
        if policy.is_empty:
            verdict.why.append(Sentence(N_("there is no rule by which to remove anything")))
        if one.pinned:
            verdict.why.append(Sentence(N_("it is pinned")))
        if one.at > now:
            verdict.why.append(Sentence(N_("its time has not come yet: check the clock")))
        newer = sum(other.candidate.at > one.at for other in counted)
        if not one.good and newer < enough:
            verdict.why.append(
                Sentence(
                    N_("not known to be good, but only %(newer)s newer ones are"), {"newer": newer}
                )
            )
