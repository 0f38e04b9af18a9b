"""Archives that build on earlier ones: what is not stored twice, and where it is found again.

A part of a table or a blob has a name that follows from its content. What an earlier archive has
under the same name is borrowed: the new manifest says who holds it, as what, and the hash of the
stored bytes, so that a chain is vouched for by the signature of its last archive alone.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from app.backups import manifest
from app.backups.keys import Keys
from app.backups.layout import DamagedError, ZipReader
from app.backups.manifest import LENT, Base, Borrowed, Manifest, Member
from app.core.text import N_, RequestError

LONGEST = 7  # archives that one may need beside itself; then a full one is made


class LackingError(DamagedError):
    """An archive that this one builds on is not there."""


# --- writing --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Holdings:
    """What earlier archives hold, by its content; and what the new one leaves there."""

    secret: bytes | None = None  # names contents where they are encrypted
    there: Mapping[str, Borrowed] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # id of an archive -> its file
    borrowed: list[Borrowed] = field(default_factory=list)

    def content(self, sha256: str) -> str:
        """What plain bytes with that hash are called in a manifest that anybody can read."""
        if self.secret is None:
            return sha256
        return hmac.new(self.secret, sha256.encode(), hashlib.sha256).hexdigest()

    def borrow(self, name: str, content: str) -> bool:
        """Leave the member `name` where it already is; False when it is nowhere."""
        held = self.there.get(content)
        if held is None:
            return False
        self.borrowed.append(replace(held, name=name))
        return True

    def bases(self) -> tuple[Base, ...]:
        """The archives that the new one cannot do without."""
        ids = dict.fromkeys(one.held_by for one in self.borrowed)
        return tuple(Base(one, self.files[one]) for one in ids)


def holdings(keys: Keys, base: Path | None) -> Holdings:
    """What `base` has and knows of; nothing when it is encrypted to others than new ones are."""
    recipients = keys.recipients()
    secret = _secret(keys) if recipients else None
    if base is None:
        return Holdings(secret)
    told = _manifest_of(base)
    ours = told.signature.public_key == keys.public()
    if not ours or list(told.encryption.recipients) != recipients:
        return Holdings(secret)
    files = {told.id: base.name, **{one.id: one.file for one in told.bases}}
    return Holdings(secret, _held_in(told), files)


def _manifest_of(path: Path) -> Manifest:
    try:
        with path.open("rb") as file:
            return manifest.read(ZipReader(file))
    except OSError as error:
        raise RequestError(
            N_("%(file)s cannot be read, nothing can be built on it (%(reason)s)."),
            file=path.name,
            reason=error.strerror or type(error).__name__,
        ) from error


def _secret(keys: Keys) -> bytes:
    return hmac.new(keys.signing().private_bytes_raw(), b"contents", hashlib.sha256).digest()


def _held_in(told: Manifest) -> dict[str, Borrowed]:
    """By content; of what it borrowed itself it says who holds it."""
    found = {one.content: one for one in told.borrowed if one.content}
    for one in told.members:
        if one.content and one.name.startswith(LENT):
            sizes = (one.stored_size, one.plain_size, one.sha256, one.content)
            found[one.content] = Borrowed(one.name, *sizes, told.id, one.name)
    return found


# --- reading --------------------------------------------------------------------------------------


class Chain:
    """The archives that one builds on, in the folder beside it, opened when they are needed."""

    def __init__(self, file: str, folder: Path, told: Manifest, open_files: ExitStack) -> None:
        self._file, self._folder, self._open_files = file, folder, open_files
        self._names = {base.id: base.file for base in told.bases}
        self._readers: dict[str, ZipReader] = {}

    @contextmanager
    def at(self, borrowed: Borrowed) -> Iterator[tuple[ZipReader, Member]]:
        """Where its bytes are. What is wrong with them is said with the name of that archive."""
        name = self._names[borrowed.held_by]
        try:
            sizes = (borrowed.stored_size, borrowed.plain_size, borrowed.sha256)
            stored = Member(borrowed.held_as, *sizes)
            yield self._reader(borrowed.held_by, name), stored
        except LackingError:
            raise
        except DamagedError as error:
            raise DamagedError(
                N_(
                    "%(file)s builds on %(base)s, which is damaged or another archive of that "
                    "name: %(member)s in it is not as it was."
                ),
                file=self._file,
                base=name,
                member=borrowed.held_as,
            ) from error

    def _reader(self, base_id: str, name: str) -> ZipReader:
        if base_id not in self._readers:
            try:
                file = self._open_files.enter_context((self._folder / name).open("rb"))
            except OSError as error:
                raise LackingError(
                    N_(
                        "%(file)s builds on %(base)s, which cannot be read in %(folder)s "
                        "(%(reason)s): put that archive there."
                    ),
                    file=self._file,
                    base=name,
                    folder=self._folder,
                    reason=error.strerror or type(error).__name__,
                ) from error
            self._readers[base_id] = ZipReader(file)
        return self._readers[base_id]
