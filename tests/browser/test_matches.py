"""Matches, calendar and errors in a real browser: what only a browser can show of them."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shapes
from collection import a_match, an_error
from flask import Flask
from house import PASSWORD, PATIENCE_MS, USER, chromium, sign_in
from stage import free_port, stage, wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DAY = "2025-05-05"
ROWS = 4000  # of the large answer: more than a megabyte


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[str]:
    """A panel with some matches, days and errors; nobody works."""
    from conftest import settings

    from app import create_app
    from app.core.db import db

    folder = tmp_path_factory.mktemp("matches")
    port = str(free_port())
    with stage(folder, SOURCES="sandbox", PORT=port, LOG_LEVEL="warning") as made:
        data = Path(made.environ["DATA_DIR"])
        data.mkdir()
        shutil.copy(migrated_sqlite, data / "fikstur.db")
        app = create_app(settings(data))
        with app.app_context():
            _fill(app)
            db.engine.dispose()
        made.start("-m", "flask", "--app", "wsgi", "web", name="web")
        wait_until(lambda: _answers(int(port)), 60)
        yield f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _fill(app: Flask) -> None:
    from app.accounts import users
    from app.accounts.models import Role
    from app.core.db import transaction
    from app.fixtures.models import FixtureDay, MatchDetail, RawAnswer
    from app.fixtures.store import pack

    at = datetime(2025, 5, 5, 9, tzinfo=UTC)
    body = pack(200, {}, shapes.a_list(*map(shapes.a_match, range(ROWS))))
    assert body.size > 1_000_000
    kept = {"http_status": 200, "sha256": body.sha256, "size": body.size, "body": body.packed}
    with transaction() as session:
        users.create(session, USER, PASSWORD, role=Role.OPERATOR).language = "en"
        raw = RawAnswer(source="sandbox", kind="detail_event", key="1", fetched_at=at, **kept)
        session.add_all([raw, a_match("1", "Beşiktaş", "Göztepe", kickoff=at)])
        session.add(a_match("2", "Sivas", "Rize", kickoff=at, status="LIVE"))
        session.flush()
        told = {"source": "sandbox", "code": "OK", "fetched_at": at, "looked_at": at}
        session.add(MatchDetail(source_id="1", kind="event", raw_id=raw.id, **told))
        session.add(FixtureDay(date=date(2025, 5, 1), data_id=20250501, count=3, **told))
    for key in ("11", "12", "13"):
        an_error(key)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def signed_in(browser: Any, address: str) -> Any:
    """One sign-in for all of these tests."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sign_in(page, SimpleNamespace(address=address))
    page.close()
    return context


@pytest.fixture
def page(signed_in: Any, address: str) -> Iterator[Any]:
    """A tab; it must not complain of anything, not even of the policy."""
    tab, complaints = signed_in.new_page(), []
    tab.set_default_timeout(PATIENCE_MS)
    tab.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else 0)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.go = lambda place: tab.goto(address + place)
    yield tab
    tab.close()
    assert complaints == []


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.textContent").strip()


def test_chips_and_days_by_mouse_and_keyboard(page: Any) -> None:
    page.go(f"/admin/matches/?date={DAY}")
    assert page.locator(".game").count() == 2
    page.click(".tabs a[href*='show=live']")
    page.wait_for_url(f"**/?date={DAY}&show=live")
    assert page.locator(".game-home").all_text_contents() == ["Sivas"]
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/?date=2025-05-06&show=live")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/?date={DAY}&show=live")
    page.focus("input[name=date]")
    page.keyboard.press("ArrowRight")  # moves in the field, not to another day
    page.wait_for_timeout(300)
    assert f"date={DAY}" in page.url


def test_tabs_by_keyboard_and_the_address_remembers_them(page: Any) -> None:
    page.go("/admin/matches/details/?id=1")
    assert page.is_visible("#summary")
    assert page.is_hidden("#history")
    page.focus("[role=tab][aria-selected=true]")
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith("History")
    assert page.is_visible("#history")
    page.keyboard.press("End")
    assert page.is_visible("#raw")
    assert page.url.endswith("#raw")
    page.reload()
    assert page.is_visible("#raw")
    assert page.is_hidden("#summary")
    page.evaluate("location.hash = '#changed'")  # something in a pane opens the pane
    page.wait_for_selector("#history", state="visible")


