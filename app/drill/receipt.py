"""The receipt of a drill: what was counted, and the verdict that follows from it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.core.text import N_, Sentence

MOST_LEASES = 2  # within so many what a dead worker held can be claimed again
START_S = 5.0  # and so long beyond: nobody takes anything back before his process has started


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed, and what became of the items it held. Seconds by one clock."""

    at_s: float  # since the drill's job was submitted
    done: int  # items done by then
    in_hand: int
    back_s: float | None  # from the kill until the last of them could be claimed; None: never
    again_s: float | None  # until the last of them was running again or had ended; None: never


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted; nothing here is an opinion."""

    database: str
    queue: str
    lease_s: float
    submitted: int
    kills_asked: int
    states: dict[str, int]
    looks: int  # at the ledger while it ran
    unbalanced: int  # looks at which the states did not add up to what was submitted
    done_once: int  # items with exactly one end in the history
    effects: int  # matches of which an answer is stored
    doubled: int  # items with more than one end, or more than one stored answer
    executions: int  # requests in the sandbox's own log
    never_asked: int  # items the sandbox knows nothing of
    unexplained: int  # requests for an item beyond the times it was claimed
    claimed_again: int
    explained: int  # crashes, retries and give-backs in the history
    took_s: float
    kills: tuple[Kill, ...] = field(default=())
    stuck_s: float | None = None  # it gave up: nothing had moved for so long
    wipes: int = 0  # of the queue
    not_on: str | None = None  # the database it could not be run on, and so ran on `database`

    @property
    def done(self) -> int:
        return self.states.get("done", 0)

    @property
    def repeated(self) -> int:
        """Requests beyond one for each item."""
        return self.executions - (self.submitted - self.never_asked)


def as_kept(facts: Facts) -> dict[str, Any]:
    """For a JSON column."""
    kept: dict[str, Any] = msgspec.to_builtins(facts)
    return kept


def from_kept(kept: dict[str, Any]) -> Facts:
    """What `as_kept` made."""
    return msgspec.convert(kept, Facts)


def passed(facts: Facts) -> bool:
    """The verdict."""
    return not judge(facts)


def judge(facts: Facts) -> list[Sentence]:
    """Why it failed; empty when it passed."""
    return [*_of_the_run(facts), *_of_the_books(facts), *_of_the_effects(facts)]


def _of_the_run(facts: Facts) -> list[Sentence]:
    found = []
    if facts.stuck_s is not None:
        said = N_("Nothing moved any more for %(seconds)s seconds; the drill gave up.")
        found.append(Sentence(said, {"seconds": round(facts.stuck_s)}))
    if len(facts.kills) < facts.kills_asked:
        said = N_("Only %(kills)s of %(asked)s workers could be killed before the end.")
        values = {"kills": len(facts.kills), "asked": facts.kills_asked}
        found.append(Sentence(said, values))
    most_s = MOST_LEASES * facts.lease_s + START_S
    held = [kill.back_s for kill in facts.kills if kill.in_hand]
    if late := sum(back_s is None or back_s > most_s for back_s in held):
        said = N_("What %(late)s dead workers held was not taken back within %(seconds)s s.")
        found.append(Sentence(said, {"late": late, "seconds": f"{most_s:g}"}))
    return found


def _of_the_books(facts: Facts) -> list[Sentence]:
    found = []
    if facts.unbalanced:
        said = N_("At %(bad)s of %(looks)s looks the states did not add up to what was submitted.")
        found.append(Sentence(said, {"bad": facts.unbalanced, "looks": facts.looks}))
    if facts.done != facts.submitted:
        said = N_("%(done)s of %(submitted)s items are done.")
        found.append(Sentence(said, {"done": facts.done, "submitted": facts.submitted}))
    if facts.claimed_again != facts.explained:
        said = N_("%(again)s items were claimed again, but the history explains %(explained)s.")
        values = {"again": facts.claimed_again, "explained": facts.explained}
        found.append(Sentence(said, values))
    return found


def _of_the_effects(facts: Facts) -> list[Sentence]:
    checks = (
        (facts.effects != facts.submitted, N_("%(effects)s of %(submitted)s answers are stored.")),
        (facts.doubled, N_("%(doubled)s items had their effect more than once.")),
        (
            facts.done_once != facts.submitted,
            N_("%(done_once)s of %(submitted)s items ended exactly once."),
        ),
        (facts.never_asked, N_("The sandbox was never asked for %(never_asked)s items.")),
        (
            facts.unexplained,
            N_("The sandbox was asked %(unexplained)s times more than items were claimed."),
        ),
    )
    values = {
        name: getattr(facts, name)
        for name in ("effects", "submitted", "doubled", "done_once", "never_asked", "unexplained")
    }
    return [Sentence(said, values) for wrong, said in checks if wrong]


# --- how long it took to recover ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the recovery times in seconds; None: at least one kill at that place never recovered."""

    p50: float | None
    p99: float | None


def taken_back(facts: Facts) -> Spread:
    """From a kill until everything the worker held could be claimed again."""
    return _spread([kill.back_s for kill in facts.kills if kill.in_hand])


def running_again(facts: Facts) -> Spread:
    """From a kill until everything the worker held was in somebody's hands again, or had ended."""
    return _spread([kill.again_s for kill in facts.kills if kill.in_hand])


def _spread(times: Sequence[float | None]) -> Spread:
    return Spread(percentile(times, 0.5), percentile(times, 0.99))


def percentile(times: Sequence[float | None], share: float) -> float | None:
    """The smallest of the times that at least this share does not exceed; None counts as never."""
    if not times:
        return None
    ordered = sorted(math.inf if time is None else time for time in times)
    found = ordered[max(math.ceil(share * len(ordered)), 1) - 1]
    return None if math.isinf(found) else found


# --- in words and as JSON -------------------------------------------------------------------------


def headline(facts: Facts) -> Sentence:
    """The receipt in one line."""
    if not passed(facts):
        said = N_("The drill FAILED: %(why)s")
        return Sentence(said, {"why": judge(facts)[0]})
    return Sentence(
        N_(
            "The drill PASSED: %(kills)s workers killed, %(done)s of %(submitted)s items done, "
            "none doubled; what a dead worker held was taken back within %(seconds)s s."
        ),
        {
            "kills": len(facts.kills),
            "done": facts.done,
            "submitted": facts.submitted,
            "seconds": in_seconds(taken_back(facts).p99),
        },
    )


def in_seconds(time: float | None) -> str:
    """To a tenth; a dash for never."""
    return "-" if time is None else f"{time:.1f}"


def verdict(facts: Facts) -> str:
    """For programs."""
    return "PASSED" if passed(facts) else "FAILED"


def as_dict(facts: Facts, language: str) -> dict[str, Any]:
    """The whole receipt for JSON; only `why` is put into `language`."""
    value: dict[str, Any] = msgspec.to_builtins(
        {
            "verdict": verdict(facts),
            "why": [sentence.to(language) for sentence in judge(facts)],
            "done": facts.done,
            "repeated": facts.repeated,
            "recovery_s": {
                "taken_back": taken_back(facts),
                "running_again": running_again(facts),
            },
        }
    )
    return value | as_kept(facts)
