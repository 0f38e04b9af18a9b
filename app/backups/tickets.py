"""Downloads: a ticket for one archive, one user and one minute, that opens once.

A ticket is a file beside the archives. Whoever removes it has it, and only one can.
"""

import contextlib
import hashlib
import secrets
import time
from pathlib import Path

import msgspec

from app.backups.depot import Depot
from app.backups.models import Backup
from app.core.text import N_, RequestError

VALID_S = 60


class _Ticket(msgspec.Struct):
    backup_id: str
    user_id: str
    until: float


def issue(depot: Depot, backup: Backup, user_id: str) -> str:
    """A new ticket; those whose time has passed are removed."""
    folder = _folder(depot)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > VALID_S:
                path.unlink()
    token = secrets.token_urlsafe(32)
    ticket = _Ticket(backup.id, user_id, time.time() + VALID_S)
    (folder / _name(token)).write_bytes(msgspec.json.encode(ticket))
    return token


def redeem(depot: Depot, token: str, user_id: str) -> str:
    """The id of the backup it is for. RequestError when it opens nothing, or nothing any more."""
    path = _folder(depot) / _name(token)
    try:
        ticket = msgspec.json.decode(path.read_bytes(), type=_Ticket)
        path.unlink()
    except FileNotFoundError:
        ticket = None
    if ticket is None or ticket.until < time.time() or ticket.user_id != user_id:
        raise RequestError(
            N_("This download has been used or is more than a minute old: ask for it again.")
        )
    return ticket.backup_id


def _folder(depot: Depot) -> Path:
    return depot.folder / "tickets"


def _name(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
