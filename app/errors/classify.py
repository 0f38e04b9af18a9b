"""From an answer, or none, to what it means: a code, a sentence and the matches; pure, no clock."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from app.core.text import N_, Sentence
from app.errors.messages import (
    ALL_REJECTED,
    EMPTY,
    MESSAGES,
    MOST_REJECTED,
    REDIRECT,
    SHRUNKEN,
    SINGLE,
    STRANGER,
)
from app.sources import decoding
from app.sources.base import (
    Answer,
    Code,
    Failure,
    Match,
    RejectedRow,
    RowError,
    Scope,
    ShapeError,
    Source,
    Verdict,
)
from app.sources.details import Detail

Row = TypeVar("Row")
SHORTEST_WAIT_S = 5.0  # a Retry-After of 0 was sent with a block; obeyed, it makes a loop
LONGEST_WAIT_S = 3600.0
LONGEST_QUOTA_WAIT_S = 86_400.0  # a daily quota may well say “in nine hours”
WINDOW_S = 60.0  # every provider we know counts requests by the minute
_PLACE = re.compile(r"%\((\w+)\)")
_TITLE = re.compile(r"<title[^<>]*>\s*([^<]{1,100})", re.I)


class Wants(msgspec.Struct, frozen=True):
    """What was asked for: the list of a day, or one kind of detail of some matches."""

    on: date | None = None  # of a day; None: the list is taken whole
    kind: str = ""  # of the source's `detail_kinds`; "" for a day
    ids: tuple[str, ...] = ()

    @classmethod
    def day(cls, day: date | None = None) -> "Wants":
        return cls(on=day)

    @classmethod
    def details(cls, kind: str, ids: Sequence[str]) -> "Wants":
        return cls(kind=kind, ids=tuple(ids))


class Outcome(msgspec.Struct, frozen=True):
    """What became of a request.

    `wait_s` is what the provider said, None where it said nothing and the code needs no wait.
    `count` is the rows in the answer; `matches` the good ones, each id once (the last row wins),
    and empty unless the code is OK or ROW_REJECTED: a suspect list is not to be stored. `details`
    are one for each match that was answered: of a batch some may be absent. `matches` are theirs.
    `evidence` is fit for JSON: the body's first 200 characters, encoding, content type and size.
    """

    code: Code
    message: Sentence
    scope: Scope
    http_status: int | None
    wait_s: float | None = None
    evidence: Mapping[str, object] = msgspec.field(default_factory=dict)
    matches: tuple[Match, ...] = ()
    rejected: tuple[RejectedRow, ...] = ()
    count: int = 0
    details: tuple[Detail, ...] = ()


_SCOPES = {
    Code.RATE_LIMITED: Scope.PROVIDER,
    Code.QUOTA_EXHAUSTED: Scope.PROVIDER,
    Code.BLOCKED: Scope.PROVIDER,
    Code.AUTH_INVALID: Scope.CREDENTIAL,
}


class _Read(msgspec.Struct, frozen=True):
    """What could be read of an answer's rows, and what could not."""

    count: int = 0
    rejected: tuple[RejectedRow, ...] = ()
    matches: tuple[Match, ...] = ()
    details: tuple[Detail, ...] = ()


_NOTHING = _Read()


class _Case(msgspec.Struct, frozen=True):
    """An answer under examination."""

    source: Source
    answer: Answer
    text: str
    encoding: str
    wants: Wants
    last_good: int
    not_found_before: bool
    now: datetime

    def outcome(
        self,
        code: Code,
        message: str = "",
        *,
        wait_s: float | None = None,
        read: "_Read | None" = None,
        **values: object,
    ) -> Outcome:
        """The outcome `code`; `values` go into its sentence, as far as it has a place for them."""
        read = read or _NOTHING
        told = message or MESSAGES[code]
        places = _places(told)
        known = {
            "source": self.source.title,
            "status": self.answer.status,
            "last_good": self.last_good,
            "seconds": round(wait_s or 0),
            **values,
        }
        if "detail" in places and not values.get("detail"):
            known["detail"] = self.words()
        sentence = Sentence(told, {name: known[name] for name in places if name in known})
        scope = _SCOPES.get(code, Scope.REQUEST)
        return Outcome(
            code=code,
            message=sentence,
            scope=scope,
            http_status=self.answer.status,
            wait_s=wait_s,
            evidence=self.evidence(code),
            matches=read.matches,
            rejected=read.rejected,
            count=read.count,
            details=read.details,
        )

    def words(self) -> object:
        """The answer's own words in short, where nobody has read them yet."""
        if title := _TITLE.search(self.text[:3000]):
            return _printable(title[1])
        if decoding.is_page(self.text):
            return Sentence(N_("a web page instead of data"))
        return self._beginning(80) or Sentence(N_("without a word"))

    def evidence(self, code: Code) -> dict[str, object]:
        """What a person needs to judge for himself; a good answer's body is kept elsewhere."""
        evidence: dict[str, object] = {
            "encoding": self.encoding,
            "content_type": self.answer.headers.get("content-type", ""),
            "bytes": len(self.answer.body),
        }
        if code not in (Code.OK, Code.OK_UNCHANGED):
            evidence["body"] = self._beginning(200)
        return evidence

    def _beginning(self, length: int) -> str:
        return _printable(self.text[:length])


