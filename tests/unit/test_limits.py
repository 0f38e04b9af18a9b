from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyrate_limiter.utils import validate_rate_list

from app.core.slots import SlotsAwayError
from app.sources.limiter import LOOK_AGAIN_S, Limiter
from app.sources.limits import (
    AT_ONCE,
    AT_ONCE_LIMITED,
    DEFAULT_RATES,
    QUOTA_S,
    Grant,
    Rate,
    at_once,
    binding,
    rates_of,
    slowed,
)
from app.sources.pace import SLOWEST
from app.sources.registry import ADAPTERS
from config import KNOWN_SOURCES, Config, ConfigError

RATES = st.lists(
    st.builds(Rate, st.integers(1, 1000), st.floats(0.1, 100_000, allow_nan=False)),
    min_size=1,
    max_size=5,
)


def settings(base_url: str | None = None, limits: object = None) -> SimpleNamespace:
    return SimpleNamespace(base_url=base_url, limits=limits)


def test_every_known_source_has_a_limit_that_somebody_looked_up() -> None:
    assert set(DEFAULT_RATES) == set(KNOWN_SOURCES)
    assert set(ADAPTERS) <= set(DEFAULT_RATES)
    assert rates_of("a_stranger", None) == (Rate(1, 1),)


@pytest.mark.parametrize(
    ("name", "base_url", "limits", "told"),
    [
        ("football_data", None, None, "9/60"),
        ("api_football", None, None, "9/60, 95/86400"),
        ("thesportsdb", None, None, "2/1, 90/60"),
        ("sandbox", "http://127.0.0.1:8899", None, ""),
        ("sandbox", "http://sandbox:8899", None, ""),
        ("sofascore", "http://127.0.0.1:1", None, ""),
        ("sofascore", "http://localhost:1", None, ""),
        ("sofascore", "http://[::1]:1", None, ""),
        ("sofascore", "https://proxy.example.org", None, "1/1"),
        ("sofascore", "http://127.0.0.1:1", ((5, 2.0),), "5/2"),
        ("sofascore", None, (), ""),
    ],
)
def test_what_is_configured_wins_and_this_machine_needs_no_limit(
    name: str, base_url: str | None, limits: object, told: str
) -> None:
    assert ", ".join(str(r) for r in rates_of(name, settings(base_url, limits))) == told


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (None, None),
        ("none", ()),
        ("NONE", ()),
        ("9/60", ((9, 60.0),)),
        (" 9/60 , 95/86400 ", ((9, 60.0), (95, 86400.0))),
        ("2/0.5", ((2, 0.5),)),
    ],
)
def test_limits_are_read(tmp_path, value: str | None, limits: object) -> None:
    environ = {"DATA_DIR": str(tmp_path), **({"ESPN_LIMITS": value} if value else {})}
    assert Config.from_env(environ, None).source_settings["espn"].limits == limits


@pytest.mark.parametrize("value", ["9", "9/", "0/60", "9/0", "9/60;1/1", "9/60,", "fast", "-1/1"])
def test_a_wrong_limit_is_a_sentence_in_both_languages(tmp_path, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({"DATA_DIR": str(tmp_path), "ESPN_LIMITS": value}, None)
    (problem,) = caught.value.problems
    assert problem.english.startswith(f'ESPN_LIMITS is "{value}": write requests/seconds')
    assert "istek/saniye" in problem.turkish


@given(RATES)
def test_only_those_that_bind_are_kept_in_the_order_the_bucket_wants(rates: list[Rate]) -> None:
    kept = binding(rates)
    assert kept
    assert validate_rate_list([SimpleNamespace(limit=r.requests, interval=r.seconds) for r in kept])


@given(RATES)
def test_what_is_left_out_is_kept_by_the_others(rates: list[Rate]) -> None:
    kept = binding(rates)
    for rate in rates:
        assert any(
            (other.seconds >= rate.seconds and other.requests <= rate.requests)
            or (
                other.seconds <= rate.seconds
                and other.requests / other.seconds <= rate.requests / rate.seconds
            )
            for other in kept
        )


@given(RATES.map(lambda rates: [r for r in rates if r.seconds <= QUOTA_S]), st.floats(SLOWEST, 1))
def test_slower_is_never_faster_than_the_part_that_was_asked_for(
    rates: list[Rate], factor: float
) -> None:
    fastest = max((r.requests / r.seconds for r in rates), default=0)
    for rate in slowed(binding(rates), factor):
        assert rate.requests >= 1
        assert rate.requests / rate.seconds <= fastest * factor * 1.000001 or factor == 1


@pytest.mark.parametrize(
    ("rates", "factor", "told"),
    [
        ((Rate(9, 60),), 1, "9/60"),
        ((Rate(9, 60),), 0.5, "4/60"),
        ((Rate(1, 1),), 0.5, "1/2"),
        ((Rate(1, 1),), 1 / 8, "1/8"),
        ((Rate(9, 60), Rate(95, 86_400)), 1 / 8, "1/60, 95/86400"),
        ((Rate(40, 3600), Rate(95, 86_400)), 0.5, "20/3600, 95/86400"),
        ((Rate(95, 86_400),), 1 / 8, "95/86400"),
    ],
)
def test_half_the_speed_is_half_the_requests_or_twice_the_time(
    rates: tuple[Rate, ...], factor: float, told: str
) -> None:
    assert ", ".join(str(rate) for rate in slowed(rates, factor)) == told


class Away:
    """Slots that nobody can count."""

    def take(self, *_args: object) -> tuple[int, float]:
        raise SlotsAwayError("gone")


def test_alone_it_gives_one_and_then_keeps_the_even_pace_of_the_slowest_rate() -> None:
    limiter = Limiter(Away(), {"a": (Rate(9, 60),), "b": (Rate(100, 1),), "free": ()})
    assert limiter.grant("a", 5) == Grant(1, 60 / 9)
    refused = limiter.grant("a", 5)
    assert refused.granted == 0
    assert 6 < refused.free_in_s <= 60 / 9
    assert limiter.grant("b", 5) == Grant(1, 1.0), "never more than one a second"
    assert limiter.grant("free", 500) == Grant(500)
    assert limiter.grant("unheard_of", 7) == Grant(7)


def test_alone_it_is_never_said_to_wait_long_for_others_may_count_together_again() -> None:
    limiter = Limiter(Away(), {"a": (Rate(9, 60), Rate(95, 86_400))})
    assert limiter.grant("a", 5) == Grant(1, LOOK_AGAIN_S)
    assert limiter.grant("a", 5) == Grant(0, LOOK_AGAIN_S)
    assert limiter.grant("a", 5).granted == 0, "but it keeps the even pace itself"


def test_a_server_with_a_limit_is_asked_by_few_at_once() -> None:
    assert at_once([Rate(1, 1)]) == AT_ONCE_LIMITED < at_once(()) == AT_ONCE
