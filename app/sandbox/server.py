"""The server: connections, counting, the log, and where faults meet answers."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from app.sandbox.answers import encode
from app.sandbox.faults import FaultPlan, PlanError, parse_plan, spoil
from app.sandbox.reply import Delivery, Reply, finished
from app.sandbox.site import NOT_FOUND, Call, Site
from app.sandbox.wire import (
    LARGEST_HEAD,
    BadRequestError,
    Request,
    read_request,
    send,
    sent_bytes,
)

_BACKLOG = 512
_NOT_ALLOWED = Reply(
    405, encode({"error": {"code": 405, "message": "Method Not Allowed"}}), {"Allow": "GET, HEAD"}
)
_NOT_UNDERSTOOD = Reply(
    400, encode({"error": {"code": 400, "message": "Bad Request"}}), {"Connection": "close"}
)


def file_below(folder: Path, name: str) -> bytes:
    """A plan's body_file. Raises ValueError for a name that leads out of the folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(name)
    return path.read_bytes()


class Sandbox:
    """One pretend provider; `files` is where the plans' body_file names begin."""

    def __init__(
        self, site: Site, plan: FaultPlan, files: Path, *, latency_s: float, log: TextIO | None
    ) -> None:
        self._site, self._plan, self._files = site, plan, files
        self._latency_s, self._log = latency_s, log
        self._asked: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Raises OSError when the address cannot be had."""
        return await asyncio.start_server(
            self._connected, host, port, limit=LARGEST_HEAD, backlog=_BACKLOG
        )

    async def hang_up(self) -> None:
        """Ends every open connection, idle or not."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio starts this as a task
        self._connections.add(task)
        try:
            # the client may leave at any moment, and stopping cancels: neither is an error here
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader)
            except BadRequestError:
                await send(writer, _NOT_UNDERSTOOD)
                return
            reply = await self._reply(request)
            usable = await send(writer, reply, only_head=request.method == "HEAD")
            if not (usable and request.keep_alive):
                return

    async def _reply(self, request: Request) -> Reply:
        call = Call.of(request.target, request.headers)
        if call.path.startswith("/_"):
            return self._control(request, call.path)
        if request.method not in ("GET", "HEAD"):
            return self._noted(request.target, _NOT_ALLOWED)
        self._asked[request.target] += 1
        await asyncio.sleep(self._latency_s)
        reply = self._site.answer(call)
        if rule := self._plan.fault_for(request.target):
            await asyncio.sleep(rule.delay_s)
            reply = spoil(rule, reply)
        return self._noted(request.target, finished(reply, request.headers))

    def _noted(self, target: str, reply: Reply) -> Reply:
        """Logged before it is sent: who has read the answer finds the line."""
        if self._log:
            status = 0 if reply.delivery is Delivery.RESET else reply.status
            line = {"t": round(time.time(), 4), "path": target, "status": status}
            self._log.write(json.dumps(line | {"bytes": sent_bytes(reply)}) + "\n")
        return reply

    def _control(self, request: Request, path: str) -> Reply:
        """Pages about the sandbox itself: not counted, not logged, never faulty."""
        match request.method, path:
            case "GET", "/_count":
                return Reply(200, encode(dict(self._asked)))
            case "GET", "/_health":
                return Reply(200, encode({"ok": True}))
            case "PUT", "/_faults":
                return self._replace_plan(request.body)
        return NOT_FOUND

    def _replace_plan(self, body: bytes) -> Reply:
        """The demo faults go too: whoever sends a plan wants this plan."""
        try:
            rules = parse_plan(body, lambda name: file_below(self._files, name))
        except PlanError as error:
            return Reply(400, encode({"error": {"code": 400, "message": str(error)}}))
        self._plan = FaultPlan(rules)
        return Reply(204)
