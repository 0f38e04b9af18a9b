"""No line of the log shows a secret, whoever writes it and however it is written there."""

import logging
from pathlib import Path

import pytest
from conftest import settings

from app.core import log

TOKEN, PASSWORD = "k3y/with+signs", 'quo"ted\\pass'


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", set())
    given = {"FOOTBALL_DATA_TOKEN": TOKEN, "SMTP_PASSWORD": PASSWORD, "SMTP_HOST": "mail.test"}
    given["REDIS_URL"] = "redis://somebody:s3cret%40redis@127.0.0.1:6379/5"
    log.hide(settings(tmp_path, **given))


def line(style: str, message: str, *arguments: object) -> str:
    """As it comes to standard error."""
    record = logging.makeLogRecord({"msg": message, "args": arguments, "job": "", "levelno": 20})
    return log.formatter(style).format(record)


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    "written",
    [TOKEN, "k3y%2Fwith%2Bsigns", PASSWORD, "s3cret%40redis", "s3cret@redis"],
)
def test_a_secret_is_hidden_and_the_rest_of_the_line_stays(style: str, written: str) -> None:
    told = line(style, "GET https://api.test/%s/day answered %s", written, 403)
    assert "GET https://api.test/•••/day answered 403" in told


def test_what_a_library_says_of_an_exception_is_hidden_too() -> None:
    error = ConnectionError(f"https://api.test/{TOKEN}")
    told = {"msg": "it failed", "exc_info": (type(error), error, None), "job": ""}
    for style in ("text", "json"):
        shown = log.formatter(style).format(logging.makeLogRecord(told))
        assert "https://api.test/•••" in shown
        assert TOKEN not in shown


def test_short_words_and_addresses_without_a_password_stay(tmp_path: Path) -> None:
    log.hide(settings(tmp_path, FOOTBALL_DATA_TOKEN="day", REDIS_URL="redis://127.0.0.1:6379/5"))
    assert "redis://127.0.0.1:6379/5 day" in line("text", "redis://127.0.0.1:6379/5 day")
