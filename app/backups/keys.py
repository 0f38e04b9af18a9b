"""The keys of this installation: files in the data folder, never in the database or an archive.

signing.key      made once; signs every manifest
trusted.txt      public keys of other installations whose archives are trusted, one a line
recipients.txt   age recipients, one a line; while there is one, archives are encrypted to all
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyrage
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.core.text import N_, RequestError


@dataclass(frozen=True, slots=True)
class Keys:
    """The folder of the keys, read at every use: what was changed there holds at once."""

    folder: Path

    def signing(self) -> Ed25519PrivateKey:
        """The key of this installation, made at first use."""
        path = self.folder / "signing.key"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(path, secrets.token_hex(32))
        try:
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii")))
        except ValueError as error:
            raise RequestError(
                N_("The signing key %(path)s is no key: put back the file that was there."),
                path=path,
            ) from error

    def public(self) -> str:
        """The public half, as 64 hexadecimal digits: what manifests carry."""
        return self.signing().public_key().public_bytes_raw().hex()

    def trusts(self, public: str) -> bool:
        """Whether archives signed with that key are as good as our own."""
        return public == self.public() or public in _lines(self.folder / "trusted.txt")

    def recipients(self) -> list[str]:
        """To whom archives are encrypted; none: they are not. RequestError names a wrong line."""
        written = _lines(self.folder / "recipients.txt")
        for line in written:
            recipient(line)
        return written


def install_id(public: str) -> str:
    """A short name for the installation that has this public key."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def fingerprint(secret: str, public: str) -> str:
    """What tells two secrets apart without telling either."""
    return hmac.new(secret.encode(), f"fikstur {public}".encode(), hashlib.sha256).hexdigest()[:32]


def sign(key: Ed25519PrivateKey, manifest: bytes) -> bytes:
    """64 bytes."""
    return key.sign(manifest)


def is_signed(public: str, manifest: bytes, signature: bytes) -> bool:
    """Whether the owner of that key signed exactly this."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def recipient(line: str) -> pyrage.x25519.Recipient:
    """An age recipient from its text."""
    try:
        return pyrage.x25519.Recipient.from_str(line)
    except pyrage.RecipientError as error:
        raise RequestError(
            N_("“%(line)s” is no age recipient: they begin with age1 (recipients.txt)."),
            line=line[:20],
        ) from error


def identities(path: Path | None) -> list[pyrage.x25519.Identity]:
    """The age identities of a file (as age-keygen writes it); none without one."""
    if path is None:
        return []
    try:
        return [pyrage.x25519.Identity.from_str(line) for line in _lines(path, missing_ok=False)]
    except (OSError, pyrage.IdentityError) as error:
        raise RequestError(
            N_("The identity file %(path)s cannot be read: it holds AGE-SECRET-KEY-1… lines."),
            path=path,
        ) from error


def identity_lines(path: Path) -> list[str]:
    """The secret keys in a file, as they stand there."""
    return [line for line in _lines(path) if line.upper().startswith("AGE-SECRET-KEY-")]


def _lines(path: Path, *, missing_ok: bool = True) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if not missing_ok:
            raise
        return []
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def replace_text(path: Path, text: str) -> None:
    """Write a 0600 file that is seen as it was or as it will be."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _write_once(path: Path, text: str) -> None:
    """A 0600 file that is seen whole or not at all; of two writers the first one wins."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    made = Path(name)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)
    except OSError:  # a file system without hard links
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
