"""The fault plan: which request gets which fault, and what it makes of the answer; no network.

A plan is a JSON list; the first rule that matches and is not used up wins:

    {"match": "regex on path?query", "times": 3 | null (always), "every": 10 (each 10th hit),
     "status": 429, "headers": {"Retry-After": "2"}, "body": "text" or any JSON,
     "body_file": "path below the plan's folder", "delay_s": 1.5, "size_mb": 30,
     "action": "reset" | "truncate" | "drip" | "empty"
             | "block" (403, challenge) | "html" (200) | "malformed" (200, cut-off JSON)
             | "broken_row" (a day list in which one row cannot be read)}
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from app.sandbox.answers import encode, with_broken_row
from app.sandbox.reply import Delivery, Reply
from app.sandbox.words import say

FileReader = Callable[[str], bytes]  # raises OSError

_MEGABYTE = 1024 * 1024
_LARGEST_MB = 4096
_LONGEST_DELAY_S = 3600
_DEMO_EVERY_DAYS = 7
_DAY_LIST = re.compile(r"/api/v1/sport/football/scheduled-events/([0-9]{4}-[0-9]{2}-[0-9]{2})")
_HTML = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body><h1>Checking your browser</h1></body></html>"
)


class Action(StrEnum):
    RESET = "reset"
    TRUNCATE = "truncate"
    DRIP = "drip"
    EMPTY = "empty"
    BLOCK = "block"
    HTML = "html"
    MALFORMED = "malformed"
    BROKEN_ROW = "broken_row"


class PlanError(ValueError):
    """Its text is the sentence the person reads."""


@dataclass(frozen=True, slots=True)
class Rule:
    match: re.Pattern[str]
    times: int | None = None  # None: always
    every: int | None = None
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    action: Action | None = None
    size_mb: float | None = None


# Reading a plan

_KEYS = ("match", "times", "every", "status", "headers", "body", "body_file", "delay_s", "action")
KNOWN_KEYS = (*_KEYS, "size_mb")


def parse_plan(text: str | bytes, read_file: FileReader) -> list[Rule]:
    """Raises PlanError, whose sentence names the rule, counted from 1."""
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise PlanError(say("plan_not_json", why=error)) from error
    if not isinstance(rows, list):
        raise PlanError(say("plan_not_list"))
    return [_rule(number, row, read_file) for number, row in enumerate(rows, 1)]


def _rule(number: int, row: Any, read_file: FileReader) -> Rule:
    if not isinstance(row, dict):
        raise PlanError(say("rule_not_object", rule=number))
    for key in row:
        if key not in KNOWN_KEYS:
            known = ", ".join(KNOWN_KEYS)
            raise PlanError(say("rule_unknown_key", rule=number, key=repr(key), known=known))
    for key, value in row.items():
        if not _is_valid(key, value):
            wrong = json.dumps(value, ensure_ascii=False)
            raise PlanError(say("rule_bad_value", rule=number, key=key, value=wrong))
    return Rule(
        _regex(number, row),
        row.get("times"),
        row.get("every"),
        row.get("status"),
        {name: str(value) for name, value in row.get("headers", {}).items()},
        _body(number, row, read_file),
        float(row.get("delay_s") or 0),
        Action(row["action"]) if row.get("action") else None,
        row.get("size_mb"),
    )


def _is_number(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most


def _is_header(name: Any, value: Any) -> bool:
    """One line of Latin-1: anything else would break the answer in two."""
    token = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
    plain = re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", str(value))
    return bool(token and plain) and type(value) in (str, int, float)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "match": lambda v: isinstance(v, str),
    "times": lambda v: v is None or (type(v) is int and v >= 0),
    "every": lambda v: v is None or (type(v) is int and v >= 1),
    "status": lambda v: type(v) is int and 200 <= v <= 599,
    "headers": lambda v: isinstance(v, dict) and all(_is_header(*pair) for pair in v.items()),
    "body_file": lambda v: isinstance(v, str) and bool(v),
    "delay_s": lambda v: v is None or _is_number(v, 0, _LONGEST_DELAY_S),
    "action": lambda v: v is None or v in tuple(Action),
    "size_mb": lambda v: v is None or (_is_number(v, 0, _LARGEST_MB) and v > 0),
}


def _is_valid(key: str, value: Any) -> bool:
    return key not in _CHECKS or _CHECKS[key](value)


def _regex(number: int, row: dict[str, Any]) -> re.Pattern[str]:
    if "match" not in row:
        raise PlanError(say("rule_no_match", rule=number))
    try:
        return re.compile(row["match"])
    except (re.error, OverflowError, RecursionError) as error:
        shown = repr(row["match"])
        raise PlanError(say("rule_bad_regex", rule=number, value=shown, why=error)) from error


def _body(number: int, row: dict[str, Any], read_file: FileReader) -> bytes | None:
    if "body_file" in row:
        try:
            return read_file(row["body_file"])
        except (OSError, ValueError) as error:
            wrong = repr(row["body_file"])
            raise PlanError(say("rule_no_file", rule=number, value=wrong)) from error
    if "body" not in row:
        return None
    body = row["body"]
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode()


# Choosing


class FaultPlan:
    """Counts what each rule has seen and done; the rules themselves never change."""

    def __init__(self, rules: Sequence[Rule] = (), demo_today: date | None = None) -> None:
        self._rules = [(rule, [0, 0]) for rule in rules]
        self._demo_today = demo_today
        self._demo_done: set[str] = set()

    def fault_for(self, target: str) -> Rule | None:
        """The rule for this request, which is counted as seen."""
        for rule, counts in self._rules:
            if rule.match.search(target) and _is_due(rule, counts):
                return rule
        return self._demo_fault(target)

    def _demo_fault(self, target: str) -> Rule | None:
        found = _DAY_LIST.fullmatch(target.partition("?")[0])
        if not self._demo_today or not found or found[1] in self._demo_done:
            return None
        self._demo_done.add(found[1])
        try:
            return demo_rule((self._demo_today - date.fromisoformat(found[1])).days)
        except ValueError:  # no such day: its own answer says so
            return None


def _is_due(rule: Rule, counts: list[int]) -> bool:
    seen, used = counts
    counts[0] = seen + 1
    if (rule.every and counts[0] % rule.every) or (rule.times is not None and used >= rule.times):
        return False
    counts[1] = used + 1
    return True


_DEMO = {
    0: Rule(_DAY_LIST, action=Action.BROKEN_ROW),
    1: Rule(_DAY_LIST, status=404),
    3: Rule(_DAY_LIST, status=503, headers={"Retry-After": "2"}),
}


def demo_rule(days_ago: int) -> Rule | None:
    """What the first ask for a day's list gets: a newcomer is to see an error, and its repair."""
    return _DEMO.get(days_ago % _DEMO_EVERY_DAYS)


