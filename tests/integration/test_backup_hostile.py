"""Archives made to do harm are refused with a sentence, and nothing is written anywhere."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from depots import a_depot, a_place, an_archive
from stage import ROOT

from app.backups import layout, manifest
from app.backups.archive import opened, verify
from app.backups.keys import Keys, sign
from app.backups.layout import ZipReader, ZipWriter
from app.core.text import RequestError

SCHEMA = "db/schema.json.zst"


def refused(path: Path) -> str:
    """The sentence of the refusal; the folder is as it was."""
    before = {at: at.stat().st_size for at in path.parent.rglob("*")}
    with pytest.raises(RequestError) as error, opened(path) as archive:
        verify(archive)
    assert {at: at.stat().st_size for at in path.parent.rglob("*")} == before
    return error.value.sentence.to("en")


# --- other people's ZIP files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/passwd",
        "db/../../evil.zst",
        "C:\\evil",
        "readme.txt",  # differs from ours by case only
        "db/logical/MATCH/00000.jsonl.zst",
        "db/logical/match/00000.jsonl.zst\0",
        "db/logical/match/link",
        "README.txt/",
        "x" * 60_000,
    ],
)
def test_a_name_that_is_not_ours_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    with path.open("w+b") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "allowed", lambda _name: True)
        writer = ZipWriter(file)
        for each in (layout.README, name):
            writer.begin(each)
            writer.write(b"evil")
            writer.end()
        writer.close()
    assert refused(path).startswith(("The archive is refused", "This is no archive"))


@pytest.mark.parametrize("kind", ["plain", "link", "encrypted", "deflated", "comment", "directory"])
def test_a_zip_of_another_making_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    entry = zipfile.ZipInfo("README.txt")
    if kind == "link":
        entry.external_attr = 0o120777 << 16
    if kind == "encrypted":
        entry.flag_bits |= 1
    if kind == "directory":
        entry.filename = "db/"
    deflated = zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", deflated) as archive:
        archive.writestr(entry, b"/etc/passwd")
        archive.comment = b"hello" if kind == "comment" else b""
    assert refused(path).startswith("This is no archive")


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 5000, b"\0" * 98])
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    path.write_bytes(content)
    assert refused(path).startswith("This is no archive")


def test_a_duplicate_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        for _ in range(2):
            writer.begin(layout.README)
            writer.end()
            writer._names.clear()
        writer.close()
    assert "may not hold a member called “README.txt”" in refused(path)


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """The quoted bomb: many names for the same bytes."""
    path = tmp_path / "hostile.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        writer.begin(layout.README)
        writer.write(b"x" * 1000)
        writer.end()
        (entry,) = writer.entries
        twin = layout.Entry(SCHEMA, entry.size, entry.crc, entry.offset)
        writer.entries.append(twin)
        writer.close()
    assert refused(path).startswith("This is no archive")


def test_a_million_entries_are_refused_unread(tmp_path: Path) -> None:
    path, count = tmp_path / "hostile.zip", 10**6
    size = count * 100
    with path.open("wb") as file:
        file.truncate(size)  # a hole: the directory is never looked at
        file.seek(size)
        file.write(layout._ending(count, size, 0))
    assert "names 1,000,000 members" in refused(path)


def test_a_directory_larger_than_its_entries_is_refused_unread(tmp_path: Path) -> None:
    path, size = tmp_path / "hostile.zip", 10**9
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(layout._ending(3, size, 0))
    assert "names 3 members" in refused(path)


# --- well laid out and well signed, by a stranger -------------------------------------------------


@pytest.fixture
def honest(tmp_path: Path) -> dict[str, bytes]:
    """The members of an honest archive."""
    place = a_place(tmp_path / "live.db")
    path = an_archive(a_depot(tmp_path / "honest", place))
    with path.open("rb") as file:
        reader = ZipReader(file)
        return {name: b"".join(reader.read(name)) for name in reader.entries}


def forged(
    folder: Path, members: dict[str, bytes], plain_sizes: dict[str, int], changes: Any = None
) -> Path:
    """Members laid out as ours are, with a manifest that fits them, signed by a stranger."""
    keys = Keys(folder / "stranger")
    told = msgspec.json.decode(members.pop(layout.MANIFEST))
    members.pop(layout.SIGNATURE)
    honest = {member["name"]: member["plain_size"] for member in told["members"]}
    told["members"] = [
        {
            "name": name,
            "stored_size": len(data),
            "plain_size": plain_sizes.get(name, honest.get(name, len(data))),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in members.items()
    ]
    told |= {"signature": {"scheme": "ed25519", "public_key": keys.public()}, **(changes or {})}
    text = msgspec.json.encode(told)
    signature = sign(keys.signing(), text)
    path = folder / "hostile.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        for name, data in [*members.items(), ("MANIFEST.json", text), ("MANIFEST.sig", signature)]:
            writer.begin(name)
            writer.write(data)
            writer.end()
        writer.close()
    return path


def bomb(size: int) -> bytes:
    """So many zeros, in a few bytes."""
    packer = zstandard.ZstdCompressor(level=19).compressobj()
    piece = b"\0" * 2**20
    return b"".join(packer.compress(piece) for _ in range(size // 2**20)) + packer.flush()


def test_the_forger_of_these_tests_can_forge(honest: dict[str, bytes], tmp_path: Path) -> None:
    with opened(forged(tmp_path, honest, {})) as archive:
        assert verify(archive)


def test_a_bomb_that_tells_its_size_is_refused(honest: dict[str, bytes], tmp_path: Path) -> None:
    size = 2**30
    honest["settings/settings.json.zst"] = bomb(size)
    path = forged(tmp_path, honest, {"settings/settings.json.zst": size})
    assert "would unpack to 1073741824 bytes" in refused(path)


def test_a_bomb_that_lies_about_its_size_is_refused(
    honest: dict[str, bytes], tmp_path: Path
) -> None:
    honest["settings/settings.json.zst"] = bomb(2**30)
    path = forged(tmp_path, honest, {"settings/settings.json.zst": 1000})
    assert "is not as its manifest says" in refused(path)


def test_a_window_that_would_eat_the_memory_is_refused(
    honest: dict[str, bytes], tmp_path: Path
) -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=28)
    stream = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    honest["settings/settings.json.zst"] = stream.compress(b"{}" * 10) + stream.flush()
    path = forged(tmp_path, honest, {"settings/settings.json.zst": 20})
    assert "cannot be unpacked" in refused(path)


@pytest.mark.parametrize("sizes", [-1, 2**70])
def test_absurd_sizes_are_refused(honest: dict[str, bytes], tmp_path: Path, sizes: int) -> None:
    assert "The archive is" in refused(forged(tmp_path, honest, {SCHEMA: sizes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../evil"},
        {"name": "\x1b[2J"},
        {"name": "../evil"},
        {"origin": {"install_id": "x" * 16, "revision": "../evil", "python": "3"}},
        {"created": dict.fromkeys(("started", "snapshot", "finished"), "2025-01-01T00:00:00")},
        {"database": {"engine": "oracle", "server": "", "tables": [], "excluded": []}},
        {"members": "none"},
        {"origin": {"install_id": "x", "revision": "0001", "python": "3"}},
        {"database": None},
        {"format": "tar"},
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    honest: dict[str, bytes], tmp_path: Path, changes: dict[str, Any]
) -> None:
    refused(forged(tmp_path, honest, {}, changes))


@pytest.mark.parametrize("text", [b"[" * 200_000, b"{}", b"\xff\xfe", b'{"format": 1}', b""])
def test_a_manifest_that_cannot_be_read_is_refused(
    honest: dict[str, bytes], tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / "hostile.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        for name, data in [("MANIFEST.json", text), ("MANIFEST.sig", b"\0" * 64)]:
            writer.begin(name)
            writer.write(data)
            writer.end()
        writer.close()
    assert "manifest cannot be read" in refused(path)


def test_a_manifest_of_hundreds_of_megabytes_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MOST_BYTES", 1000)
    path = tmp_path / "hostile.zip"
    with path.open("w+b") as file:
        writer = ZipWriter(file)
        writer.begin("MANIFEST.json")
        writer.write(b" " * 1001)
        writer.end()
        writer.close()
    assert "larger than it may be" in refused(path)


def schema_with(honest: dict[str, bytes], **changes: Any) -> tuple[dict[str, bytes], int]:
    content = msgspec.json.decode(
        zstandard.ZstdDecompressor().decompressobj().decompress(honest[SCHEMA])
    )
    content["tables"][0] |= changes
    text = msgspec.json.encode(content)
    return {**honest, SCHEMA: zstandard.ZstdCompressor().compress(text)}, len(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 'app_user"; DROP TABLE job; --'},
        {"columns": [["id\" = '' OR 1=1", "text"]]},
        {"columns": [["id", "code"]]},
        {"key": []},
        {"parts": [{"member": layout.README, "rows": 0, "sha256": ""}]},
        {"rows": 5},
        {"sha256": "0" * 64},
    ],
)
def test_tables_that_are_not_ours_never_reach_a_database(
    honest: dict[str, bytes], tmp_path: Path, changes: dict[str, Any]
) -> None:
    members, size = schema_with(honest, **changes)
    refused(forged(tmp_path, members, {SCHEMA: size}))


def crowded(path: Path) -> Path:
    """As many empty members as a reader takes."""
    entries, at = [], 0
    with path.open("wb") as file:
        for number in range(layout.MOST_MEMBERS):
            name = f"{number:064x}"
            entry = layout.Entry(f"media/blobs/{name[:2]}/{name}.zst", 0, 0, at)
            file.write(layout._local(entry))
            entries.append(entry)
            at = entry.ends
        file.write(layout._directory(entries, at))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bombs_cost_little_memory(honest: dict[str, bytes], tmp_path: Path) -> None:
    """Two gigabytes of zeros as a member and as one line of a table, and as many members as may be:
    below 200 MB of memory."""
    name = "settings/settings.json.zst"
    honest[name] = bomb(2**31)
    path = forged(tmp_path, honest, {name: 4000 * len(honest[name])})
    program = (
        "import sys\n"
        "from itertools import repeat\n"
        "from pathlib import Path\n"
        "from app.backups.archive import opened, verify\n"
        "from app.backups.rows import split\n"
        "from app.core.text import RequestError\n"
        "try:\n"
        "    with opened(Path(sys.argv[1])) as archive: verify(archive)\n"
        "except RequestError as error: print(error)\n"
        "try:\n"
        "    with opened(Path(sys.argv[2])): pass\n"
        "except RequestError as error: print(error)\n"
        "try: list(split(repeat(bytes(2**20), 2000)))\n"
        "except RequestError as error: print(error)\n"
        "status = Path('/proc/self/status').read_text()\n"  # ru_maxrss begins with the parent's
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(crowded(tmp_path / "crowded.zip"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    member, crowd, line, megabytes = done.stdout.splitlines()
    assert "MANIFEST.json is missing" in crowd
    assert "not as its manifest says" in member
    assert "too long" in line
    assert int(megabytes) < 200
