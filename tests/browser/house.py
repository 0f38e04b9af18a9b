"""A house: web, worker and sandbox, furnished with something of everything; and eyes to see it.

Used by the tests of all pages and by the pictures of them (`python dev.py screenshots`).
"""

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app
from stage import Stage, free_port, stage, wait_until

CHROMIUM = os.environ.get("FIKSTUR_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
)
TODAY, YESTERDAY = "2025-05-05", "2025-05-04"
USER, PASSWORD = "operator", "a password for tests"
READER = {"tr": USER, "en": "reader"}  # by the language each reads from the beginning
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE_MS = 90_000  # where many others work on the same machine
# Not pages to look at: what changes nothing to see, and what is a file.
_NO_PAGE = re.compile(
    r"/(live|sum|light|palette|plan|raw|items|entries|rows|healthz|static|api)\b|export|download"
)
# Pages that show today unless told otherwise, and today nothing is there.
FULL_PAGES = (
    f"/admin/matches/?date={TODAY}",
    f"/admin/calendar/?year=2025&from={YESTERDAY}&to={TODAY}&source=sandbox",
)


def need_chromium() -> None:
    """Skip what cannot be seen without it; under CI nothing may skip."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set FIKSTUR_CHROMIUM")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser of a test, closed afterwards."""
    from playwright.sync_api import sync_playwright

    need_chromium()
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def furnished(folder: Path, **settings: str) -> Iterator["House"]:
    """Everything runs and is filled: two days, details, errors, a job at work; ends with it."""
    with bare(folder, **settings) as house:
        house.furnish()
        yield house


@contextmanager
def bare(folder: Path, latency_ms: int = 600, **settings: str) -> Iterator["House"]:
    """Everything runs; nothing was ever fetched. There are two people."""
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    plain = {"SOURCES": "sandbox", "LANGUAGE": "tr", "LOG_LEVEL": "warning"}
    with stage(folder, **plain, **ports, **settings) as made:
        assert made.flask("setup").returncode == 0, made.log_text()
        house = House(made, f"http://127.0.0.1:{ports['PORT']}")
        house.open(latency_ms)
        house.fills = house.write(_people)
        yield house
        house.close()


