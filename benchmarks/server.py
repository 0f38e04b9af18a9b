"""A server that is never the limit: one answer of the sandbox for every match id, after a delay.

`python -m benchmarks.server PORT LATENCY_MS`. Some 10,000 answers a second on one core; only for
benchmarks: it checks nothing and knows one address.
"""

import asyncio
import sys
import time

from app.sandbox.answers import encode, event
from app.sandbox.season import match

PAD = 2800  # bytes: a real answer about a match has some 4 KB
FIRST_ID = 100_000_000


def body_of(match_id: int) -> bytes:
    """What the sandbox would say of a match, made as long as a real answer."""
    played = match(0, match_id)
    assert played is not None
    document = {"event": event(played, int(time.time())), "note": "-" * PAD}
    return encode(document)


class Connection(asyncio.Protocol):
    """Answers one request after the other; the id is put into the prepared body."""

    head, tail, latency_s = b"", b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            request, _, self.received = self.received.partition(b"\r\n\r\n")
            match_id = request.partition(b"HTTP")[0].strip().rpartition(b"/")[2]
            self.later(self.head + match_id + self.tail)

    def later(self, answer: bytes) -> None:
        if self.latency_s:
            asyncio.get_running_loop().call_later(self.latency_s, self.transport.write, answer)
        else:
            self.transport.write(answer)


async def serve(port: int, latency_ms: float) -> None:
    """Until killed."""
    body = body_of(FIRST_ID)
    before, _, after = body.partition(str(FIRST_ID).encode())
    length = len(before) + 9 + len(after)
    Connection.head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
    ) + before
    Connection.tail, Connection.latency_s = after, latency_ms / 1000
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
