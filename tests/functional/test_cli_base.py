"""What holds for every command: help, JSON, languages, refusals without traces."""

import ast
import dataclasses
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from commands import SQLITE_ONLY, run, run_json, speaking
from flask import Flask
from sqlalchemy import text as sql

from app.cli import base, errors, fixtures, jobs, sources, users
from app.cli.base import Command, Option
from app.core import text
from app.core.db import transaction
from app.core.text import N_, Sentence

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
GROUPS = (fixtures.fixtures, errors.errors, jobs.jobs, sources.sources, users.users)
COMMANDS = [(g.name or "", c) for g in GROUPS for c in g.commands] + [("doctor", "")]
CLI = Path(base.__file__).parent

TURKISH = {
    "Usage:": "Kullanım:",
    "Options": "Seçenekler",
    "Error: {message}": "Hata: {message}",
    "Try '{command} {option}' for help.": "Yardım için '{command} {option}' yazın.",
    "No such option {name!r}.": "{name!r} diye bir seçenek yok.",
    "Fetch fixture days and show them.": "Fikstür günlerini çekin ve gösterin.",
    "The last day of a range.": "Aralığın son günü.",
    "Kick-off": "Başlama",
    "There is no job %(id)s.": "%(id)s numaralı iş yok.",
    "“%(value)s” is not a day of the calendar. Check the month and the day.": (
        "“%(value)s” takvimde olmayan bir gün. Ayı ve günü denetleyin."
    ),
    "Job %(id)s was submitted; items: %(items)s.": "İş %(id)s verildi; kalem sayısı: %(items)s.",
}


@pytest.fixture
def turkish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small catalogue in place of the real one."""
    catalogue = Catalog(locale="tr")
    for english, translated in TURKISH.items():
        catalogue.add(english, translated)
    folder = tmp_path / "translations" / "tr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "messages.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setattr(text, "TRANSLATIONS", tmp_path / "translations")
    text.catalogue.cache_clear()
    yield
    text.catalogue.cache_clear()


def names(group: str, command: str) -> list[str]:
    return [group, command] if command else [group]


@pytest.mark.parametrize(("group", "command"), COMMANDS)
def test_every_command_has_help_and_json(app: Flask, group: str, command: str) -> None:
    result = run(app, *names(group, command), "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "Usage:" in result.stdout


def test_every_command_option_and_argument_is_explained_by_a_marked_message(app: Flask) -> None:
    marked = set()
    for path in CLI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "N_":
                marked.add(ast.literal_eval(node.args[0]))
    for group in GROUPS:
        assert group.help in marked
        for command in group.commands.values():
            assert command.help in marked, command.name
            options = [p for p in command.params if isinstance(p, click.Option)]
            assert all(option.help in marked for option in options), command.name


def test_the_words_of_click_and_ours_are_turkish_where_turkish_is_configured(
    app: Flask, turkish: None
) -> None:
    said = run(app, "fixtures", "--help", language="tr").stdout
    assert "Kullanım:" in said
    assert "Fikstür günlerini çekin ve gösterin." in said
    assert "Aralığın son günü." in run(app, "fixtures", "fetch", "--help", language="tr").stdout
    wrong = run(app, "fixtures", "fetch", "2024-11-05", "--sauce", language="tr")
    assert wrong.exit_code == 2
    assert "Hata: '--sauce' diye bir seçenek yok." in wrong.stderr


@pytest.mark.parametrize(
    ("language", "bad_day", "no_job", "submitted"),
    [
        ("tr", "takvimde olmayan bir gün", "9 numaralı iş yok.", "İş 1 verildi"),
        ("en", "is not a day of the calendar", "There is no job 9.", "Job 1 was submitted"),
    ],
)
def test_each_sentence_comes_in_the_configured_language(
    app: Flask, turkish: None, language: str, bad_day: str, no_job: str, submitted: str
) -> None:
    assert bad_day in run(app, "fixtures", "fetch", "2024-11-35", language=language).stderr
    assert no_job in run(app, "jobs", "show", 9, language=language).stderr
    assert submitted in run(app, "fixtures", "fetch", "2024-11-05", language=language).stdout


def test_json_keys_and_states_are_english_in_turkish_too(app: Flask, turkish: None) -> None:
    run(app, "fixtures", "fetch", "2024-11-05", language="tr")
    with speaking(app, "tr"):
        assert run_json(app, "jobs", "show", 1)["state"] == "PENDING"


def test_a_database_that_is_not_set_up_is_a_sentence(app: Flask) -> None:
    with transaction() as session:
        session.execute(sql("ALTER TABLE job RENAME TO elsewhere"))
    result = run(app, "jobs", "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The database cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


class Pipe(io.TextIOWrapper):
    """What stdout is on a Windows machine when it is piped."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["cp1254", "cp1252"])
