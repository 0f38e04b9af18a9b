"""From what somebody wants to a job of the ledger. The key of its item is the backup's id."""

import hashlib
import uuid

from app.backups.choice import Part
from app.backups.depot import checked_name
from app.backups.manifest import Made, Type
from app.backups.models import Backup
from app.jobs.submit import ItemRequest, JobRequest

PATIENT = "patient"  # a job with it waits until nobody else is at work on the backups


def create_request(
    name: str,
    type_: Type = Type.FULL,
    *,
    made: Made = Made.MANUAL,
    drill: bool = True,
    incremental: bool = False,
) -> JobRequest:
    """Make a backup, verify it and, unless told not to, restore it into a scratch database.

    An incremental one leaves out what the newest good one of its type has already.
    """
    params = {"name": checked_name(name), "type": type_.value, "made": made.value, "drill": drill}
    if incremental:
        params["incremental"] = True
    if made is Made.SCHEDULED:
        params[PATIENT] = True
    return JobRequest("create_backup", [ItemRequest("create_backup", uuid.uuid4().hex)], params)


def verify_request(backup: Backup) -> JobRequest:
    """Check every hash of a backup."""
    return _about("verify_backup", backup)


def drill_request(backup: Backup) -> JobRequest:
    """Restore a backup into a scratch database and compare."""
    return _about("drill_backup", backup)


def preview_request(backup: Backup, part: Part | None = None) -> JobRequest:
    """Compare a backup, or a part, with what is live; asked for twice, it is looked at once."""
    items = [ItemRequest("preview_backup", backup.id)]
    unique = f"preview_backup {backup.id}"
    params: dict[str, object] = {"file": backup.file}
    if part is not None and not part.is_all:
        unique = f"{unique} {hashlib.sha256(part.told.encode()).hexdigest()[:16]}"
        params["part"] = part.as_params()
    return JobRequest("preview_backup", items, params, unique_key=unique)


def restore_request(backup: Backup, *, trust: bool = False, part: Part | None = None) -> JobRequest:
    """Restore a backup, or a part of it, in place of what is live."""
    wanted = {} if part is None or part.is_all else {"part": part.as_params()}
    return _about("restore_backup", backup, trust=trust, **wanted)


def undo_request() -> JobRequest:
    """Put back what the last restore replaced."""
    items = [ItemRequest("undo_restore", "backups")]
    return JobRequest("undo_restore", items, unique_key="undo_restore")


def prune_request(*, patient: bool = False) -> JobRequest:
    """Remove what the rules of retention do not keep."""
    items = [ItemRequest("prune_backups", "backups")]
    params = {PATIENT: True} if patient else {}
    return JobRequest("prune_backups", items, params, unique_key="prune_backups")


def copy_request(backup: Backup) -> JobRequest:
    """Copy a backup to the far side, read it back and compare."""
    return _about("copy_backup", backup)


def fetch_request(file: str) -> JobRequest:
    """Bring an archive back from the far side, check it whole, and list it."""
    return JobRequest("fetch_backup", [ItemRequest("fetch_backup", file)], {"file": file})


def check_offsite_request() -> JobRequest:
    """Write, read and delete there, and look at what lies there."""
    items = [ItemRequest("check_offsite", "offsite")]
    return JobRequest("check_offsite", items, unique_key="check_offsite")


def _about(kind: str, backup: Backup, **params: object) -> JobRequest:
    return JobRequest(kind, [ItemRequest(kind, backup.id)], {"file": backup.file, **params})
