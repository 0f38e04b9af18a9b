"""A furnished house: web, worker and sandbox with something of everything, and Chromium to see it.

Used by the tests of all pages and by the pictures of them (`python dev.py screenshots`).
"""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

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
# Not pages to look at: what changes nothing to see, and what is a file.
_NO_PAGE = re.compile(
    r"/(live|sum|light|palette|items|entries|healthz|static|api)\b|export|download"
)


@contextmanager
def furnished(folder: Path, **settings: str) -> Iterator["House"]:
    """Everything runs and is filled: two days, details, errors, a job at work; ends with it."""
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    plain = {"SOURCES": "sandbox", "LANGUAGE": "tr", "LOG_LEVEL": "warning"}
    with stage(folder, **plain, **ports, **settings) as made:
        assert made.flask("setup").returncode == 0, made.log_text()
        house = House(made, f"http://127.0.0.1:{ports['PORT']}")
        house.open()
        house.furnish()
        yield house


class House:
    """The address of a panel, and the processes behind it."""

    def __init__(self, made: Stage, address: str) -> None:
        self.stage, self.address = made, address
        self.fills: dict[str, str] = {}

    def open(self) -> None:
        """Start the three programs."""
        ports = self.stage.environ["PORT"], self.stage.environ["SANDBOX_PORT"]
        told = ("--port", ports[1], "--today", TODAY, "--latency-ms", "600", "--quiet")
        self.stage.start("-m", "app.sandbox", *told, name="sandbox")
        self.stage.start("-m", "flask", "--app", "wsgi", "web", name="web")
        self.stage.worker()
        for port in ports:
            wait_until(lambda port=port: _listens(int(port)), 60)

    def furnish(self) -> None:
        """Somebody who may do everything, matches, details, errors, jobs that ended and one that
        goes on for long."""
        self.fills = self._write(_some_rows)
        self.stage.flask("fixtures", "fetch", TODAY, "--wait")
        self.stage.flask("fixtures", "fetch", YESTERDAY, "--wait")  # fails at first: an error
        matches = json.dumps(self.stage.json("fixtures", "show", TODAY))
        some = re.findall(r'"source_id": "(\d+)"', matches)[:4]
        self.stage.flask("details", "fetch", "--source", "sandbox", *some, "--wait")
        self.fills["backup_id"] = self.stage.json("backup", "create", "--no-drill")["id"]
        self.stage.flask("fixtures", "fetch", "2020-01-01", "--to", "2024-12-31")

    def _write(self, rows: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Write rows into the database of the house."""
        with _app(Path(self.stage.environ["DATA_DIR"])).app_context():
            from app.core.db import db

            written = rows()
            db.engine.dispose()
        return written


def _app(folder: Path) -> Flask:
    from conftest import settings

    from app import create_app

    return create_app(settings(folder))


def _some_rows() -> dict[str, str]:
    """An administrator and the receipt of a drill; what stands in addresses, by its name there."""
    from app.accounts import reset, users
    from app.accounts.models import Role
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
        user = users.create(session, USER, PASSWORD, role=Role.ADMINISTRATOR)
        session.add(DrillReceipt(job_id=1, at=now(), passed=True, facts=as_kept(facts)))
        session.flush()
        secret_key = current_app.config["FIKSTUR"].secret_key
        token = reset.token_of(user, secret_key, now() + timedelta(days=1))
        return {"user_id": str(user.id), "token": token}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def sign_in(page: Any, house: House) -> None:
    """By the form, as everybody does."""
    page.goto(house.address)
    page.fill("#username", USER)
    page.fill("#password", PASSWORD)
    page.click("main button.btn-primary")
    page.wait_for_selector("#board")


def places(house: House) -> list[str]:
    """Every page of the panel, from the URL map, with something that is there in each gap."""
    rules = [
        rule.rule
        for rule in _app(Path(house.stage.environ["DATA_DIR"])).url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not _NO_PAGE.search(rule.rule)
    ]
    return sorted({_filled(rule, house.fills) for rule in rules} - {"/"})


def is_open(place: str) -> bool:
    """Whether the page is for those who have not signed in."""
    return place.startswith(("/sign-in", "/forgot", "/reset/"))


def _filled(rule: str, fills: dict[str, str]) -> str:
    gap = re.compile(r"<(?:([^:<>]+):)?(\w+)>")
    text = gap.sub(lambda found: fills.get(found[2], "1" if found[1] else "anything"), rule)
    return text + ("?id=1" if text.endswith("/details/") and text != "/admin/details/" else "")
