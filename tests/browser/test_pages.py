"""Every page in a real browser: nothing refused, nothing complained of, nobody shut out."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from house import (
    CHROMIUM,
    DESK,
    FLAGS,
    PHONE,
    READER,
    House,
    Watched,
    chromium,
    furnished,
    is_open,
    places,
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("pages"),  # one house for all of them
]

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
GRAVE = {"serious", "critical"}
Wrong = tuple[object, ...]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def house(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with furnished(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def signed_in(browser: Any, house: House) -> Iterator[Any]:
    """A browser context in which somebody is signed in."""
    context = browser.new_context()
    Watched(context, house).page.close()
    yield context
    context.close()


@pytest.fixture
def watched(signed_in: Any, house: House) -> Iterator[Watched]:
    """At the dashboard, in Turkish."""
    made = Watched(signed_in, house, None)
    made.go("/admin/")
    yield made
    made.page.close()


# --- every page -----------------------------------------------------------------------------------


def test_every_page_is_quiet_and_open_to_everybody(house: House) -> None:
    """Both languages at once, each with a browser and a reader of its own; both themes and sizes.

    No error, no stranger asked, nothing grave, nothing too wide, all of it by keyboard, no status
    by colour alone, and nothing happens to who says no.
    """
    wanted = places(house)
    assert len(wanted) >= 25
    with ThreadPoolExecutor(len(READER)) as pool:
        found = list(pool.map(lambda language: walk(house, language, wanted), READER))
    assert found == [[], []], "\n".join(str(wrong) for some in found for wrong in some)


def walk(house: House, language: str, wanted: list[str]) -> list[Wrong]:
    """Everything that is wrong with these pages in a language."""
    wrong: list[Wrong] = []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in (None, READER[language]):
            watched = Watched(browser, house, name, reduced_motion="reduce")
            if name is None:
                watched.go("/sign-in")
                watched.speak(language)
            sent = len(watched.posted)
            for place in wanted:
                if is_open(place) == (name is None):
                    wrong += [(place, language, *found) for found in look(watched, place)]
            wrong += [("sent", place) for place in watched.posted[sent:]]
            wrong += [(complaint,) for complaint in watched.complaints]
            watched.page.close()
        browser.close()
    return wrong


def look(watched: Watched, place: str) -> Iterator[Wrong]:
    """What is wrong with a page: light in Turkish, dark in English, on both sizes."""
    page, language = watched.page, watched.page.evaluate("document.documentElement.lang")
    short = place if "?" in place else f"{place}?page_size=20"
    if (status := watched.go(short).status) != 200:
        yield (status,)
    if (lang := page.evaluate("document.documentElement.lang")) != language:
        yield ("is in", lang)
    yield from page.evaluate(WRONG)
    if language == "tr":
        yield from grave(page)
    else:
        page.evaluate("window.chooseTheme('dark')")
    page.set_viewport_size(PHONE)
    if (width := page.evaluate(WIDTH, PHONE["width"])) > PHONE["width"]:
        yield (width,)
    yield from ((table, "no cards") for table in page.evaluate(NO_CARDS))
    page.set_viewport_size(DESK)
    if language == "en":
        yield from ((name, "not asked") for name in page.evaluate(DISMISS))
        yield from ((name, "not by keyboard") for name in missed_by_tab(page))


def grave(page: Any) -> Iterator[Wrong]:
    """What axe finds, in both themes."""
    page.evaluate(AXE.read_text("utf-8"))
    yield from violations(page)
    page.evaluate("window.chooseTheme('dark')")
    yield from (("dark", *found) for found in violations(page, COLOURS))
    page.evaluate("window.chooseTheme('light')")


COLOURS = ", runOnly: ['color-contrast']"  # a theme changes nothing else


def violations(page: Any, more: str = "") -> Iterator[Wrong]:
    """What axe finds serious or worse: the rule, and the first place of it."""
    options = f"{{resultTypes: ['violations'], preload: false{more}}}"
    for one in page.evaluate(f"axe.run({options}).then(r => r.violations)"):
        if one["impact"] in GRAVE:
            node = one["nodes"][0]
            yield one["id"], node["html"][:200], node["failureSummary"][:300]


# A status has a sign and a word; a form that changes something has a token.
WRONG = """() => {
  const say = part => part.outerHTML.slice(0, 160);
  const marks = Array.from(document.querySelectorAll(".mark, .light"))
    .filter(mark => !mark.querySelector("svg") || !mark.textContent.trim());
  const forms = Array.from(document.forms)
    .filter(form => form.method === "post" && !form.elements.csrf_token);
  return [...marks.map(mark => ["colour alone", say(mark)]),
          ...forms.map(form => ["no token", say(form)])];
}"""
# A chart takes its new size a moment later.
WIDTH = """async most => {
  const wide = () => document.documentElement.scrollWidth;
  for (let n = 0; n < 20 && wide() > most; n++) await new Promise(go => setTimeout(go, 100));
  return wide();
}"""
NO_CARDS = """() => Array.from(document.querySelectorAll(".sheet table.cards-on-phone"))
  .filter(table => table.offsetParent && table.tBodies[0] && table.tBodies[0].rows.length)
  .filter(table => getComputedStyle(table.tBodies[0].rows[0].cells[0]).display === "table-cell")
  .map(table => table.outerHTML.slice(0, 160))"""
# Every question is asked and answered with no: what is sent then stands in `posted`.
DISMISS = """async () => {
  const asking = document.getElementById("asking"), silent = [];
  for (const form of document.querySelectorAll("form[data-confirm]")) {
    const button = form.querySelector("button:not([type=button])");
    const sent = new Promise(done => asking.addEventListener("close", done, {once: true}));
    form.noValidate = true;
    form.requestSubmit(button && !button.disabled ? button : undefined);
    if (!asking.open) { silent.push(form.outerHTML.slice(0, 160)); continue; }
    asking.close("no");
    await sent;
  }
  return silent;
}"""
# What can be used with a mouse and is in sight; of a group of radio buttons one is enough. Of many
# rows three are looked at; the frame around the page is the same everywhere.
USABLE = """where => {
  document.querySelectorAll(".sheet tbody tr:nth-child(n+4)").forEach(row => row.remove());
  const root = document.querySelector(where);
  const kind = part => part.role ? `[role="${part.role}"]` : "." + (part.classList[0] || "none");
  const comesBy = part =>  // arrows, from the one of its kind that has Tab
    Array.from(root.querySelectorAll(kind(part))).some(peer => peer.tabIndex >= 0);
  const there = Array.from(root.querySelectorAll(
    "a[href], button, input, select, textarea, summary, [hx-get]:not([data-live], form)"))
    .filter(part => part.checkVisibility({visibilityProperty: true}) && !part.disabled)
    .filter(part => part.type !== "hidden" && part.type !== "radio")
    .filter(part => part.tabIndex >= 0 || !comesBy(part));
  window.usable = new Set(there);
  document.addEventListener("focusin", event => window.usable.delete(event.target), true);
  document.activeElement.blur();
  root.focus();
  return there.length;
}"""


def missed_by_tab(page: Any) -> list[str]:
    """What nobody comes to who presses Tab from the beginning to the end."""
    where = "main" if page.locator("main[tabindex]").count() else "body"
    return _missed(page, where)


def _missed(page: Any, where: str) -> list[str]:
    for _ in range(page.evaluate(USABLE, where) + 8):
        page.keyboard.press("Tab")
    missed: list[str] = page.evaluate(LEFT)
    return missed


LEFT = "Array.from(window.usable, p => p.isConnected && p.outerHTML.slice(0, 160)).filter(Boolean)"


# --- one page at a time ---------------------------------------------------------------------------


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(browser: Any, house: House) -> None:
    watched = Watched(browser, house, viewport=PHONE, has_touch=True)
    page = watched.page
    assert page.is_hidden("nav.menu")
    page.focus(".top .burger")
    page.keyboard.press("Enter")
    page.wait_for_selector("nav.menu a[href='/admin/jobs/']", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("nav.menu", state="hidden")
    assert page.evaluate("document.activeElement.className").startswith("burger")
    page.close()
    assert watched.complaints == []


def test_the_palette_by_keyboard_alone(watched: Watched) -> None:
    page = watched.page
    assert _missed(page, "body") == []  # the frame, which is around every page
    assert {"VERİ", "SİSTEM"} <= set(page.inner_text("nav.menu").splitlines())  # not VERI
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette-found [aria-selected=true]")
    page.keyboard.type("İŞLER")
    page.wait_for_selector("#palette-found [aria-selected=true] >> text=İşler")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    active = page.get_attribute("#palette input", "aria-activedescendant")
    assert page.text_content(f"#{active}").strip() == "İşler"
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/jobs/")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#palette", state="hidden")
    assert watched.complaints == []


def test_the_theme_stays_and_nothing_flashes(browser: Any, house: House) -> None:
    watched = Watched(browser, house, color_scheme="dark")
    page = watched.page
    assert page.get_attribute("html", "data-bs-theme") == "dark"  # as the system
    page.click(".top button:has(.theme-sun)")
    page.click("[data-theme-choice=light]")
    assert page.get_attribute("html", "data-bs-theme") == "light"
    page.add_init_script(
        "new MutationObserver((_, o) => { if (document.body) { o.disconnect();"
        " window.atFirst = document.documentElement.dataset.bsTheme; } })"
        ".observe(document, {childList: true, subtree: true})"
    )
    page.reload()
    assert page.evaluate("window.atFirst") == "light"
    page.emulate_media(color_scheme="light")
    page.evaluate("window.chooseTheme('system')")
    assert page.get_attribute("html", "data-bs-theme") == "light"
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-bs-theme=dark]")
    page.close()


def test_a_hidden_tab_asks_nothing(watched: Watched) -> None:
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/admin/live"):
        pass
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.isHidden !== false})"
    )
    page.wait_for_timeout(300)
    asked.clear()
    page.wait_for_timeout(4500)
    assert asked == []
    with page.expect_request("**/admin/live"):
        page.evaluate(
            "window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))"
        )


def test_a_part_says_that_it_is_old_and_a_session_that_it_has_ended(
    browser: Any, house: House
) -> None:
    page = Watched(browser, house).page
    page.route("**/admin/live", lambda route: route.abort())
    page.wait_for_selector("#running.stale")
    page.unroute("**/admin/live")
    page.wait_for_selector("#running:not(.stale)")
    page.context.clear_cookies()
    page.wait_for_url("**/sign-in**")
    page.close()


def test_what_must_be_typed_must_be_typed(browser: Any, house: House) -> None:
    """With what asks at any time: which of a source's buttons is there, its state says."""
    watched = Watched(browser, house, READER["en"])
    watched.go("/profile")
    page = watched.page
    page.evaluate("document.querySelector('[data-confirm]').dataset.typed = 'reader'")
    page.click("[data-confirm] button")
    assert page.evaluate("document.activeElement.value") == "no"  # Enter alone changes nothing
    assert page.is_disabled("#asking [value=yes]")
    page.fill("#asking input", "reade")
    assert page.is_disabled("#asking [value=yes]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#asking", state="hidden")
    assert page.locator("form[data-sent]").count() == 0
    page.click("[data-confirm] button")
    page.fill("#asking input", "reader")
    page.click("#asking [value=yes]")
    page.wait_for_url("**/sign-in**")
    assert watched.complaints == []
    page.close()


