"""What all commands share: language, exit codes, answers in words for people, JSON for programs."""

import contextlib
import functools
import getpass
import gettext
import inspect
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import click
from flask import current_app
from flask.cli import AppGroup, ScriptInfo
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError

from app.audit import trail
from app.audit.trail import Actor, Via
from app.core import text
from app.core.text import N_, NN_, RequestError, Sentence
from app.sources.pause import UNTIL_RESUMED

if TYPE_CHECKING:
    from config import Config

_JSON = "fikstur.json"  # where the context remembers --json

# click's own words that a person can meet here; the catalogue has them beside ours. Of those with a
# plural the singular is named.
CLICK_MESSAGES = (
    N_("Usage:"),
    N_("Positional arguments"),
    N_("Options"),
    N_("Commands"),
    N_("required"),
    N_("default: {default}"),
    N_("Show this message and exit."),
    N_("Error: {message}"),
    N_("Try '{command} {option}' for help."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Missing command."),
    N_("Choose from:\n\t{choices}"),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    NN_("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    NN_("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("Option {name!r} does not take a value."),
    NN_("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    NN_("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    N_("Error: The two entered values do not match."),
    N_("Aborted!"),
)

# What stands for a value in help texts, and click's own of that kind.
METAVARS = (
    N_("[OPTIONS]"),
    N_("COMMAND [ARGS]..."),
    N_("BACKUP"),
    N_("CODE"),
    N_("DATE"),
    N_("FILE"),
    N_("FOLDER"),
    N_("GROUP"),
    N_("HOURS"),
    N_("ID"),
    N_("[ID]..."),
    N_("INTEGER RANGE"),
    N_("ITEM_ID"),
    N_("KEY"),
    N_("KIND"),
    N_("NAME"),
    N_("NAME,NAME"),
    N_("NUMBER"),
    N_("PATH"),
    N_("TABLE"),
    N_("TEXT"),
    N_("USER"),
    N_("VALUE"),
)


class Refused(click.ClickException):
    """It could not be done: one line for the person, exit code 1."""

    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence.to(language()))

    def show(self, file: Any = None) -> None:
        """The line alone, on stderr."""
        click.echo(self.message, file=file or sys.stderr)


class Mistyped(Refused):
    """What was typed cannot be meant: exit code 2."""

    exit_code: ClassVar[int] = 2


@contextlib.contextmanager
def typed() -> Iterator[None]:
    """In here a RequestError is about what was typed."""
    try:
        yield
    except RequestError as error:
        raise Mistyped(error.sentence) from error


# --- language -------------------------------------------------------------------------------------


def language() -> str:
    """As configured; English where no app is loaded, as in a traceback of our own."""
    context = click.get_current_context(silent=True)
    script = context.find_object(ScriptInfo) if context else None
    return str(script.load_app().config["FIKSTUR"].language) if script else "en"


def speak(tongue: str) -> None:
    """Let click's own words ("Usage:", "Error: …") come from our catalogue.

    They come through the process-wide gettext, which takes the language from the environment.
    """
    gettext.bindtextdomain("messages", str(text.TRANSLATIONS))
    gettext.textdomain("messages")
    os.environ["LANGUAGE"] = tongue


def hide(group: click.Command) -> None:
    """List only the commands of the house: Flask's own are for who builds it, and in English."""
    if isinstance(group, click.Group):
        for name in NOT_OURS & set(group.commands):
            group.commands[name].hidden = True


NOT_OURS = {"db", "routes", "run", "shell"}


def word(message: str) -> str:
    """A message of the catalogue in the language of this process."""
    return text.catalogue(language()).gettext(message) if message else message


class _Helped:
    """Something of click with a help text: kept in English, read in the configured language."""

    _help: str | None = None

    def _told(self) -> str | None:
        return word(inspect.cleandoc(self._help)) if self._help else self._help

    def _keep(self, message: str | None) -> None:
        self._help = message

    help = property(_told, _keep)


class Option(_Helped, click.Option):
    """An option; give `help` as N_("…"), and as `metavar` one of METAVARS."""

    def make_metavar(self, ctx: click.Context) -> str:
        """In the language of this process."""
        return word(super().make_metavar(ctx))


class Argument(_Helped, click.Argument):
    """An argument; as an option."""

    def make_metavar(self, ctx: click.Context) -> str:
        """In the language of this process."""
        return word(super().make_metavar(ctx))


class Whole(click.ParamType[int]):
    """A whole number from `least` to `most`; the refusal is a sentence of ours."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """From text or a default."""
        digits = str(value)
        if digits.isascii() and digits.isdigit() and self.least <= int(digits[:20]) <= self.most:
            return int(digits)
        message = Sentence(
            N_("“%(value)s” is not a whole number from %(least)s to %(most)s."),
            {"value": value, "least": self.least, "most": self.most},
        )
        raise click.BadParameter(message.to(language()), ctx, param)


ID = Whole(1, 2**63 - 1)  # what a row number can be on both engines
LIMIT = Whole(1, 10_000)
option = functools.partial(click.option, cls=Option)
argument = functools.partial(click.argument, cls=Argument)


class _Talking(_Helped, click.Command):
    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Also the first thing to run: from here on everything can be printed and is translated."""
        speak(language())
        if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe on Windows knows few letters
            sys.stdout.reconfigure(errors="replace")
        return super().make_context(info_name, args, parent, **extra)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """In the language of this process, also after a mistake: then the context is gone."""
        with ctx.scope(cleanup=False):
            return [word(piece) for piece in super().collect_usage_pieces(ctx)]


class Command(_Talking):
    """A command with --json whose refusals are one line; the body asks `wants_json()`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(
            Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                callback=_remember_json,
                help=N_("Answer in JSON; words about progress go to standard error."),
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what cannot be done becomes a sentence and an exit code."""
        _follow_settings(ctx)
        try:
            with trail.acting(Actor(by(), Via.CLI)):
                return super().invoke(ctx)
        except RequestError as error:
            raise Refused(error.sentence) from error
        except (OperationalError, InterfaceError, ProgrammingError) as error:
            raise Refused(_no_database(error)) from error


class Group(_Talking, AppGroup):
    """A group of commands; each runs in the app's context."""

    command_class = Command


def _follow_settings(ctx: click.Context) -> None:
    """What is stored holds for commands too; a database that is away is the command's to report."""
    script = ctx.find_object(ScriptInfo)
    if script is not None:
        app = script.load_app()
        with app.app_context():
            app.extensions["live"].follow_now()


def _remember_json(ctx: click.Context, _option: click.Parameter, wanted: Any) -> None:
    ctx.meta[_JSON] = wanted


def _no_database(error: OperationalError | InterfaceError | ProgrammingError) -> Sentence:
    reason = str(error.orig).strip().partition("\n")[0][:300]
    return Sentence(
        N_(
            "The database cannot be used (%(reason)s). Check that it runs, DATABASE_URL, "
            "and that it is set up: flask --app wsgi setup"
        ),
        {"reason": reason},
    )


# --- who and where --------------------------------------------------------------------------------


def settings() -> "Config":
    """The configuration of the app at hand."""
    config: Config = current_app.config["FIKSTUR"]
    return config


def by() -> str:
    """Who is at the keyboard, for the ledger."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        name = "?"
    return f"cli:{name}"[:150]


def local_time(at: datetime | None, style: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in the configured zone; nothing where there is none."""
    if at is None or at >= UNTIL_RESUMED:
        return ""
    return at.astimezone(ZoneInfo(settings().time_zone)).strftime(style)


# --- answering ------------------------------------------------------------------------------------


def wants_json() -> bool:
    """Whether stdout belongs to a program."""
    return bool(click.get_current_context().meta.get(_JSON))


def say(message: str, **values: object) -> None:
    """A sentence for people: on stdout, or on stderr when that belongs to JSON."""
    tell(Sentence(message, values))


def tell(sentence: Sentence) -> None:
    """As `say`, with a sentence somebody else made."""
    click.echo(sentence.to(language()), err=wants_json())


def answer(value: object, in_words: Callable[[], None]) -> None:
    """The answer of a command: `value` as JSON, or whatever `in_words` prints."""
    if not wants_json():
        in_words()
        return
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    click.echo(json.dumps(value, ensure_ascii=encoding != "utf8", indent=2))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as they need to be; headers are messages of the catalogue."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    lines = [[word(header) for header in headers], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
