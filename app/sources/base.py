"""What every source adapter offers, and the values that travel between it, HTTP and the domain.

Pure: bytes in, values out. No database, network, clock or sleep: every recorded answer is a test.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:  # details.py builds on this module
    from app.sources.details import Detail


class Code(StrEnum):
    """What became of a request: the whole taxonomy. How each is retried: `errors.policy`."""

    OK = "OK"
    OK_UNCHANGED = "OK_UNCHANGED"  # 304, or the same normalised content as before
    NO_DATA = "NO_DATA"  # a valid answer that says there is nothing; not an error
    SUSPECT_EMPTY = "SUSPECT_EMPTY"  # empty or less than half of the last good list
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    AUTH_INVALID = "AUTH_INVALID"
    FORBIDDEN_PLAN = "FORBIDDEN_PLAN"
    BLOCKED = "BLOCKED"
    NOT_FOUND = "NOT_FOUND"
    BAD_REQUEST = "BAD_REQUEST"
    SERVER_ERROR = "SERVER_ERROR"
    TIMEOUT_CONNECT = "TIMEOUT_CONNECT"
    TIMEOUT_READ = "TIMEOUT_READ"
    CONN_RESET = "CONN_RESET"
    DNS = "DNS"
    TLS = "TLS"
    TRUNCATED = "TRUNCATED"
    INVALID_JSON = "INVALID_JSON"
    SCHEMA_MISSING_KEY = "SCHEMA_MISSING_KEY"
    ROW_REJECTED = "ROW_REJECTED"  # some rows could not be read; the others are stored
    TOO_LARGE = "TOO_LARGE"
    GONE = "GONE"  # NOT_FOUND again after a day
    CANCELLED = "CANCELLED"
    PAUSED = "PAUSED"
    BREAKER_OPEN = "BREAKER_OPEN"  # its server failed so often in a row that it is left alone
    INTERNAL = "INTERNAL"  # our own exception


class Scope(StrEnum):
    """How far a verdict reaches."""

    REQUEST = "request"
    PROVIDER = "provider"  # the whole source pauses
    CREDENTIAL = "credential"  # the whole source pauses until the token is mended


class MatchStatus(StrEnum):
    """The normalised status. None is final: a finished match was seen to be not started again."""

    SCHEDULED = "SCHEDULED"
    TIME_TBD = "TIME_TBD"
    DELAYED = "DELAYED"
    LIVE = "LIVE"
    PAUSED = "PAUSED"
    SUSPENDED = "SUSPENDED"
    FINISHED = "FINISHED"
    POSTPONED = "POSTPONED"
    CANCELLED = "CANCELLED"
    ABANDONED = "ABANDONED"
    UNKNOWN = "UNKNOWN"  # a raw status we have not met; kept as it came, never an exception


class DecidedBy(StrEnum):
    """How a finished match was decided."""

    REGULAR = "REGULAR"
    AET = "AET"
    PENS = "PENS"
    AWARDED = "AWARDED"


class Request(msgspec.Struct, frozen=True):
    """One GET. `template` is the url with ids replaced, fit for logs: never a secret in it."""

    url: str
    template: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Request({self.template!r})"  # a key may be in the others


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer. Header names are lower case; `body` is decompressed, not decoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


class Failure(msgspec.Struct, frozen=True):
    """No whole HTTP answer came. `detail` is one line for a person, without secrets."""

    code: Code  # TIMEOUT_*, CONN_RESET, DNS, TLS, TRUNCATED, TOO_LARGE
    detail: str
    elapsed_ms: int
    received: int = 0  # bytes of the body that had come
    status: int | None = None  # when the head had come


class Limits(msgspec.Struct, frozen=True):
    """What an answer says of the allowance left: requests, and seconds until it is whole again."""

    remaining: int | None = None
    reset_s: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """An adapter's own reading of an answer, where the provider's way is not the usual one."""

    code: Code
    detail: str = ""  # the provider's own words
    wait_s: float | None = None  # when the answer says how long


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One game as a source told it, normalised. Scores are None until there is one.

    `home_score` is what a newspaper prints: goals in 90 minutes and extra time, no shoot-out.
    """

    source_id: str  # the provider's id; with the source's name it is the key
    kickoff: datetime | None  # aware, UTC
    status: MatchStatus
    raw_status: str  # as the provider says it, e.g. "finished/120" or "TIMED"
    home: str
    away: str
    home_id: str | None = None
    away_id: str | None = None
    home_score: int | None = None
    away_score: int | None = None
    home_half_time: int | None = None
    away_half_time: int | None = None
    home_regular: int | None = None  # after 90 minutes
    away_regular: int | None = None
    home_extra: int | None = None  # goals of the extra time alone
    away_extra: int | None = None
    home_penalties: int | None = None
    away_penalties: int | None = None
    home_aggregate: int | None = None
    away_aggregate: int | None = None
    winner: str | None = None  # home | away | draw, as the provider says, else `with_winner`
    decided_by: DecidedBy | None = None
    competition: str | None = None
    competition_id: str | None = None
    season: str | None = None
    round: str | None = None
    country: str | None = None
    women: bool | None = None
    custom_id: str | None = None  # a second key of the provider, for when ids change