def test_what_went_well_goes_by_itself_and_what_went_wrong_stays(
    browser: Any, house: House
) -> None:
    watched = Watched(browser, house)
    page = watched.page
    page.clock.install()
    for place, kind, stays in (("settings/", "info", False), ("audit/?from=soon", "bad", True)):
        watched.go(f"/admin/{place}")
        if kind == "info":
            page.click("form[action$='/settings/general'] button.btn-primary")
        page.wait_for_selector(f".note-{kind}")
        page.clock.fast_forward(20_000)
        assert page.is_visible(f".note-{kind}") is stays
    page.click(".note-bad [data-dismiss]")
    assert page.locator(".note").count() == 0
    page.close()


SHEETS = """() => Array.from(document.querySelectorAll(".sheet")).map(one => [
  one.scrollWidth > one.clientWidth, one.tabIndex === 0 && one.getAttribute("aria-label")])"""


def test_what_is_too_wide_is_moved_by_keyboard(watched: Watched) -> None:
    """A table without a link in it, in a window that is narrow and then wide."""
    watched.page.set_viewport_size({"width": 800, "height": 700})
    watched.go("/admin/job/1/item/1")
    heading = watched.page.text_content(".sheet + h2").strip()
    watched.page.wait_for_selector(".sheet[tabindex='0']")
    found = watched.page.evaluate(SHEETS)
    assert [True, heading] in found
    assert all(bool(label) == is_wide for is_wide, label in found)
    watched.page.set_viewport_size({"width": 2400, "height": 700})
    watched.page.wait_for_selector(".sheet[tabindex='0']", state="detached")


