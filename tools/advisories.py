"""Is a fault known in a package we pin? Asks the package index what it has of each version.

    python tools/advisories.py [address]     of the index; by itself the public one that pip knows

0: nothing is known. 1: something is, and in which version it is mended. 3: it could not be asked,
which says nothing about the packages.
"""

import http.client
import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
WAIT_S = 10
AT_ONCE = 8
KNOWN, NOT_ASKED = 1, 3
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\s;#]+)")


def main(arguments: list[str]) -> int:
    """Ask for one package first: where nobody answers, the others need not be waited for."""
    pinned = pins(HOME)
    try:
        index = arguments[0] if arguments else _public_index()
        found = told_of(index, *pinned[0])
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for more in pool.map(lambda pin: told_of(index, *pin), pinned[1:]):
                found += more
    except (
        OSError,
        http.client.HTTPException,
        ValueError,
        LookupError,
        TypeError,
        ImportError,
    ) as error:
        print(
            f"The package index does not say what is known: {type(error).__name__}: {error}"[:300]
        )
        return NOT_ASKED
    print("\n".join(found) or f"Nothing is known of {len(pinned)} packages.")
    return KNOWN if found else 0


def _public_index() -> str:
    from pip._internal.models.index import PyPI

    return PyPI.url.rstrip("/")


def pins(folder: Path) -> list[tuple[str, str]]:
    """Every package with its version, from requirements*.txt and constraints.txt."""
    files = sorted([*folder.glob("requirements*.txt"), folder / "constraints.txt"])
    return sorted({pin for file in files for pin in _pins_of(file.read_text("utf-8"))})


def _pins_of(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := _PIN.match(line.strip()):
            yield found[1], found[2]


def told_of(index: str, name: str, version: str) -> list[str]:
    """A line for each fault that is known of a version and was not withdrawn."""
    address = f"{index}/pypi/{name}/{version}/json"
    with urllib.request.urlopen(address, timeout=WAIT_S) as answer:  # noqa: S310  https, or a test's
        known = json.load(answer)["vulnerabilities"]
    return [_line(name, version, one) for one in known if not one.get("withdrawn")]


def _line(name: str, version: str, fault: dict[str, Any]) -> str:
    mended = ", ".join(fault.get("fixed_in") or []) or "-"
    about = " ".join(str(fault.get("summary") or fault.get("details") or "").split())[:120]
    return f"{name} {version}: {fault['id']} (mended in {mended}) {about}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
