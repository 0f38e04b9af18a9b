"""From a path to its answer, faults aside: the pages of the pretend API. Pure but for its clock."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import parse_qs

from app.sandbox import answers, details
from app.sandbox.answers import Json
from app.sandbox.reply import Reply
from app.sandbox.season import (
    CATALOGUE_FIRST_ID,
    CATALOGUE_SIZE,
    Match,
    listed_on,
    match,
    matches_of,
)
from app.sandbox.words import say

Clock = Callable[[], int]  # epoch seconds

_KEPT_LISTS = 128
_LONGEST_PERIOD_DAYS = 10
_DETAILS = {
    "statistics": details.statistics,
    "incidents": details.incidents,
    "lineups": details.lineups,
}


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case

    @classmethod
    def of(cls, target: str, headers: dict[str, str]) -> "Call":
        path, _, query = target.partition("?")
        return cls(path, parse_qs(query), headers)


def _failed(status: int, message: str) -> Reply:
    return Reply(status, answers.encode({"error": {"code": status, "message": message}}))


NOT_FOUND = _failed(404, "Not Found")
BAD_REQUEST = _failed(400, "Bad Request")


def _v4_failed(status: int, message: str) -> Reply:
    return Reply(status, answers.encode({"message": message, "errorCode": status}))


class Site:
    def __init__(self, seed: int, clock: Clock) -> None:
        self._seed, self._clock = seed, clock
        self._lists: OrderedDict[date, bytes] = OrderedDict()
        self._routes = (
            (re.compile(r"/api/v1/sport/football/scheduled-events/([^/]+)"), self._day),
            (re.compile(r"/api/v1/event/([0-9]{1,12})"), self._event),
            (re.compile(r"/api/v1/event/([0-9]{1,12}/[a-z]+)"), self._detail),
            (re.compile(r"/v4/matches"), self._v4_list),
            (re.compile(r"/v4/matches/([0-9]{1,12})"), self._v4_match),
            (re.compile(r"/"), self._about),
        )

    def answer(self, call: Call) -> Reply:
        for pattern, page in self._routes:
            if found := pattern.fullmatch(call.path):
                return page(call, found[1] if found.groups() else "")
        return NOT_FOUND

    def _about(self, _call: Call, _argument: str) -> Reply:
        last = CATALOGUE_FIRST_ID + CATALOGUE_SIZE - 1
        paths = ["/api/v1/sport/football/scheduled-events/YYYY-MM-DD", "/api/v1/event/<id>"]
        paths += [f"/api/v1/event/<id>/{name}" for name in _DETAILS]
        paths += ["/v4/matches?dateFrom=&dateTo=", "/v4/matches/<id>", "/_count", "/_health"]
        about = {"about": say("about"), "ids": [CATALOGUE_FIRST_ID, last], "paths": paths}
        return Reply(200, answers.encode(about))

    # SofaScore

    def _day(self, _call: Call, text: str) -> Reply:
        try:
            day = _iso_date(text)
        except ValueError:
            return BAD_REQUEST
        return Reply(200, self._day_body(day), tagged=True)

    def _day_body(self, day: date) -> bytes:
        """A past day never changes, so it is written only once as long as it is kept."""
        now = self._clock()
        if day in self._lists:
            self._lists.move_to_end(day)
            return self._lists[day]
        body = answers.encode(answers.day_list(listed_on(self._seed, day), now))
        if _is_past(day, now):
            self._lists[day] = body
            if len(self._lists) > _KEPT_LISTS:
                self._lists.popitem(last=False)
        return body

    def _match(self, number: str) -> Match | None:
        return match(self._seed, int(number))

    def _event(self, _call: Call, number: str) -> Reply:
        played = self._match(number)
        if played is None:
            return NOT_FOUND
        return Reply(200, answers.encode({"event": answers.event(played, self._clock())}))

    def _detail(self, _call: Call, argument: str) -> Reply:
        number, _, name = argument.partition("/")
        played = self._match(number)
        if played is None or name not in _DETAILS:
            return NOT_FOUND
        found = _DETAILS[name](self._seed, played, self._clock())
        return NOT_FOUND if found is None else Reply(200, answers.encode(found))

    # football-data.org

    def _v4_match(self, call: Call, number: str) -> Reply:
        if refusal := _unauthorised(call):
            return refusal
        played = self._match(number)
        if played is None:
            return _v4_failed(404, "The resource you are looking for does not exist.")
        return Reply(200, answers.encode(answers.v4_match(played, self._clock())))

    def _v4_list(self, call: Call, _argument: str) -> Reply:
        if refusal := _unauthorised(call):
            return refusal
        try:
            first, last = self._period(call.query)
        except (ValueError, OverflowError):
            return _v4_failed(400, "Value provided for date is invalid.")
        days = (last - first).days
        if days > _LONGEST_PERIOD_DAYS:
            return _v4_failed(400, "Specified period must not exceed 10 days.")
        found: list[Match] = []
        for offset in range(days):
            found += matches_of(self._seed, first + timedelta(days=offset))
        document: Json = answers.v4_list(found, first, last, self._clock())
        return Reply(200, answers.encode(document), tagged=True)

    def _period(self, query: dict[str, list[str]]) -> tuple[date, date]:
        """From and to, the latter excluded; today when nothing is asked for."""
        today = _day_of(self._clock())
        first = _iso_date(query["dateFrom"][0]) if "dateFrom" in query else today
        if "dateTo" in query:
            return first, _iso_date(query["dateTo"][0])
        return first, first + timedelta(days=1)


def _iso_date(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _day_of(now: int) -> date:
    return date(1970, 1, 1) + timedelta(seconds=now)


def _is_past(day: date, now: int) -> bool:
    return day < _day_of(now)


def _unauthorised(call: Call) -> Reply | None:
    if call.headers.get("x-auth-token"):
        return None
    return _v4_failed(400, "Your API token is invalid.")
