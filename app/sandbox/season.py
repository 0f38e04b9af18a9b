"""The deterministic season: which matches a date has, and which match a number is.

A week (Monday to Sunday) has exactly 400 matches: 25 competitions of 32 teams play one round of 16.
Each weekday has a fixed timetable, so numbering them without a gap is plain arithmetic, invertible
in both directions and the same for every seed:

    id = 100_000_000 + 400 * (whole weeks since Monday 2024-01-01)
                     + (matches of that week's earlier days) + (index in the day)

Ids 100_000_000 to 100_099_999 (250 weeks, 2024-01-01 to 2028-10-15) are the promised 100,000. The
scheme goes on in both directions to the years 1 and 9999, so each match of each list has its
answer: 57_778_000 to 266_466_987. Every other number is nobody's.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate

from app.sandbox.names import COMPETITIONS, TEAMS_PER_COMPETITION, Competition, Kind, Team
from app.sandbox.play import AWAY, HOME, Dice, State, Story, state, story

CATALOGUE_STARTS = date(2024, 1, 1)  # a Monday
CATALOGUE_FIRST_ID = 100_000_000
CATALOGUE_SIZE = 100_000
LATE_HOUR = 20  # kick-offs from here on are also listed on the next day

_MATCHES_PER_ROUND = TEAMS_PER_COMPETITION // 2
_EPOCH = date(1970, 1, 1).toordinal()
_ORIGIN = CATALOGUE_STARTS.toordinal()
_MINUTES = (0, 15, 30, 45)


@dataclass(frozen=True, slots=True)
class Slot:
    competition: Competition
    number: int  # 0..15, the competition's matches of a week in order of weekday


@dataclass(frozen=True, slots=True)
class Season:
    id: int
    label: str  # "26/27", or "2026"
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class Match:
    id: int
    day: date  # of the kick-off, UTC
    kickoff: int  # epoch seconds
    competition: Competition
    season: Season
    round: int
    home: Team
    away: Team
    story: Story

    def state(self, now: int) -> State:
        return state(self.story, (now - self.kickoff) // 60)

    def team(self, side: int) -> Team:
        return self.home if side == HOME else self.away


def _timetable() -> tuple[tuple[Slot, ...], ...]:
    week: list[list[Slot]] = [[] for _ in range(7)]
    for competition in COMPETITIONS:
        weekdays = [d for d, count in enumerate(competition.weekdays) for _ in range(count)]
        for number, weekday in enumerate(weekdays):
            week[weekday].append(Slot(competition, number))
    return tuple(tuple(slots) for slots in week)


TIMETABLE = _timetable()
_BEFORE = (0, *accumulate(len(slots) for slots in TIMETABLE))
MATCHES_PER_WEEK = _BEFORE[-1]


def id_of(day: date, index: int) -> int:
    weeks, weekday = divmod(day.toordinal() - _ORIGIN, 7)
    if not 0 <= index < len(TIMETABLE[weekday]):
        raise IndexError(f"{day} has {len(TIMETABLE[weekday])} matches, not {index + 1}")
    return CATALOGUE_FIRST_ID + weeks * MATCHES_PER_WEEK + _BEFORE[weekday] + index


def place_of(match_id: int) -> tuple[date, int] | None:
    """The day and the index in it; None when the number is nobody's."""
    weeks, rest = divmod(match_id - CATALOGUE_FIRST_ID, MATCHES_PER_WEEK)
    weekday = next(day for day in range(7) if rest < _BEFORE[day + 1])
    ordinal = _ORIGIN + weeks * 7 + weekday
    if not date.min.toordinal() <= ordinal <= date.max.toordinal():
        return None
    return date.fromordinal(ordinal), rest - _BEFORE[weekday]


@lru_cache(maxsize=4096)
def match(seed: int, match_id: int) -> Match | None:
    place = place_of(match_id)
    if place is None:
        return None
    day, index = place
    slot = TIMETABLE[day.weekday()][index]
    week = (day.toordinal() - _ORIGIN) // 7
    home, away = _pairing(seed, slot, week)
    season, matchday = _season(slot.competition, day)
    told = story(seed, match_id, knockout=slot.competition.kind is Kind.CUP)
    kickoff = _kickoff(seed, match_id, slot.competition, day)
    return Match(match_id, day, kickoff, slot.competition, season, matchday, home, away, told)


