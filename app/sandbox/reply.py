"""One answer before it goes on the wire: what it says, and how it is to be delivered or spoiled."""

import gzip
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

_WORTH_PACKING = 600  # bytes; below, the header costs what gzip saves


class Delivery(StrEnum):
    WHOLE = "whole"
    RESET = "reset"
    TRUNCATE = "truncate"
    DRIP = "drip"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"
    tagged: bool = False  # gets an ETag and answers If-None-Match
    spoiled: bool = False  # sent exactly as it is: not packed, not tagged
    delivery: Delivery = Delivery.WHOLE
    padding: int = 0  # this many bytes of filler follow the body, then `tail`
    tail: bytes = b""

    @property
    def length(self) -> int:
        return len(self.body) + self.padding + len(self.tail)


def finished(reply: Reply, request_headers: dict[str, str]) -> Reply:
    """The answer as this client wants it: 304 when it has it, packed when it can unpack."""
    if reply.spoiled:
        return reply
    reply = _conditional(reply, request_headers.get("if-none-match", ""))
    return _packed(reply, request_headers.get("accept-encoding", ""))


def _conditional(reply: Reply, known: str) -> Reply:
    if not reply.tagged or reply.status != 200:
        return reply
    tag = _tag(reply.body)
    reply = replace(reply, headers={**reply.headers, "ETag": f'W/"{tag}"'})
    names = {name.strip().removeprefix("W/").strip('"') for name in known.split(",")}
    if tag in names or "*" in names:
        return replace(reply, status=304, body=b"")
    return reply


@lru_cache(maxsize=512)
def _tag(body: bytes) -> str:
    return blake2b(body, digest_size=12).hexdigest()


def _packed(reply: Reply, accepted: str) -> Reply:
    if len(reply.body) < _WORTH_PACKING:
        return reply
    headers = {**reply.headers, "Vary": "Accept-Encoding"}
    if not _accepts_gzip(accepted):
        return replace(reply, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return replace(reply, headers=headers, body=gzip.compress(reply.body, 5, mtime=0))


def _accepts_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        coding, _, weight = item.replace(" ", "").partition(";q=")
        if coding in ("gzip", "*"):
            return weight.strip("0.") != "" or not weight
    return False
