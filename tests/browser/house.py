"""A furnished house: web, worker and sandbox with something of everything, and Chromium to see it.

Used by the tests of all pages and by the pictures of them (`python dev.py screenshots`).
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
_NO_PAGE = re.compile(r"/(live|sum|light|palette|items\.\w+|healthz|static|api)\b|export|download")


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

    def open(self) -> None:
        """Start the three programs."""
        ports = self.stage.environ["PORT"], self.stage.environ["SANDBOX_PORT"]
        told = ("--port", ports[1], "--today", TODAY, "--latency-ms", "200", "--quiet")
        self.stage.start("-m", "app.sandbox", *told, name="sandbox")
        self.stage.start("-m", "flask", "--app", "wsgi", "web", name="web")
        self.stage.worker()
        for port in ports:
            wait_until(lambda port=port: _listens(int(port)), 60)

    def furnish(self) -> None:
        """Somebody who may do everything, matches, details, errors, jobs that ended and one that
        goes on for long."""
        self._flask("users", "create", USER, "--role", "administrator", "--password-stdin")
        self._flask("fixtures", "fetch", TODAY, "--wait")
        self._flask("fixtures", "fetch", YESTERDAY, "--wait")  # is not there at first: an error
        ids = self.stage.json("fixtures", "show", TODAY)
        some = re.findall(r'"source_id": "(\d+)"', __import__("json").dumps(ids))[:4]
        if some:
            self._flask("details", "fetch", "--source", "sandbox", *some, "--wait")
        self._flask("fixtures", "fetch", "2020-01-01", "--to", "2024-12-31")

    def _flask(self, *arguments: str) -> None:
        import subprocess
        import sys

        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
            env=self.stage.environ,
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )


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


def places() -> list[str]:
    """Every page of the panel, from the URL map, with something that is there in each gap."""
    import tempfile

    from conftest import settings

    from app import create_app

    app = create_app(settings(Path(tempfile.mkdtemp())))
    rules = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not _NO_PAGE.search(rule.rule)
    ]
    return sorted({_filled(rule) for rule in rules} - {"/"})


def _filled(rule: str) -> str:
    text = re.sub(r"<int[^>]*>", "1", rule)
    text = re.sub(r"<[^>]+>", "anything", text)
    return text + ("?id=1" if text.endswith("/details/") and text != "/admin/details/" else "")
