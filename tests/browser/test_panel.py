"""The panel in a real browser: real web server, real worker, real sandbox, one database."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panel import PASSWORD, a_user
from stage import ROOT, free_port, wait_until

from app import create_app
from app.core.db import db

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

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
KEY = "a-key-for-tests-that-opens-nothing-0123456789"
# A folder to look at the pages afterwards; nothing is kept unless it is set.
SHOTS = os.environ.get("FIKSTUR_SCREENSHOTS")


@pytest.fixture
def environ(tmp_path: Path, migrated_sqlite: Path) -> dict[str, str]:
    """A house of its own: a migrated database, ports nobody uses, no schedule."""
    from conftest import settings

    shutil.copy(migrated_sqlite, tmp_path / "fikstur.db")
    app = create_app(settings(tmp_path))
    with app.app_context():
        a_user(username="operator")
        db.engine.dispose()
    crons = ("FETCH_UPCOMING", "FETCH_RESULTS", "RETRY_ERRORS", "PRUNE")
    return {
        **{name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ},
        **{f"{name}_CRON": "off" for name in crons},
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": KEY,
        "SOURCES": "sandbox",
        "LANGUAGE": "tr",
        "LOG_LEVEL": "warning",
        "PORT": str(free_port()),
        "SANDBOX_PORT": str(free_port()),
        "PYTHONUTF8": "1",
    }


Run = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """Start `python …`; everything started is stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"{len(started)}.log").open("wb")
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        log.close()
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    for process in reversed(started):
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def address(environ: dict[str, str], run: Run) -> str:
    """Web, worker and sandbox are up."""
    sandbox_port = environ["SANDBOX_PORT"]
    run("-m", "app.sandbox", "--port", sandbox_port, "--today", TODAY, "--latency-ms", "300")
    run("-m", "waitress", "--host=127.0.0.1", f"--port={environ['PORT']}", "wsgi:app")
    run("-m", "huey.bin.huey_consumer", "tasks.huey", "-w", "2", "-k", "thread")
    for port in (environ["PORT"], sandbox_port):
        wait_until(lambda port=port: _listens(int(port)))
    return f"http://127.0.0.1:{environ['PORT']}"


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Watched:
    """A page and everything it complained of or asked of strangers."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._told)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url, address))

    def _told(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _asked(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.complaints.append(f"asked {url}")

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.fixture
def watched(address: str) -> Iterator[Watched]:
    """Chromium at the sign-in page."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set FIKSTUR_CHROMIUM")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1366, "height": 800}, locale="tr-TR")
        page.set_default_timeout(15_000)
        seen = Watched(page, address)
        page.goto(address)
        yield seen
        browser.close()


def sign_in(watched: Watched) -> None:
    page = watched.page
    watched.shot("sign-in")
    page.fill("#username", "operator")
    page.fill("#password", PASSWORD)
    page.click("main button.btn-primary")
    page.wait_for_selector("#board")


def fetch_day(page: Any, day: str) -> None:
    page.click(".side .brand")
    page.fill("input[name=date]", day)
    page.click(".quick button.btn-primary")
    page.wait_for_selector(".job-line")


def test_fetching_watching_and_repairing_in_both_languages(watched: Watched) -> None:
    page = watched.page
    sign_in(watched)
    watched.shot("dashboard-empty-tr")
    page.click("button[name=language][value=en]")
    page.wait_for_selector("html[lang=en]")
    fetch_two_days(watched, page)
    see_matches_and_errors(watched, page)
    repair(page)
    assert watched.complaints == []


def fetch_two_days(watched: Watched, page: Any) -> None:
    """Today has one broken row, and its bar ends by itself; yesterday is not found at first."""
    fetch_day(page, TODAY)
    page.evaluate("window.notReloaded = true")
    page.wait_for_selector(".job-line .mark-good")
    assert page.text_content(".job-line .ended").strip() == "1 / 1"
    assert page.evaluate("window.notReloaded") is True
    watched.shot("job-done-en")
    fetch_day(page, YESTERDAY)
    page.wait_for_selector(".job-line .mark-bad")
    assert "NOT_FOUND" in page.text_content("#progress")
    watched.shot("job-failed-en")


