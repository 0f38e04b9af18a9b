"""The far side: a folder on another disk or a bucket of an S3-compatible store. Knows no database.

What is sent is read back whole and compared before anybody says that it is there.
"""

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.backups.depot import Tell, is_archive_name, tell_nobody
from app.core.text import N_, RequestError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from config import OffsiteSettings

PART = 8 * 1024 * 1024  # what is sent and read at a time
AT_ONCE = 4  # parts under way
RETRIES = 3  # of one request, within seconds; longer waits are the ledger's
MARK = ".fikstur-offsite"  # says that the disk in this folder is the one that was meant


class FarError(RequestError):
    """The far side did not go along; it may the next time."""


class DifferentError(FarError):
    """What is there is not what was sent."""


def _obstore() -> Any:
    """The library, once there is a far side: it would cost every worker four megabytes."""
    import obstore.exceptions
    import obstore.store

    return obstore


@dataclass(frozen=True, slots=True)
class Sent:
    """What a copy is: its bytes and their hash."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Far:
    """One far side, under the name by which the catalogue knows it."""

    name: str
    bucket: "ObjectStore | None" = None
    folder: Path | None = None  # of a disk

    @property
    def store(self) -> "ObjectStore":
        """FarError when the folder is not there."""
        if self.bucket is not None:
            return self.bucket
        if self.folder is None or not self.folder.is_dir():
            raise _no_disk(self.folder)
        local: ObjectStore = _obstore().store.LocalStore(self.folder)
        return local

    def send(self, path: Path, tell: Tell = tell_nobody) -> Sent:
        """Copy a file there, read it back, compare. FarError when it is not there afterwards.

        What was stored wrong is removed again.
        """
        if self.folder and not (self.folder / MARK).exists():
            raise _no_disk(self.folder)
        size, digest = path.stat().st_size, hashlib.sha256()
        with _as_far_error(self.name):
            pieces = _told(_pieces_of(path, digest), "upload", size, tell)
            _obstore().put(
                self.store,
                path.name,
                pieces,
                use_multipart=True,
                chunk_size=PART,
                max_concurrency=AT_ONCE,
            )
        if self.folder:
            _sync(self.folder / path.name)
        sent = Sent(size, digest.hexdigest())
        try:
            self._compare(path.name, sent, tell)
        except DifferentError:
            with contextlib.suppress(FarError):
                self.remove(path.name)
            raise
        return sent

    def read(self, name: str, tell: Tell = tell_nobody, step: str = "download") -> Iterator[bytes]:
        """Its bytes, in pieces."""
        with _as_far_error(self.name, name):
            got = _obstore().get(self.store, name)
            size = got.meta["size"]
            yield from _told(map(bytes, got.stream(min_chunk_size=PART)), step, size, tell)

    def names(self) -> dict[str, int]:
        """Every archive there, with its size in bytes."""
        with _as_far_error(self.name):
            found = [one for batch in _obstore().list(self.store) for one in batch]
        return {one["path"]: one["size"] for one in found if is_archive_name(one["path"])}

    def remove(self, name: str) -> None:
        """Delete one there. That it is gone already is fine."""
        with _as_far_error(self.name), contextlib.suppress(FileNotFoundError):
            _obstore().delete(self.store, name)

    def settle(self) -> None:
        """Mark the disk at its first use, so that an empty mount point is told from it later."""
        if self.folder and self.folder.is_dir():
            (self.folder / MARK).touch()

    def try_out(self) -> None:
        """Write a few bytes, read them, delete them. FarError says what does not work."""
        name, wanted = f"trial-{secrets.token_hex(8)}", secrets.token_bytes(1000)
        with _as_far_error(self.name):
            _obstore().put(self.store, name, wanted, use_multipart=False)
            try:
                got = bytes(_obstore().get(self.store, name).bytes())
            finally:
                _obstore().delete(self.store, name)
        if got != wanted:
            raise _different(name, self.name)

    def _compare(self, name: str, sent: Sent, tell: Tell) -> None:
        digest, size = hashlib.sha256(), 0
        for piece in self.read(name, tell, "read_back"):
            digest.update(piece)
            size += len(piece)
        if Sent(size, digest.hexdigest()) != sent:
            raise _different(name, self.name)


def far_of(settings: "OffsiteSettings") -> Far | None:
    """The far side that is set; None when backups stay at home. Asks nobody yet."""
    if settings.folder:
        return Far(str(settings.folder), folder=settings.folder)
    if settings.bucket is None:
        return None
    where = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    store = _obstore().store.S3Store(
        settings.bucket,
        prefix=settings.prefix,
        endpoint=where,
        region=settings.region,
        access_key_id=settings.key_id or "",
        secret_access_key=settings.secret or "",
        disable_bulk_delete=True,  # not every store has it, and we delete one at a time
        client_options={
            "allow_http": where.startswith("http:"),
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(minutes=10),  # of one part
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(minutes=2)},
    )
    return Far(f"{where}/{settings.bucket}/{settings.prefix}", store)


# --- parts ----------------------------------------------------------------------------------------


def _pieces_of(path: Path, digest: "hashlib._Hash") -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PART):
            digest.update(piece)
            yield piece


def _told(pieces: Iterator[bytes], step: str, size: int, tell: Tell) -> Iterator[bytes]:
    done = 0
    tell(step, 0, size)
    for piece in pieces:
        yield piece
        done += len(piece)
        tell(step, done, size)


def _sync(path: Path) -> None:
    """Onto the disk, not only into its memory."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _no_disk(folder: Path | None) -> FarError:
    return FarError(
        N_(
            "The folder %(folder)s is not there, or another disk is mounted in it: mount the one "
            "that holds the copies. If it is a new one, make the folder and try it out on the page "
            "Backups."
        ),
        folder=folder,
    )


def _different(name: str, store: str) -> DifferentError:
    return DifferentError(
        N_("%(file)s was read back from %(store)s and is not what was sent; it was removed there."),
        file=name,
        store=store,
    )


@contextmanager
def _as_far_error(store: str, name: str = "") -> Iterator[None]:
    """The library's errors as sentences. What a caller's own `tell` raises passes through."""
    errors = _obstore().exceptions
    try:
        yield
    except (errors.UnauthenticatedError, errors.PermissionDeniedError, PermissionError) as error:
        message = N_("%(store)s refuses the access key, or it may not do that (%(reason)s).")
        raise FarError(message, store=store, reason=reason_in(str(error))) from error
    except (errors.BaseError, OSError) as error:
        if name and isinstance(error, FileNotFoundError):
            message = N_("There is no %(file)s in %(store)s.")
            raise FarError(message, store=store, file=name) from error
        message = N_("%(store)s did not go along (%(reason)s).")
        raise FarError(message, store=store, reason=reason_in(str(error))) from error


def reason_in(told: str) -> str:
    """What the library says, without addresses and its own innards. Pure."""
    line = " ".join(told.partition("Debug source:")[0].split())
    if found := re.search(r"status code: (\d{3} [A-Za-z ]+)", line):
        code = re.search(r"<Code>(\w+)</Code>", line)
        return found[1].strip() + (f", {code[1]}" if code else "")
    if "error sending request" in line:
        return "no connection"
    return line[:200] or "?"
