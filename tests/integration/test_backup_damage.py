"""Whatever changes in an archive after it was written, `verify` finds it."""

import dataclasses
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest
from depots import MEDIA, a_depot, a_place, an_archive, hashes, insert, put
from hypothesis import given, settings
from hypothesis import strategies as st

from app.backups import layout, write
from app.backups.archive import opened, verify
from app.backups.journal import Journal
from app.backups.keys import Keys, identities
from app.backups.layout import DamagedError, Entry, ZipReader, ZipWriter
from app.backups.members import MissingIdentityError
from app.backups.restore import Terms, restore
from app.core.text import RequestError


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plain and an encrypted archive of the same rows, in parts of a few kilobytes."""
    folder = tmp_path_factory.mktemp("archives")
    place = a_place(folder / "live.db")
    insert(place, "source_state", *({"source": f"s{n:05}"} for n in range(300)))
    identity = pyrage.x25519.Identity.generate()
    (folder / "identity.txt").write_text(f"# the recovery key\n{identity}\n")
    secret = folder / "secret" / "keys"
    secret.mkdir(parents=True)
    (secret / "recipients.txt").write_text(f"{identity.to_public()}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "MOST_PER_PART", 5000)
        patch.setattr("app.backups.rows.PIECE", 2000)
        put(folder / "media", MEDIA)
        plain = an_archive(a_depot(folder / "plain", place, media=folder / "media"))
        closed = an_archive(a_depot(folder / "secret", place, media=folder / "media"))
        other = an_archive(a_depot(folder / "plain", place, media=folder / "media"))
    return {"plain": plain, "encrypted": closed, "other": other, "folder": folder}


def faulty(path: Path, **options: object) -> DamagedError | None:
    """What verify says of it; None when it finds nothing."""
    try:
        with opened(path, **options) as archive:
            verify(archive)
    except DamagedError as error:
        return error
    return None


def test_archives_as_they_were_written_are_whole(archives: dict[str, Path]) -> None:
    keys = identities(archives["folder"] / "identity.txt")
    with opened(archives["plain"]) as archive:
        assert verify(archive)
        assert sum("source_state" in member.name for member in archive.manifest.members) > 3
    with opened(archives["encrypted"], keys) as archive:
        assert verify(archive)
    with opened(archives["encrypted"]) as archive:
        assert not verify(archive)  # hashes and signature only: nobody here can read it


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_one_flipped_bit_anywhere_is_found(
    archives: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    """Headers, signature and directory whole, of the rest some. No identity is needed."""
    data = archives[kind].read_bytes()
    spoilt = tmp_path / "spoilt.zip"
    missed = []
    step = max(1, len(data) // 1000)
    for at in {*range(0, len(data), step), *outside_members(archives[kind])}:
        spoilt.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        if faulty(spoilt) is None:
            missed.append(at)
    assert missed == []


def outside_members(path: Path) -> set[int]:
    """Where headers, signature and directory lie, and every fifth byte of the manifest."""
    with path.open("rb") as file:
        reader = ZipReader(file)
        inside = {
            at
            for name, entry in reader.entries.items()
            if name != layout.SIGNATURE
            for at in range(entry.begins, entry.ends)
        }
        manifest = reader.entries[layout.MANIFEST]
    some = set(range(manifest.begins, manifest.ends, 5))
    return set(range(path.stat().st_size)) - inside | some


def entries_of(path: Path) -> list[Entry]:
    with path.open("rb") as file:
        return list(ZipReader(file).entries.values())


def test_every_truncation_is_found(archives: dict[str, Path], tmp_path: Path) -> None:
    data = archives["plain"].read_bytes()
    ends = {0, 1, len(data) - 1} | {
        at for entry in entries_of(archives["plain"]) for at in (entry.offset, entry.ends)
    }
    spoilt = tmp_path / "spoilt.zip"
    for end in ends:
        spoilt.write_bytes(data[:end])
        assert faulty(spoilt), end
    spoilt.write_bytes(data + b"\0")
    assert faulty(spoilt)


def rewritten(path: Path, to: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive laid out anew, with other contents: what a careful forger would do."""
    with path.open("rb") as file:
        reader = ZipReader(file)
        members = {name: b"".join(reader.read(name)) for name in reader.entries}
    change(members)
    with to.open("w+b") as file:
        writer = ZipWriter(file)
        for name, data in members.items():
            writer.begin(name)
            writer.write(data)
            writer.end()
        writer.close()
    return to


PARTS = [f"db/logical/source_state/{n:05}.jsonl.zst" for n in range(2)]


def swap(members: dict[str, bytes]) -> None:
    members[PARTS[0]], members[PARTS[1]] = members[PARTS[1]], members[PARTS[0]]


def remove(members: dict[str, bytes]) -> None:
    del members[PARTS[0]]


def add(members: dict[str, bytes]) -> None:
    members["db/logical/extra/00000.jsonl.zst"] = members[PARTS[0]]


def unsign(members: dict[str, bytes]) -> None:
    del members[layout.SIGNATURE]


def shorten_signature(members: dict[str, bytes]) -> None:
    members[layout.SIGNATURE] = members[layout.SIGNATURE][:-1]