def see_matches_and_errors(watched: Watched, page: Any) -> None:
    """The matches are there, and each error with its reason."""
    page.click("nav a[href='/admin/matches/']")
    assert page.locator("tbody tr").count() > 1
    watched.shot("matches-en")
    page.click("tbody tr:first-child .row-buttons a")
    page.wait_for_selector(".facts")
    watched.shot("match-en")
    page.click("nav a[href='/admin/errors/']")
    reasons = page.locator("tbody tr").all_text_contents()
    assert any("ROW_REJECTED" in row for row in reasons)
    assert any("NOT_FOUND" in row and YESTERDAY in row for row in reasons)
    watched.shot("errors-en")
    page.click("tbody tr:first-child .row-buttons a")
    page.wait_for_selector(".facts pre")
    watched.shot("error-en")
    page.go_back()


def repair(page: Any) -> None:
    """Dismissing the question changes nothing; Retry resolves the error."""
    page.click("main .title-buttons button")
    assert page.text_content("#asking [data-question]") == "Try 2 errors again?"
    page.keyboard.press("Escape")
    page.wait_for_selector("#asking", state="hidden")
    assert page.url.endswith("/admin/errors/")
    page.locator("tbody tr", has_text="NOT_FOUND").locator("button").click()
    page.wait_for_selector(".job-line .mark-good")
    page.click("nav a[href='/admin/errors/']")
    assert page.locator("tbody tr", has_text="NOT_FOUND").count() == 0
    page.click(".tabs a[href*=resolved]")
    assert YESTERDAY in page.text_content("tbody")


def test_details_are_looked_at_first_and_then_fetched(watched: Watched) -> None:
    page = watched.page
    sign_in(watched)
    page.click("button[name=language][value=en]")
    page.wait_for_selector("html[lang=en]")
    fetch_day(page, TODAY)
    page.wait_for_selector(".job-line .mark-good")
    page.goto(page.url.split("/admin/")[0] + "/admin/matches/?flt1=FINISHED")
    page.click("tbody tr:first-child .row-buttons a")
    match = page.url
    match_id = page.locator(".facts tr", has_text="Id at the source").locator("td").inner_text()
    look_first(watched, page, match_id)
    page.click("button[value=start]")
    page.wait_for_selector(".job-line")
    wait_until(lambda: _ended(page) == 8)
    page.click(".slices a[href*='state=done']")
    page.wait_for_selector(".slice-tools")
    watched.shot("slice-en")
    with page.expect_download() as download:
        page.click(".slice-tools a[href*=xlsx]")
    assert download.value.suggested_filename.endswith("-done.xlsx")
    page.goto(match)
    assert page.locator(".statistics, .incidents, .lineups").count()
    watched.shot("match-details-en")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(match)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    watched.shot("phone-match-details")
    assert watched.complaints == []


def look_first(watched: Watched, page: Any, match_id: str) -> None:
    """The form shows only what fits the choice; a wrong line is named; nothing is started."""
    page.click("nav a[href='/admin/details/']")
    assert page.is_visible("textarea[name=ids]")
    page.check("input[value=days]")
    assert page.is_hidden("textarea[name=ids]")
    watched.shot("details-days-en")
    page.check("input[value=ids]")
    page.fill("textarea[name=ids]", f"{match_id}\n1\nnonsense")
    page.click("button[value=look]")
    page.wait_for_selector(".tally")
    assert "nonsense" in page.text_content("#result")
    watched.shot("details-looked-en")


def test_long_work_moves_without_a_reload_and_is_cancelled_only_after_yes(watched: Watched) -> None:
    page = watched.page
    sign_in(watched)
    page.goto(page.url.split("/admin/")[0] + "/admin/fetch/range")
    page.fill("input[name=from]", "2024-01-01")
    page.fill("input[name=to]", "2024-06-30")
    page.click("main button.btn-primary")
    page.wait_for_selector(".job-line")
    page.evaluate("window.notReloaded = true")
    first = wait_until(lambda: _ended(page))
    wait_until(lambda: _ended(page) > first)
    assert page.evaluate("window.notReloaded") is True
    watched.shot("job-running-tr")
    page.click(".job-buttons .btn-outline-danger")
    page.click("#asking [value=no]")
    before = _ended(page)
    wait_until(lambda: _ended(page) > before)
    page.click(".job-buttons .btn-outline-danger")
    page.click("#asking [value=yes]")
    page.wait_for_selector(".job-line .mark-odd")
    assert watched.complaints == []
    page.goto(page.url.split("/admin/")[0] + "/admin/")
    watched.shot("dashboard-after-cancel-tr")


def _ended(page: Any) -> int:
    time.sleep(0.3)
    return int(page.text_content(".job-line .ended").split("/")[0].strip())
