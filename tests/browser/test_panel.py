"""The panel in a real browser: real web server, real worker, real sandbox, one database."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import TODAY, YESTERDAY, House, Watched, bare, chromium, need_chromium
from stage import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("panel"),  # one house for all of them
]

# A folder to look at the pages afterwards; nothing is kept unless it is set.
SHOTS = os.environ.get("FIKSTUR_SCREENSHOTS")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its tests each find what the others left there."""
    need_chromium()
    with bare(tmp_path_factory.mktemp("house"), latency_ms=300) as house:
        yield house


class Seen(Watched):
    """A page that can be kept as a picture."""

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def somebody(house: House) -> Iterator[Any]:
    """Chromium with somebody signed in, reading English."""
    with chromium() as browser:
        context = browser.new_context(accept_downloads=True)
        seen = Watched(context, house)
        seen.speak("en")
        seen.page.close()
        yield context


@pytest.fixture
def watched(somebody: Any, house: House) -> Iterator[Seen]:
    seen = Seen(somebody, house, None)
    seen.go("/admin/")
    yield seen
    seen.page.close()


def fetch_day(page: Any, day: str) -> None:
    page.click(".side .brand")
    page.fill("input[name=date]", day)
    page.click(".quick button.btn-primary")
    page.wait_for_selector(".job-line")


def test_fetching_watching_and_repairing(watched: Seen) -> None:
    page = watched.page
    watched.shot("dashboard-empty-en")
    fetch_two_days(watched, page)
    see_matches_and_errors(watched, page)
    repair(page)
    assert watched.complaints == []


def fetch_two_days(watched: Seen, page: Any) -> None:
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


def see_matches_and_errors(watched: Seen, page: Any) -> None:
    """The matches are there, and each error with its reason."""
    page.click("nav a[href='/admin/matches/']")
    page.click(".title-buttons a[href='/admin/matches/all']")
    page.wait_for_selector("tbody tr:nth-child(2)")
    watched.shot("matches-en")
    page.click("tbody tr:first-child .row-buttons a")
    page.wait_for_selector(".facts")
    watched.shot("match-en")
    page.click("nav a[href='/admin/errors/']")
    page.wait_for_url("**/admin/errors/")  # the page before has rows too
    page.wait_for_selector("tbody tr")
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
    assert re.fullmatch(r"Try \d+ errors again\?", page.text_content("#asking [data-question]"))
    page.keyboard.press("Escape")
    page.wait_for_selector("#asking", state="hidden")
    assert page.url.endswith("/admin/errors/")
    page.locator("tbody tr", has_text=YESTERDAY).locator("button").click()
    page.wait_for_selector(".job-line .mark-good")
    page.click("nav a[href='/admin/errors/']")
    page.wait_for_url("**/admin/errors/")
    assert page.locator("tbody tr", has_text=YESTERDAY).count() == 0
    page.click(".tabs a[href*=resolved]")
    page.wait_for_url("**resolved**")
    assert YESTERDAY in page.text_content("tbody")


def test_details_are_looked_at_first_and_then_fetched(watched: Seen) -> None:
    page = watched.page
    fetch_day(page, "2025-05-03")  # not a day whose errors another test looks for
    page.wait_for_selector(".job-line .mark-good")
    page.goto(page.url.split("/admin/")[0] + "/admin/matches/all?flt1=FINISHED")
    page.click("tbody tr:first-child .row-buttons a")
    page.wait_for_url("**/admin/matches/details/**")
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


def look_first(watched: Seen, page: Any, match_id: str) -> None:
    """The form shows only what fits the choice; a wrong line is named; nothing is started."""
    page.click("nav a[href='/admin/details/']")
    page.wait_for_selector("textarea[name=ids]")
    page.check("input[value=days]")
    assert page.is_hidden("textarea[name=ids]")
    watched.shot("details-days-en")
    page.check("input[value=ids]")
    page.fill("textarea[name=ids]", f"{match_id}\n1\nnonsense")
    page.click("button[value=look]")
    page.wait_for_selector(".tally")
    assert "nonsense" in page.text_content("#result")
    watched.shot("details-looked-en")


def test_long_work_moves_without_a_reload_and_is_cancelled_only_after_yes(watched: Seen) -> None:
    page = watched.page
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
    # Being cancelled, cancelled, or done in part when days had failed before.
    page.wait_for_selector(".job-line .mark-odd, .job-line .mark-warn")
    wait_until(lambda: "cancelled" in page.text_content("main"))
    assert watched.complaints == []
    page.goto(page.url.split("/admin/")[0] + "/admin/")
    watched.shot("dashboard-after-cancel-tr")


def _ended(page: Any) -> int:
    time.sleep(0.3)
    return int(page.text_content(".job-line .ended").split("/")[0].strip())
