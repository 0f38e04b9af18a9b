"""Retention over a life: backups come, rot and are pinned, clocks jump, restarts prune."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.backups.retention import Candidate, Policy, decide

TYPES = ("full", "settings")
SCHEDULES = (None, None, "daily")
small = st.integers(0, 3)
one_rule = st.sampled_from(["count", "daily", "weekly", "monthly", "yearly"])
policies = st.builds(Policy, small, small, small, small, small) | st.builds(
    lambda name, most: Policy(**{name: most}), one_rule, st.integers(0, 2)
)


class Life(RuleBasedStateMachine):
    """What is in the folder, and what was good in it when the rules were applied last."""

    @initialize(
        policy=policies,
        zone=st.sampled_from(["Europe/Istanbul", "America/New_York", "UTC"]),
        keep=st.integers(1, 3),
    )
    def begin(self, policy: Policy, zone: str, keep: int) -> None:
        self.policy, self.zone, self.keeps = policy, ZoneInfo(zone), {"daily": keep}
        self.now = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)  # a night before summer time begins
        self.made = 0
        self.there: dict[str, Candidate] = {}
        self.before: dict[str, Candidate] = {}
        self.pruned_at = self.now

    @rule(hours=st.integers(1, 24 * 40))
    def time_goes_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(days=st.integers(-3000, 3000))
    def the_clock_jumps(self, days: int) -> None:
        wanted = self.now.year + days / 365
        if 1990 < wanted < 2060:
            self.now += timedelta(days=days, seconds=1)

    @rule(
        type_=st.sampled_from(TYPES),
        schedule=st.sampled_from(SCHEDULES),
        good=st.booleans(),
        builds_on=st.booleans(),
    )
    def a_backup_is_made(
        self, type_: str, schedule: str | None, *, good: bool, builds_on: bool
    ) -> None:
        base = self.newest_good(type_) if builds_on else None
        needs = frozenset({base.id, *base.needs}) if base else frozenset()
        self.made += 1
        name = f"{self.made:04}"
        self.there[name] = Candidate(name, type_, self.now, good, schedule=schedule, needs=needs)

    @precondition(lambda self: self.there)
    @rule(data=st.data(), good=st.booleans(), pinned=st.booleans())
    def somebody_looks_at_one(self, data: st.DataObject, *, good: bool, pinned: bool) -> None:
        """It is verified, or found to be damaged; and pinned, or not any more."""
        one = self.there[data.draw(st.sampled_from(sorted(self.there)))]
        self.there[one.id] = Candidate(
            one.id, one.type, one.at, good, pinned, one.schedule, one.needs
        )

    @rule(times=st.integers(1, 5))
    def the_rules_are_applied(self, times: int) -> None:
        """Once, or at each start of a storm of restarts."""
        self.before, self.pruned_at = dict(self.there), self.now
        for _ in range(times):
            verdicts = decide(self.policy, self.there.values(), self.now, self.zone, self.keeps)
            self.there = {v.candidate.id: self.there[v.candidate.id] for v in verdicts if v.keep}

    def newest_good(self, type_: str, until: datetime | None = None) -> Candidate | None:
        return max(
            (one for one in self.sound() if one.type == type_ and (not until or one.at <= until)),
            key=lambda one: (one.at, one.id),
            default=None,
        )

    def sound(self, there: dict[str, Candidate] | None = None) -> list[Candidate]:
        """Good, and so is all that it builds on."""
        known = self.there if there is None else there
        good = {one.id for one in known.values() if one.good}
        return [one for one in known.values() if one.good and one.needs <= good]

    @invariant()
    def the_newest_good_one_is_never_removed(self) -> None:
        for type_ in TYPES:
            was = [one for one in self.sound(self.before) if one.type == type_]
            for some in (was, [one for one in was if one.at <= self.pruned_at]):
                if some:
                    newest = max(some, key=lambda one: (one.at, one.id))
                    assert {newest.id, *newest.needs} <= self.there.keys()
        gone = [one for name, one in self.before.items() if name not in self.there]
        assert not [one for one in gone if one.pinned or one.at > self.pruned_at]
        assert not (self.policy.is_empty and [one for one in gone if one.schedule != "daily"])


def test_the_model_notices_a_backup_from_the_future_that_pushes_out_a_good_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control: rules for which every time has come."""
    long_after = datetime(2100, 1, 1, tzinfo=UTC)
    blind = functools.partial(_decide_at, long_after)
    monkeypatch.setitem(globals(), "decide", blind)
    life = Life()
    life.begin(Policy(count=1), "UTC", 1)
    life.a_backup_is_made("full", None, good=True, builds_on=False)
    life.the_clock_jumps(-10)
    life.a_backup_is_made("full", None, good=True, builds_on=False)
    life.the_rules_are_applied(2)
    with pytest.raises(AssertionError):
        life.the_newest_good_one_is_never_removed()


def _decide_at(at: datetime, policy: Policy, those: Any, _now: datetime, *more: Any) -> Any:
    return _decide(policy, those, at, *more)


_decide = decide
TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
