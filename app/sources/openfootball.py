"""openfootball's files: one competition's season each, local times, no ids of its own."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from hashlib import blake2b
from typing import NoReturn
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from app.core.text import N_
from app.sources import decoding
from app.sources.base import (
    DecidedBy,
    Match,
    MatchStatus,
    OpenSource,
    Request,
    RowError,
    with_winner,
)
from app.sources.decoding import Goals, less
from app.sources.details import Detail

COMPETITION = "en.1"
_SEASON_BEGINS = 7  # July
_STATUS = {
    "cancelled": MatchStatus.CANCELLED,
    "canceled": MatchStatus.CANCELLED,
    "postponed": MatchStatus.POSTPONED,
    "abandoned": MatchStatus.ABANDONED,
    "suspended": MatchStatus.SUSPENDED,
    "awarded": MatchStatus.FINISHED,
}
# Of the first part of a competition's code ("en.1"); files of other competitions name no zone.
_ZONES = {
    "at": "Europe/Vienna",
    "be": "Europe/Brussels",
    "ch": "Europe/Zurich",
    "de": "Europe/Berlin",
    "en": "Europe/London",
    "es": "Europe/Madrid",
    "fr": "Europe/Paris",
    "gr": "Europe/Athens",
    "it": "Europe/Rome",
    "nl": "Europe/Amsterdam",
    "pt": "Europe/Lisbon",
    "sco": "Europe/London",
    "tr": "Europe/Istanbul",
}
_TIME = re.compile(r"([0-9]{1,2})[:.h]([0-9]{2})(?:\s*UTC\s*([+-][0-9]{1,2})(?::([0-9]{2}))?)?")
Pair = tuple[Goals, Goals]
NOBODY = (None, None)


class _Score(msgspec.Struct):
    ht: Pair | None = None
    ft: Pair | None = None
    et: Pair | None = None  # with the 90 minutes
    p: Pair | None = None


class _Game(msgspec.Struct):
    date: str
    team1: str
    team2: str
    round: str | None = None
    time: str | None = None
    score: _Score | Pair | None = None
    status: str | None = None
    group: str | None = None


class _Row(msgspec.Struct):
    """A match with its file's name, which tells competition and season."""

    file: str
    match: _Game


class _When(msgspec.Struct):
    date: str


class OpenFootball(OpenSource):
    """openfootball: files in the public domain (CC0), typed by hand; no key, no limits.

    Recorded: two leagues and a World Cup. A file is one competition's season, from which the rows
    of the day are taken; a season begins in July. There are no ids: one is made of the file's name,
    round and teams, so a team that is renamed makes another match. Times are local, with "UTC-4"
    in some files; without a known zone or time the match stands at 00:00 UTC of its day. A
    shoot-out that ends level ("[4,4]" was seen) is a typing error and not passed on.
    """

    name = "openfootball"
    title = "openfootball"
    licence_note = N_("Public domain (CC0); typed by volunteers, some days after the matches.")
    needs_token = False
    needs_permission = False
    default_base_url = "https://raw.githubusercontent.com/openfootball/football.json/master"
    single_row_means_no_data = False
    echoed_key: re.Pattern[str] | None = None
    detail_kinds: tuple[str, ...] = ()

    def __init__(self, base_url: str | None = None, competition: str = COMPETITION) -> None:
        self.base_url = (base_url or self.default_base_url).rstrip("/")
        self.competition = competition

    def day_request(self, day: date) -> Request:
        """Ask for the file of the season in which `day` lies."""
        first = day.year if day.month >= _SEASON_BEGINS else day.year - 1
        tail = f"{quote(self.competition, safe='')}.json"
        season = f"{first}-{(first + 1) % 100:02}"
        return Request(f"{self.base_url}/{season}/{tail}", f"{self.base_url}/{{season}}/{tail}")

    def detail_request(self, kind: str, ids: Sequence[str]) -> NoReturn:
        """Nothing: the files have no details that can be asked for by themselves."""
        raise ValueError(f"openfootball has no {kind} of {ids}")

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows of `day`, as the file writes it; each with the file's name put beside it."""
        name = decoding.members(text).get("name", msgspec.Raw(b'""'))
        rows = decoding.rows(text, "matches")
        wanted = [row for row in rows if day is None or _day_of(row) in (day.isoformat(), None)]
        return [msgspec.Raw(msgspec.json.encode({"file": name, "match": row})) for row in wanted]

    def normalise(self, row: msgspec.Raw) -> Match:
        """One match: played when it has a score, since most rows have no status."""
        told = decoding.read_row(row, _Row)
        game, file = told.match, told.file
        season = re.search(r"[0-9]{4}(?:[/-][0-9]{2,4})?\s*$", file)
        match = Match(
            source_id=_made_id(file, game),
            kickoff=_kickoff(game, self.competition),
            status=_status(game),
            raw_status=game.status or "",
            home=game.team1,
            away=game.team2,
            decided_by=_decided_by(game),
            competition=(file[: season.start()] if season else file).strip() or None,
            competition_id=self.competition,
            season=season[0].strip() if season else None,
            round=", ".join(part for part in (game.round, game.group) if part) or None,
        )
        return with_winner(msgspec.structs.replace(match, **_scores(game)))

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """Nothing, see `detail_request`."""
        del kind, text
        return []

    def detail(self, kind: str, row: msgspec.Raw) -> Detail:
        """Nothing, see `detail_request`."""
        raise RowError(f"openfootball has no {kind}: {bytes(row)[:40]!r}")


