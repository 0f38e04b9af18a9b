"""Pictures of every page, on a house furnished from the sandbox, into docs/screenshots.

On a wide screen (Turkish and light, English and dark) and on a phone (the other way round):
`matches-tr-light-desktop.png`. Needs Chromium (FIKSTUR_CHROMIUM, else /usr/bin/chromium).
"""

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import filterfalse
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "tests"), str(HOME / "tests" / "browser")]

from house import CHROMIUM, FLAGS, House, furnished, is_open, places, sign_in  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

SIZES = {"desktop": (1120, 700), "phone": (390, 844)}
# Each page in both languages, both themes and both sizes, in four pictures instead of eight.
LOOKS = {"desktop": (("tr", "light"), ("en", "dark")), "phone": (("tr", "dark"), ("en", "light"))}
SETTLES_MS = 250


def main(arguments: list[str]) -> int:
    """0 when all pictures were taken, 2 when it was asked wrongly."""
    if len(arguments) > 1 or any(text.startswith("-") for text in arguments):
        print(__doc__)
        return 2
    folder = Path(arguments[0]) if arguments else HOME / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, furnished(Path(data)) as house:
        count = sum(1 for _picture in pictures(house, folder))
    print(f"{folder}: {count}")
    return 0


def pictures(house: House, folder: Path) -> Iterator[Path]:
    """Take them: first the pages for those who have not signed in, then the others."""
    wanted = places(house)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            yield from _series(page, house, size, folder, filter(is_open, wanted))
            sign_in(page, house)
            yield from _series(page, house, size, folder, filterfalse(is_open, wanted))
        browser.close()


def _series(
    page: Any, house: House, size: str, folder: Path, wanted: Iterable[str]
) -> Iterator[Path]:
    places_of_it = list(wanted)
    for language, theme in LOOKS[size]:
        page.goto(house.address)
        page.evaluate(f"window.chooseTheme('{theme}')")
        page.click(f"button[name=language][value={language}]")
        for place in places_of_it:
            name = f"{_name(place, house.fills)}-{language}-{theme}-{size}.png"
            yield _picture(page, house.address + place, folder / name)


def _picture(page: Any, address: str, target: Path) -> Path:
    page.goto(address)
    page.wait_for_timeout(SETTLES_MS)
    page.screenshot(path=target)
    return target


def _name(place: str, fills: dict[str, str]) -> str:
    plain = place.removeprefix("/admin/").partition("?")[0]
    for name, value in fills.items():
        plain = plain.replace(value, name)
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "dashboard"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
