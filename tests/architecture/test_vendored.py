"""The browser's libraries are those of the lock, and no page reaches for another host."""

import json
import re
import subprocess
import sys
from pathlib import Path

from app.admin import look, shell

ROOT = Path(__file__).parent.parent.parent
VENDOR = ROOT / "app" / "static" / "vendor"
LOCK = json.loads((VENDOR / "lock.json").read_text("utf-8"))
OURS = [
    *(ROOT / "app" / "templates").rglob("*.html"),
    *(ROOT / "app" / "static").glob("*.js"),
    *(ROOT / "app" / "static").glob("*.css"),
]


def check() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "vendor.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_are_those_of_the_lock() -> None:
    done = check()
    assert done.returncode == 0, done.stderr


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    import vendor

    changed = tmp_path / "htmx.min.js"
    changed.write_text("alert(1)")
    wanted = vendor.sums(LOCK)
    assert vendor.sum_of(changed) not in wanted.values()
    assert vendor.sum_of(VENDOR / "htmx.min.js") == wanted["app/static/vendor/htmx.min.js"]
    assert vendor.sum_of(tmp_path / "nothing") == ""


def test_nothing_lies_there_that_the_lock_does_not_name() -> None:
    named = {file["to"] for package in LOCK["packages"] for file in package["files"]}
    named |= {LOCK["sprite"]["to"], "app/static/vendor/lock.json", "app/static/vendor/LICENSES.md"}
    there = {path.relative_to(ROOT).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert there <= named


def test_every_package_has_its_licence_told() -> None:
    told = (VENDOR / "LICENSES.md").read_text("utf-8")
    for package in LOCK["packages"]:
        assert f"| {package['name']} | {package['licence']} |" in told
    assert "http" not in (VENDOR / "lock.json").read_text("utf-8")  # names, no registry


def test_no_page_reaches_for_another_host() -> None:
    another = re.compile(
        r"""(?:src|href|action|hx-\w+|url\(|import|fetch\()\s*=?\s*["'(]*\s*(?:https?:)?//"""
    )
    found = [path.name for path in OURS if another.search(path.read_text("utf-8"))]
    assert found == []
    css = (VENDOR / "tabler.min.css").read_text("utf-8")
    assert re.findall(r"""url\(["']?(?!data:|["']?data:)""", css) == []


def test_nothing_stands_inline_that_the_policy_would_refuse() -> None:
    inline = re.compile(
        r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|hx-vals=.js|<script(?![^>]*nonce)"
    )
    found = {
        path.name: hits
        for path in OURS
        if path.suffix == ".html"
        and "mail" not in path.parts
        and (hits := inline.findall(path.read_text("utf-8")))
    }
    assert found == {}


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    sources = [*(ROOT / "app" / "admin").rglob("*.py"), *OURS]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r"""\bicon\(["']([a-z0-9-]+)["']\)""", text))
    used |= {*shell.ICONS.values(), *look.SIGNS.values(), *look.SIGN_OF.values()}
    assert used - set(LOCK["sprite"]["icons"]) == set()