@functools.cache
def _places(message: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_PLACE.findall(message)))


def classify(
    source: Source,
    answer: Answer | Failure,
    *,
    wants: Wants,
    last_good: int | None,
    not_found_before: bool = False,
    now: datetime,
) -> Outcome:
    """Say what `answer` means, in this order: transport, status, refusal, shape, plausibility.

    `last_good` is the number of matches in the last good list for the same key. `not_found_before`
    makes of a second 404 a GONE. Never raises for anything that an answer can hold.
    """
    if isinstance(answer, Failure):
        return _no_answer(source, answer)
    text, encoding = decoding.to_text(answer.body, answer.headers.get("content-type", ""))
    case = _Case(
        source,
        answer,
        _unkeyed(source, text),
        encoding,
        wants,
        last_good or 0,
        not_found_before,
        now,
    )
    return _by_status(case) or _by_refusal(case) or _by_content(case)


def _unkeyed(source: Source, text: str) -> str:
    """`text` without the key: error pages repeat the address, and one provider's key is in it."""
    return source.echoed_key.sub("{key}", text) if source.echoed_key else text


def _no_answer(source: Source, failure: Failure) -> Outcome:
    values = {"source": source.title, "detail": failure.detail, "bytes": failure.received}
    return Outcome(
        failure.code,
        Sentence(MESSAGES[failure.code], values | {"status": failure.status}),
        Scope.REQUEST,
        failure.status,
        evidence={"detail": failure.detail, "bytes": failure.received},
    )


def _by_status(case: _Case) -> Outcome | None:
    """What needs no look at the body."""
    status = case.answer.status
    if status == 304:
        return case.outcome(Code.OK_UNCHANGED)
    if status in (204, 205):
        return _empty(case)
    if challenge := _challenge(case.answer.headers):
        return case.outcome(Code.BLOCKED, detail=challenge)
    if 300 <= status < 400:
        where = urlsplit(case.answer.headers.get("location", "?").split("?")[0])
        target = where.netloc.rpartition("@")[2] or _unkeyed(case.source, where.path)
        return case.outcome(Code.SERVER_ERROR, REDIRECT, detail=_printable(target[:100]))
    return None


def _challenge(headers: Mapping[str, str]) -> str:
    """What a gatekeeper before the provider says of itself in the headers, whatever the status."""
    for name in ("cf-mitigated", "x-amzn-waf-action"):
        if headers.get(name):
            return f"{name}: {headers[name]}"
    return ""


def _by_refusal(case: _Case) -> Outcome | None:
    """No, in the provider's own words or by its status."""
    status = case.answer.status
    page = decoding.is_page(case.text)
    verdict = None if page else case.source.refusal(case.answer, case.text)
    if page and (status < 300 or decoding.is_challenge(case.text)):
        verdict = Verdict(Code.BLOCKED)
    if verdict is None and status < 300:
        return None
    if verdict is None:
        verdict = Verdict(decoding.usual_code(status, case.text[:2000]))
    code = verdict.code
    if code is Code.NOT_FOUND and case.not_found_before:
        code = Code.GONE
    wait_s = _wait(case, code, verdict)
    return case.outcome(code, detail=_printable(verdict.detail[:200]).rstrip("."), wait_s=wait_s)


def _wait(case: _Case, code: Code, verdict: Verdict) -> float | None:
    """Seconds the provider asks for: header, else its words, else its counter, else a window."""
    headers = case.answer.headers
    sent_at = decoding.sent_at(headers) or case.now  # a date there is by the provider's clock
    told = decoding.parse_retry_after(headers.get("retry-after"), sent_at)
    if told is None:
        told = verdict.wait_s if verdict.wait_s is not None else decoding.wait_in(case.text[:2000])
    if code is Code.RATE_LIMITED and told is None:
        told = case.source.read_limits(case.answer).reset_s
        told = WINDOW_S if told is None else told
    if told is None or code not in (*_SCOPES, Code.SERVER_ERROR):
        return None
    shortest = 0.0 if code is Code.SERVER_ERROR else SHORTEST_WAIT_S
    longest = LONGEST_QUOTA_WAIT_S if code is Code.QUOTA_EXHAUSTED else LONGEST_WAIT_S
    return min(max(told, shortest), longest)


