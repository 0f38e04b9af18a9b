"""Retention keeps what it says, and whatever the rules the newest good backup of a type stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from app.backups.retention import Candidate, Policy, Verdict, decide

ISTANBUL = ZoneInfo("Europe/Istanbul")
NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
small = st.integers(0, 4)
policies = st.builds(Policy, small, small, small, small, small)
moments = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001
    datetime(2026, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)
candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(lambda one: one.hex),
        st.sampled_from(["full", "settings"]),
        moments,
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, "daily", "weekly"]),
    ),
    max_size=30,
    unique_by=lambda one: one.id,
)
zones = st.sampled_from([ISTANBUL, ZoneInfo("America/New_York"), ZoneInfo("UTC")])


def a_day(days_ago: float, *, good: bool = True, type_: str = "full", **more: Any) -> Candidate:
    at = NOW - timedelta(days=days_ago)
    return Candidate(f"{type_} {days_ago}", type_, at, good, **more)


def kept(policy: Policy, *those: Candidate, now: datetime = NOW) -> set[str]:
    return {v.candidate.id for v in decide(policy, those, now, ISTANBUL) if v.keep}


def removed(verdicts: list[Verdict]) -> list[Candidate]:
    return [verdict.candidate for verdict in verdicts if not verdict.keep]


@given(policies, candidates, moments, zones)
def test_the_newest_good_backup_of_each_type_always_stays(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    """At whatever time the clock claims it is, whoever asked for them."""
    gone = {one.id for one in removed(decide(policy, those, now, zone, {"daily": 1}))}
    for type_ in ("full", "settings"):
        good = [one for one in those if one.good and one.type == type_]
        if good:
            newest = max(good, key=lambda one: (one.at, one.id))
            assert newest.id not in gone


@given(policies, candidates, moments, zones)
def test_again_and_again_removes_nothing_more(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    """A restart storm: what stayed once stays, however often one looks at the same time."""
    stay = [v.candidate for v in decide(policy, those, now, zone) if v.keep]
    assert removed(decide(policy, stay, now, zone)) == []


@given(policies, candidates, moments, zones)
def test_every_verdict_has_a_reason_and_every_backup_a_verdict(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    verdicts = decide(policy, those, now, zone)
    assert sorted(v.candidate.id for v in verdicts) == sorted(one.id for one in those)
    assert all(verdict.why for verdict in verdicts)
    for one in removed(verdicts):
        assert not one.pinned
        assert one.at <= now


@given(candidates, moments, zones)
def test_no_rules_remove_nothing(those: list[Candidate], now: datetime, zone: ZoneInfo) -> None:
    assert removed(decide(Policy(), those, now, zone)) == []


@given(policies, candidates, moments)
@example(Policy(1), [a_day(1), a_day(2, good=False), a_day(3)], NOW)
def test_bad_backups_push_no_good_one_out(
    policy: Policy, those: list[Candidate], now: datetime
) -> None:
    """What stays of the good ones is what would stay if the bad ones had never been."""
    good = [one for one in those if one.good]
    with_bad = {v.candidate.id for v in decide(policy, those, now, ISTANBUL) if v.keep}
    alone = {v.candidate.id for v in decide(policy, good, now, ISTANBUL) if v.keep}
    assert with_bad & {one.id for one in good} == alone


@given(policies, candidates, moments)
def test_backups_from_the_future_push_nothing_out(
    policy: Policy, those: list[Candidate], now: datetime
) -> None:
    past = [one for one in those if one.at <= now]
    with_future = {v.candidate.id for v in decide(policy, those, now, ISTANBUL) if v.keep}
    alone = {v.candidate.id for v in decide(policy, past, now, ISTANBUL) if v.keep}
    assert with_future & {one.id for one in past} == alone


@st.composite
def chains(draw: st.DrawFn) -> list[Candidate]:
    """Candidates some of which build on earlier ones of their type, and so on all of theirs."""
    made: list[Candidate] = []
    for one in sorted(draw(candidates), key=lambda one: one.at):
        earlier = [other for other in made if other.type == one.type]
        base = draw(st.sampled_from(earlier)) if earlier and draw(st.booleans()) else None
        lost = draw(st.integers(0, 9)) == 0  # what it needs may be gone already
        needs = base.needs | {base.id} if base else frozenset[str]()
        made.append(replace(one, needs=needs | ({"lost"} if lost else set())))
    return made


@given(policies, chains(), moments, zones)
@example(Policy(1), [a_day(9), a_day(1, needs=frozenset({"full 9"}))], NOW, ISTANBUL)
def test_a_chain_stays_or_goes_as_one(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    """What stays can be restored as long as anything could: all that it builds on stays."""
    verdicts = decide(policy, those, now, zone, {"daily": 1})
    stay = {v.candidate.id for v in verdicts if v.keep}
    known = {one.id for one in those}
    for one in those:
        if one.id in stay:
            assert one.needs & known <= stay
    assert all(verdict.why for verdict in verdicts)


@given(policies, chains(), moments, zones)
def test_the_newest_that_can_be_restored_always_stays(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    good = {one.id for one in those if one.good}
    gone = {one.id for one in removed(decide(policy, those, now, zone))}
    for type_ in ("full", "settings"):
        whole = [one for one in those if one.type == type_ and one.good and one.needs <= good]
        past = [one for one in whole if one.at <= now] or whole
        if past:
            assert max(past, key=lambda one: (one.at, one.id)).id not in gone


@given(policies, chains(), moments, zones)
def test_a_second_look_at_chains_removes_nothing_more(
    policy: Policy, those: list[Candidate], now: datetime, zone: ZoneInfo
) -> None:
    stay = [v.candidate for v in decide(policy, those, now, zone) if v.keep]
    assert removed(decide(policy, stay, now, zone)) == []


def test_a_base_says_for_whom_it_stays() -> None:
    base, inc = a_day(9), a_day(1, needs=frozenset({"full 9"}))
    verdicts = {v.candidate.id: v for v in decide(Policy(1), [base, inc], NOW, ISTANBUL)}
    assert [str(why) for why in verdicts["full 9"].why] == ["full 1 builds on it"]
    assert kept(Policy(1), base, inc, a_day(0)) == {"full 0"}


def test_what_builds_on_something_damaged_pushes_no_good_one_out() -> None:
    bad, inc = a_day(2, good=False), a_day(1, needs=frozenset({"full 2"}))
    assert kept(Policy(1), a_day(9), bad, inc) == {"full 9", "full 2", "full 1"}


def test_the_newest_so_many_stay() -> None:
    those = [a_day(n) for n in range(5)]
    assert kept(Policy(count=2), *those) == {"full 0", "full 1"}


def test_one_of_each_of_the_last_days_that_have_one() -> None:
    those = [a_day(n) for n in (0.1, 0.2, 1.1, 1.2, 5.1, 9.1)]
    assert kept(Policy(daily=3), *those) == {"full 0.1", "full 1.1", "full 5.1"}


def test_weeks_months_and_years_are_those_of_the_calendar() -> None:
    those = [a_day(n) for n in (0, 1, 2, 8, 31, 62, 100, 500)]
    assert kept(Policy(weekly=2), *those) == {"full 0", "full 2"}  # 31 March 2026 is a Tuesday
    assert kept(Policy(monthly=3), *those) == {"full 0", "full 31", "full 62"}
    assert kept(Policy(yearly=9), *those) == {"full 0", "full 100", "full 500"}


def test_a_day_begins_at_midnight_where_the_operator_is() -> None:
    late, early = (
        datetime(2026, 3, 30, 20, 30, tzinfo=UTC),
        datetime(2026, 3, 30, 21, 30, tzinfo=UTC),
    )
    those = [Candidate("30th", "full", late, True), Candidate("31st", "full", early, True)]
    assert kept(Policy(daily=2), *those) == {"30th", "31st"}


def test_what_is_damaged_stays_until_enough_newer_ones_are_good() -> None:
    bad = a_day(3, good=False)
    assert bad.id in kept(Policy(count=2), bad, a_day(1))
    assert bad.id not in kept(Policy(count=2), bad, a_day(1), a_day(2))


def test_what_is_pinned_stays_and_counts_all_the_same() -> None:
    assert kept(Policy(count=1), a_day(1), a_day(9, pinned=True), a_day(8)) == {"full 1", "full 9"}


def test_types_do_not_push_each_other_out() -> None:
    assert kept(Policy(count=1), a_day(9), a_day(1, type_="settings")) == {"full 9", "settings 1"}


def test_what_a_schedule_made_stays_by_its_own_number() -> None:
    daily = [a_day(days, schedule="daily") for days in range(1, 6)]
    others = [a_day(days + 0.5) for days in range(1, 6)]
    verdicts = decide(Policy(1), [*daily, *others], NOW, ISTANBUL, {"daily": 3})
    stay = {v.candidate.id for v in verdicts if v.keep}
    assert stay == {one.id for one in (*daily[:3], others[0])}
    one_more = decide(Policy(), [*daily, *others], NOW, ISTANBUL, {"daily": 3})
    assert removed(one_more) == daily[3:]
