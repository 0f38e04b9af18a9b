"""`flask worker`: Huey's consumer with the ledger's way of stopping."""

import signal
import sys

import click
from flask import current_app
from flask.cli import with_appcontext
from huey.consumer import Consumer

import tasks
from app.cli.base import Command, Whole, option
from app.cli.setup import refuse_without_tables
from app.core.db import db
from app.core.text import N_, RequestError, Sentence


class CleanConsumer(Consumer):
    """Every way of being told to stop is a clean one: finish or give back what is in hand."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        for number in _stop_signals():
            self._signal_actions[number] = (False, True)

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002  huey's own signature
        """Called in the main process, on a signal or when the consumer breaks."""
        self.stop_flag.set()
        if not self.environment.forks:
            tasks.this_process().stop()
        super().stop(graceful=graceful)


def _stop_signals() -> list[signal.Signals]:
    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last is Ctrl-Break on Windows
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@click.command(
    "worker", cls=Command, help=N_("Work on jobs until told to stop (Ctrl-C or SIGTERM).")
)
@option("--threads", type=Whole(1, 256), help=N_("How many items at once."))
@option("--processes", type=Whole(1, 64), help=N_("Processes instead of threads."))
@with_appcontext
def worker(threads: int | None, processes: int | None) -> None:
    """Start the consumer; returns after a clean stop."""
    config = current_app.config["FIKSTUR"]
    processes = processes or config.worker_processes
    threads = threads or config.worker_threads
    _refuse_many_on_sqlite(processes)
    refuse_without_tables()
    forks = processes > 1
    consumer = CleanConsumer(
        tasks.huey,
        workers=processes if forks else threads,
        worker_type="process" if forks else "thread",
        # How soon a bell is heard on SQLite, which has to be asked. Redis tells, and while it is
        # away there is no use in asking often.
        initial_delay=0.02,
        max_delay=5 if config.redis_url else 0.1,
        shutdown_timeout=tasks.STOP_GRACE_S + 1,
    )
    ready = Sentence(
        N_("Worker ready: %(count)s at once, queue on %(queue)s. Ctrl-C stops it."),
        {"count": consumer.workers, "queue": "Redis" if config.redis_url else "SQLite"},
    )
    click.echo(ready.to(config.language), err=True)
    db.engine.dispose()  # a forked worker must not share the parent's connections
    consumer.run()
    sys.stdout.flush()


def _refuse_many_on_sqlite(processes: int) -> None:
    config = current_app.config["FIKSTUR"]
    if processes > 1 and config.environment == "production" and _on_sqlite():
        raise RequestError(
            N_("%(count)s worker processes cannot share SQLite in production. Set DATABASE_URL."),
            count=processes,
        )


def _on_sqlite() -> bool:
    return db.engine.dialect.name == "sqlite"
