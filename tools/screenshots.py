"""Pictures of every page, on a house furnished from the sandbox, into docs/screenshots.

On a wide screen (Turkish and light, English and dark) and on a phone (the other way round):
`matches-tr-light-desktop.webp`, about 15 kB each. Pictures of pages that are gone are removed.
Needs Chromium (FIKSTUR_CHROMIUM, else /usr/bin/chromium).
"""

import base64
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "tests"), str(HOME / "tests" / "browser")]

from house import CHROMIUM, FLAGS, READER, House, Watched, furnished, is_open, places  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

SIZES = {"desktop": {"width": 1024, "height": 640}, "phone": {"width": 390, "height": 844}}
# Each page in both languages, both themes and both sizes, in four pictures instead of eight.
LOOKS = {"tr": {"desktop": "light", "phone": "dark"}, "en": {"desktop": "dark", "phone": "light"}}
SETTLES_MS = 250
KIND, QUALITY = "webp", 25


def main(arguments: list[str]) -> int:
    """0 when all pictures were taken, 2 when it was asked wrongly."""
    if len(arguments) > 1 or any(text.startswith("-") for text in arguments):
        print(__doc__)
        return 2
    folder = Path(arguments[0]) if arguments else HOME / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        furnished(Path(data)) as house,
        ThreadPoolExecutor(len(LOOKS)) as pool,
    ):
        wanted = places(house)
        each = pool.map(lambda language: list(pictures(house, language, wanted, folder)), LOOKS)
        taken = {path for some in each for path in some}
    for old in set(folder.glob(f"*.{KIND}")) - taken:
        old.unlink()
    size = sum(path.stat().st_size for path in taken)
    print(f"{folder}: {len(taken)}, {size / 1e6:.1f} MB")
    return 0


def pictures(house: House, language: str, wanted: list[str], folder: Path) -> Iterator[Path]:
    """Take those of a language: as nobody, then as who reads it."""
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in (None, READER[language]):
            watched = Watched(browser, house, name)
            if name is None:
                watched.go("/sign-in")
                watched.speak(language)
            camera = watched.page.context.new_cdp_session(watched.page)
            for size, theme in LOOKS[language].items():
                watched.page.set_viewport_size(SIZES[size])
                watched.page.evaluate(f"window.chooseTheme('{theme}')")
                for place in (place for place in wanted if is_open(place) == (name is None)):
                    picture = f"{_name(place, house.fills)}-{language}-{theme}-{size}.{KIND}"
                    yield _taken(watched, camera, place, folder / picture)
            watched.page.close()
        browser.close()


def _taken(watched: Watched, camera: Any, place: str, target: Path) -> Path:
    """Playwright itself knows only larger formats."""
    watched.go(place)
    watched.page.wait_for_timeout(SETTLES_MS)
    wanted = {"format": KIND, "quality": QUALITY}
    target.write_bytes(base64.b64decode(camera.send("Page.captureScreenshot", wanted)["data"]))
    return target


def _name(place: str, fills: dict[str, str]) -> str:
    plain = place.removeprefix("/admin/").partition("?")[0]
    for name, value in fills.items():
        plain = plain.replace(value, name)
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "dashboard"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
