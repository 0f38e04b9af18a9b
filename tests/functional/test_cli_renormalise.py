import json
import signal
from datetime import date
from typing import Any

import msgspec
import pytest
from commands import SQLITE_ONLY, run, run_json
from fakes import FakeOutside, a_desk, answer, stream_all, work_all
from flask import Flask
from shapes import a_list, a_match, the_api
from sqlalchemy import func, select

from app.cli import renormalise as command
from app.core.db import reading, transaction
from app.fixtures import renormalise as reader
from app.fixtures.details_request import details_plan
from app.fixtures.models import Match, MatchChange, RawAnswer
from app.fixtures.request import fetch_request
from app.jobs.models import Trigger
from app.jobs.submit import submit as submit_job
from app.sources.base import Match as MatchValues
from app.sources.registry import adapter
from app.sources.sandbox import Sandbox

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
ASK = ("fixtures", "renormalise")


@pytest.fixture
def filled(app: Flask) -> Flask:
    """Two days of three matches, and two matches' statistics."""
    with transaction() as session:
        days = fetch_request(session, ["sandbox"], date(2025, 5, 5), date(2025, 5, 6)).job
        plan = details_plan(session, adapter("sandbox"), ["1", "2"], ["statistics"])
        assert days is not None
        assert plan.job is not None
        by = {"by": "tester", "trigger": Trigger.CLI}
        day_job, detail_job = (submit_job(session, job, **by).job_id for job in (days, plan.job))
    bodies = [a_list(*(a_match(n) for n in numbers)) for numbers in ((1, 2, 3), (4, 5, 6))]
    work_all(day_job, a_desk(FakeOutside(*map(answer, bodies))))
    stream_all(detail_job, FakeOutside(the_api))
    return app


