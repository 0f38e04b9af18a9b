"""HTTP/1.1 on a stream: reading a request, and sending an answer whole or spoiled."""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from app.sandbox.reply import Delivery, Reply

LARGEST_HEAD = 64 * 1024
LARGEST_BODY = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_DRIP = 64
_DRIP_EVERY_S = 0.2
_BODILESS = (204, 304)


class BadRequestError(Exception):
    """What came is not HTTP/1.x as spoken here; the connection has to be closed."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    keep_alive: bool


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Raises IncompleteReadError when the client has left, BadRequestError for anything odd."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequestError from error
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/") or not words[2].startswith("HTTP/1."):
        raise BadRequestError
    headers = _headers(lines)
    body = await reader.readexactly(_body_length(headers))
    keep = headers.get("connection", "").lower()
    keep_alive = keep != "close" and (words[2] != "HTTP/1.0" or keep == "keep-alive")
    return Request(words[0], words[1], headers, body, keep_alive)


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _body_length(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise BadRequestError
    if len(length) > 12 or int(length) > LARGEST_BODY:
        raise BadRequestError
    return int(length)


async def send(writer: asyncio.StreamWriter, reply: Reply, *, only_head: bool = False) -> bool:
    """Whether the connection can be used again."""
    if reply.delivery is Delivery.RESET:
        _reset(writer)
        return False
    writer.write(_head(reply))
    if not only_head and reply.status not in _BODILESS:
        await _send_body(writer, reply)
    await writer.drain()
    return reply.delivery is not Delivery.TRUNCATE


def sent_bytes(reply: Reply) -> int:
    """How much of the body goes out, for the log."""
    if reply.delivery is Delivery.RESET or reply.status in _BODILESS:
        return 0
    return reply.length // 2 if reply.delivery is Delivery.TRUNCATE else reply.length


def _head(reply: Reply) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = {"Content-Type": reply.content_type, "Content-Length": str(reply.length)}
    if reply.status in _BODILESS:
        headers = {}
    given = {name.lower() for name in reply.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given}
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in (headers | reply.headers).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _send_body(writer: asyncio.StreamWriter, reply: Reply) -> None:
    drip = reply.delivery is Delivery.DRIP
    left = sent_bytes(reply)
    for piece in _pieces(reply, _DRIP if drip else _CHUNK):
        writer.write(piece[:left])
        await writer.drain()
        left -= len(piece)
        if left <= 0:
            break
        if drip:
            await asyncio.sleep(_DRIP_EVERY_S)


def _pieces(reply: Reply, size: int) -> Iterator[bytes]:
    for start in range(0, len(reply.body), size):
        yield reply.body[start : start + size]
    for start in range(0, reply.padding, size):
        yield b"x" * min(size, reply.padding - start)
    if reply.tail:
        yield reply.tail


def _reset(writer: asyncio.StreamWriter) -> None:
    """A real RST: without lingering the kernel throws the connection away instead of closing it."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