def test_a_megabyte_opens_as_a_tree_without_holding_the_page_up(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.go("/admin/matches/details/?id=1#raw")
    page.evaluate("""() => { window.slowest = 0; new PerformanceObserver((list) => {
        for (const one of list.getEntries()) window.slowest = Math.max(slowest, one.duration);
      }).observe({ type: "longtask" }); }""")
    page.click("details.answer > summary")
    page.wait_for_selector(".json-children .json-children > details")
    built = page.evaluate("document.querySelectorAll('.tree *').length")
    assert built < 1500  # of some hundred thousand that it would be all at once
    assert page.evaluate("window.slowest") < 1000
    branch = page.locator(".json-children .json-children > details").nth(3)
    branch.locator("summary").first.press("Enter")
    assert '"Çayırova 3"' not in branch.text_content()
    branch.locator("details summary", has_text="homeTeam").press("Enter")
    branch.get_by_text('"Çayırova 3"').wait_for()
    page.click(".json-children > button")
    events = page.locator(".tree > div > details > div > details")
    assert events.count() == 200
    page.click("[data-copy]")
    page.wait_for_selector("[data-copy] >> text=Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert len(copied["events"]) == ROWS
    with page.expect_download() as download:
        page.click(".answer-buttons a[download]")
    assert download.value.suggested_filename.startswith("sandbox-detail_event-1-")
    assert json.loads(Path(download.value.path()).read_text("utf-8")) == copied


def chosen(page: Any) -> list[str]:
    return page.eval_on_selector_all(".day.chosen", "all => all.map(day => day.dataset.day)")


def test_days_are_chosen_and_asked_for_by_keyboard(page: Any) -> None:
    page.go("/admin/calendar/?year=2025")
    assert page.locator(".year [tabindex='0']").count() == 1
    page.focus("[data-day='2025-01-01']")
    for key in ("ArrowDown", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    days = [(date(2025, 1, 9) + timedelta(days=n)).isoformat() for n in range(9)]
    assert chosen(page) == days
    page.wait_for_selector("#plan >> text=2025-01-09 – 2025-01-17")
    page.keyboard.press("Enter")
    page.wait_for_selector("#plan button:focus >> text=Fetch 9 days")
    page.keyboard.press("Enter")
    question = page.text_content("#asking [data-question]")
    assert question == "Fetch 9 days of sandbox (2025-01-09 – 2025-01-17)?"
    page.keyboard.press("Escape")
    assert page.url.endswith("year=2025")
    page.click("[data-clear]")
    assert chosen(page) == []
    assert page.text_content("#plan") == ""


def test_days_are_chosen_by_mouse_and_a_stored_one_is_opened(page: Any) -> None:
    page.go("/admin/calendar/?year=2025")
    first, last = (page.locator(f"[data-day='2025-02-{n}']") for n in ("03", "05"))
    first.hover()
    page.mouse.down()
    last.hover()
    page.mouse.up()
    page.wait_for_selector("#plan >> text=2025-02-03 – 2025-02-05")
    assert len(chosen(page)) == 3
    page.click("[data-clear]")
    page.click("[data-day='2025-03-10']")
    page.wait_for_selector("#plan >> text=Fetch 1 day")
    page.click("[data-day='2025-03-08']")
    page.wait_for_selector("#plan >> text=2025-03-08 – 2025-03-10")
    page.click("[data-clear]")
    page.click("[data-day='2025-05-01']")
    page.wait_for_url("**/admin/matches/all?day=*")


def test_a_group_is_retried_only_after_yes(page: Any) -> None:
    page.go("/admin/errors/")
    page.click(".group-buttons button")
    assert page.text_content("#asking [data-question]") == "Try 3 errors of this group again?"
    page.click("#asking [value=no]")
    page.wait_for_selector("#asking", state="hidden")
    assert page.url.endswith("/admin/errors/")
    page.go("/admin/jobs/")
    assert page.locator("tbody .row-buttons").count() == 0
    page.go("/admin/errors/")
    page.click(".group-buttons button")
    page.click("#asking [value=yes]")
    page.wait_for_selector(".job-line")
    assert page.text_content(".job-line .ended").strip() == "0 / 3"
