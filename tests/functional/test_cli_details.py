import json
from pathlib import Path

import pytest
from commands import run, run_json
from fakes import FakeOutside, a_desk, answer, stream_all, work_all
from flask import Flask
from shapes import a_list, a_match, the_api
from sqlalchemy import func, select, update

from app.core.clock import now
from app.core.db import reading, transaction
from app.jobs.models import Job, JobItem
from app.sources import pace
from app.sources.models import SourceState
from app.sources.pause import pause_by_hand, reset

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def jobs() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def fetch(app: Flask, *arguments: str, **more: object) -> object:
    return run(app, "details", "fetch", "--source", "sandbox", *arguments, **more)


def test_ids_ranges_and_a_file_make_one_item_per_match_and_kind(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("match_id;ev\n7;A\n8;B\n8;B\nx;C\n", "utf-8")
    done = fetch(app, "1", "3-5", "--file", str(file), "--kind", "event", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["submitted"], told["matches"], told["repeated"], told["no_ids"]) == (6, 6, 1, 1)
    assert "Line 5" in done.stderr or "5" in told["problems"][0]
    with reading() as session:
        keys = session.scalars(select(JobItem.key).order_by(JobItem.id)).all()
    assert keys == ["1", "3", "4", "5", "7", "8"]


def test_a_dry_run_says_what_it_costs_and_submits_nothing(app: Flask) -> None:
    done = fetch(app, "1-100", "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (told["id"], told["to_do"], told["new"], told["requests"]) == (None, 400, 400, 400)
    assert jobs() == 0


@pytest.mark.parametrize(
    ("source", "state", "least_s", "said"),
    [
        ("sandbox", {}, 0, "as fast as the source answers"),
        ("sofascore", {}, 59, "at least about 0:00:59, at its limit of 1/1"),
        ("sofascore", {"factor": 0.5}, 118, "at least about 0:01:58"),
        ("football_data", {}, 360, "at least about 0:06:00, at its limit of 9/60"),
    ],
)
def test_a_dry_run_says_how_long_it_takes_at_best(
    app: Flask, source: str, state: dict[str, float], least_s: float, said: str
) -> None:
    with transaction() as session:
        session.add(SourceState(source=source, factor_at=now(), **state))
    ask = ["details", "fetch", "--source", source, "--dry-run"]
    done = run(app, *ask, "1-60", "--kind", "event" if source != "football_data" else "match")
    assert (done.exit_code, jobs()) == (0, 0)
    assert said in done.stdout
    told = run_json(app, *ask, "1-60", "--kind", "event" if source != "football_data" else "match")
    assert told["least_s"] == least_s


def test_a_dry_run_counts_from_the_next_free_slot(app: Flask) -> None:
    with transaction() as session:
        pace.wait_for_slot(session, "sofascore", 600)
    ask = ["details", "fetch", "--source", "sofascore", "--kind", "event", "--dry-run"]
    assert 659 - 60 < run_json(app, *ask, "1-60")["least_s"] <= 659
    assert "at once" not in run(app, *ask, "1").stdout


def test_a_dry_run_says_that_the_source_is_paused_and_slowed_down(app: Flask) -> None:
    with transaction() as session:
        pause_by_hand(session, "sofascore", "ece")
        session.execute(update(SourceState).values(factor=0.5))
    ask = ["details", "fetch", "--source", "sofascore", "--kind", "event", "--dry-run", "1"]
    said = run(app, *ask).stdout
    assert "Source sofascore is paused (PAUSED) until somebody resumes it." in said
    assert "50% of the limit for now" in said
    assert len(run_json(app, *ask)["remarks"]) == 2
    with transaction() as session:
        reset(session, "sofascore")
    assert run_json(app, *ask)["remarks"] == []


def test_the_matches_of_stored_days_that_lack_details(app: Flask) -> None:
    day = run_json(app, "fixtures", "fetch", "2025-05-05", "--source", "sandbox")
    listed = answer(a_list(*(a_match(n) for n in range(1, 11))))
    work_all(day["id"], a_desk(FakeOutside(listed)))
    first = json.loads(fetch(app, "1", "2", "--kind", "event", "--json").stdout)
    stream_all(first["id"], FakeOutside(the_api))
    lacking = fetch(app, "--days", "2025-05-05", "--kind", "event", "--dry-run", "--json")
    assert json.loads(lacking.stdout)["to_do"] == 8


def test_what_is_stored_of_a_match_is_shown(app: Flask) -> None:
    told = json.loads(fetch(app, "1", "--json").stdout)
    stream_all(told["id"], FakeOutside(the_api))
    shown = json.loads(run(app, "details", "show", "1", "--source", "sandbox", "--json").stdout)
    kinds = {detail["kind"]: detail for detail in shown["details"]}
    assert kinds["statistics"]["statistics"][0]["home"] == "55%"
    assert len(kinds["lineups"]["players"]) == 4
    assert run(app, "details", "show", "2", "--source", "sandbox").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("1", "--kind", "weather"),
        ("1", "--file", "/no/such/file.txt"),
        ("--to", "2025-05-05"),
        ("--days", "2025-05-35"),
        ("1-999999999",),
    ],
)
def test_bad_input_is_a_sentence_with_exit_code_2_and_no_job(
    app: Flask, arguments: tuple[str, ...]
) -> None:
    done = fetch(app, *arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.strip()) > 10
    assert jobs() == 0


def test_the_dry_run_says_which_column_was_read_and_the_wrong_lines_even_if_all_are(
    app: Flask, tmp_path: Path
) -> None:
    file = tmp_path / "job-5.csv"
    file.write_text("Numara,Anahtar\n1,100001002\n", "utf-8")
    done = fetch(app, "--file", str(file), "--dry-run")
    assert "Column read: Anahtar. First ids: 100001002" in done.stdout
    done = fetch(app, "300-290", "abc")
    assert done.exit_code == 2
    assert "Line 1: the range “300-290” runs backwards" in done.stderr
    assert "Line 2: “abc” is not a match id" in done.stderr


def test_twenty_thousand_ids_are_accepted(app: Flask) -> None:
    told = json.loads(fetch(app, "1-20000", "--kind", "event", "--json").stdout)
    assert told["submitted"] == told["items"]["waiting"] == 20_000
