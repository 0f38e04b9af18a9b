"""Fetch the browser's libraries by npm, or check those that are here, against one lock file.

    python dev.py vendor            fetch all of them again and compare them with the lock
    python dev.py vendor --check    compare the files that are here; needs no network
    python dev.py vendor --accept   after a version in the lock was changed: write the new sums

Only what the lock names enters the project. The icons become one sprite of the icons used.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
LOCK = HOME / "app" / "static" / "vendor" / "lock.json"
SPRITE = HOME / "app" / "static" / "vendor" / "icons.svg"
_SHAPE = re.compile(r"<(?:path|circle|rect|line)[^>]*?/>", re.S)
_NO_SHAPE = 'stroke="none"'  # the frame that each icon begins with


def main(arguments: list[str]) -> int:
    """0 when the files are those of the lock, 1 when not, 2 when it was asked wrongly."""
    if len(arguments) > 1 or set(arguments) - {"--check", "--accept"}:
        print(__doc__)
        return 2
    lock = json.loads(LOCK.read_text("utf-8"))
    if "--check" not in arguments and not fetch(lock):
        return 1
    if "--accept" in arguments:
        accept(lock)
    wrong = [name for name, wanted in sums(lock).items() if sum_of(HOME / name) != wanted]
    for name in wrong:
        print(f"{name} is not the file of the lock", file=sys.stderr)
    return 1 if wrong else 0


def sums(lock: dict[str, Any]) -> dict[str, str]:
    """Path in the project -> SHA-256 it must have."""
    files = [file for package in lock["packages"] for file in package["files"]]
    return {file["to"]: file["sha256"] for file in [*files, lock["sprite"]]}


def sum_of(path: Path) -> str:
    """Of the bytes of a file; empty when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def fetch(lock: dict[str, Any]) -> bool:
    """Write every file of the lock anew; says which package could not be had."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is needed to fetch: install Node.js, or use --check", file=sys.stderr)
        return False
    with tempfile.TemporaryDirectory() as folder:
        for package in lock["packages"]:
            name = f"{package['name']}@{package['version']}"
            done = subprocess.run(
                [npm, "pack", "--silent", name],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                print(f"{name} cannot be fetched:\n{done.stderr}", file=sys.stderr)
                return False
            unpack(package, Path(folder) / done.stdout.split()[-1], lock["sprite"]["icons"])
    return True


def unpack(package: dict[str, Any], archive: Path, icons: list[str]) -> None:
    """Take what the lock names out of a package."""
    with tarfile.open(archive) as tar:
        for file in package["files"]:
            target = HOME / file["to"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member(tar, file["from"]))
        if folder := package.get("icons_from"):
            drawn = [symbol(name, member(tar, f"{folder}/{name}.svg")) for name in icons]
            SPRITE.write_bytes(sprite(drawn))


def member(tar: tarfile.TarFile, name: str) -> bytes:
    """A file of an npm package; KeyError when it has none of that name."""
    found = tar.extractfile(f"package/{name}")
    if found is None:
        raise KeyError(name)
    return found.read()


def symbol(name: str, svg: bytes) -> str:
    """The shapes of one icon under its name."""
    shapes = [s for s in _SHAPE.findall(svg.decode()) if _NO_SHAPE not in s]
    drawn = "".join(re.sub(r"\s+", " ", shape) for shape in shapes)
    return f'<symbol id="{name}" viewBox="0 0 24 24">{drawn}</symbol>'


def sprite(symbols: list[str]) -> bytes:
    """One file of all icons; the colour and the stroke come from the place of use."""
    head = '<svg xmlns="http://www.w3.org/2000/svg">'
    return "\n".join([head, *symbols, "</svg>", ""]).encode()


def accept(lock: dict[str, Any]) -> None:
    """Write the sums of what is here into the lock."""
    for package in lock["packages"]:
        for file in package["files"]:
            file["sha256"] = sum_of(HOME / file["to"])
    lock["sprite"]["sha256"] = sum_of(SPRITE)
    LOCK.write_text(json.dumps(lock, indent=1) + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