class House:
    """The address of a panel, and the processes behind it."""

    def __init__(self, made: Stage, address: str) -> None:
        self.stage, self.address = made, address
        self.fills: dict[str, str] = {}

    def open(self, latency_ms: int) -> None:
        """Start the three programs."""
        ports = self.stage.environ["PORT"], self.stage.environ["SANDBOX_PORT"]
        told = ("--port", ports[1], "--today", TODAY, "--latency-ms", str(latency_ms), "--quiet")
        self.stage.start("-m", "app.sandbox", *told, name="sandbox")
        self.stage.start("-m", "flask", "--app", "wsgi", "web", name="web")
        self.stage.worker()
        for port in ports:
            self.stage.until_listens(port, seconds=60)

    def furnish(self) -> None:
        """Matches, details, errors, a backup, a receipt, jobs that ended and one that goes on."""
        from app.backups import catalogue
        from app.backups.request import create_request
        from app.fixtures.details_request import details_plan
        from app.sources.registry import adapter

        self.fills |= self.write(_receipt)
        with self.app.app_context():
            today = _submitted(lambda s: _days(s, TODAY, TODAY))
            failing = _submitted(lambda s: _days(s, YESTERDAY, YESTERDAY))  # at first: an error
            _ended(today, failing, _submitted(lambda _: create_request("first", drill=False)))
            self.fills["backup_id"] = catalogue.find("latest").id
            source, kinds = adapter("sandbox"), ["event", "statistics", "incidents", "lineups"]
            _ended(_submitted(lambda s: details_plan(s, source, _some_ids(s), kinds).job))
            _submitted(lambda s: _days(s, "2020-01-01", "2024-12-31"))

    def write(self, rows: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Write rows into the database of the house."""
        with self.app.app_context():
            return rows()

    @functools.cached_property
    def app(self) -> Flask:
        """On the database of the house."""
        from conftest import settings

        from app import create_app

        return create_app(settings(Path(self.stage.environ["DATA_DIR"])))

    def close(self) -> None:
        """Let go of the database; the processes end with the stage."""
        from app.core.db import db

        with self.app.app_context():
            db.engine.dispose()


def _submitted(make: Callable[[Any], Any]) -> int:
    """The job; nobody is rung for, a worker finds it within a second."""
    from app.core.db import transaction
    from app.jobs.models import Trigger
    from app.jobs.submit import submit

    with transaction() as session:
        return submit(session, make(session), by=USER, trigger=Trigger.PANEL).job_id


def _ended(*job_ids: int) -> None:
    from app.core.db import reading
    from app.jobs.models import OPEN_JOB, Job

    def none_is_open() -> bool:
        with reading() as session:
            jobs = [session.get_one(Job, job_id) for job_id in job_ids]
            return not any(job.state in OPEN_JOB for job in jobs)

    wait_until(none_is_open, 60)


def _days(session: Any, first: str, last: str) -> Any:
    from app.fixtures.request import fetch_request

    days = date.fromisoformat(first), date.fromisoformat(last)
    return fetch_request(session, ["sandbox"], *days).job


def _some_ids(session: Any) -> list[str]:
    from app.fixtures.models import Match

    return [row.source_id for row in session.query(Match).order_by(Match.id).limit(4)]


def _people() -> dict[str, str]:
    """Two administrators; what stands in addresses, by its name there."""
    from app.accounts import reset, users
    from app.accounts.models import Role
    from app.core.clock import now
    from app.core.db import transaction

    secret_key = current_app.config["FIKSTUR"].secret_key
    with transaction() as session:
        for language, name in READER.items():
            user = users.create(session, name, PASSWORD, role=Role.ADMINISTRATOR)
            user.language = language
        session.flush()
        token = reset.token_of(user, secret_key, now() + timedelta(days=1))
        return {"user_id": str(user.id), "token": token}


def _receipt() -> dict[str, str]:
    """Of a drill that was passed."""
    from app.core.clock import now
    from app.core.db import transaction
    from app.drill.models import DrillReceipt
    from app.drill.receipt import Facts, Kill, as_kept

    states = {"done": 500, "waiting": 0, "running": 0, "failed": 0, "quarantined": 0}
    names = ("submitted", "done_once", "effects", "executions")
    none = ("doubled", "never_asked", "unexplained", "claimed_again", "explained", "unbalanced")
    counted = {**dict.fromkeys(names, 500), **dict.fromkeys(none, 0), "looks": 90}
    told = {"database": "sqlite", "queue": "sqlite", "lease_s": 3.0, "took_s": 12.0}
    facts = Facts(**counted, **told, kills_asked=1, states=states, kills=(Kill(2, 90, 7, 3, 4),))
    with transaction() as session:
        session.add(DrillReceipt(job_id=1, at=now(), passed=True, facts=as_kept(facts)))
    return {}


def sign_in(page: Any, house: House, name: str = USER) -> None:
    """By the form, as everybody does."""
    page.goto(house.address)
    page.fill("#username", name)
    page.fill("#password", PASSWORD)
    page.click("main button.btn-primary")
    page.wait_for_selector("#board")


def places(house: House) -> list[str]:
    """Every page of the panel, from the URL map, with something that is there in each gap."""
    rules = [
        rule.rule
        for rule in house.app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not _NO_PAGE.search(rule.rule)
    ]
    return sorted({*(_filled(rule, house.fills) for rule in rules), *FULL_PAGES} - {"/"})


def is_open(place: str) -> bool:
    """Whether the page is for those who have not signed in."""
    return place.startswith(("/sign-in", "/forgot", "/reset/"))


def _filled(rule: str, fills: dict[str, str]) -> str:
    gap = re.compile(r"<(?:([^:<>]+):)?(\w+)>")
    text = gap.sub(lambda found: fills.get(found[2], "1" if found[1] else "anything"), rule)
    return text + ("?id=1" if text.endswith("/details/") and text != "/admin/details/" else "")


class Watched:
    """A page of a browser, and everything it complained of or asked of strangers."""

    def __init__(self, browser: Any, house: House, name: str | None = USER, **options: Any) -> None:
        self.house = house
        self.page = browser.new_page(**options)
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.set_viewport_size(options.get("viewport", DESK))
        self.complaints: list[str] = []
        self.posted: list[str] = []
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        if name:
            sign_in(self.page, house, name)

    def _told(self, message: Any) -> None:
        if message.type in {"error", "warning"}:  # what the policy refuses is an error too
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if request.method == "POST":
            self.posted.append(request.url)
        if not request.url.startswith((self.house.address, "data:", "blob:")):
            self.complaints.append(f"{self.page.url} asked {request.url}")

    def go(self, place: str) -> Any:
        """The answer of a page that is there with everything it needs."""
        return self.page.goto(self.house.address + place, wait_until="load")

    def speak(self, language: str) -> None:
        """By the button; it holds for the user from now on."""
        self.page.click(f"button[name=language][value={language}]")
        self.page.wait_for_selector(f"html[lang={language}]")