@pytest.mark.parametrize("change", [swap, remove, add, unsign, shorten_signature])
def test_members_moved_about_are_found(
    archives: dict[str, Path], change: Callable[[dict[str, bytes]], None], tmp_path: Path
) -> None:
    assert faulty(rewritten(archives["plain"], tmp_path / "same.zip", lambda _: None)) is None
    assert faulty(rewritten(archives["plain"], tmp_path / "spoilt.zip", change))


def test_an_old_manifest_replayed_is_found(archives: dict[str, Path], tmp_path: Path) -> None:
    """Both are ours and well signed, and the rows are the same: still it is not this archive."""
    with zipfile.ZipFile(archives["other"]) as other:
        old = {name: other.read(name) for name in (layout.MANIFEST, layout.SIGNATURE)}
    assert faulty(rewritten(archives["plain"], tmp_path / "x.zip", lambda all_: all_.update(old)))


def spoilt_ways(archives: dict[str, Path], to: Path) -> Iterator[tuple[str, Path]]:
    """A bit of every member, of manifest, signature and directory; every cut; everything moved."""
    data = archives["plain"].read_bytes()
    entries = entries_of(archives["plain"])
    middles = {entry.name: (entry.begins + entry.ends) // 2 for entry in entries}
    for name, at in {**middles, "directory": entries[-1].ends + 60}.items():
        to.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        yield name, to
    for entry in entries:
        to.write_bytes(data[: entry.ends])
        yield f"cut after {entry.name}", to
    changes = (swap, remove, add, unsign, shorten_signature, remove_blob)
    with zipfile.ZipFile(archives["other"]) as other:
        old = {name: other.read(name) for name in (layout.MANIFEST, layout.SIGNATURE)}
    for change in (*changes, lambda members: members.update(old)):
        yield getattr(change, "__name__", ""), rewritten(archives["plain"], to, change)


def remove_blob(members: dict[str, bytes]) -> None:
    del members[min(name for name in members if name.startswith("media/blobs/"))]


def test_whatever_is_wrong_with_it_no_restore_begins(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing is loaded, nothing is in the journal, the live rows and files are as they were."""
    live = a_place(tmp_path / "live.db")
    depot = a_depot(tmp_path, live, keys=archives["folder"] / "plain" / "keys")
    depot = dataclasses.replace(depot, media=tmp_path / "media")
    before, seen = hashes(live), []
    with depot.locked():
        for what, path in spoilt_ways(archives, tmp_path / "spoilt.zip"):
            with pytest.raises(DamagedError):
                restore(depot, path, Terms("tester"), lambda step, *_: seen.append(step))
            assert Journal(depot.folder).entries() == [], what
        assert {*seen} <= {"hashes", "contents"}
        assert list(depot.staging.iterdir()) == []
        assert hashes(live) == before
        assert not (tmp_path / "media").exists()
        restore(depot, archives["plain"], Terms("tester"))  # as it was written, it does begin
    assert hashes(live) != before


def test_another_archive_under_this_ones_name_is_found(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    replaced = tmp_path / archives["plain"].name
    shutil.copy(archives["other"], replaced)
    assert "another backup" in str(faulty(replaced))


def test_an_archive_of_a_stranger_is_whole_but_not_trusted(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    ours, strangers = Keys(tmp_path / "keys"), Keys(archives["folder"] / "plain" / "keys")
    with opened(archives["plain"]) as archive:
        assert verify(archive)
        assert archive.is_trusted(strangers)
        assert not archive.is_trusted(ours)
        (ours.folder / "trusted.txt").write_text(f"# the old server\n{strangers.public()}\n")
        assert archive.is_trusted(ours)


def test_the_wrong_identity_is_a_sentence(archives: dict[str, Path]) -> None:
    wrong = [pyrage.x25519.Identity.generate()]
    with (
        opened(archives["encrypted"], wrong) as archive,
        pytest.raises(MissingIdentityError, match="encrypted to others"),
    ):
        verify(archive)


def test_a_wrong_recipient_is_a_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    depot = a_depot(tmp_path, a_place(tmp_path / "live.db"))
    depot.keys.folder.mkdir()
    (depot.keys.folder / "recipients.txt").write_text("age1wrong\n")
    with pytest.raises(RequestError, match="age1wrong"):
        an_archive(depot)
    assert depot.archives() == []


def test_a_manifest_from_the_future_is_a_sentence(
    archives: dict[str, Path], tmp_path: Path
) -> None:
    def age(members: dict[str, bytes]) -> None:
        text = members[layout.MANIFEST]
        members[layout.MANIFEST] = re.sub(b'"min_reader": [0-9]+', b'"min_reader": 99', text)

    path = rewritten(archives["plain"], tmp_path / "x.zip", age)
    with pytest.raises(RequestError, match="needs a newer Fikstür"), opened(path):
        pass


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_layout_reads_back_what_it_wrote(data: st.DataObject, tmp_path_factory) -> None:
    names = [layout.README, "db/schema.json.zst", "settings/settings.json.zst", layout.MANIFEST]
    members = {name: data.draw(st.binary(max_size=300)) for name in names}
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        for name, content in members.items():
            writer.begin(name)
            half = len(content) // 2
            writer.write(content[:half])
            writer.write(content[half:])
            writer.end()
        writer.close()
        reader = ZipReader(file)
        assert {name: b"".join(reader.read(name)) for name in reader.entries} == members
    with zipfile.ZipFile(path) as other:  # and so does everybody else
        assert other.testzip() is None
        assert {name: other.read(name) for name in other.namelist()} == members
