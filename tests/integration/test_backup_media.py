"""The media folder: in the archive as it was at one instant, back by one exchange, undone."""

import hashlib
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard
from depots import MEDIA, a_depot, a_place, an_archive, files_in, insert, put

from app.backups import media, media_swap
from app.backups.archive import opened, verify
from app.backups.choice import Part
from app.backups.depot import Depot
from app.backups.drill import drill
from app.backups.journal import Journal, Step
from app.backups.keys import identities
from app.backups.layout import DamagedError
from app.backups.manifest import Manifest, Type
from app.backups.media import File, Lack
from app.backups.places import Place
from app.backups.restore import Terms, restore, settle, undo
from app.core.text import RequestError


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_place(tmp_path_factory.mktemp("empty") / "live.db").file


@pytest.fixture
def depot(tmp_path: Path, empty: Path) -> Depot:
    """A depot beside an empty database and a folder of files."""
    folder = tmp_path / "media"
    put(folder, MEDIA)
    live = Place.in_file(Path(shutil.copy(empty, tmp_path / "live.db")))
    return a_depot(tmp_path, live, media=folder)


def manifest_of(path: Path) -> Manifest:
    with opened(path) as archive:
        return archive.manifest


def index_of(path: Path) -> list[File]:
    with opened(path) as archive:
        return archive.media()


def back(depot: Depot, path: Path, media: str | None = None) -> None:
    with depot.locked():
        restore(depot, path, Terms("tester", part=Part(media=media)))


def left_over(depot: Depot) -> list[str]:
    """Folders of ours that no exchange needs any more, and links that were not removed."""
    kept = {entry.kept_media for entry in Journal(depot.folder).entries()}
    beside = [path.name for path in depot.media.parent.iterdir() if path.name.startswith(".media")]
    return [name for name in beside if name not in kept] + [
        path.name for path in depot.staging.iterdir()
    ]


# --- what is in the archive -----------------------------------------------------------------------


def test_files_are_stored_once_by_their_content_and_open_without_us(
    depot: Depot, tmp_path: Path
) -> None:
    path = an_archive(depot, Type.MEDIA)
    told = manifest_of(path)
    assert (told.media.files, told.media.missing_refs, told.min_reader) == (4, 0, 2)
    assert told.media.bytes == sum(map(len, MEDIA.values()))
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.startswith("media/blobs/")]
    assert len(names) == 3  # two files of one content
    assert [file.path for file in index_of(path)] == sorted(MEDIA, key=str.encode)
    shutil.unpack_archive(path, tmp_path / "out")
    (file,) = [file for file in index_of(path) if file.path == "logos/a.png"]
    packed = (tmp_path / "out" / f"{file.blob}.zst").read_bytes()
    unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    assert unpacked == MEDIA["logos/a.png"]
    assert file.blob.endswith(hashlib.sha256(unpacked).hexdigest())
    with depot.locked():
        assert drill(depot, path).files == 4


def test_a_full_backup_has_the_files_and_one_without_a_folder_has_none(depot: Depot) -> None:
    assert manifest_of(an_archive(depot)).media.files == 4
    assert manifest_of(an_archive(depot, Type.DATABASE)).media is None
    shutil.rmtree(depot.media)
    plain = manifest_of(an_archive(depot))
    assert (plain.media, plain.min_reader) == (None, 1)
    with pytest.raises(RequestError, match="no media folder"):
        an_archive(depot, Type.MEDIA)


