"""Incremental archives: small, as good as full ones, and useless without what they build on."""

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from depots import (
    MEDIA,
    a_depot,
    an_archive,
    files_in,
    hashes,
    insert,
    put,
    told_hashes,
)
from msgspec import structs

from app.backups import manifest
from app.backups.archive import opened, verify
from app.backups.chain import LackingError
from app.backups.depot import Depot
from app.backups.drill import drill
from app.backups.keys import identities
from app.backups.layout import DamagedError
from app.backups.manifest import Base, Manifest, Type
from app.backups.places import Place
from app.backups.restore import Terms, restore, undo
from app.backups.write import Order, create
from app.core.text import RequestError


@pytest.fixture
def depot(database_url: str, tmp_path: Path) -> Depot:
    folder = tmp_path / "media"
    put(folder, MEDIA)
    made = a_depot(tmp_path, Place(database_url), media=folder)
    insert(made.live, "source_state", *({"source": f"s{n:05}" * 5} for n in range(200)))
    return made


def built_on(depot: Depot, base: Path, type_: Type = Type.FULL) -> Path:
    with depot.locked():
        return create(depot, Order(uuid.uuid4().hex, "inc", type_, base=base))


def tried(key: str) -> dict[str, object]:
    return {"key": key, "last_at": datetime(2026, 1, 1, tzinfo=UTC)}


def manifest_of(path: Path) -> Manifest:
    with opened(path) as archive:
        return archive.manifest


def test_what_has_not_changed_is_not_stored_again(depot: Depot) -> None:
    full = an_archive(depot)
    put(depot.media, {"new.bin": b"new"})
    insert(depot.live, "throttle", tried("x"))
    inc = built_on(depot, full)
    told = manifest_of(inc)
    assert [base.file for base in told.bases] == [full.name]
    parts = [one.name for one in told.members if one.name.startswith("db/logical/")]
    assert parts == ["db/logical/throttle/00000.jsonl.zst"]
    blobs = [one.name for one in told.members if one.name.startswith("media/blobs/")]
    assert len(blobs) == 1
    assert told_hashes(inc) == hashes(depot.live)
    assert len(told.everything) == len(manifest_of(an_archive(depot)).members)


def test_a_chain_is_verified_tried_out_and_restored_as_one(depot: Depot) -> None:
    """A third archive names every archive that holds something of it, not the one before alone."""
    first = an_archive(depot)
    put(depot.media, {"two.bin": b"two"})
    insert(depot.live, "throttle", tried("two"))
    second = built_on(depot, first)
    put(depot.media, {"three.bin": b"three"})
    third = built_on(depot, second)
    assert {base.file for base in manifest_of(third).bases} == {first.name, second.name}
    wanted, files = hashes(depot.live), files_in(depot.media)
    with opened(third) as archive:
        assert verify(archive)
    put(depot.media, {"b.xlsx": b"changed"})
    insert(depot.live, "source_state", {"source": "later"})
    with depot.locked():
        assert drill(depot, third).files == len(files)
        restore(depot, third, Terms("tester"))
    found = hashes(depot.live)
    same = {"source_state", "throttle"}
    assert {name: found[name] for name in same} == {name: wanted[name] for name in same}
    assert files_in(depot.media) == files


def test_without_what_it_builds_on_it_says_which_file_lacks(depot: Depot, tmp_path: Path) -> None:
    full = an_archive(depot)
    inc = built_on(depot, full)
    full.rename(tmp_path / full.name)
    for use in (lambda: drill(depot, inc), lambda: restore(depot, inc, Terms("tester"))):
        with depot.locked(), pytest.raises(LackingError, match=f"builds on {full.name}"):
            use()
    with opened(inc, beside=tmp_path) as archive:
        assert verify(archive)


