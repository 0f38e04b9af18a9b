"""From an answer's bytes to text and JSON, and the words that all providers use alike; pure."""

import codecs
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, TypeVar

import msgspec

from app.sources.base import Code, RowError, ShapeError

Row = TypeVar("Row")
Goals = Annotated[int, msgspec.Meta(ge=0, le=999)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Only these are believed when declared: Python also knows "hex" or "unicode_escape" by such a name.
_CHARSET = re.compile(r"charset\s*=\s*\"?'?((?:utf|iso-8859|windows|cp|us-ascii|koi8)[\w-]*)", re.I)

_TOKEN = re.compile(
    r"\b(?:api|auth|access)[ _-]?(?:token|key)\b"
    r"|\b(?:invalid|missing|expired) (?:token|key)\b"
    r"|\btoken (?:is )?(?:invalid|missing|expired|not valid)\b",
    re.I,
)
_PLAN = re.compile(r"\brestricted\b|\bpermissions?\b|\bsubscription\b", re.I)
_DAILY = re.compile(r"\b(?:the|per|each|a|this|one) day\b|\bdaily\b|\b24 ?h(?:ours)?\b", re.I)
_WAIT = re.compile(r"\bwait\b\D{0,20}([0-9]{1,9}(?:\.[0-9]+)?) ?(s|min|h)?", re.I)
_UNIT_S = {"s": 1, "min": 60, "h": 3600}
_PAGE = re.compile(r"<(?:!doctype html|html|head|body|script|iframe|title)\b", re.I)
_CHALLENGE = re.compile(r"\bcaptcha\b|are you (?:a )?(?:human|robot)|just a moment", re.I)
_DENIED = re.compile(r"access denied", re.I)


def to_text(body: bytes, content_type: str = "") -> tuple[str, str]:
    """The text of `body` and the encoding that gave it. Never fails.

    A byte order mark counts most, then what the header declares, then UTF-8. Last comes cp1252, in
    which nearly every byte is a letter; the few that are none become U+FFFD.
    """
    marked = [encoding for mark, encoding in _MARKS if body.startswith(mark)][:1]
    declared = _CHARSET.findall(content_type)
    for encoding in (*marked, *declared, "utf-8"):
        try:
            return body.decode(encoding), encoding.lower()
        except (UnicodeError, LookupError):
            continue
    return body.decode("cp1252", "replace"), "cp1252"


def members(text: str) -> dict[str, msgspec.Raw]:
    """The members of the JSON object in `text`, still raw.

    ValueError when it is not JSON, ShapeError when it is JSON but no object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return _members_the_slow_way(text)


def _members_the_slow_way(text: str) -> dict[str, msgspec.Raw]:
    """As `members`, for what msgspec refuses: NaN, control characters, half surrogate pairs."""
    document, clean = _cleaned(text)
    if not isinstance(document, dict):
        raise ShapeError(f"the answer is a {type(document).__name__}, not an object")
    return msgspec.json.decode(clean, type=dict[str, msgspec.Raw])


def _cleaned(text: str) -> tuple[object, bytes]:
    """What the text holds, and the same as JSON that msgspec reads."""
    try:
        document = json.loads(text, parse_constant=lambda _: None, strict=False)
        return document, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def rows(text: str, key: str) -> list[msgspec.Raw]:
    """The list under `key`, row by row and still raw, so that one bad row is refused alone.

    ShapeError names the key when it is missing or no list; ValueError when the text is not JSON.
    """
    found = members(text)
    if key not in found:
        raise ShapeError(f"“{key}” is missing")
    try:
        return msgspec.json.decode(found[key], type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise ShapeError(f"“{key}” is not a list") from error


def listed(text: str) -> list[msgspec.Raw]:
    """The rows of an answer that is nothing but a list. Errors as `rows`."""
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    except (ValueError, RecursionError):
        document, clean = _cleaned(text)
    if not isinstance(document, list):
        raise ShapeError(f"the answer is a {type(document).__name__}, not a list")
    return msgspec.json.decode(clean, type=list[msgspec.Raw])


def whole(text: str, *keys: str) -> msgspec.Raw:
    """An answer that is a row itself and has these keys, cleaned. Errors as `rows`."""
    found = members(text)
    for key in keys:
        if key not in found:
            raise ShapeError(f"“{key}” is missing")
    return msgspec.Raw(msgspec.json.encode(found))


def read_row(row: msgspec.Raw, kind: type[Row]) -> Row:
    """One row as a `kind`. RowError names the field that is missing or wrong."""
    if b"\\u0000" in bytes(row):
        raise RowError("a zero character, which no database keeps")
    try:
        return msgspec.json.decode(row, type=kind)
    except (ValueError, RecursionError) as error:
        raise RowError(str(error)) from error


def moment(text: str, field: str) -> datetime:
    """An ISO 8601 time, aware; without a zone it is UTC. RowError names the field."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RowError(f"no such time: {text[:40]!r} - at `$.{field}`") from error


def epoch(seconds_: int, field: str) -> datetime:
    """Seconds since 1970, aware. RowError names the field."""
    try:
        return _EPOCH + timedelta(seconds=seconds_)
    except OverflowError as error:
        raise RowError(f"no such time - at `$.{field}`") from error


def as_text(value: str | float | None) -> str | None:
    """An id or a number as text; None stays None."""
    return None if value is None else str(value)


def less(whole_: int | None, part: int | None) -> int | None:
    """`whole_` without `part`; None when one is unknown or the sum cannot be right."""
    return None if whole_ is None or part is None or part > whole_ else whole_ - part


def is_page(text: str) -> bool:
    """Whether this is a page for people (HTML, a captcha) where JSON was due."""
    start = text[:3000].lstrip("\ufeff \t\r\n")
    if start[:1] in ("{", "["):
        return False
    return bool(_PAGE.search(start) or _CHALLENGE.search(start) or _DENIED.search(start))


def is_challenge(text: str) -> bool:
    """Whether this is a page that wants to see a person, whatever the status it comes with."""
    return is_page(text) and bool(_CHALLENGE.search(text[:3000]))


_PLAIN = {
    401: Code.AUTH_INVALID,
    404: Code.NOT_FOUND,
    408: Code.TIMEOUT_READ,
    410: Code.GONE,
    425: Code.SERVER_ERROR,
    499: Code.SERVER_ERROR,
}


def usual_code(status: int, words: str) -> Code:
    """What an HTTP status from 300 on means at most providers; `words` is the text with it.

    3xx is a redirect that was not followed (another host). It is a SERVER_ERROR, since the
    provider's set-up is at fault and may be mended the next time. 408, 425 and 499
    (API-Football: "Time Out") mean "later", 410 "no more"; other 4xx are BAD_REQUEST.
    """
    if status < 400 or status >= 500:
        return Code.SERVER_ERROR
    if status == 429:
        return Code.QUOTA_EXHAUSTED if _DAILY.search(words) else Code.RATE_LIMITED
    if status in (400, 403) and not is_page(words) and _TOKEN.search(words):
        return Code.AUTH_INVALID
    if status == 403:
        plan = not is_page(words) and _PLAN.search(words)
        return Code.FORBIDDEN_PLAN if plan else Code.BLOCKED
    return _PLAIN.get(status, Code.BAD_REQUEST)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` that a Retry-After header asks for, at least 0; None when it says nothing.

    Both forms of RFC 9110: seconds, or an HTTP date.
    """
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def sent_at(headers: Mapping[str, str]) -> datetime | None:
    """When an answer was sent, by its Date header, in UTC; None when it does not say."""
    try:
        at = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def wait_in(words: str) -> float | None:
    """Seconds that a sentence such as “Wait 48 seconds.” asks for; None when it says nothing.

    football-data.org says it so and sends no Retry-After.
    """
    found = _WAIT.search(words)
    return float(found[1]) * _UNIT_S[(found[2] or "s").lower()] if found else None


def seconds(headers: Mapping[str, str], name: str) -> float | None:
    """A header that is a number of seconds; None when it is missing or anything else."""
    value = headers.get(name, "").strip()
    return float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) else None
