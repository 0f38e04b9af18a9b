"""The rules of the house hold, and a rule that is broken is caught: each is broken here once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(tool: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A checking tool of this environment, in a folder."""
    return subprocess.run(
        [str(Path(sys.executable).parent / tool), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the code that may be spoilt."""
    for name in ("config.py", "tasks.py", "wsgi.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(
        ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "static")
    )
    return tmp_path


def spoil(house: Path, module: str, line: str) -> None:
    path = house / module
    path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")


def test_every_import_contract_is_kept() -> None:
    done = run("lint-imports", "--no-cache", folder=ROOT)
    assert done.returncode == 0, done.stdout


BROKEN = [
    ("app/core/files_of_ours.py", "import app.jobs.ledger", "Each layer imports only"),
    ("app/errors/record.py", "import app.fixtures.store", "Each layer imports only"),
    ("app/api/__init__.py", "import app.admin", "Each layer imports only"),
    ("app/jobs/ledger.py", "import flask", "The domain knows no web framework"),
    ("app/fixtures/fetch.py", "import tasks", "The domain knows no web framework"),
    ("app/jobs/runner.py", "import huey", "The domain knows no web framework"),
    ("app/core/clock.py", "import tasks", "The core knows no edge"),
    ("app/admin/__init__.py", "import requests", "Only sources/http.py speaks HTTP"),
    ("app/fixtures/fetch.py", "import requests", "Only sources/http.py speaks HTTP"),
    ("app/sandbox/season.py", "import app.core.clock", "The sandbox stands apart"),
    ("app/cli/__init__.py", "import app.sandbox.season", "Nobody builds on the sandbox"),
    ("app/sources/sofascore.py", "import app.core.clock", "Adapters are pure"),
]


@pytest.mark.parametrize(("module", "line", "contract"), BROKEN)
def test_a_broken_import_contract_is_caught(
    house: Path, module: str, line: str, contract: str
) -> None:
    if not (house / module).exists():
        (house / module).write_text('"""New."""\n', "utf-8")
    spoil(house, module, line)
    done = run("lint-imports", "--no-cache", folder=house)
    assert done.returncode == 1
    assert any(contract in row and "BROKEN" in row for row in done.stdout.splitlines()), done.stdout


def test_a_package_without_a_place_is_caught(house: Path) -> None:
    (house / "app" / "gossip").mkdir()
    (house / "app" / "gossip" / "__init__.py").write_text('"""New."""\n', "utf-8")
    done = run("lint-imports", "--no-cache", folder=house)
    assert done.returncode == 1
    assert "gossip" in done.stdout


def test_an_untyped_function_is_caught(house: Path) -> None:
    spoil(house, "app/core/clock.py", "def later(seconds):\n    return seconds")
    done = run("mypy", "app/core/clock.py", folder=house)
    assert done.returncode == 1
    assert "no-untyped-def" in done.stdout


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import datetime\n\nMOMENT = datetime.datetime.now()", "DTZ005"),
        ("def f() -> None:\n    try:\n        pass\n    except Exception:\n        pass", "BLE001"),
        ("print('hello')", "T201"),
    ],
)
def test_a_forbidden_habit_is_caught(house: Path, line: str, rule: str) -> None:
    spoil(house, "app/core/clock.py", line)
    done = run("ruff", "check", "--no-cache", "app/core/clock.py", folder=house)
    assert done.returncode == 1
    assert rule in done.stdout