@pytest.mark.skipif(os.name == "nt", reason="links need a right there, and there are no pipes")
def test_links_are_not_followed_and_what_is_no_file_is_left_out(
    depot: Depot, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    (depot.media / "link").symlink_to(secret)
    (depot.media / "folder").symlink_to(tmp_path)
    os.mkfifo(depot.media / "pipe")
    path = an_archive(depot, Type.MEDIA)
    told = manifest_of(path).media
    assert (told.files, told.missing_refs, told.skipped) == (4, 0, 3)
    lacking = {file.path: file.lack for file in index_of(path) if file.lack}
    assert lacking == dict.fromkeys(("link", "folder", "pipe"), Lack.LINK)


@pytest.mark.parametrize("linked", [True, False], ids=["links", "another disk"])
def test_what_is_deleted_or_replaced_meanwhile_is_in_it_all_the_same(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, *, linked: bool
) -> None:
    """Held by second names; where there can be none, it is said that they lack."""
    if not linked:
        monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(18, "no")))
    seen: list[str] = []

    def change(step: str, done: int, of: int) -> None:
        if step == "media" and of and not seen:
            seen.append(step)
            (depot.media / "logos/a.png").unlink()
            (depot.media / "new.png").write_bytes(b"new")
            (depot.media / "other").write_bytes(b"other")
            (depot.media / "other").replace(depot.media / "days.xlsx")

    path = an_archive(depot, Type.MEDIA, tell=change)
    lacking = {file.path: file.lack for file in index_of(path) if file.lack}
    held = {file.path: file.size for file in index_of(path) if not file.lack}
    assert "new.png" not in held
    assert manifest_of(path).media.missing_refs == len(lacking)
    if linked:
        assert held == {name: len(content) for name, content in MEDIA.items()}
        assert lacking == {}
    else:
        assert lacking == {"logos/a.png": Lack.VANISHED}
    assert left_over(depot) == []


def test_a_file_that_keeps_changing_is_told_not_guessed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = media.describe

    def late(path: str, source: Path) -> File:
        found = describe(path, source)
        if path == "b.xlsx":
            with source.open("ab") as file:
                file.write(b"more")
        return found

    monkeypatch.setattr(media, "describe", late)
    path = an_archive(depot, Type.MEDIA)
    lacking = {file.path: file.lack for file in index_of(path) if file.lack}
    assert lacking == {"b.xlsx": Lack.CHANGING}
    assert manifest_of(path).media.missing_refs == 1
    with opened(path) as archive:
        assert verify(archive)


def test_an_encrypted_archive_tells_no_names_and_no_hashes(depot: Depot, tmp_path: Path) -> None:
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity.txt").write_text(str(identity))
    depot.keys.folder.mkdir(exist_ok=True)
    (depot.keys.folder / "recipients.txt").write_text(str(identity.to_public()))
    path = an_archive(depot, Type.MEDIA)
    clear = b"".join(
        zipfile.ZipFile(path).read(name)
        for name in zipfile.ZipFile(path).namelist()
        if not name.endswith(".age")
    )
    names = " ".join(zipfile.ZipFile(path).namelist())
    with opened(path, identities(tmp_path / "identity.txt")) as archive:
        for file in archive.media():
            assert file.path.encode() not in clear
            assert file.sha256.encode() not in clear
            assert file.sha256 not in names
        assert verify(archive)
    known = Depot(**{**_fields(depot), "identity_file": tmp_path / "identity.txt"})
    put(depot.media, {"b.xlsx": b"changed"})
    back(known, path)
    assert files_in(depot.media) == MEDIA


def _fields(depot: Depot) -> dict[str, object]:
    return {name: getattr(depot, name) for name in depot.__dataclass_fields__}


# --- back -----------------------------------------------------------------------------------------


def test_files_come_back_and_an_undo_brings_the_others(depot: Depot) -> None:
    path = an_archive(depot, Type.MEDIA)
    os.utime(depot.media / "b.xlsx", (1, 1))
    newer = {"b.xlsx": b"newer", "new/file": b"n"}
    put(depot.media, newer)
    (depot.media / "days.xlsx").unlink()
    before = files_in(depot.media)
    back(depot, path)
    assert files_in(depot.media) == MEDIA
    assert left_over(depot) == []
    for wanted in (before, MEDIA, before):
        with depot.locked():
            assert undo(depot, "tester").step is Step.DONE
        assert files_in(depot.media) == wanted
        assert left_over(depot) == []