def test_a_base_that_rots_or_is_exchanged_is_found_and_named(depot: Depot) -> None:
    full = an_archive(depot)
    inc = built_on(depot, full)
    good = full.read_bytes()
    bad = bytearray(good)
    with opened(full) as archive:
        entry = archive.reader.entries["db/logical/source_state/00000.jsonl.zst"]
    bad[entry.begins + 5] ^= 1
    other = an_archive(depot, name="other").read_bytes()
    for content in (bytes(bad), other, good[: len(good) // 2]):
        full.write_bytes(content)
        if content is other:  # the same contents, stored the same way: as good as the first
            with opened(inc) as archive:
                assert verify(archive)
            continue
        with opened(inc) as archive, pytest.raises(DamagedError, match=full.name):
            verify(archive)


def test_encrypted_ones_find_each_other_without_the_key_that_opens_them(
    depot: Depot, tmp_path: Path
) -> None:
    ours, others = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    depot.keys.folder.mkdir(exist_ok=True)
    recipients = depot.keys.folder / "recipients.txt"
    plain = an_archive(depot)
    recipients.write_text(str(ours.to_public()))
    assert (
        manifest_of(built_on(depot, plain)).bases == ()
    )  # what is encrypted leans on nothing open
    full = an_archive(depot)
    inc = built_on(depot, full)
    assert [base.file for base in manifest_of(inc).bases] == [full.name]
    assert inc.stat().st_size < full.stat().st_size
    key = tmp_path / "identity.txt"
    key.write_text(str(ours))
    with opened(inc, identities(key)) as archive:
        assert verify(archive)
    recipients.write_text(str(others.to_public()))
    assert manifest_of(built_on(depot, inc)).bases == ()  # a new key alone opens new archives


def test_an_undo_that_cannot_have_the_files_can_be_tried_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and files are as they were before it, and what it would bring back is not lost."""
    path = an_archive(depot)
    insert(depot.live, "source_state", {"source": "new"})
    put(depot.media, {"b.xlsx": b"new"})
    before, files = hashes(depot.live)["source_state"], files_in(depot.media)
    with depot.locked():
        restore(depot, path, Terms("tester"))
    restored = hashes(depot.live)["source_state"]
    rename, refused = Path.rename, list[Path]()

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "content" and not refused:
            refused.append(self)
            raise OSError(13, "in use")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with depot.locked(), pytest.raises(RequestError, match="could not be exchanged"):
            undo(depot, "tester")
    assert (hashes(depot.live)["source_state"], files_in(depot.media)) == (restored, MEDIA)
    with depot.locked():
        undo(depot, "tester")
    assert (hashes(depot.live)["source_state"], files_in(depot.media)) == (before, files)


def test_an_incremental_backup_of_media_alone(depot: Depot) -> None:
    full = an_archive(depot, Type.MEDIA)
    put(depot.media, {"new.bin": b"new"})
    files = files_in(depot.media)
    inc = built_on(depot, full, Type.MEDIA)
    shutil.rmtree(depot.media)
    with depot.locked():
        restore(depot, inc, Terms("tester"))
    assert files_in(depot.media) == files


def plausible(told: Manifest, **changes: object) -> bool:
    return manifest._plausible(structs.replace(told, **changes))


def test_a_chain_leads_nowhere_but_to_archives_beside_it(depot: Depot) -> None:
    """Bases and what is borrowed are named as ours are; nothing is borrowed twice."""
    told = manifest_of(built_on(depot, an_archive(depot)))
    (base,), (one, *others) = told.bases, told.borrowed
    assert plausible(told)
    for file in ("../evil.zip", "/etc/passwd", f"x/{base.file}", "evil.zip", base.file.upper()):
        assert not plausible(told, bases=(Base(base.id, file),))
    for wrong in (
        structs.replace(one, held_as="../evil"),
        structs.replace(one, held_as="MANIFEST.json"),
        structs.replace(one, name="db/schema.json.zst"),
        structs.replace(one, held_by="0" * 32),
        structs.replace(one, held_as=f"{one.held_as}.age"),
        structs.replace(one, plain_size=-1),
        others[0],
    ):
        assert not plausible(told, borrowed=(wrong, *others))
    assert not plausible(told, id=base.id)
