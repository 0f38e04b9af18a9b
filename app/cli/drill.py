"""`flask drill`: kill workers on a scratch database and show what came of it."""

import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import click

from app.cli.base import (
    LIMIT,
    Group,
    Whole,
    answer,
    language,
    local_time,
    option,
    say,
    settings,
    table,
    tell,
    typed,
    wants_json,
    word,
)
from app.core.db import reading
from app.core.text import N_, Sentence
from app.drill import chaos, plan, present
from app.drill.chaos import Progress
from app.drill.models import DrillReceipt
from app.drill.plan import Plan
from app.drill.receipt import Facts, as_dict, from_kept, headline, judge, passed
from app.drill.scratch import Instance
from app.drill.work import receipts

INTERRUPTED = 130  # what shells say of Ctrl-C
QUIET_S = 5.0  # between lines where there is no terminal to rewrite

drill = Group("drill", help=N_("Try out that nothing is lost when workers die."))


@drill.command(
    "chaos",
    help=N_(
        "Kill workers in the middle of a job, on a sandbox and a database made for it and removed "
        "afterwards; exit 1 if anything was lost or doubled. The real data is not touched."
    ),
)
@option(
    "--items",
    type=Whole(plan.FEWEST_ITEMS, plan.MOST_ITEMS),
    default=2000,
    help=N_("How many matches to fetch from the sandbox."),
)
@option(
    "--kills",
    type=Whole(1, plan.MOST_KILLS),
    default=10,
    help=N_("How many workers to kill; at most one for every twenty items."),
)
@option("--wipe-redis", "wipe", is_flag=True, help=N_("Empty the drill's own queue at each kill."))
def chaos_(items: int, kills: int, wipe: bool) -> None:  # noqa: FBT001  click hands it over by name
    """Ctrl-C stops it and leaves nothing behind."""
    with typed():
        wanted = Plan.checked(items, kills, wipe=wipe)
    config, line = settings(), _Line()
    instance = Instance(config.database_url, config.redis_url)
    try:
        with _one_interruption():
            facts = chaos.drill(instance, wanted, tell=line.show, check=lambda: None)
    except KeyboardInterrupt:
        line.end()
        say(N_("The drill was stopped. What it had started and made is gone."))
        click.get_current_context().exit(INTERRUPTED)
    line.end()
    answer(as_dict(facts, language()), lambda: _show(facts))
    click.get_current_context().exit(0 if passed(facts) else 1)


@contextlib.contextmanager
def _one_interruption() -> Iterator[None]:
    """Ctrl-C and SIGTERM interrupt once: what follows, to the end of the process, is the end.

    A handler of ours would be taken down before the process is, and a late signal kill it.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        if not interrupted:  # another may have come in the same moment
            interrupted = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        if not interrupted:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Line:
    """One line rewritten in place; on anything but a terminal a new line, now and then."""

    def __init__(self) -> None:
        self._stream = sys.stderr if wants_json() else sys.stdout
        self._rewrites = self._stream.isatty()
        self._shown_at = float("-inf")

    def show(self, progress: Progress) -> None:
        text = _in_words(progress).to(language())
        if self._rewrites:
            width = shutil.get_terminal_size().columns - 1
            click.echo("\r" + text[:width].ljust(width), file=self._stream, nl=False)
        elif time.monotonic() - self._shown_at >= QUIET_S:
            click.echo(text, file=self._stream)
            self._shown_at = time.monotonic()

    def end(self) -> None:
        if self._rewrites:
            click.echo(file=self._stream)


def _in_words(progress: Progress) -> Sentence:
    return Sentence(
        N_("Drill: %(done)s of %(all)s done, %(kills)s killed - %(doing)s"),
        {
            "done": progress.done,
            "all": progress.submitted,
            "kills": progress.kills,
            "doing": progress.doing,
        },
    )


# --- the receipt ----------------------------------------------------------------------------------


def _show(facts: Facts) -> None:
    if said := present.note(facts):
        tell(said)
    table(
        (N_("Counted"), N_("Count")), [(word(name), value) for name, value in present.rows(facts)]
    )
    click.echo()
    table(present.KILL_LABELS, present.kill_rows(facts))
    click.echo()
    for why in judge(facts):
        tell(why)
    tell(headline(facts))


@drill.command("list", help=N_("The receipts of the drills that were asked for in the panel."))
@option("--limit", type=LIMIT, default=20, help=N_("At most so many."))
def list_(limit: int) -> None:
    """The newest first."""
    with reading() as session:
        rows = receipts(session, limit)
    answer([_as_dict(row) for row in rows], lambda: _show_list(list(rows)))


def _as_dict(row: DrillReceipt) -> dict[str, Any]:
    plain = {"id": row.id, "job_id": row.job_id, "at": row.at.isoformat()}
    return plain | as_dict(from_kept(row.facts), language())


def _show_list(rows: list[DrillReceipt]) -> None:
    if not rows:
        say(N_("No drill was asked for in the panel yet. Run one here: flask drill chaos"))
    for row in rows:
        click.echo(f"{local_time(row.at)}  {headline(from_kept(row.facts)).to(language())}")
