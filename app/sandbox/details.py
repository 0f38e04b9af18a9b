"""The small print of one match, SofaScore-shaped: statistics, incidents and line-ups."""

from dataclasses import dataclass
from typing import Any

from app.sandbox.names import Team, slug
from app.sandbox.play import AWAY, HALF_TIME, HOME, Dice, State
from app.sandbox.season import Match

Json = dict[str, Any]

LINEUPS_BEFORE_S = 3600
_SQUAD = 20
_STARTERS = 11
_POSITIONS = "G" + "D" * 4 + "M" * 4 + "F" * 2 + "GDDMMMFFF"

_FIRST_NAMES = (
    "Çağan|Işık|Ömür|Kərim|Elnur|Rüfət|Aldwin|Rory|Íñigo|Nuño|Jörg|Lüder|Fausto|Nicolò|Gaël|Loïc"
    "|Estêvão|João|Joris|Sjoerd|Łukasz|Żegota|Ondřej|Jiří|Þór|Ægir|Thiago|Facundo|Haruto|Kaito"
    "|Minh|Đức"
)
_LAST_NAMES = (
    "Akgümüş|Çınarlı|Taşözü|Qaraağac|Əliyurd|Marlwick|O'Thorne|Penarrosa|Valnuño|Grünhag|Süßmoor"
    "|Montelupo|D'Ombra|L'Aubépin|Clairœil|Ourém|Sá Neves|van 't Veen|IJzerman|Świerk|Źródło"
    "|Třešeň|Řehák|Hvítdal|Fjörður|Açucena|Ombúes|Tsukino|Hoshino|Ngọc|Trăng|Sương"
)

# key, name, smallest home or away value, how much is added at most
_STATISTICS = (
    (
        "Shots",
        (("totalShotsOnGoal", "Total shots", 9, 12), ("shotsOnGoal", "Shots on target", 5, 4)),
    ),
    ("Attack", (("cornerKicks", "Corner kicks", 0, 11), ("offsides", "Offsides", 0, 6))),
    ("Passes", (("passes", "Passes", 210, 360), ("accurateThroughBall", "Through balls", 0, 9))),
    ("Defending", (("totalTackle", "Tackles", 6, 20), ("fouls", "Fouls", 4, 15))),
)


@dataclass(frozen=True, slots=True)
class _Item:
    key: str
    name: str
    home: int
    away: int
    unit: str = ""

    def shape(self) -> Json:
        ahead = 3 if self.home == self.away else 1 if self.home > self.away else 2
        return {
            "key": self.key,
            "name": self.name,
            "home": f"{self.home}{self.unit}",
            "away": f"{self.away}{self.unit}",
            "homeValue": self.home,
            "awayValue": self.away,
            "compareCode": ahead,
        }


def statistics(seed: int, played: Match, now: int) -> Json | None:
    """None (a 404 there too) as long as nothing was played."""
    seen = played.state(now)
    if not seen.started:
        return None
    known = {"ALL": True, "1ST": _after(45, seen), "2ND": _after(90, seen)}
    return {"statistics": [_period(seed, played.id, name) for name in known if known[name]]}


def _after(minute: int, seen: State) -> bool:
    """Whether the period that ends at this minute is complete."""
    whistled = seen.over or seen.code == HALF_TIME
    return seen.minute > minute or (whistled and seen.minute == minute)


def _period(seed: int, match_id: int, period: str) -> Json:
    dice = Dice(seed, match_id, "statistics", period)
    possession = 30 + dice.roll(41)
    overview = [_Item("ballPossession", "Ball possession", possession, 100 - possession, "%")]
    groups = [("Match overview", overview)]
    for group, items in _STATISTICS:
        drawn = [
            _Item(key, name, least + dice.roll(more), least + dice.roll(more))
            for key, name, least, more in items
        ]
        groups.append((group, drawn))
    shapes = [
        {"groupName": group, "statisticsItems": [item.shape() for item in items]}
        for group, items in groups
    ]
    return {"period": period, "groups": shapes}


def incidents(seed: int, played: Match, now: int) -> Json | None:
    """Newest first, as there; None as long as nothing was played."""
    seen = played.state(now)
    if not seen.started:
        return None
    found = [
        *_goals(seed, played, seen),
        *_cards(seed, played, seen),
        *_changes(seed, played, seen),
    ]
    found += _whistles(played, seen)
    # Newest first, also within a minute: sorting in reverse would keep equals in their old order.
    found.sort(key=lambda one: (one["time"], one["incidentType"] == "period"))
    found.reverse()
    return {"incidents": [dict(one, id=played.id * 100 + n) for n, one in enumerate(found)]}