@pytest.fixture
def mended(filled: Flask, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The adapter reads the round differently since yesterday."""
    before = Sandbox.normalise

    def normalise(self: Sandbox, row: msgspec.Raw) -> MatchValues:
        return msgspec.structs.replace(before(self, row), round="Final")

    monkeypatch.setattr(Sandbox, "normalise", normalise)
    return filled


@pytest.fixture
def damaged(filled: Flask) -> Flask:
    """One raw answer can be read no more."""
    with transaction() as session:
        raw = session.scalars(select(RawAnswer).where(RawAnswer.key == "2025-05-05")).one()
        raw.body = b"not zstd"
    return filled


def rounds() -> set[str | None]:
    with reading() as session:
        return set(session.scalars(select(Match.round)))


def test_a_dry_run_counts_and_changes_nothing(mended: Flask) -> None:
    result = run(mended, *ASK, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "nothing is changed yet" in result.stdout
    line = next(line for line in result.stdout.splitlines() if " matches " in line)
    assert line.split() == ["sandbox", "day", "2", "matches", "0", "6", "0", "0"]
    assert rounds() == {None}


def test_json_has_every_count_and_nothing_else_on_stdout(mended: Flask) -> None:
    told = run_json(mended, *ASK, "--dry-run")
    assert (told["stopped"], told["corrected"]) == (False, None)
    counted = told["counted"]
    assert (counted["answers"], counted["read"], counted["unreadable"]) == (4, 4, 0)
    none = {"equal": 0, "changed": 0, "new": 0, "gone": 0}
    day, detail = counted["kinds"]
    assert day == {
        "source": "sandbox",
        "kind": "day",
        "read": 2,
        "unreadable": 0,
        "rows": {
            "matches": none | {"changed": 6},
            "places": none | {"equal": 6},
            "days": none | {"changed": 2},
        },
    }
    assert (detail["kind"], detail["read"]) == ("statistics", 2)
    assert detail["rows"] == {
        "statistics": none | {"equal": 2},
        "details": none | {"equal": 2},
    }
    assert rounds() == {None}


def test_without_a_terminal_and_without_yes_it_refuses(mended: Flask) -> None:
    result = run(mended, *ASK)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Give --yes, or look first with --dry-run" in result.stderr
    assert rounds() == {None}


def test_with_yes_it_counts_then_corrects_and_the_second_time_nothing_differs(
    mended: Flask,
) -> None:
    result = run(mended, *ASK, "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("nothing is changed yet") < result.stdout.index("Corrected:")
    assert rounds() == {"Final"}
    again = run_json(mended, *ASK, "--yes")
    assert again["corrected"] is None
    assert run(mended, *ASK, "--dry-run").stdout.endswith("Nothing differs.\n")
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(MatchChange)) == 0


@pytest.mark.parametrize(
    ("language", "typed", "exit_code", "after"),
    [
        ("en", "yes\n", 0, "Final"),
        ("tr", "evet\n", 0, "Final"),
        ("tr", "YES\n", 0, "Final"),
        ("en", "y\n", 1, None),
        ("en", "\n", 1, None),
        ("en", "", 1, None),
    ],
)
def test_at_a_terminal_it_asks_and_only_yes_is_yes(
    mended: Flask,
    monkeypatch: pytest.MonkeyPatch,
    language: str,
    typed: str,
    exit_code: int,
    after: str | None,
) -> None:
    monkeypatch.setattr(command, "at_a_terminal", lambda: True)
    result = run(mended, *ASK, typed=typed, language=language)
    assert result.exit_code == exit_code, result.output
    assert rounds() == {after}


def test_where_nothing_differs_nobody_is_asked(
    filled: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "at_a_terminal", lambda: True)
    result = run(filled, *ASK)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Nothing differs." in result.stdout


def test_an_answer_that_cannot_be_read_is_named_and_the_exit_code_is_1(damaged: Flask) -> None:
    for how in ("--dry-run", "--yes"):
        result = run(damaged, *ASK, how)
        assert result.exit_code == 1
        assert "1 answers could not be read; what is stored of them stays" in result.stdout
        assert "  sandbox day 2025-05-05: The stored answer is damaged" in result.stdout
    told = run_json(damaged, *ASK, "--dry-run", exit_code=1)["counted"]
    (one,) = told["unreadable_answers"]
    assert told["unreadable"] == told["kinds"][0]["unreadable"] == 1
    assert (one["source"], one["kind"], one["key"]) == ("sandbox", "day", "2025-05-05")
    assert "Fetch it again" in one["message"]


def test_of_very_many_only_some_are_printed(
    damaged: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MOST_SHOWN", 0)
    result = run(damaged, *ASK, "--dry-run")
    assert "… and 1 more; --json names them." in result.stdout
    assert "damaged" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "soon"], "is not a date"),
        (["--from", "2025-05-06", "--to", "2025-05-05"], "Swap the two dates"),
        (["--source", "nobody"], "There is no source “nobody”"),
        (["--kind", "teapot"], "No answers of the kind “teapot” are kept. Known are: day, event"),
        (["--source", "openfootball", "--kind", "event"], "Known are: day."),
    ],
)
def test_what_is_typed_wrong_is_a_sentence(filled: Flask, arguments: list[str], words: str) -> None:
    result = run(filled, *ASK, *arguments, "--yes")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_only_a_part_of_it(mended: Flask) -> None:
    told = run_json(mended, *ASK, "--from", "2025-05-06", "--to", "2025-05-06", "--yes")
    assert told["corrected"]["answers"] == 1
    assert rounds() == {None, "Final"}
    told = run_json(mended, *ASK, "--source", "sandbox", "--kind", "statistics", "--dry-run")
    assert [one["kind"] for one in told["counted"]["kinds"]] == ["statistics"]


def test_an_empty_collection_says_so(app: Flask) -> None:
    result = run(app, *ASK, "--yes")
    assert result.exit_code == 0
    assert result.stdout.strip() == "There are no stored answers to read."


def interrupt_at(monkeypatch: pytest.MonkeyPatch, batch: int, *, times: int = 1) -> None:
    """Ctrl-C while a batch of one answer is read."""
    monkeypatch.setattr(reader, "DAYS_AT_ONCE", 1)
    before, seen = reader._read, []

    def read(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == batch:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return before(*arguments)

    monkeypatch.setattr(reader, "_read", read)


def test_ctrl_c_while_counting_changes_nothing(
    mended: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, 1)
    result = run(mended, *ASK, "--yes")
    assert result.exit_code == 130
    assert "Stopped. Nothing was changed." in result.stdout
    assert rounds() == {None}


def test_ctrl_c_while_correcting_ends_after_the_batch_in_hand(
    mended: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    interrupt_at(monkeypatch, 4)  # two days and the details are counted, then the first is written
    result = run(mended, *ASK, "--yes", "--json")
    assert result.exit_code == 130
    assert "Stopped after 1 of 4 answers. What was corrected stays" in result.stderr
    told = json.loads(result.stdout)
    assert (told["stopped"], told["corrected"]["read"]) == (True, 1)
    assert rounds() == {None, "Final"}
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.undo()


def test_ctrl_c_twice_interrupts_at_once(mended: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 4, times=2)
    result = run(mended, *ASK, "--yes")
    assert result.exit_code != 0
    assert rounds() == {None}


def test_in_turkish(damaged: Flask) -> None:
    result = run(damaged, *ASK, "--dry-run", language="tr")
    assert "1 yanıt okunamadı" in result.stdout
    assert "Saklanan yanıt bozuk" in result.stdout
