"""The command line of the sandbox: options in, exit code out."""

import argparse
import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from types import FrameType

from app.sandbox.faults import FaultPlan, PlanError, parse_plan
from app.sandbox.server import Sandbox, file_below
from app.sandbox.site import Clock, Site
from app.sandbox.words import say

_FROZEN_AT = clock_time(18, tzinfo=UTC)  # a day then has matches over, running and to come
_EXIT_REFUSED = 2
_PORT_TAKEN = (errno.EADDRINUSE, 10048)  # Windows has its own number


class RefusedError(Exception):
    """The program cannot start; its text is the sentence the person reads."""


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:
        raise ValueError(text)
    return int(text)


def _latency_ms(text: str) -> float:
    if not 0 <= float(text) <= 600_000:
        raise ValueError(text)
    return float(text)


def _options(arguments: list[str]) -> argparse.Namespace:
    # our own help and errors, because argparse speaks only English
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8899)
    parser.add_argument("--latency-ms", type=_latency_ms, default=0.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--no-demo", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--today", type=date.fromisoformat)
    parser.add_argument("--quiet", action="store_true")
    try:
        options, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise RefusedError(say("bad_option", option=error.argument_name)) from error
    if unknown:
        raise RefusedError(say("unknown_option", option=unknown[0]))
    return options


def _clock(today: date | None) -> Clock:
    if today is None:
        return lambda: int(time.time())
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    frozen = int((datetime.combine(today, _FROZEN_AT) - epoch).total_seconds())
    return lambda: frozen


def _plan(options: argparse.Namespace, today: date) -> FaultPlan:
    if options.faults is None:
        return FaultPlan(demo_today=None if options.no_demo else today)
    try:
        text = options.faults.read_bytes()
        return FaultPlan(parse_plan(text, lambda name: file_below(options.faults.parent, name)))
    except OSError as error:
        why = error.strerror
        raise RefusedError(say("cannot_open", path=options.faults, why=why)) from error
    except PlanError as error:
        raise RefusedError(str(error)) from error


async def _serve(options: argparse.Namespace, sandbox: Sandbox) -> None:
    stopped = asyncio.Event()
    _on_stop_signal(asyncio.get_running_loop(), stopped)
    try:
        server = await sandbox.listen(options.host, options.port)
    except OSError as error:
        raise RefusedError(_why_not(options, error)) from error
    if not options.quiet:
        _greet(options, server)
    await stopped.wait()
    server.close()
    await sandbox.hang_up()


def _on_stop_signal(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Plain handlers: the loop's own do not exist on Windows."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopped.set)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)


def _why_not(options: argparse.Namespace, error: OSError) -> str:
    if error.errno in _PORT_TAKEN:
        return say("port_taken", port=options.port)
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return say("cannot_listen", host=options.host, port=options.port, why=why)


def _greet(options: argparse.Namespace, server: asyncio.Server) -> None:
    port = server.sockets[0].getsockname()[1]  # the one we got, when 0 was asked for
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(say("ready", address=f"http://{host}:{port}"), flush=True)
    if options.faults is None and not options.no_demo:
        print(say("demo"), flush=True)


def _run(arguments: list[str]) -> None:
    options = _options(arguments)
    if options.help:
        print(say("help"))
        return
    clock = _clock(options.today)
    plan = _plan(options, options.today or datetime.now(UTC).date())
    files = options.faults.parent if options.faults else Path.cwd()
    with contextlib.ExitStack() as stack:
        try:
            log = options.log and stack.enter_context(
                options.log.open("a", buffering=1, encoding="utf-8")
            )
        except OSError as error:
            raise RefusedError(say("cannot_open", path=options.log, why=error.strerror)) from error
        site = Site(options.seed, clock)
        sandbox = Sandbox(site, plan, files, latency_s=options.latency_ms / 1000, log=log)
        asyncio.run(_serve(options, sandbox))


def main(arguments: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # a console without Turkish letters must not stop us
    try:
        _run(arguments)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return _EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
