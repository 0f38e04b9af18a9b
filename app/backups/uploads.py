"""Archives on their way in: sent piece by piece, gone on with after a break, checked by a job.

An upload is two files in `incoming`: what is known of it, and the bytes that have come so far.
"""

import contextlib
import re
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.backups.depot import Depot, Tell, tell_nobody
from app.backups.hands import Work, finish, handler
from app.backups.receive import incoming, take_in
from app.backups.work import bench_of
from app.core.text import N_, RequestError, Sentence
from app.jobs.moves import Claim
from app.jobs.runner import Handler
from app.jobs.submit import ItemRequest, JobRequest

if TYPE_CHECKING:
    from config import Config

PIECE = 1024 * 1024  # what one request brings at most; the panel's own limit is twice that
MOST_OPEN = 4  # of one user; an older one makes room
KIND = "receive_backup"
_ID = re.compile(r"[0-9a-f]{32}")
MEBIBYTE = 1024 * 1024


class Upload(msgspec.Struct, frozen=True):
    """What is known of one: whose it is, and how large it is to become."""

    id: str
    user_id: str
    name: str
    size: int
    file: str = ""  # what it is called among the others, from just before it is moved there


class OutOfStepError(RequestError):
    """The piece does not go on where the file ends; `offset` is where it does."""

    def __init__(self, offset: int, message: str = N_("Go on at byte %(offset)s.")) -> None:
        super().__init__(message, offset=offset)
        self.offset = offset


def begin(depot: Depot, user_id: str, name: str, size: int, most_mb: int) -> tuple[Upload, int]:
    """A new upload, or the one of the same file that was broken off; and where to go on.

    RequestError when it is empty, too large, or does not fit on the disk.
    """
    if not 0 < size <= most_mb * MEBIBYTE:
        raise RequestError(
            N_(
                "The file has %(size)s MB; from 1 byte to %(most)s MB are taken. Copy a larger one "
                "into the folder of the backups and run: flask --app wsgi backup rescan"
            ),
            size=-(-size // MEBIBYTE),
            most=most_mb,
        )
    folder = incoming(depot)
    depot.refuse_without_room(size)
    mine = [one for one in _all(folder) if one.user_id == user_id]
    for one in mine:
        if (one.name, one.size) == (name, size):
            return one, _offset(folder, one)
    broken_off = [one for one in mine if _offset(folder, one) < one.size]
    for one in broken_off[: max(len(broken_off) - MOST_OPEN + 1, 0)]:
        _drop(folder, one.id)
    made = Upload(uuid.uuid4().hex, user_id, name, size)
    _part(folder, made.id).touch(mode=0o600)
    (folder / f"{made.id}.json").write_bytes(msgspec.json.encode(made))
    return made, 0


def append(depot: Depot, upload: Upload, offset: int, piece: bytes, checksum: int) -> int:
    """Write a piece where the file ends: the new end. `checksum` is the CRC-32 of the piece.

    OutOfStepError when it belongs elsewhere or arrived damaged.
    """
    folder = incoming(depot)
    there = _offset(folder, upload)
    if offset != there:
        raise OutOfStepError(there)
    if not piece or len(piece) > PIECE or offset + len(piece) > upload.size:
        raise RequestError(N_("The piece is empty, too large, or goes beyond the end of the file."))
    if zlib.crc32(piece) != checksum:
        told = N_("The piece arrived damaged: send it again from byte %(offset)s.")
        raise OutOfStepError(there, told)
    with _part(folder, upload.id).open("r+b") as file:
        file.seek(offset)
        file.write(piece)
    (folder / f"{upload.id}.json").touch()  # it is not forgotten as long as it goes on
    return offset + len(piece)


def found(depot: Depot, upload_id: str, user_id: str) -> tuple[Upload, int]:
    """An upload and how far it has come. RequestError when it is somebody else's, or gone."""
    folder = incoming(depot)
    for one in _all(folder):
        if (one.id, one.user_id) == (upload_id, user_id):
            return one, _offset(folder, one)
    raise RequestError(N_("There is no such upload any more: begin anew."))


def whole_request(depot: Depot, upload: Upload) -> JobRequest:
    """The job that checks it and lists it. RequestError while bytes are missing."""
    there = _offset(incoming(depot), upload)
    if there != upload.size:
        raise OutOfStepError(there)
    return JobRequest(KIND, [ItemRequest(KIND, upload.id)], {"file": upload.name})


def single(depot: Depot, user_id: str, name: str, save: Callable[[Path], object]) -> Upload:
    """An upload that came in one piece: `save` writes the file."""
    folder = incoming(depot)
    upload_id = uuid.uuid4().hex
    path = _part(folder, upload_id)
    try:
        save(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    path.chmod(0o600)
    upload = Upload(upload_id, user_id, name, path.stat().st_size)
    (folder / f"{upload_id}.json").write_bytes(msgspec.json.encode(upload))
    return upload


# --- the job --------------------------------------------------------------------------------------


def handlers(current: Callable[[], "Config"], told: Tell = tell_nobody) -> dict[str, Handler]:
    """How an upload that is whole is worked on."""
    work: Work = receive_backup
    return {KIND: handler(current, work, told)}


def receive_backup(config: "Config", tell: Tell, claim: Claim) -> None:
    """Check all of what was sent, and list it. Whatever is wrong, nothing of it is left."""
    depot = bench_of(config).depot
    folder = incoming(depot)
    path = _to_check(depot, folder, claim.key)
    meta = folder / f"{claim.key}.json"
    known = msgspec.json.decode(meta.read_bytes(), type=Upload)

    def remember(name: str) -> None:
        meta.write_bytes(msgspec.json.encode(msgspec.structs.replace(known, file=name)))

    try:
        backup = take_in(depot, path, tell, remember)
    except RequestError:
        _drop(folder, claim.key)
        raise
    finish(claim, Sentence(N_("%(file)s is whole and in the list."), {"file": backup.file}))
    _drop(folder, claim.key)


def _to_check(depot: Depot, folder: Path, upload_id: str) -> Path:
    """The file that was sent, or where a worker had moved it before it died."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        meta = folder / f"{upload_id}.json" if _ID.fullmatch(upload_id) else folder / "none"
        known = msgspec.json.decode(meta.read_bytes(), type=Upload)
        for path in (_part(folder, upload_id), depot.folder / known.file):
            if path.is_file():
                return path
    raise RequestError(N_("What was sent is no longer there: send it again."))


# --- the files ------------------------------------------------------------------------------------


def _all(folder: Path) -> list[Upload]:
    """The oldest first."""
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            one = msgspec.json.decode(path.read_bytes(), type=Upload)
            if path.stem == one.id and _part(folder, one.id).is_file():
                found.append(one)
    return found


def _offset(folder: Path, upload: Upload) -> int:
    try:
        return _part(folder, upload.id).stat().st_size
    except FileNotFoundError as error:
        raise RequestError(N_("There is no such upload any more: begin anew.")) from error


def _part(folder: Path, upload_id: str) -> Path:
    return folder / f"{upload_id}.part"


def _drop(folder: Path, upload_id: str) -> None:
    for path in (folder / f"{upload_id}.json", _part(folder, upload_id)):
        path.unlink(missing_ok=True)
