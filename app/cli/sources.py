"""`flask sources`: which may be asked, which are paused; pausing and resuming them."""

from dataclasses import dataclass
from typing import Any

import click
import msgspec

import tasks
from app.cli.base import (
    Group,
    answer,
    argument,
    by,
    language,
    local_time,
    say,
    settings,
    table,
    tell,
    typed,
    word,
)
from app.core.db import current_time, persist, reading
from app.core.text import N_, RequestError, Sentence
from app.jobs.present import in_words
from app.sources import pause as pausing
from app.sources.base import Source
from app.sources.models import SourceState
from app.sources.present import Standing, standing
from app.sources.present import as_dict as standing_as_dict
from app.sources.registry import ADAPTERS, adapter, source_table

sources = Group("sources", help=N_("See, pause, resume and reset the sources."))


@dataclass(frozen=True, slots=True)
class _Line:
    """What is known of one source."""

    source: Source
    on: bool
    why_not: Sentence | None  # it may not be asked
    pause: SourceState | None
    base_url: str
    standing: Standing


@sources.command(
    "list", help=N_("Every known source: may it be asked, is it paused, its limit, its licence.")
)
def list_() -> None:
    """Reads only; no request is made."""
    with reading() as session:
        at = current_time(session)
        own = settings().source_settings
        lines = [
            _line(
                name,
                pausing.pause_of(session, name, at),
                standing(session, name, own.get(name), at),
            )
            for name in ADAPTERS
        ]
    answer([_as_dict(line) for line in lines], lambda: _show(lines))


def _line(name: str, pause: SourceState | None, stands: Standing) -> _Line:
    known = source_table(settings())
    source = adapter(name)
    try:
        known.get(name)
        why_not = None
    except RequestError as error:
        why_not = error.sentence
    own = settings().source_settings.get(name)
    address = (own.base_url if own else None) or source.default_base_url
    return _Line(source, name in known.on, why_not, pause, address, stands)


def _as_dict(line: _Line) -> dict[str, Any]:
    pause = line.pause
    plain: dict[str, Any] = msgspec.to_builtins(
        {
            "name": line.source.name,
            "title": line.source.title,
            "on": line.on,
            "usable": line.why_not is None,
            "why_not": in_words(line.why_not, language()),
            "paused": pause is not None,
            "paused_until": pause.paused_until if pause else None,
            "code": pause.code if pause else None,
            "message": in_words(pause.message, language()) if pause else None,
            **standing_as_dict(line.standing),
            "base_url": line.base_url,
            "licence_note": word(line.source.licence_note),
        }
    )
    return plain


def _show(lines: list[_Line]) -> None:
    headers = (
        N_("Source"),
        N_("May be asked"),
        N_("Paused until"),
        N_("Code"),
        N_("Limit"),
        N_("Address"),
    )
    table(headers, [_row(line) for line in lines])
    for line in lines:
        click.echo(f"\n{line.source.title}: {word(line.source.licence_note)}")
        for said in (line.why_not, _pause_message(line), *line.standing.sentences):
            if said is not None:
                tell(said)


def _pause_message(line: _Line) -> Sentence | None:
    return line.pause.message if line.pause else None


def _row(line: _Line) -> tuple[object, ...]:
    usable = word(N_("yes")) if line.why_not is None else word(N_("no"))
    name, limit, address = line.source.name, line.standing.limit or "-", line.base_url
    if line.pause is None:
        return name, usable, "-", "-", limit, address
    until = local_time(line.pause.paused_until) or word(N_("somebody resumes it"))
    return name, usable, until, line.pause.code, limit, address


@sources.command("test", help=N_("Ask a source once; nothing of the answer is kept."))
@argument("name", metavar="NAME")
def test(name: str) -> None:
    """Exit code 1 when it did not answer well."""
    with typed():
        adapter(name)
    probed = tasks.probe(name)
    answer(
        {
            "name": name,
            "ok": probed.ok,
            "code": probed.code,
            "message": probed.message.to(language()),
            "elapsed_ms": probed.elapsed_ms,
        },
        lambda: tell(probed.message),
    )
    if not probed.ok:
        raise click.exceptions.Exit(1)


@sources.command("pause", help=N_("Hand out no more work of a source until it is resumed."))
@argument("name", metavar="NAME")
def pause(name: str) -> None:
    """What is in hand is finished; nothing is lost."""
    with typed():
        adapter(name)
    persist(lambda session: pausing.pause_by_hand(session, name, by()))
    answer(
        {"name": name, "paused": True},
        lambda: say(
            N_("%(name)s is paused. Resume it: flask --app wsgi sources resume %(name)s"), name=name
        ),
    )


@sources.command("resume", help=N_("Hand out the work of a source again."))
@argument("name", metavar="NAME")
def resume(name: str) -> None:
    """Ends any pause, also one that the source itself asked for, and closes its breaker."""
    with typed():
        adapter(name)
    was_paused = persist(lambda session: pausing.resume(session, name))
    said = N_("%(name)s is resumed.") if was_paused else N_("%(name)s was not paused.")
    answer({"name": name, "paused": False}, lambda: say(said, name=name))


@sources.command("reset", help=N_("Clear a source's pause, breaker and slowed-down speed."))
@argument("name", metavar="NAME")
def reset(name: str) -> None:
    """As if it had never been in the way; its limit stays."""
    with typed():
        adapter(name)
    was_in_the_way = persist(lambda session: pausing.reset(session, name))
    said = N_("There was nothing to reset at %(name)s.")
    if was_in_the_way:
        said = N_("%(name)s is reset: asked again, at its full speed.")
    answer({"name": name, "reset": was_in_the_way}, lambda: say(said, name=name))