@pytest.mark.skipif(os.name == "nt", reason="files have no such rights there")
def test_times_and_rights_of_files_come_back(depot: Depot) -> None:
    file = depot.media / "b.xlsx"
    os.utime(file, (1_000_000_000.25, 1_000_000_000.25))
    file.chmod(0o640)
    path = an_archive(depot, Type.MEDIA)
    file.unlink()
    back(depot, path)
    found = file.stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (1_000_000_000.25, 0o640)


def test_a_full_restore_brings_rows_and_files_together(depot: Depot) -> None:
    insert(depot.live, "source_state", {"source": "old"})
    path = an_archive(depot)
    insert(depot.live, "source_state", {"source": "new"})
    put(depot.media, {"new": b"n"})
    before = files_in(depot.media)
    back(depot, path)
    assert (sources(depot), files_in(depot.media)) == (["old"], MEDIA)
    with depot.locked():
        undo(depot, "tester")
    assert (sources(depot), files_in(depot.media)) == (["new", "old"], before)
    assert left_over(depot) == []


def sources(depot: Depot) -> list[str]:
    with depot.live.connect() as connection:
        return sorted(connection.execute(sa.text("SELECT source FROM source_state")).scalars())


@pytest.mark.parametrize(
    ("subtree", "back_again"),
    [("logos", ["logos/a.png", "logos/deep/ş.png"]), ("b.xlsx", ["b.xlsx"]), ("logos/deep/", [])],
)
def test_a_piece_of_it_comes_back_and_the_rest_stays(
    depot: Depot, subtree: str, back_again: list[str]
) -> None:
    path = an_archive(depot)
    changed = dict.fromkeys(MEDIA, b"changed") | {"logos/new": b"n"}
    put(depot.media, changed)
    part = subtree.strip("/")
    back(depot, path, part)
    found = files_in(depot.media)
    under = {name for name in {*MEDIA, "logos/new"} if f"{name}/".startswith(f"{part}/")}
    wanted = {name: content for name, content in changed.items() if name not in under}
    wanted |= {name: MEDIA[name] for name in under if name in MEDIA}
    assert found == wanted
    assert set(back_again) <= under
    with depot.locked():
        undo(depot, "tester")
    assert files_in(depot.media) == changed


def test_what_the_archive_has_not_cannot_come_back(depot: Depot) -> None:
    path = an_archive(depot)
    with pytest.raises(RequestError, match="nothing under nowhere"):
        back(depot, path, "nowhere")
    shutil.rmtree(depot.media)
    without = an_archive(depot)
    with pytest.raises(RequestError, match="holds none of it"):
        back(depot, without, "")
    back(depot, without)  # it says nothing of files: there are none, and none are removed
    assert not depot.media.exists()


def test_a_folder_that_was_gone_is_made_and_gone_again(depot: Depot) -> None:
    path = an_archive(depot, Type.MEDIA)
    shutil.rmtree(depot.media)
    back(depot, path)
    assert files_in(depot.media) == MEDIA
    with depot.locked():
        undo(depot, "tester")
    assert not depot.media.exists()


class Killed(BaseException):
    """What no `except Exception` holds up."""


def die(*_: object, **__: object) -> None:
    raise Killed


def cut_off(patch: pytest.MonkeyPatch, step: str) -> None:
    """Let the process end there; nothing is cleaned up either."""
    set_aside = media_swap._set_aside
    patch.setattr(media_swap, "remove", lambda _path: None)
    if step == "staged":
        patch.setattr(media_swap, "make_lasting", die)
    elif step == "journal":
        patch.setattr(media_swap, "_set_aside", die)
    elif step == "aside":
        patch.setattr(media_swap, "_set_aside", lambda *its: (set_aside(*its), die()))
    else:
        patch.setattr(media_swap, "remove", die)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("staged", Type.FULL),
        ("journal", Type.FULL),
        ("aside", Type.FULL),
        ("arrived", Type.FULL),
        ("aside", Type.MEDIA),
    ],
)
def test_cut_off_at_any_step_it_is_the_old_or_becomes_the_new(
    depot: Depot, step: str, kind: Type
) -> None:
    """Rows and files are of one time afterwards, whenever the process was cut off."""
    insert(depot.live, "source_state", {"source": "old"})
    path = an_archive(depot, kind)
    insert(depot.live, "source_state", {"source": "new"})
    put(depot.media, {"new": b"n"})
    old = ["new", "old"], files_in(depot.media)
    new = ["old"] if kind is Type.FULL else ["new", "old"], MEDIA
    with pytest.MonkeyPatch.context() as patch:
        cut_off(patch, step)
        with depot.locked(), pytest.raises(Killed):
            restore(depot, path, Terms("tester"))
    with depot.locked():
        settle(depot)
    found = sources(depot), files_in(depot.media)
    assert found == (old if step == "staged" else new)
    assert left_over(depot) == []
    if step == "staged":
        return
    with depot.locked():
        undo(depot, "tester")
    assert (sources(depot), files_in(depot.media)) == old


