import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.text import RequestError
from app.drill import plan, present
from app.drill.plan import Plan, moments, most_kills
from app.drill.receipt import (
    Facts,
    Kill,
    as_dict,
    as_kept,
    from_kept,
    headline,
    judge,
    passed,
    percentile,
    running_again,
    taken_back,
)

KILLS = tuple(Kill(at_s=n, done=n * 10, in_hand=5, back_s=n, again_s=2.0 * n) for n in range(1, 11))
FINE = Facts(
    database="sqlite",
    queue="sqlite",
    lease_s=3.0,
    submitted=100,
    kills_asked=10,
    states={"done": 100, "waiting": 0, "running": 0, "failed": 0, "quarantined": 0},
    looks=50,
    unbalanced=0,
    done_once=100,
    effects=100,
    doubled=0,
    executions=112,
    never_asked=0,
    unexplained=0,
    claimed_again=20,
    explained=20,
    took_s=12.5,
    kills=KILLS,
)


def but(**changes: object) -> Facts:
    return dataclasses.replace(FINE, **changes)


def late(back_s: float | None) -> Kill:
    return Kill(at_s=1, done=1, in_hand=2, back_s=back_s, again_s=back_s)


# --- the verdict ----------------------------------------------------------------------------------


def test_what_is_fine_passes() -> None:
    assert judge(FINE) == []
    assert passed(FINE)
    assert FINE.repeated == 12
    assert "PASSED: 10 workers killed, 100 of 100 items done" in str(headline(FINE))
    assert "within 10.0 s" in str(headline(FINE))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stuck_s": 60.4}, "Nothing moved any more for 60 seconds"),
        ({"kills": KILLS[:9]}, "Only 9 of 10 workers could be killed"),
        (
            {"kills": (*KILLS, late(11.1))},
            "What 1 dead workers held was not taken back within 11 s",
        ),
        ({"kills": (*KILLS, late(None))}, "What 1 dead workers held was not taken back"),
        ({"unbalanced": 2}, "At 2 of 50 looks the states did not add up"),
        ({"states": {"done": 99, "running": 1}}, "99 of 100 items are done"),
        ({"states": {"done": 101}}, "101 of 100 items are done"),
        ({"explained": 19}, "20 items were claimed again, but the history explains 19"),
        ({"explained": 21}, "20 items were claimed again, but the history explains 21"),
        ({"effects": 99}, "99 of 100 answers are stored"),
        ({"doubled": 1}, "1 items had their effect more than once"),
        ({"done_once": 99}, "99 of 100 items ended exactly once"),
        ({"never_asked": 3}, "The sandbox was never asked for 3 items"),
        ({"unexplained": 4}, "The sandbox was asked 4 times more than items were claimed"),
    ],
)
def test_anything_wrong_fails_and_says_what(changes: dict[str, object], said: str) -> None:
    facts = but(**changes)
    assert not passed(facts)
    assert any(said in str(sentence) for sentence in judge(facts))
    assert "FAILED" in str(headline(facts))
    assert as_dict(facts, "en")["verdict"] == "FAILED"


def test_every_count_of_the_tally_is_judged() -> None:
    judged = {"done_once", "effects", "doubled", "never_asked", "unexplained", "explained"}
    for name in judged:
        assert not passed(but(**{name: getattr(FINE, name) + 1})), name


# --- recovery -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [
        ([], 0.5, None),
        ([4.0], 0.5, 4.0),
        ([4.0], 0.99, 4.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([*map(float, range(1, 101))], 0.99, 99.0),
        ([*map(float, range(1, 101))], 0.5, 50.0),
        ([1.0, None], 0.5, 1.0),
        ([1.0, None], 0.99, None),
        ([None], 0.5, None),
    ],
)
def test_percentiles(times: list[float | None], share: float, expected: float | None) -> None:
    assert percentile(times, share) == expected


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_times_and_not_exceeded_by_its_share(
    times: list[float], share: float
) -> None:
    found = percentile(times, share)
    assert found in times
    assert sum(time <= found for time in times) >= share * len(times) - 1e-9


def test_recovery_counts_the_kills_that_lost_something() -> None:
    idle = Kill(at_s=1, done=1, in_hand=0, back_s=None, again_s=None)
    assert taken_back(but(kills=(*KILLS, idle))) == taken_back(FINE)
    assert (taken_back(FINE).p50, taken_back(FINE).p99) == (5, 10)
    assert (running_again(FINE).p50, running_again(FINE).p99) == (10.0, 20.0)
    assert passed(but(kills=(*KILLS, idle)))
    assert taken_back(but(kills=(*KILLS, late(None)))).p99 is None


# --- keeping and showing --------------------------------------------------------------------------


def test_a_receipt_is_kept_as_json_and_read_back() -> None:
    assert from_kept(json.loads(json.dumps(as_kept(FINE)))) == FINE


def test_as_json_it_has_the_numbers_that_were_promised() -> None:
    value = as_dict(FINE, "en")
    assert value["verdict"] == "PASSED"
    assert value["recovery_s"]["taken_back"] == {"p50": 5, "p99": 10}
    assert len(value["kills"]) == 10
    assert {"submitted", "done", "effects", "doubled", "executions", "why"} <= set(value)
    json.dumps(value)


def test_in_rows_never_is_a_dash_and_a_fallback_is_said() -> None:
    lost = Kill(at_s=1.26, done=1, in_hand=2, back_s=None, again_s=None)
    assert present.kill_rows(but(kills=(lost,))) == [("1", "1.3", "1", "2", "-", "-")]
    assert len(present.KILL_LABELS) == 6
    assert present.note(FINE) is None
    assert "the drill used SQLite instead" in str(present.note(but(not_on="postgresql")))


# --- the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "kills", "said"),
    [
        (0, 1, "cannot work on 0 items. Ask for 20 to 20000."),
        (20_001, 1, "cannot work on 20,001 items"),
        (100, 0, "A drill of 100 items cannot kill 0 times. Ask for 1 to 5."),
        (100, 6, "cannot kill 6 times"),
        (20_000, 101, "Ask for 1 to 100."),
    ],
)
def test_what_no_drill_can_do_is_refused(items: int, kills: int, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Plan.checked(items, kills)


@given(st.integers(plan.FEWEST_ITEMS, plan.MOST_ITEMS), st.data())
def test_the_kills_are_spread_over_the_job(items: int, data: st.DataObject) -> None:
    kills = data.draw(st.integers(1, most_kills(items)))
    draw = data.draw(st.floats(0, 1, exclude_max=True))
    found = moments(Plan.checked(items, kills), lambda: draw)
    assert len(found) == kills
    assert found == sorted(found)
    assert found[0] >= 1
    assert found[-1] <= items * plan.LAST
