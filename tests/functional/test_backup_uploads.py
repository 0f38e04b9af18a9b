"""An archive in pieces: checked each, gone on with after a break, bounded, swept, then verified."""

import os
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from commands import SQLITE_ONLY
from depots import a_depot, a_place, an_archive
from factories import items_of, overdue
from flask import Flask
from panel import Visitor, signed_in

from app.accounts.models import Role
from app.backups import catalogue, receive, uploads
from app.backups.models import State
from app.backups.work import bench_of
from app.core.db import transaction
from app.core.text import RequestError
from app.jobs import ledger
from app.jobs.moves import Claim
from app.jobs.runner import work_on
from app.jobs.worker import Worker

pytestmark = pytest.mark.parametrize(*SQLITE_ONLY)
API = "/api/backups/uploads"
PIECE = 3000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """From another installation: its signature is unknown here."""
    return an_archive(a_depot(tmp_path / "other", a_place(tmp_path / "other.db")))


class Sender:
    """What the script of the page does."""

    def __init__(self, app: Flask, client: Visitor) -> None:
        self.app, self.client = app, client
        self.token = {"X-CSRFToken": client.token()}

    def begin(self, name: str, size: int, status: int = 201) -> Any:
        wanted = {"name": name, "size": size}
        answer = self.client.post(API, json=wanted, headers=self.token)
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def piece(self, upload: str, at: int, data: bytes, crc: int | None = None) -> tuple[int, Any]:
        checksum = zlib.crc32(data) if crc is None else crc
        where = f"{API}/{upload}?offset={at}&crc32={checksum}"
        answer = self.client.put(where, data=data, headers=self.token)
        return answer.status_code, answer.get_json()

    def all(self, upload: str, data: bytes, at: int = 0) -> None:
        while at < len(data):
            status, told = self.piece(upload, at, data[at : at + PIECE])
            assert status == 200, told
            at = told["offset"]

    def finish(self, upload: str) -> tuple[int, Any]:
        answer = self.client.post(f"{API}/{upload}/finish", headers=self.token)
        return answer.status_code, answer.get_json()

    def check(self, job_id: int) -> Any:
        work_on(Worker(30), job_id, uploads.handlers(lambda: self.app.config["FIKSTUR"]))
        return items_of(job_id)[0]


@pytest.fixture
def sender(app: Flask) -> Sender:
    return Sender(app, signed_in(app, Role.ADMINISTRATOR))


def left(app: Flask) -> list[str]:
    return [path.name for path in (app.config["FIKSTUR"].backup.folder / "incoming").iterdir()]


def test_what_broke_off_goes_on_where_it_ended_and_is_checked_by_a_job(
    app: Flask, sender: Sender, archive: Path
) -> None:
    data = archive.read_bytes()
    begun = sender.begin("x.zip", len(data))
    assert begun["offset"] == 0
    assert sender.piece(begun["id"], 0, data[:PIECE]) == (
        200,
        {"id": begun["id"], "size": len(data), "offset": PIECE},
    )
    assert sender.finish(begun["id"])[0] == 409  # bytes are missing
    again = Sender(app, sender.client).begin("x.zip", len(data))
    assert (again["id"], again["offset"]) == (begun["id"], PIECE)
    status, told = sender.piece(begun["id"], 0, data[:PIECE])  # sent twice
    assert (status, told["offset"]) == (409, PIECE)
    assert sender.piece(begun["id"], PIECE * 2, b"hole")[0] == 409
    assert sender.piece(begun["id"], PIECE, data[PIECE : PIECE * 2], crc=1)[0] == 409
    sender.all(begun["id"], data, PIECE)
    status, told = sender.finish(begun["id"])
    assert status == 202
    assert sender.finish(begun["id"])[1] == told  # joins
    item = sender.check(told["job"])
    assert (item.state, "whole" in str(item.message)) == ("done", True)
    (row,) = catalogue.all_backups()
    assert (row.file, row.state, row.trusted) == (archive.name, State.VERIFIED, False)
    assert left(app) == []


def test_what_is_wrong_is_refused_whole(app: Flask, sender: Sender, archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    begun = sender.begin("x.zip", len(data))
    sender.all(begun["id"], bytes(data))
    item = sender.check(sender.finish(begun["id"])[1]["job"])
    assert (item.state, item.code) == ("failed", "BACKUP_DAMAGED")
    assert (catalogue.all_backups(), left(app)) == ([], [])


def test_a_worker_that_dies_after_moving_the_file_loses_nothing(
    app: Flask, sender: Sender, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive.read_bytes()
    begun = sender.begin("x.zip", len(data))
    sender.all(begun["id"], data)
    job_id = sender.finish(begun["id"])[1]["job"]

    class KilledError(BaseException):
        pass

    def die(*_arguments: object) -> None:
        raise KilledError

    monkeypatch.setattr(receive, "_record", die)
    with pytest.raises(KilledError):
        sender.check(job_id)
    monkeypatch.undo()
    item = items_of(job_id)[0]
    claim = Claim(item.id, job_id, item.kind, None, item.key, item.fence, 0, 0, "w")
    overdue(claim)
    with transaction() as session:
        ledger.reap(session)
    assert sender.check(job_id).state == "done"
    assert [row.file for row in catalogue.all_backups()] == [archive.name]


def test_it_is_bounded_private_and_swept(app: Flask, sender: Sender) -> None:
    most = app.config["FIKSTUR"].backup.upload_mb
    for size in (0, most * 1024 * 1024 + 1):
        assert "are taken" in sender.begin("x.zip", size, status=400)["error"]
    begun = sender.begin("x.zip", 10)
    assert sender.piece(begun["id"], 0, bytes(11))[0] == 400
    assert sender.piece(begun["id"], 0, b"")[0] == 400
    assert sender.client.get(f"{API}/{'0' * 32}").status_code == 404
    assert sender.client.get(f"{API}/..%2f..%2fkeys").status_code == 404
    other = Sender(app, signed_in(app, Role.OPERATOR))
    assert other.piece(begun["id"], 0, b"x")[0] == 403
    with pytest.raises(RequestError):
        uploads.found(bench_of(app.config["FIKSTUR"]).depot, begun["id"], "somebody else")
    for number in range(uploads.MOST_OPEN):
        sender.begin(f"{number}.zip", 10)
    assert sender.client.get(f"{API}/{begun['id']}").status_code == 404  # made room
    assert len(left(app)) == 2 * uploads.MOST_OPEN
    long_ago = time.time() - receive.LEFT_OVER_S - 1
    for path in (app.config["FIKSTUR"].backup.folder / "incoming").iterdir():
        os.utime(path, (long_ago, long_ago))
    sender.begin("new.zip", 10)
    assert len(left(app)) == 2