def test_no_room_for_the_exchange_leaves_everything_as_it_is(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(depot.live, "source_state", {"source": "old"})
    path = an_archive(depot)
    insert(depot.live, "source_state", {"source": "new"})
    put(depot.media, {"new": b"n"})
    before = files_in(depot.media)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == media_swap.CONTENT and "new" in self.parent.name:
            raise OSError(13, "in use")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(RequestError, match="could not be exchanged"):
            back(depot, path)
    assert (sources(depot), files_in(depot.media)) == (["new", "old"], before)
    assert left_over(depot) == []
    assert Journal(depot.folder).undoable() is None


# --- hostile --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a//b", "a/./b", "a/../../b", "", "a\0b", "x" * 256]
)
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    line = {"path": name, "size": 1, "mtime": "2026-01-01 00:00:00", "sha256": "0" * 64}
    with pytest.raises(DamagedError, match="media files is not in order"):
        media.read_index(json.dumps(line).encode() + b"\n")
    assert media.read_index(json.dumps(line | {"path": "a/b"}).encode() + b"\n")


@pytest.mark.parametrize("paths", [["b", "a"], ["a", "a"]])
def test_an_index_out_of_order_is_refused(paths: list[str]) -> None:
    at = {"size": 1, "mtime": "2026-01-01 00:00:00", "sha256": "0" * 64}
    lines = b"".join(json.dumps({"path": path, **at}).encode() + b"\n" for path in paths)
    with pytest.raises(DamagedError):
        media.read_index(lines)


def test_files_one_of_which_is_the_others_folder_are_refused_whole(depot: Depot) -> None:
    """A name cannot be both; nothing is left of the try and the live files are as they were."""
    path = an_archive(depot, Type.MEDIA)
    with opened(path) as archive:
        (file,) = [one for one in archive.media() if one.path == "b.xlsx"]
        twice = [file, File("b.xlsx/in", file.size, file.mtime, file.mode, file.sha256)]
        new = media_swap.beside(depot.media, "new", "0" * 32)
        with pytest.raises(RequestError, match="cannot be unpacked"):
            media_swap.stage(archive, twice, "", new, lambda *_: None)
    assert left_over(depot) == []


# --- among others at work -------------------------------------------------------------------------


@pytest.fixture
def churn(depot: Depot) -> Iterator[threading.Event]:
    """Somebody uploads and deletes all the time."""
    stopped = threading.Event()

    def work() -> None:
        number = 0
        while not stopped.is_set():
            put(depot.media, {f"up/{number % 20}.bin": os.urandom(2000)})
            (depot.media / f"up/{(number + 10) % 20}.bin").unlink(missing_ok=True)
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    yield stopped
    stopped.set()
    thread.join()


def test_uploads_and_deletions_meanwhile_leave_no_reference_missing(
    depot: Depot, churn: threading.Event
) -> None:
    """A file that is written to in place by its own writer is another matter: here all are new."""
    path = an_archive(depot)
    assert not churn.is_set()
    told = manifest_of(path).media
    assert told.missing_refs == 0
    assert told.files >= 4
    with opened(path) as archive:
        assert verify(archive)