def _goals(seed: int, played: Match, seen: State) -> list[Json]:
    dice, score, found = Dice(seed, played.id, "scorers"), [0, 0], []
    for goal in played.story.goals:
        score[goal.side] += 1
        kind = ("regular", "penalty", "ownGoal")[dice.weighted((88, 9, 3))]
        scorers = played.team(goal.side if kind != "ownGoal" else 1 - goal.side)
        row = _incident("goal", kind, goal.minute, goal.side)
        row |= {"homeScore": score[HOME], "awayScore": score[AWAY]}
        found.append(row | {"player": _player(seed, scorers, 1 + dice.roll(_STARTERS - 1))})
    return [row for row in found if row["time"] <= seen.minute]


def _cards(seed: int, played: Match, seen: State) -> list[Json]:
    dice, found = Dice(seed, played.id, "cards"), []
    for _ in range(dice.roll(7)):
        side, minute = dice.roll(2), 1 + dice.roll(90)
        colour = ("yellow", "red")[dice.weighted((95, 5))]
        row = _incident("card", colour, minute, side)
        found.append(row | {"player": _player(seed, played.team(side), dice.roll(_STARTERS))})
    return [row for row in found if row["time"] <= seen.minute]


def _changes(seed: int, played: Match, seen: State) -> list[Json]:
    dice, found = Dice(seed, played.id, "substitutions"), []
    for side in (HOME, AWAY):
        team = played.team(side)
        for number in range(3):
            row = _incident("substitution", "regular", 46 + dice.roll(44), side)
            row["playerIn"] = _player(seed, team, _STARTERS + 1 + number)
            row["playerOut"] = _player(seed, team, 2 + number * 3 + dice.roll(3))
            found.append(row)
    return [row for row in found if row["time"] <= seen.minute]


def _whistles(played: Match, seen: State) -> list[Json]:
    periods = (("HT", 45), ("FT", 90), ("AET", 120))
    return [_whistle(text, minute, played) for text, minute in periods if _after(minute, seen)]


def _whistle(text: str, minute: int, played: Match) -> Json:
    home, away = (played.story.scored(side, 1, minute) for side in (HOME, AWAY))
    return {
        "incidentType": "period",
        "text": text,
        "time": minute,
        "addedTime": 999,
        "homeScore": home,
        "awayScore": away,
    }


def _incident(kind: str, flavour: str, minute: int, side: int) -> Json:
    return {
        "incidentType": kind,
        "incidentClass": flavour,
        "time": minute,
        "addedTime": 0,
        "isHome": side == HOME,
    }


def lineups(seed: int, played: Match, now: int) -> Json | None:
    """Known an hour before kick-off; None before, and for a match that never started."""
    seen = played.state(now)
    if now < played.kickoff - LINEUPS_BEFORE_S or (seen.over and not seen.started):
        return None
    sides = {"home": _side(seed, played.home), "away": _side(seed, played.away)}
    return {"confirmed": now >= played.kickoff - LINEUPS_BEFORE_S // 2, **sides}


def _side(seed: int, team: Team) -> Json:
    players = [
        {
            "player": _player(seed, team, number),
            "teamId": team.id,
            "shirtNumber": number + 1,
            "jerseyNumber": str(number + 1),
            "position": _POSITIONS[number],
            "substitute": number >= _STARTERS,
        }
        for number in range(_SQUAD)
    ]
    return {"players": players, "formation": "4-4-2"}


def _player(seed: int, team: Team, number: int) -> Json:
    dice = Dice(seed, team.id, number, "player")
    first, last = _one_of(_FIRST_NAMES, dice), _one_of(_LAST_NAMES, dice)
    return {
        "id": team.id * 100 + number,
        "name": f"{first} {last}",
        "slug": slug(f"{first} {last}"),
        "shortName": f"{first[0]}. {last}",
        "position": _POSITIONS[number],
        "jerseyNumber": str(number + 1),
    }


def _one_of(names: str, dice: Dice) -> str:
    choices = names.split("|")
    return choices[dice.roll(len(choices))]