def _by_content(case: _Case) -> Outcome:
    """A success by its status: is it JSON, has it rows, can they be, can they be read?"""
    try:
        rows = _rows(case)
    except ShapeError as error:
        return case.outcome(Code.SCHEMA_MISSING_KEY, detail=_printable(str(error)[:200]))
    except ValueError as error:
        return case.outcome(Code.INVALID_JSON, detail=_fault(case, error))
    if not rows:
        return _empty(case)
    return _implausible(case, len(rows)) or _read(case, rows)


def _fault(case: _Case, error: ValueError) -> object:
    """Why it is not JSON; the parser's words are no help where there is nothing to parse."""
    empty = not case.text.strip()
    return Sentence(N_("it is empty")) if empty else _printable(str(error)[:200])


def _rows(case: _Case) -> list[msgspec.Raw]:
    wants = case.wants
    if wants.kind:
        return case.source.detail_rows(wants.kind, case.text)
    return case.source.day_rows(case.text, wants.on)


def _empty(case: _Case) -> Outcome:
    if case.last_good:
        return case.outcome(Code.SUSPECT_EMPTY, EMPTY)
    return case.outcome(Code.NO_DATA)


def _implausible(case: _Case, count: int) -> Outcome | None:
    """Too few rows to be believed. Details are what was asked for and never too few."""
    if case.wants.kind:
        return None
    single = count == 1 and case.source.single_row_means_no_data
    if count * 2 < case.last_good or (single and case.last_good > 1):
        return case.outcome(Code.SUSPECT_EMPTY, SHRUNKEN, read=_Read(count), count=count)
    if single:
        return case.outcome(Code.NO_DATA, SINGLE, read=_Read(count))
    return None


def _read(case: _Case, rows: list[msgspec.Raw]) -> Outcome:
    if case.wants.kind:
        return _read_details(case, rows)
    found, rejected = _each(case.source.normalise, rows)
    matches = {match.source_id: match for match in found}
    read = _Read(len(rows), rejected, tuple(matches.values()))
    return _shrunken(case, read) or _verdict(case, read)


def _shrunken(case: _Case, read: _Read) -> Outcome | None:
    """Rows enough, but too few matches in them: the list in its place would be as good as lost."""
    left, refused = len(read.matches), len(read.rejected)
    if not left or left * 2 >= case.last_good:
        return None
    kept = _Read(read.count, read.rejected)
    if (left + refused) * 2 < case.last_good:  # the same ones again and again
        return case.outcome(Code.SUSPECT_EMPTY, SHRUNKEN, read=kept, count=left)
    code, why = Code.SCHEMA_MISSING_KEY, read.rejected[0].reason
    return case.outcome(
        code, MOST_REJECTED, read=kept, count=read.count, rejected=refused, detail=why
    )


def _read_details(case: _Case, rows: list[msgspec.Raw]) -> Outcome:
    """A part that is not there is no error; another match than the one asked for is."""
    kind, ids = case.wants.kind, case.wants.ids
    found, rejected = _each(lambda row: case.source.detail(kind, row), rows)
    if len(ids) == 1:  # statistics and the like do not say whose they are
        found = [one if one.match_id else _of_match(one, ids[0]) for one in found]
    stranger = next((one.match_id for one in found if ids and one.match_id not in ids), None)
    if stranger is not None:
        return case.outcome(Code.SCHEMA_MISSING_KEY, STRANGER, detail=stranger[:100])
    matches = tuple(one.match for one in found if one.match)
    return _verdict(case, _Read(len(rows), rejected, matches, tuple(found)))


def _of_match(detail: Detail, match_id: str) -> Detail:
    return msgspec.structs.replace(detail, match_id=match_id)


def _verdict(case: _Case, read: _Read) -> Outcome:
    """Good, partly good, or nothing could be read, which means that the provider has changed."""
    code, message, detail, refused = Code.OK, "", "", len(read.rejected)
    if read.rejected:
        code, detail = Code.ROW_REJECTED, read.rejected[0].reason
    if refused == read.count:
        code, message = Code.SCHEMA_MISSING_KEY, ALL_REJECTED
    return case.outcome(code, message, read=read, count=read.count, rejected=refused, detail=detail)


def _each(
    read: Callable[[msgspec.Raw], Row], rows: list[msgspec.Raw]
) -> tuple[list[Row], tuple[RejectedRow, ...]]:
    """What could be read, and why the rest could not."""
    found: list[Row] = []
    rejected: list[RejectedRow] = []
    for row in rows:
        try:
            found.append(read(row))
        except RowError as error:
            excerpt = bytes(row)[:2000].decode("utf-8", "replace")[:500]
            rejected.append(RejectedRow(_printable(str(error)[:200]), _printable(excerpt)))
    return found, tuple(rejected)


def _printable(text: str) -> str:
    """`text` without what a database or a terminal chokes on."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text).strip()