def matches_of(seed: int, day: date) -> list[Match]:
    """Those that kick off on this day (UTC), by kick-off."""
    first = id_of(day, 0)
    found = [match(seed, first + index) for index in range(len(TIMETABLE[day.weekday()]))]
    return sorted((m for m in found if m), key=lambda m: (m.kickoff, m.id))


def listed_on(seed: int, day: date) -> list[Match]:
    """A day's list with its spill-over: yesterday's late matches, tomorrow's that are called off.

    Nothing else of tomorrow: what can still change after midnight would change a past day's list.
    """
    before = [m for m in _neighbours(seed, day, -1) if _hour(m) >= LATE_HOUR]
    after = [m for m in _neighbours(seed, day, 1) if m.story.called_off]
    return [*before, *matches_of(seed, day), *after]


def _neighbours(seed: int, day: date, days: int) -> list[Match]:
    try:
        return matches_of(seed, day + timedelta(days=days))
    except OverflowError:  # before year 1, after year 9999
        return []


def _hour(played: Match) -> int:
    return played.kickoff // 3600 % 24


def _pairing(seed: int, slot: Slot, week: int) -> tuple[Team, Team]:
    """The circle method: 31 rounds in which every team meets every other once, then again."""
    teams = slot.competition.teams
    turns = len(teams) - 1
    leg, turn = divmod(week, turns)
    pair = (slot.number + week) % _MATCHES_PER_ROUND  # so that nobody always plays on Friday
    one = teams[-1] if pair == 0 else teams[(turn + pair) % turns]
    other = teams[turn] if pair == 0 else teams[(turn - pair) % turns]
    swapped = (leg + pair + turn * (pair == 0) + seed) % 2
    return (other, one) if swapped else (one, other)


def _kickoff(seed: int, match_id: int, competition: Competition, day: date) -> int:
    dice = Dice(seed, match_id, "kick-off")
    first, last = competition.hours
    hour = first + dice.roll(last - first + 1)
    # the last hour only on the hour: with penalties it must be over before midnight
    minute = 0 if hour == last else _MINUTES[dice.roll(len(_MINUTES))]
    return (day.toordinal() - _EPOCH) * 86400 + hour * 3600 + minute * 60


def _season(competition: Competition, day: date) -> tuple[Season, int]:
    """Whole weeks belong to one season: the week's Monday decides."""
    monday = day - timedelta(days=day.weekday())
    month = 1 if competition.calendar_year else 7
    year = monday.year if monday.month >= month else monday.year - 1
    first = _day_of(year, month)
    matchday = 1 + (monday.toordinal() - first.toordinal()) // 7
    last = date.fromordinal(_day_of(year + 1, month).toordinal() - 1)
    label = f"{year}" if competition.calendar_year else f"{year % 100:02}/{(year + 1) % 100:02}"
    return Season(100_000 + competition.number * 10_000 + year, label, first, last), matchday


def _day_of(year: int, month: int) -> date:
    """The first of a month, held inside the calendar Python knows."""
    if year < 1:
        return date.min
    return date.max if year > date.max.year else date(year, month, 1)


def winner(played: Match, now: int) -> int | None:
    """HOME, AWAY, or None while it runs, when it was a draw or never decided."""
    seen = played.state(now)
    if seen.type != "finished":
        return None
    if not seen.started:
        return played.story.awarded_to
    margin = goals(played, HOME, seen) - goals(played, AWAY, seen)
    if played.story.shootout:
        margin = played.story.shootout[HOME] - played.story.shootout[AWAY]
    if margin == 0:
        return None
    return HOME if margin > 0 else AWAY


def goals(played: Match, side: int, seen: State) -> int:
    """Goals of play so far, extra time included, penalties not."""
    return played.story.scored(side, 1, seen.minute)