def with_winner(match: Match) -> Match:
    """A match of a provider that names no winner: once finished, its scores do.

    A shoot-out whose count is not known leaves a level score without one.
    """
    if match.status is not MatchStatus.FINISHED:
        return match
    for home, away in (
        (match.home_penalties, match.away_penalties),
        (match.home_score, match.away_score),
    ):
        if home is not None and away is not None and home != away:
            return msgspec.structs.replace(match, winner="home" if home > away else "away")
    is_level = match.home_score is not None and match.home_score == match.away_score
    is_draw = is_level and match.decided_by is not DecidedBy.PENS
    return msgspec.structs.replace(match, winner="draw") if is_draw else match


class RejectedRow(msgspec.Struct, frozen=True):
    """A row that could not be read: why, and its beginning (at most 500 characters)."""

    reason: str
    excerpt: str


class ShapeError(Exception):
    """The JSON lacks what an answer of this kind must have; the message names the key."""


class RowError(Exception):
    """One row cannot be read; the message says which field."""


class Source(Protocol):
    """One API. Adapters are built with their base URL (no trailing slash) and little else."""

    name: str  # as in SOURCES, the command line and the panel
    title: str  # for people
    licence_note: str  # English; what its owner allows
    needs_token: bool
    needs_permission: bool  # off until the operator confirms that he may use it
    default_base_url: str
    single_row_means_no_data: bool  # an answer of one element is this provider's way of saying none
    echoed_key: re.Pattern[str] | None  # where an answer may repeat the key: never to be shown
    detail_kinds: tuple[str, ...]  # what can be asked of a match; the first holds the match itself

    def __init__(self, base_url: str | None = None) -> None: ...

    def day_request(self, day: date) -> Request:
        """Ask for the list of `day`."""

    def detail_request(self, kind: str, ids: Sequence[str]) -> Request:
        """Ask for one kind of detail of at most `detail_batch(kind)` matches.

        A 404 says that the match is unknown where the kind is the first, and for any other kind
        that there is no such part (yet): whoever asks has to tell the two apart.
        """

    def detail_batch(self, kind: str) -> int:
        """How many matches one request of this kind may name."""

    def authorise(self, request: Request, token: str | None) -> Request:
        """The same request with the credential in it."""

    def read_limits(self, answer: Answer) -> Limits:
        """What the headers say of the allowance."""

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """This provider's own way of saying no, whatever the status; None: the usual reading."""

    def day_rows(self, text: str, day: date | None = None) -> list[msgspec.Raw]:
        """The rows of a day's list; of `day` alone where the provider sends more than was asked.

        Without `day` all rows. A row whose day cannot be read stays, to be refused by name.
        ShapeError: the envelope is not one; ValueError: not JSON.
        """

    def normalise(self, row: msgspec.Raw) -> Match:
        """One row as a Match. RowError names the field that is missing or wrong."""

    def detail_rows(self, kind: str, text: str) -> list[msgspec.Raw]:
        """One row for each match in an answer of this kind. Errors as `day_rows`."""

    def detail(self, kind: str, row: msgspec.Raw) -> "Detail":
        """One of those rows as a Detail. RowError names the field that is missing or wrong."""


class OpenSource:
    """What the sources without a key have in common: nothing to authorise, no limit in a header.

    A match is an address of its own, and errors have an HTTP status; who differs says so.
    """

    def detail_batch(self, kind: str) -> int:
        """One."""
        del kind
        return 1

    def authorise(self, request: Request, token: str | None) -> Request:
        """The request as it is."""
        del token
        return request

    def read_limits(self, answer: Answer) -> Limits:
        """Nothing: none of them publishes limits."""
        del answer
        return Limits()

    def refusal(self, answer: Answer, text: str) -> Verdict | None:
        """No way of saying no that is its own."""
        del answer, text
        return None
