"""Media, incremental backups and parts of one, by command, ledger and panel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from commands import SQLITE_ONLY, run, run_json
from depots import MEDIA, files_in, put
from flask import Flask
from panel import PASSWORD, signed_in

from app.accounts.models import Role
from app.backups import catalogue, media
from app.backups.archive import opened
from app.backups.chain import LONGEST
from app.backups.choice import Part
from app.backups.models import State
from app.backups.request import create_request, restore_request
from app.backups.work import bench_of, handlers
from app.core.db import reading, transaction
from app.jobs.audit import imbalances
from app.jobs.models import JobItem, Trigger
from app.jobs.runner import work_on
from app.jobs.submit import JobRequest
from app.jobs.submit import submit as submit_job
from app.jobs.worker import Worker
from app.sources.models import SourceState

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)


@pytest.fixture
def folder(app: Flask) -> Iterator[Path]:
    """The media folder, with files in it."""
    found = app.config["FIKSTUR"].backup.media
    put(found, MEDIA)
    return found


def made(app: Flask, *options: str, exit_code: int = 0) -> dict[str, Any]:
    return run_json(app, "backup", "create", *options, exit_code=exit_code)


def path_of(app: Flask, backup: dict[str, Any]) -> Path:
    return app.config["FIKSTUR"].backup.folder / backup["file"]


def worked_on(app: Flask, request: JobRequest) -> JobItem:
    with transaction() as session:
        job_id = submit_job(session, request, by="x", trigger=Trigger.PANEL).job_id
    work_on(Worker(45), job_id, handlers(bench_of(app.config["FIKSTUR"])))
    with reading() as session:
        return session.scalars(sa.select(JobItem).where(JobItem.job_id == job_id)).one()


def remember(*names: str) -> None:
    with transaction() as session:
        session.add_all(SourceState(source=name) for name in names)


def sources() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(sa.select(SourceState.source)))


def test_incremental_ones_build_on_the_last_good_one_and_are_pruned_with_it(
    app: Flask, folder: Path
) -> None:
    first = made(app, "--type", "media", "--incremental")
    assert first["needs"] == []  # there was nothing to build on
    put(folder, {"new": b"n"})
    second = made(app, "--type", "media", "--incremental")
    assert (second["needs"], second["state"]) == ([first["id"]], "drilled")
    assert made(app, "--type", "settings", "--incremental")["needs"] == []
    refused = run(app, "backup", "prune", "--dry-run").output
    assert f"{second['id'][:8]} builds on it" in refused
    path_of(app, first).rename(folder / "away")
    said = run(app, "backup", "verify", second["file"])
    assert said.exit_code == 4
    assert f"builds on {first['file']}" in said.output
    assert catalogue.find(second["id"]).state == State.CORRUPT
    whole = made(app, "--type", "media", "--incremental")  # on what is damaged nothing is built
    (folder / "away").rename(path_of(app, first))
    assert whole["needs"] == []
    assert run_json(app, "backup", "verify", second["file"])["state"] == "drilled"


def test_nothing_is_built_on_a_base_that_rots(app: Flask, folder: Path) -> None:
    """Nor on what builds on it; and the backup of that night is made all the same."""
    first = made(app, "--type", "media", "--no-drill")
    put(folder, {"new": b"n"})
    second = made(app, "--type", "media", "--incremental", "--no-drill")
    data = bytearray(path_of(app, first).read_bytes())
    with opened(path_of(app, first)) as archive:
        blobs = [one for name, one in archive.reader.entries.items() if "blobs" in name]
    data[blobs[0].begins] ^= 1
    path_of(app, first).write_bytes(data)
    assert made(app, "--type", "media", "--incremental")["needs"] == []
    assert {catalogue.find(one["id"]).state for one in (first, second)} == {State.CORRUPT}


def test_a_chain_ends_before_it_is_too_long(app: Flask, folder: Path) -> None:
    longest = 0
    for number in range(LONGEST + 2):
        put(folder, {f"{number}": bytes([number])})
        backup = made(app, "--type", "media", "--incremental", "--no-drill")
        longest = max(longest, len(backup["needs"]))
    assert longest == LONGEST
    assert backup["needs"] == []


def test_a_backup_that_lacks_files_counts_as_none_and_says_so(
    app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = media.describe

    def refuse(path: str, source: Path) -> media.File:
        if path == "b.xlsx":
            raise media.UnreadableError(media.Lack.UNREADABLE)
        return describe(path, source)

    with monkeypatch.context() as patch:
        patch.setattr(media, "describe", refuse)
        said = run(app, "backup", "create", "--no-drill")
    assert said.exit_code == 3
    assert "1 files of the media folder could not be read: b.xlsx." in said.output
    backup = catalogue.find("latest")
    assert backup.state == State.INCOMPLETE
    run(app, "backup", "verify", backup.file)
    assert catalogue.find(backup.id).state == State.INCOMPLETE
    assert run(app, "backup", "status").exit_code == 1
    assert catalogue.base_for("full") is None


def test_a_part_is_restored_by_a_command_and_undone(app: Flask, folder: Path) -> None:
    remember("old")
    backup = made(app, "--no-drill")
    remember("new")
    put(folder, {"logos/a.png": b"other", "b.xlsx": b"other"})
    shown = run_json(app, "backup", "preview", "latest", "--media", "logos")["tables"]
    assert [(one["table"], one["lost"], one["changed"]) for one in shown] == [("media/logos", 0, 1)]
    told = run_json(app, "backup", "restore", backup["file"], "--media", "logos", "--force")
    assert told["part"] == "media: logos"
    assert files_in(folder) == MEDIA | {"b.xlsx": b"other"}
    assert sources() == ["new", "old"]
    told = run_json(app, "backup", "restore", backup["file"], "--table", "source_state", "--force")
    assert sources() == ["old"]
    run_json(app, "backup", "undo", "--force")
    assert sources() == ["new", "old"]
    wrong = run(app, "backup", "restore", backup["file"], "--table", "job", "--force")
    assert (wrong.exit_code, "of the ledger" in wrong.output) == (2, True)


def test_a_worker_restores_a_part_and_its_job_ends(app: Flask, folder: Path) -> None:
    """The ledger is not exchanged by it: the item is ended where it is."""
    remember("old")
    worked_on(app, create_request("x", drill=False))
    remember("new")
    put(folder, {"b.xlsx": b"other"})
    backup = catalogue.find("latest")
    for part in (Part(tables=("source_state",)), Part(media="")):
        item = worked_on(app, restore_request(backup, part=part))
        assert (item.state, item.outcome) == ("done", "stored")
    assert (sources(), files_in(folder)) == (["old"], MEDIA)
    with reading() as session:
        assert not imbalances(session)


def test_the_panel_compares_a_part_and_restores_what_it_compared(app: Flask, folder: Path) -> None:
    remember("old")
    backup = made(app, "--no-drill")
    remember("new")
    boss, home = signed_in(app, Role.ADMINISTRATOR), "/admin/backups/"
    place = f"{home}{backup['id']}"
    both = {"table": "source_state", "media": "logos"}
    said = boss.press(f"{place}/compare", page=home, **both).text
    assert "choose one of them" in said
    boss.press(f"{place}/compare", page=home, table="source_state")
    work_on_newest(app)
    page = boss.text(f"{place}/preview")
    assert "Only this comes back: source_state." in page
    assert '<input type="hidden" name="table" value="source_state">' in page
    typed = {"typed": backup["file"], "password": PASSWORD, "table": "source_state"}
    boss.press(f"{place}/restore", page=f"{place}/preview", **typed)
    work_on_newest(app)
    assert sources() == ["old"]
    assert boss.get(home).status_code == 200  # and nobody was signed out


def work_on_newest(app: Flask) -> None:
    with reading() as session:
        job_id = session.scalars(sa.select(sa.func.max(JobItem.job_id))).one()
    work_on(Worker(45), job_id, handlers(bench_of(app.config["FIKSTUR"])))


def test_the_page_of_one_says_what_it_builds_on(app: Flask, folder: Path) -> None:
    first = made(app, "--no-drill")
    second = made(app, "--no-drill", "--incremental")
    page = signed_in(app, Role.VIEWER).text(f"/admin/backups/{second['id']}")
    assert first["file"] in page
    assert f'href="/admin/backups/{first["id"]}"' in page
    assert "Media files" in page
