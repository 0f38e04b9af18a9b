"""A stranger without Fikstür: the commands of README.txt, as they stand in the archive."""

import os
import re
import shutil
import subprocess
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from depots import MEDIA, a_depot, a_place, an_archive, files_in, insert, put, rows_of

from app.backups.manifest import Type
from app.backups.write import Order, create

ALONE = ("unzip", "zstd", "age")
WITH = ("sha256sum", "openssl", "xxd", "jq", "sqlite3")
SHELL = shutil.which("sh") or "sh"


def needed(*programs: str) -> None:
    """Under CI they are there (.ci/run): a skip is a failure."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(params=["plain", "encrypted"])
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with ARCHIVE.zip, and IDENTITY.txt where one is needed; two rows in `match`."""
    place = a_place(tmp_path / "live.db")
    insert(place, "match", a_match(1, 'Beşiktaş "BJK"', None), a_match(2, "B,\n\\", 3))
    depot = a_depot(tmp_path / "depot", place)
    (tmp_path / "found").mkdir()
    if request.param == "encrypted":
        identity = pyrage.x25519.Identity.generate()
        depot.keys.folder.mkdir(parents=True)
        (depot.keys.folder / "recipients.txt").write_text(str(identity.to_public()))
        (tmp_path / "found" / "IDENTITY.txt").write_text(f"# recovery\n{identity}\n")
    shutil.copy(an_archive(depot), tmp_path / "found" / "ARCHIVE.zip")
    return tmp_path / "found"


def a_match(number: int, home: str, score: int | None) -> dict[str, object]:
    at = datetime(2025, 5, 5, 17, 0, tzinfo=UTC)
    times = dict.fromkeys(("first_seen_at", "last_seen_at", "changed_at"), at)
    names = {"source": "s", "source_id": str(number), "status": "finished", "raw_status": "x"}
    return {"id": number, "home": home, "away": "z", "home_score": score, **names, **times}


def sections(found: Path) -> dict[str, str]:
    """The commands under each number: the lines that are set in, `\\` at the end goes on."""
    with zipfile.ZipFile(found / "ARCHIVE.zip") as archive:
        text = archive.read("README.txt").decode()
    parts = re.split(r"^(\d)\. ", text, flags=re.MULTILINE)[1:]
    commands = {
        number: "\n".join(line.strip() for line in part.splitlines() if line.startswith("     "))
        for number, part in zip(parts[::2], parts[1::2], strict=True)
    }
    return {number: lines for number, lines in commands.items() if lines}


def run(found: Path, commands: str, path: str) -> str:
    done = subprocess.run(
        [SHELL, "-eu"],
        input=commands,
        cwd=found,
        env={"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(found)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_with_unzip_zstd_and_age_alone_a_table_is_recovered(found: Path, tmp_path: Path) -> None:
    needed(*ALONE)
    only = tmp_path / "only"
    only.mkdir()
    for name in ALONE:
        (only / name).symlink_to(shutil.which(name) or "")
    told = sections(found)
    run(found, f"{told['1']}\n{told['4']}", str(only))
    text = (found / "backup" / "match.jsonl").read_bytes()
    assert text == b"".join(rows_of(found / "ARCHIVE.zip", "match", found / "IDENTITY.txt"))
    assert text.count(b"\n") == 2
    assert '"match"' in (found / "backup" / "schema.json").read_text("utf-8")


def test_every_command_of_the_readme_does_what_it_says(found: Path) -> None:
    needed(*ALONE, *WITH)
    told = sections(found)
    assert sorted(told) == ["1", "2", "4", "5"]
    said = run(found, "\n".join(told.values()), os.environ["PATH"])
    assert "Signature Verified Successfully" in said
    assert "match.jsonl: OK" in said
    query = "SELECT home || '|' || home_score FROM match ORDER BY source_id"
    recovered = run(found, f'cd backup\nsqlite3 found.db "{query}"', os.environ["PATH"])
    assert recovered == 'Beşiktaş "BJK"|\nB,\n\\|3\n'
    member = found / "backup" / "MANIFEST.json"  # the negative control: it does notice
    member.write_text(member.read_text("utf-8").replace('"min_reader": 1', '"min_reader": 2'))
    with pytest.raises(AssertionError):
        run(found, f"cd backup\n{told['2']}", os.environ["PATH"])


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_media_and_what_an_archive_builds_on_are_recovered_too(
    tmp_path: Path, *, encrypted: bool
) -> None:
    needed(*ALONE, *WITH)
    home = tmp_path / "found"
    home.mkdir()
    live = a_place(tmp_path / "live.db")
    insert(live, "match", a_match(1, "x", None), a_match(2, "y", 3))
    depot = a_depot(tmp_path / "depot", live, media=tmp_path / "media")
    if encrypted:
        identity = pyrage.x25519.Identity.generate()
        depot.keys.folder.mkdir(parents=True)
        (depot.keys.folder / "recipients.txt").write_text(str(identity.to_public()))
        (home / "IDENTITY.txt").write_text(f"{identity}\n")
    wanted = {**MEDIA, "o'clock $(x) \\t\n;exit 9 #.txt": b"odd"}
    put(depot.media, wanted)
    base = an_archive(depot)
    put(depot.media, {"later": b"later"})
    with depot.locked():
        inc = create(depot, Order(uuid.uuid4().hex, "inc", Type.FULL, base=base))
    shutil.copy(base, home)
    shutil.copy(inc, home / "ARCHIVE.zip")
    told = sections(home)
    assert sorted(told) == ["1", "2", "4", "5", "6"]
    said = run(home, "\n".join(told.values()), os.environ["PATH"])
    assert "match.jsonl: OK" in said
    assert files_in(home / "backup" / "media-files") == wanted | {"later": b"later"}