# Spoiling


def spoil(rule: Rule, reply: Reply) -> Reply:
    """The answer as the fault leaves it (its delay is the server's business)."""
    status = rule.status if rule.status is not None else reply.status
    headers = {**reply.headers, **rule.headers}
    reply = replace(reply, status=status, headers=headers, spoiled=_changes_the_answer(rule))
    if rule.body is not None:
        reply = replace(reply, body=rule.body)
    elif rule.size_mb:
        reply = _padded(reply, int(rule.size_mb * _MEGABYTE))
    elif rule.status is not None and rule.status >= 400:
        reply = _error(reply)
    return _act(rule, reply)


def _changes_the_answer(rule: Rule) -> bool:
    """A rule that only delays leaves packing and tags as they are."""
    return rule != Rule(rule.match, rule.times, rule.every, delay_s=rule.delay_s)


def _error(reply: Reply) -> Reply:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Error"
    if reply.status >= 500:
        page = f"<html><body><h1>{reply.status} {phrase}</h1></body></html>"
        return replace(reply, body=page.encode(), content_type="text/html")
    error = {"error": {"code": reply.status, "message": phrase}}
    return replace(reply, body=encode(error))


def _padded(reply: Reply, size: int) -> Reply:
    """A valid day list of exactly this many bytes, most of which are made while they are sent."""
    head, tail = b'{"events":[],"padding":"', b'"}'
    return replace(reply, body=head, tail=tail, padding=max(0, size - len(head) - len(tail)))


def _act(rule: Rule, reply: Reply) -> Reply:
    match rule.action:
        case Action.RESET | Action.TRUNCATE | Action.DRIP:
            return replace(reply, delivery=Delivery(rule.action.value))
        case Action.EMPTY:
            return replace(reply, body=b"", padding=0, tail=b"")
        case Action.BROKEN_ROW:
            return replace(reply, body=with_broken_row(reply.body))
        case Action.MALFORMED:
            half = reply.body[: max(1, len(reply.body) // 2)]
            return replace(reply, status=rule.status or 200, body=half)
        case Action.BLOCK | Action.HTML:
            return _barred(rule, reply)
    return reply


def _barred(rule: Rule, reply: Reply) -> Reply:
    """Kept out by a robot check: in JSON with 403, or as a page that says 200."""
    if rule.action is Action.HTML:
        reply = replace(reply, status=200, body=_HTML, content_type="text/html; charset=utf-8")
    else:
        challenge = {"error": {"code": 403, "reason": "challenge"}}
        reply = replace(reply, status=403, body=encode(challenge))
    return replace(reply, status=rule.status or reply.status, body=rule.body or reply.body)
