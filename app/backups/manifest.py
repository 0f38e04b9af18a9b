"""The manifest of an archive: what is in it, from where, and the signature that vouches for it."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

from app.backups import layout
from app.backups.depot import is_archive_name
from app.backups.keys import is_signed
from app.backups.layout import DamagedError, ZipReader
from app.core.text import N_, RequestError

T = TypeVar("T")
FORMAT = "fikstur-backup"
PLAIN_ROWS = 1  # the version of an archive of rows and settings alone
READS = 2  # the newest this code knows: with media, or building on earlier archives
MOST_BYTES = 64 * 1024 * 1024  # of a manifest: 200,000 members fit
PLAIN_PER_STORED = 5000  # more is a bomb: zstd reaches 32,000, rows of ours 100
SMALL = 1024 * 1024  # a member below this may have any ratio
LENT = ("db/logical/", "media/blobs/")  # what an archive may leave where it already is


Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Type(StrEnum):
    """What an archive holds; `full` is all three."""

    FULL = "full"
    DATABASE = "database"
    MEDIA = "media"
    SETTINGS = "settings"


class Made(StrEnum):
    """Why an archive was made."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    SAFETY = "safety"  # before a restore


class Created(msgspec.Struct, frozen=True):
    """Its times, in UTC. The data are those of `snapshot`."""

    started: Moment
    snapshot: Moment
    finished: Moment


class Origin(msgspec.Struct, frozen=True):
    """Which installation made it."""

    install_id: str
    revision: str
    python: str


class TableRows(msgspec.Struct, frozen=True):
    """How many rows of a table are in it. The hashes are in db/schema.json, which may be secret."""

    name: str
    rows: int


class Database(msgspec.Struct, frozen=True):
    """Where the rows come from."""

    engine: str
    server: str
    tables: tuple[TableRows, ...]
    excluded: tuple[str, ...]


class Media(msgspec.Struct, frozen=True):
    """The media folder: what is in the archive, and how much of what was there is not."""

    files: int
    bytes: int
    missing_refs: int  # files that went away, kept changing or could not be read
    skipped: int  # links and other things that are no files: never followed


class Base(msgspec.Struct, frozen=True):
    """An earlier archive that this one builds on."""

    id: str
    file: str


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member; `sha256` is of its stored bytes, as sha256sum computes it after unzip.

    `content` names the plain bytes of a part or blob: their SHA-256, or where they are encrypted an
    HMAC of it that nobody else can compute.
    """

    name: str
    stored_size: int
    plain_size: int
    sha256: str
    content: str = ""


class Borrowed(Member, frozen=True, omit_defaults=True):
    """A member that is not stored again, because an earlier archive has its content."""

    held_by: str = ""  # the id of that archive
    held_as: str = ""  # what it is called there


class Encryption(msgspec.Struct, frozen=True):
    """age, to these recipients; none: not encrypted."""

    scheme: str | None
    recipients: tuple[str, ...]


class Compression(msgspec.Struct, frozen=True):
    """How members are packed."""

    codec: str
    level: int
    window_log_max: int


class Totals(msgspec.Struct, frozen=True):
    """Sums over the members; what is borrowed does not count."""

    stored: int
    plain: int
    entries: int


class Signature(msgspec.Struct, frozen=True):
    """Whose signature MANIFEST.sig is: a public key in hexadecimal digits."""

    scheme: str
    public_key: str


class Manifest(msgspec.Struct, frozen=True):
    """MANIFEST.json, field by field; docs/backup-format.md explains it."""

    format: str
    format_version: int
    min_reader: int
    id: str
    name: str
    type: Type
    made: Made
    created: Created
    origin: Origin
    database: Database | None
    secret_key_fingerprint: str
    encryption: Encryption
    compression: Compression
    members: tuple[Member, ...]
    totals: Totals
    signature: Signature
    warnings: tuple[str, ...] = ()
    media: Media | None = None
    bases: tuple[Base, ...] = ()
    borrowed: tuple[Borrowed, ...] = ()

    @property
    def everything(self) -> tuple[Member, ...]:
        """What a full archive of the same instant would have as members."""
        return (*self.members, *self.borrowed)

    @property
    def plain(self) -> int:
        """Bytes of all that unpacks, wherever it is stored."""
        return self.totals.plain + sum(one.plain_size for one in self.borrowed)

    @property
    def drillable(self) -> bool:
        """Whether there is anything that a restore on trial could put somewhere."""
        return self.database is not None or self.media is not None

    @property
    def encrypted(self) -> bool:
        return self.encryption.scheme is not None

    @property
    def rows(self) -> int:
        """Of all tables together."""
        return sum(table.rows for table in self.database.tables) if self.database else 0

    def member(self, name: str) -> Member:
        """A member by its name without the endings .zst and .age."""
        for member in self.members:
            if member.name.removesuffix(".age").removesuffix(".zst") == name:
                return member
        raise DamagedError(N_("The archive is damaged: %(member)s is missing."), member=name)


class _Versions(msgspec.Struct):
    """The first look: is it for us at all?"""

    format: str
    min_reader: int


class Part(msgspec.Struct, frozen=True):
    """One member of a table's rows."""

    member: str
    rows: int
    sha256: str  # of the plain bytes


class TableContent(msgspec.Struct, frozen=True):
    """A table in the archive; `sha256` is of all its lines, the same on every engine."""

    name: str
    columns: tuple[tuple[str, str], ...]  # name, kind
    key: tuple[str, ...]
    rows: int
    sha256: str
    parts: tuple[Part, ...]