def test_lines_do_not_grow_with_the_screen(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 2560, "height": 1000})
    for place in ("/admin/", "/admin/matches/", "/admin/audit/"):
        watched.go(place)
        assert 1000 < watched.page.evaluate("document.getElementById('main').clientWidth") <= 1500


def test_eight_open_dashboards_do_not_slow_a_ninth_page(signed_in: Any, house: House) -> None:
    """All eight keep asking; what a page takes beside them is about what it takes alone."""
    asked = Counter[Any]()
    ninth = Watched(signed_in, house, None)

    def median_s() -> float:
        return median(_seconds(signed_in, f"{house.address}/admin/matches/") for _ in range(9))

    ninth.go("/profile")  # asks little itself
    alone = median_s()

    def count(response: Any) -> None:
        asked.update(_dashboard(response))

    signed_in.on("response", count)
    tabs = [signed_in.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{house.address}/admin/")
    asked.clear()
    crowded = median_s()
    ninth.page.wait_for_timeout(3000)
    assert len(asked) == 8  # each asked, and was answered
    assert crowded < max(4 * alone, 1.0), (alone, crowded)
    signed_in.remove_listener("response", count)
    for tab in (ninth.page, *tabs):
        tab.close()


def _seconds(context: Any, address: str) -> float:
    began = time.monotonic()
    assert context.request.get(address).ok
    return time.monotonic() - began


def _dashboard(response: Any) -> list[Any]:
    """The tab whose running jobs were asked for and came, or had not changed."""
    good = response.status in {200, 204} and re.search(r"/admin/live$", response.url)
    return [response.frame.page] if good else []