def _day_of(row: msgspec.Raw) -> str | None:
    try:
        return decoding.read_row(row, _When).date
    except RowError:
        return None


def _made_id(file: str, game: _Game) -> str:
    """The same for the same match as long as nobody renames a team or the file."""
    parts = (file, game.round or "", game.team1, game.team2)
    return blake2b("\0".join(parts).encode(), digest_size=10).hexdigest()


def _kickoff(game: _Game, competition: str) -> datetime:
    day = decoding.moment(game.date, "date")
    told = _TIME.match(game.time or "")
    zone = _zone(told, competition)
    if told is None or zone is None:
        return day
    if int(told[1]) > 23 or int(told[2]) > 59:
        raise RowError(f"no such time: {told[0]!r} - at `$.match.time`")
    at = day.replace(hour=int(told[1]), minute=int(told[2]), tzinfo=zone)
    return at.astimezone(UTC)


def _zone(told: re.Match[str] | None, competition: str) -> tzinfo | None:
    """What the time says ("UTC-4"), else the zone of the competition's country, if we know it."""
    if told and told[3]:
        minutes = int(told[4] or 0) * (-1 if told[3].startswith("-") else 1)
        offset = timedelta(hours=int(told[3]), minutes=minutes)
        return timezone(offset) if abs(offset) < timedelta(days=1) else None
    name = _ZONES.get(competition.partition(".")[0])
    return ZoneInfo(name) if name else None


def _status(game: _Game) -> MatchStatus:
    if game.status:
        return _STATUS.get(game.status.lower(), MatchStatus.UNKNOWN)
    if _score(game).ft:
        return MatchStatus.FINISHED
    return MatchStatus.SCHEDULED if game.time else MatchStatus.TIME_TBD


def _score(game: _Game) -> _Score:
    """A plain pair is the score after 90 minutes."""
    return _Score(ft=game.score) if isinstance(game.score, tuple) else game.score or _Score()


def _decided_by(game: _Game) -> DecidedBy | None:
    score = _score(game)
    if (game.status or "").lower() == "awarded":
        return DecidedBy.AWARDED
    if _status(game) is not MatchStatus.FINISHED:
        return None
    if score.p:
        return DecidedBy.PENS
    return DecidedBy.AET if score.et else DecidedBy.REGULAR


def _scores(game: _Game) -> dict[str, int | None]:
    """Both sides' scores by the names of `Match`."""
    score = _score(game)
    kicks = score.p if score.p and score.p[0] != score.p[1] else NOBODY
    scores: dict[str, int | None] = {}
    for place, side in enumerate(("home", "away")):
        regular, late = (score.ft or NOBODY)[place], (score.et or NOBODY)[place]
        scores[f"{side}_half_time"] = (score.ht or NOBODY)[place]
        scores[f"{side}_regular"] = regular
        scores[f"{side}_score"] = regular if late is None else late
        scores[f"{side}_extra"] = less(late, regular)
        scores[f"{side}_penalties"] = kicks[place]
    return scores
