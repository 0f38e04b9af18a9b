"""Every page in a real browser: nothing refused, nothing complained of, nobody shut out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import CHROMIUM, FLAGS, House, furnished, is_open, places, sign_in

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; set FIKSTUR_CHROMIUM")
    with furnished(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Any]:
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A signed-in page, and everything it complained of or asked of strangers."""

    def __init__(
        self, browser: Any, house: House, *, signed_in: bool = True, **options: Any
    ) -> None:
        self.house = house
        self.page = browser.new_page(**{"viewport": DESK, **options})
        self.complaints: list[str] = []
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        if signed_in:
            sign_in(self.page, house)

    def _told(self, message: Any) -> None:
        if message.type in {"error", "warning"}:  # what the policy refuses is an error too
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.house.address, "data:", "blob:")):
            self.complaints.append(f"{self.page.url} asked {request.url}")

    def go(self, place: str) -> Any:
        return self.page.goto(self.house.address + place, wait_until="load")

    def look(self, language: str, theme: str) -> None:
        self.go("/")  # the dashboard, or where one signs in
        self.page.evaluate(f"window.chooseTheme('{theme}')")
        self.page.click(f"button[name=language][value={language}]")
        self.page.wait_for_selector(f"html[lang={language}][data-bs-theme={theme}]")


@pytest.fixture
def watched(browser: Any, house: House) -> Iterator[Watched]:
    made = Watched(browser, house)
    yield made
    made.page.close()


def test_every_page_is_quiet_and_open_to_everybody(browser: Any, house: House) -> None:
    """Both languages, both themes: no error, no stranger asked, nothing grave, nothing too wide."""
    wanted = places(house)
    assert len(wanted) >= 25
    for signed_in in (True, False):
        watched = Watched(browser, house, signed_in=signed_in, reduced_motion="reduce")
        found = walk(watched, [place for place in wanted if is_open(place) != signed_in])
        watched.page.close()
        assert found == []
        assert watched.complaints == []


def walk(watched: Watched, wanted: list[str]) -> list[tuple[object, ...]]:
    """Everything that is wrong with these pages."""
    page, axe, wrong = watched.page, AXE.read_text("utf-8"), []
    for language in ("tr", "en"):
        watched.look(language, "light")
        for place in wanted:
            short = place if "?" in place else f"{place}?page_size=20"
            if (status := watched.go(short).status) != 200:
                wrong.append((place, status))
            if language == "tr":
                page.evaluate(axe)
                wrong += [(place, "light", *found) for found in violations(page)]
            page.evaluate("window.chooseTheme('dark')")
            if language == "en":
                page.evaluate(axe)
                colours = ", runOnly: ['color-contrast']"  # a theme changes nothing else
                wrong += [(place, "dark", *found) for found in violations(page, colours)]
            page.evaluate("window.chooseTheme('light')")
            page.set_viewport_size(PHONE)
            if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
                wrong.append((place, width))
            page.set_viewport_size(DESK)
    return wrong


def violations(page: Any, more: str = "") -> list[tuple[str, str]]:
    """What axe finds serious or worse: the rule, and the first place of it."""
    options = f"{{resultTypes: ['violations'], preload: false{more}}}"
    found = page.evaluate(f"axe.run({options}).then(r => r.violations)")
    return [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"][:300])
        for one in found
        if one["impact"] in GRAVE
    ]


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
    watched.look("tr", "light")
    page = watched.page
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


def test_a_part_says_that_it_is_old_and_a_session_that_it_has_ended(watched: Watched) -> None:
    page = watched.page
    page.route("**/admin/live", lambda route: route.abort())
    page.wait_for_selector("#running.stale")
    page.unroute("**/admin/live")
    page.wait_for_selector("#running:not(.stale)")
    page.context.clear_cookies()
    page.wait_for_url("**/sign-in**")


def test_what_must_be_typed_must_be_typed(watched: Watched) -> None:
    watched.go("/admin/sources/")
    page = watched.page
    page.evaluate("document.querySelector('[data-confirm]').dataset.typed = 'sandbox'")
    page.click("[data-confirm] button")
    assert page.evaluate("document.activeElement.value") == "no"  # Enter alone changes nothing
    assert page.is_disabled("#asking [value=yes]")
    page.fill("#asking input", "sandbo")
    assert page.is_disabled("#asking [value=yes]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#asking", state="hidden")
    assert page.locator("form[data-sent]").count() == 0
    page.click("[data-confirm] button")
    page.fill("#asking input", "sandbox")
    page.click("#asking [value=yes]")
    page.wait_for_selector("form[action$='/resume'] button")
    page.click("form[action$='/resume'] button")
    page.wait_for_selector(".note-good")
    assert watched.complaints == []