def test_letters_a_pipe_does_not_know_break_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    @click.command(cls=Command)
    def speak_widely() -> None:
        base.answer({"team": "Řepka Ağrı"}, lambda: base.say(N_("Řepka Ağrı")))

    for arguments, expected in (([], "?epka A"), (["--json"], r"\u0158epka A\u011fr\u0131")):
        pipe = Pipe(encoding)
        monkeypatch.setattr(sys, "stdout", pipe)
        with speaking(app, "en"):
            speak_widely.main(arguments, standalone_mode=False)
        assert expected in pipe.text()


def test_an_unforeseen_mistake_of_ours_is_not_dressed_up_as_a_refusal(app: Flask) -> None:
    @click.command(cls=Command)
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken.main([], standalone_mode=False)


def test_the_words_of_click_that_are_translated_are_words_of_click(app: Flask) -> None:
    folder = Path(click.__file__).parent
    said = {
        node.value
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
    }
    assert set(base.CLICK_MESSAGES) <= said


def test_a_refusal_in_turkish_keeps_its_exit_code(app: Flask, turkish: None) -> None:
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, language="tr")
    assert run(app, "jobs", "cancel", 9, language="tr").exit_code == 1


def test_the_usage_line_after_a_mistake_is_turkish_too(app: Flask) -> None:
    unsaid = run(app, "fixtures", "fetch", language="tr").stderr
    assert "fixtures fetch [SEÇENEKLER] TARİH" in unsaid


def test_no_english_is_left_in_the_turkish_help_of_any_command(app: Flask) -> None:
    """Of every command there is, down to what stands for a value; codes stay as they are typed."""
    english = re.compile(
        r"\b(OPTIONS|COMMAND|ARGS|TEXT|NUMBER|INTEGER|RANGE|FILE|FOLDER|NAME|DATE)\b"
    )
    sentence = re.compile(r"\b(the|of|and|only|usage|options|default|required)\b", re.I)
    found = []
    for names in all_commands(app.cli):
        said = run(app, *names, "--help", language="tr").stdout
        assert said.startswith("Kullanım: "), names
        # click keeps the line of --help in the language in which this process first asked.
        lines = [line for line in said.splitlines() if "--help" not in line]
        found += [(names, line) for line in lines if english.search(line) or sentence.search(line)]
    assert found == []


def all_commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if name != "db":  # Flask-Migrate's own
            yield (*before, name)
            if isinstance(command, click.Group):
                yield from all_commands(command, *before, name)


def test_the_list_of_commands_names_those_of_the_house(app: Flask, tmp_path: Path) -> None:
    """As somebody sees it who asks for help, with the language of his shell."""
    environ = {**os.environ, "LANGUAGE": "tr", "DATA_DIR": str(tmp_path), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "--help"],
        env=environ | {"FIKSTUR_ENV_FILE": os.devnull},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    listed = done.stdout.partition("Komutlar:")[2]
    assert "Fikstür günlerini çeker" in listed
    assert not re.search(r"\b(the|a|for|in|migrations)\b", listed)


def test_help_texts_stay_english_inside_so_that_two_languages_can_be_shown(app: Flask) -> None:
    option = Option(["--x"], help=N_("The last day of a range."))
    assert option.help == "The last day of a range."
    assert str(Sentence(option.help)) == "The last day of a range."
