"""What becomes of one match, and how much of it shows after some minutes; no dates, no teams."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final

HOME: Final = 0
AWAY: Final = 1
HALF_TIME = 31  # SofaScore's status code
ANNOUNCED_BEFORE_MIN = 24 * 60  # a match called off is known a day ahead
LONGEST_MIN = 160  # kick-off to the last penalty, breaks included


class Dice:
    """An endless source of small numbers that depends on its key and on no platform."""

    __slots__ = ("_key", "_pool", "_round")

    def __init__(self, *key: object) -> None:
        self._key, self._round, self._pool = repr(key), 0, 0

    def roll(self, sides: int) -> int:
        if self._pool < 1 << 64:
            digest = blake2b(f"{self._key}/{self._round}".encode()).digest()
            self._pool, self._round = int.from_bytes(digest, "big") | 1 << 512, self._round + 1
        self._pool, face = divmod(self._pool, sides)
        return face

    def weighted(self, weights: tuple[int, ...]) -> int:
        left = self.roll(sum(weights))
        for index, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return index
        raise AssertionError("the weights of a die do not add up")


class Fate(StrEnum):
    PLAYED = "played"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    WALKOVER = "walkover"


_FATES = tuple(Fate)
_FATES_OF_1000 = (978, 10, 4, 4, 4)
_GOALS_OF_100 = ((25, 34, 24, 11, 4, 2), (34, 35, 20, 8, 3))
_SHOOTOUTS = ((5, 4), (4, 5), (4, 3), (3, 4), (4, 2), (2, 4), (3, 1), (7, 6), (6, 7))


@dataclass(frozen=True, slots=True)
class Goal:
    minute: int  # 1..90, 91..120 in extra time
    side: int


@dataclass(frozen=True, slots=True)
class Story:
    fate: Fate
    goals: tuple[Goal, ...]
    extra_time: bool
    shootout: tuple[int, int] | None
    stopped_at: int  # the minute an abandoned match was stopped, else 0
    awarded_to: int  # the side a walkover was given to

    @property
    def called_off(self) -> bool:
        return self.fate in (Fate.POSTPONED, Fate.CANCELLED)

    def scored(self, side: int, first: int, last: int) -> int:
        return sum(goal.side == side and first <= goal.minute <= last for goal in self.goals)


def story(seed: int, match_id: int, *, knockout: bool) -> Story:
    dice = Dice(seed, match_id, "story")
    fate = _FATES[dice.weighted(_FATES_OF_1000)]
    goals = [
        Goal(1 + dice.roll(90), side) for side in (HOME, AWAY) for _ in range(_count(dice, side))
    ]
    level = sum(goal.side == HOME for goal in goals) * 2 == len(goals)
    extra_time = knockout and level
    shootout = None
    if extra_time and dice.roll(2):
        goals.append(Goal(91 + dice.roll(30), dice.roll(2)))
    elif extra_time:
        shootout = _SHOOTOUTS[dice.roll(len(_SHOOTOUTS))]
    goals.sort(key=lambda goal: (goal.minute, goal.side))
    stopped_at = 20 + dice.roll(65) if fate is Fate.ABANDONED else 0
    return Story(fate, tuple(goals), extra_time, shootout, stopped_at, dice.roll(2))


def _count(dice: Dice, side: int) -> int:
    return dice.weighted(_GOALS_OF_100[side])


@dataclass(frozen=True, slots=True)
class State:
    """What the public knows at one moment."""

    code: int  # SofaScore's status code
    description: str
    type: str
    minute: int = 0  # goals up to this minute have been seen
    started: bool = False
    over: bool = False  # nothing will change any more


_NOT_STARTED = State(0, "Not started", "notstarted")
_POSTPONED = State(60, "Postponed", "postponed", over=True)
_CANCELLED = State(70, "Canceled", "canceled", over=True)
_WALKOVER = State(91, "Walkover", "finished", over=True)
# until (minutes since kick-off), code, description, first and last minute of play
_PHASES = (
    (47, 6, "1st half", 1, 45),
    (62, HALF_TIME, "Halftime", 45, 45),
    (112, 7, "2nd half", 46, 90),
    (132, 41, "1st extra", 91, 105),
    (150, 42, "2nd extra", 106, 120),
    (LONGEST_MIN, 50, "Penalties", 120, 120),
)


def state(told: Story, elapsed_min: int) -> State:
    if told.called_off and elapsed_min >= -ANNOUNCED_BEFORE_MIN:
        return _POSTPONED if told.fate is Fate.POSTPONED else _CANCELLED
    if elapsed_min < 0:
        return _NOT_STARTED
    if told.fate is Fate.WALKOVER:
        return _WALKOVER
    running = _running(elapsed_min)
    if told.stopped_at and running.minute >= told.stopped_at:
        return State(90, "Abandoned", "canceled", told.stopped_at, started=True, over=True)
    ended = _ended(told)
    return ended if elapsed_min >= _length_min(told) else running


def _length_min(told: Story) -> int:
    if told.shootout:
        return LONGEST_MIN
    return 150 if told.extra_time else 112


def _ended(told: Story) -> State:
    code, description = 100, "Ended"
    if told.extra_time:
        code, description = (120, "AP") if told.shootout else (110, "AET")
    minute = 120 if told.extra_time else 90
    return State(code, description, "finished", minute, started=True, over=True)


def _running(elapsed_min: int) -> State:
    begun = 0
    for until, code, description, first, last in _PHASES:
        if elapsed_min < until:
            minute = min(last, first + elapsed_min - begun)
            return State(code, description, "inprogress", minute, started=True)
        begun = until
    return State(50, "Penalties", "inprogress", 120, started=True)
