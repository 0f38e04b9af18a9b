import dataclasses

import pytest
from commands import SQLITE_ONLY, run, run_json
from flask import Flask

from app.core.clock import now
from app.core.db import reading, transaction
from app.core.text import Sentence
from app.sources import breaker, pace
from app.sources.base import Code
from app.sources.models import SourceState
from app.sources.pause import pause
from app.sources.registry import ADAPTERS

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


def listed(app: Flask, name: str) -> dict[str, object]:
    return next(row for row in run_json(app, "sources", "list") if row["name"] == name)


def test_every_known_source_is_listed_with_its_licence(app: Flask) -> None:
    rows = run_json(app, "sources", "list")
    assert [row["name"] for row in rows] == list(ADAPTERS)
    assert all(row["licence_note"] for row in rows)
    assert all(row["usable"] == row["on"] for row in rows)
    assert listed(app, "sandbox")["base_url"] == "http://127.0.0.1:8899"


def test_a_source_that_may_not_be_asked_says_why(app: Flask) -> None:
    config = app.config["FIKSTUR"]
    app.config["FIKSTUR"] = dataclasses.replace(config, sofascore_permitted=False)
    row = listed(app, "sofascore")
    assert (row["on"], row["usable"]) == (True, False)
    assert "refused permission" in str(row["why_not"])
    assert "refused permission" in run(app, "sources", "list").stdout


def test_no_key_is_ever_shown(app: Flask) -> None:
    assert "not-a-real-token" not in run(app, "sources", "list", "--json").output


def test_pausing_by_hand_lasts_until_somebody_resumes(app: Flask) -> None:
    result = run(app, "sources", "pause", "sandbox")
    assert result.exit_code == 0
    assert "Resume it: flask --app wsgi sources resume sandbox" in result.stdout
    row = listed(app, "sandbox")
    assert (row["paused"], row["code"]) == (True, "PAUSED")
    assert str(row["paused_until"]).startswith("9000-01-01")
    assert "somebody resumes it" in run(app, "sources", "list").stdout
    assert "Paused by cli:" in str(row["message"])
    assert "is resumed" in run(app, "sources", "resume", "sandbox").stdout
    assert listed(app, "sandbox")["paused"] is False


def test_a_pause_of_the_source_itself_can_be_ended_too(app: Flask) -> None:
    with transaction() as session:
        pause(session, "sandbox", 3600, "BLOCKED", Sentence("blocked"), now())
    assert "BLOCKED" in run(app, "sources", "list").stdout
    assert run_json(app, "sources", "resume", "sandbox") == {"name": "sandbox", "paused": False}
    with reading() as session:
        assert session.get_one(SourceState, "sandbox").paused_until is None


def test_resuming_what_is_not_paused_says_so(app: Flask) -> None:
    result = run(app, "sources", "resume", "sandbox")
    assert (result.exit_code, result.stdout) == (0, "sandbox was not paused.\n")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_an_unknown_source_is_a_sentence_that_names_the_known(app: Flask, verb: str) -> None:
    result = run(app, "sources", verb, "nobody")
    assert result.exit_code == 2
    assert "There is no source “nobody”. Known are: sandbox" in result.stderr


def test_the_limit_and_the_breaker_are_told_and_resuming_closes_it(app: Flask) -> None:
    with transaction() as session:
        for _ in range(10):
            breaker.note(session, "football_data", Code.SERVER_ERROR, now())
        pace.note(session, "football_data", Code.RATE_LIMITED, 0.005, now())
        pace.wait_for_slot(session, "football_data", 40)
    row = listed(app, "football_data")
    assert (row["limit"], row["speed"], row["breaker"]) == ("9/60", 0.5, "open")
    assert (row["failures"], row["code"]) == (10, "BREAKER_OPEN")
    assert 30 < float(str(row["free_in_s"])) <= 40
    told = run(app, "sources", "list").stdout
    assert "At most 9/60 (requests/seconds), all workers together." in told
    assert "It asked for fewer requests: 50% of the limit for now." in told
    assert "Breaker open: it is left alone." in told
    run(app, "sources", "resume", "football_data")
    row = listed(app, "football_data")
    assert (row["breaker"], row["failures"], row["paused"]) == ("closed", 0, False)
    assert listed(app, "sandbox")["limit"] is None
