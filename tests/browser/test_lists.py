"""A list in a real browser: ticking, asking back, saving a view. The server is one of its own."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from factories import a_job
from flask import Flask
from house import PHONE, chromium
from panel import PASSWORD, a_user
from sqlalchemy import func, select
from waitress import create_server

from app.accounts.models import SavedView
from app.core.db import reading
from app.jobs.models import Job, JobState

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("engine", ["sqlite"])]
JOBS = 30


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
    thread.join(10)


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """Signed in at the list of jobs."""
    name = a_user()
    with chromium() as browser:
        page = browser.new_page(locale="en")
        page.goto(f"{address}/sign-in")
        page.fill("[name=username]", name)
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_url("**/admin/**")
        page.click("button[name=language][value=en]")
        page.wait_for_selector("html[lang=en]")
        yield page


def cancelled() -> int:
    with reading() as session:
        wanted = select(func.count()).where(Job.state == JobState.CANCELLED)
        return session.scalar(wanted) or 0


def test_the_bar_names_the_number_and_nothing_happens_before_yes(page: Any, address: str) -> None:
    for _ in range(JOBS):
        a_job(days=1)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(f"{address}/admin/jobs/?page_size=25")
    assert page.is_hidden("[data-bulk]")
    page.locator("[data-select]").nth(0).check()
    page.locator("[data-select]").nth(1).check()
    assert page.inner_text("[data-selected-words]") == "2 selected"
    cancel = page.locator("[data-bulk] button", has_text="Cancel jobs")
    cancel.click()
    assert page.inner_text("[data-question]").startswith("Cancel 2 jobs?")
    page.click("#asking [value=no]")
    assert cancelled() == 0
    page.check("[data-select-matching]")
    assert page.inner_text("[data-selected-words]") == f"{JOBS} selected"
    cancel.click()
    assert page.inner_text("[data-question]").startswith(f"Cancel {JOBS} jobs?")
    page.click("#asking [value=yes]")
    page.wait_for_selector(f"text={JOBS} jobs were changed.")
    assert cancelled() == JOBS
    keep_a_view(page, address)
    assert complaints == []


def keep_a_view(page: Any, address: str) -> None:
    """Also on a phone, where nothing may stick out."""
    page.set_viewport_size(PHONE)
    page.goto(f"{address}/admin/jobs/?flt0=CANCELLED")
    page.click("summary:has-text('Save this view')")
    page.fill(".pop[open] [name=name]", "What I cancelled")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.press(".pop[open] [name=name]", "Enter")
    page.wait_for_selector("summary:has-text('What I cancelled')")
    with reading() as session:
        assert session.scalar(select(SavedView.query)) == "flt_state=CANCELLED"
    page.click(".chip")
    page.wait_for_url(lambda url: "CANCELLED" not in url)
    page.click("summary:has-text('As a file')")
    assert page.is_visible("text=CSV file")
    page.keyboard.press("Escape")
    assert page.is_hidden("text=CSV file")
