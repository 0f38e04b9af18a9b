"""From what somebody wants to a job of the ledger. The key of its item is the backup's id."""

import uuid

from app.backups.depot import checked_name
from app.backups.manifest import Made, Type
from app.backups.models import Backup
from app.jobs.submit import ItemRequest, JobRequest

PATIENT = "patient"  # a job with it waits until nobody else is at work on the backups


def create_request(
    name: str, type_: Type = Type.FULL, *, made: Made = Made.MANUAL, drill: bool = True
) -> JobRequest:
    """Make a backup, verify it and, unless told not to, restore it into a scratch database."""
    params = {"name": checked_name(name), "type": type_.value, "made": made.value, "drill": drill}
    if made is Made.SCHEDULED:
        params[PATIENT] = True
    return JobRequest("create_backup", [ItemRequest("create_backup", uuid.uuid4().hex)], params)


def verify_request(backup: Backup) -> JobRequest:
    """Check every hash of a backup."""
    return _about("verify_backup", backup)


def drill_request(backup: Backup) -> JobRequest:
    """Restore a backup into a scratch database and compare."""
    return _about("drill_backup", backup)


def restore_request(backup: Backup, *, trust: bool = False) -> JobRequest:
    """Restore a backup into the live database."""
    return _about("restore_backup", backup, trust=trust)


def undo_request() -> JobRequest:
    """Put back what the last restore replaced."""
    items = [ItemRequest("undo_restore", "backups")]
    return JobRequest("undo_restore", items, unique_key="undo_restore")


def prune_request(*, patient: bool = False) -> JobRequest:
    """Remove what the rules of retention do not keep."""
    items = [ItemRequest("prune_backups", "backups")]
    params = {PATIENT: True} if patient else {}
    return JobRequest("prune_backups", items, params, unique_key="prune_backups")


def _about(kind: str, backup: Backup, **params: object) -> JobRequest:
    return JobRequest(kind, [ItemRequest(kind, backup.id)], {"file": backup.file, **params})
