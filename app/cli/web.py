"""`flask web`: the panel and the API behind waitress, the same server on Windows and Linux."""

import signal
import sys
from types import FrameType

import click
import waitress
from flask import Flask, current_app
from flask.cli import with_appcontext

from app.cli.base import Command, Whole, option
from app.cli.setup import refuse_without_tables
from app.core.memory import keep_what_is_loaded
from app.core.text import N_, RequestError

THREADS = 16


@click.command(
    "web", cls=Command, help=N_("Serve the panel until told to stop (Ctrl-C or SIGTERM).")
)
@option("--host", help=N_("The address to listen on."))
@option("--port", type=Whole(1, 65535), help=N_("The port to listen on."))
@with_appcontext
def web(host: str | None, port: int | None) -> None:
    """Serve until a signal; a taken port is a sentence."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    config = app.config["FIKSTUR"]
    refuse_without_tables()
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    host, port = host or config.host, port or config.port
    try:
        server = waitress.create_server(
            app,
            host=host,
            port=port,
            threads=THREADS,
            ident="fikstur",
            clear_untrusted_proxy_headers=not config.proxy_hops,
        )
    except OSError as error:
        raise RequestError(
            N_("Cannot listen on %(host)s:%(port)s (%(error)s). Choose another PORT."),
            host=host,
            port=port,
            error=error.strerror or error,
        ) from None
    keep_what_is_loaded()
    server.run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