class Content(msgspec.Struct, frozen=True):
    """db/schema.json: the tables, parents before children."""

    revision: str
    tables: tuple[TableContent, ...]


def encode(value: msgspec.Struct) -> bytes:
    """As it is stored: indented, for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def read(reader: ZipReader) -> Manifest:
    """The manifest of an archive, checked against its directory and its own signature.

    Says nothing about who signed it: `Keys.trusts` does. DamagedError when anything is off.
    """
    text = b"".join(reader.read(layout.MANIFEST, MOST_BYTES))
    signature = b"".join(reader.read(layout.SIGNATURE, 64))
    _refuse_newer(text)
    manifest = _decoded(text, Manifest)
    public = manifest.signature.public_key
    if manifest.signature.scheme != "ed25519" or not is_signed(public, text, signature):
        raise DamagedError(
            N_("The archive is damaged or forged: its manifest does not fit its signature.")
        )
    _compare(reader, manifest)
    return manifest


def decode_content(text: bytes) -> Content:
    """db/schema.json."""
    return _decoded(text, Content)


def _refuse_newer(text: bytes) -> None:
    versions = _decoded(text, _Versions)
    if versions.format != FORMAT:
        raise DamagedError(
            N_("This is no archive of Fikstür: its format is “%(format)s”."),
            format=versions.format[:40],
        )
    if versions.min_reader > READS:
        raise RequestError(
            N_(
                "The archive needs a newer Fikstür: its format is %(version)s, this one reads up "
                "to %(reads)s."
            ),
            version=versions.min_reader,
            reads=READS,
        )


def _decoded(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(
            N_("The archive is damaged: its manifest cannot be read (%(reason)s)."),
            reason=str(error)[:200],
        ) from error


def _compare(reader: ZipReader, manifest: Manifest) -> None:
    """What is in the file is what the manifest names, at its size; README and manifest beside."""
    told = {member.name: member.stored_size for member in manifest.members}
    there = {name: entry.size for name, entry in reader.entries.items()}
    own = {layout.MANIFEST, layout.SIGNATURE}
    wrong = (there.keys() ^ (told.keys() | own)) | {
        name for name in told if there.get(name) != told[name]
    }
    sound = _plausible(manifest) and _holds_its_type(manifest)
    if wrong or len(told) != len(manifest.members) or not sound:
        raise DamagedError(
            N_("The archive is damaged: %(member)s is not as its manifest says."),
            member=min(wrong, default=layout.MANIFEST),
        )
    for member in manifest.everything:
        if member.plain_size > max(SMALL, PLAIN_PER_STORED * member.stored_size):
            raise DamagedError(
                N_(
                    "The archive is refused: %(member)s would unpack to %(size)s bytes, more than "
                    "%(ratio)s times what is stored."
                ),
                member=member.name,
                size=member.plain_size,
                ratio=PLAIN_PER_STORED,
            )


# What stands in these is shown to people and kept in the catalogue.
_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_REVISION = re.compile(r"[0-9a-z_]{1,40}")


def _plausible(manifest: Manifest) -> bool:
    sizes = [(member.stored_size, member.plain_size) for member in manifest.everything]
    database = manifest.database
    tables = database.tables if database else ()
    return (
        all(stored >= 0 and plain >= 0 for stored, plain in sizes)
        and re.fullmatch(r"[0-9a-f]{32}", manifest.id) is not None
        and _WORDS.fullmatch(manifest.name) is not None
        and _REVISION.fullmatch(manifest.origin.revision) is not None
        and re.fullmatch(r"[0-9a-f]{16}", manifest.origin.install_id) is not None
        and (database is None or database.engine in ("sqlite", "postgresql"))
        and all(_TABLE.fullmatch(table.name) and 0 <= table.rows < 2**63 for table in tables)
        and _chained(manifest)
    )


def _chained(manifest: Manifest) -> bool:
    """What is borrowed are parts and blobs, under names of their own, from archives it names."""
    names = [member.name for member in manifest.everything]
    bases = {base.id for base in manifest.bases}
    return (
        len(set(names)) == len(names)
        and len(bases) == len(manifest.bases)
        and all(
            re.fullmatch(r"[0-9a-f]{32}", base.id)
            and is_archive_name(base.file)
            and base.file.endswith(f"_{base.id[:8]}.zip")
            and base.id != manifest.id
            for base in manifest.bases
        )
        and all(
            one.held_by in bases
            and one.name.startswith(LENT)
            and one.held_as.startswith(LENT)
            and layout.allowed(one.name)
            and layout.allowed(one.held_as)
            and one.name.endswith(".age") == one.held_as.endswith(".age")
            for one in manifest.borrowed
        )
    )


def _holds_its_type(manifest: Manifest) -> bool:
    """What the type says and nothing else; media in a full one where there was a folder of them."""
    folders = {member.name.partition("/")[0] for member in manifest.everything} - {layout.README}
    wanted = {
        Type.FULL: {"db", "settings", *({"media"} if manifest.media else ())},
        Type.DATABASE: {"db"},
        Type.MEDIA: {"media"},
        Type.SETTINGS: {"settings"},
    }[manifest.type]
    told = {"db": manifest.database, "media": manifest.media}
    held = {name for name, what in told.items() if what is not None}
    return folders == wanted and held == wanted - {"settings"}
