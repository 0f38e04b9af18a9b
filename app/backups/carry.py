"""What no restore takes back: the catalogue, the schedules, and the log of who did what."""

import logging

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.audit.models import AuditEntry
from app.backups.models import Backup, BackupSchedule, FarCopy, Incident
from app.backups.places import Place
from app.backups.scratch import go_on_numbering_of
from app.core.db import BATCH, table_of

log = logging.getLogger(__name__)

_CATALOGUE = tuple(map(table_of, (Backup, FarCopy, Incident)))
_AUDIT = table_of(AuditEntry)
_SCHEDULES = table_of(BackupSchedule)
STAYS = frozenset({_AUDIT.name, _SCHEDULES.name})  # nothing of these is lost by a restore


def carry_over(live: Place, place: Place) -> None:
    """Bring them from the live database into the one that will replace it.

    A live database that cannot be read any more stops nothing: `rescan` builds the catalogue anew.
    """
    for carry in (_carry_catalogue, _carry_schedules, _carry_audit):
        try:
            with live.connect(snapshot=True) as source, place.connect() as target:
                carry(source, target)
                target.commit()
        except DBAPIError as error:
            log.warning("not carried over from the old database (%s)", error.orig)


def _carry_catalogue(source: sa.Connection, target: sa.Connection) -> None:
    for table in _CATALOGUE:
        target.execute(sa.delete(table))
        _copy(source.execute(sa.select(table)), target, table)


def _carry_schedules(source: sa.Connection, target: sa.Connection) -> None:
    """Those of the backup stay where nobody has set any: on a new machine."""
    if source.scalar(sa.select(sa.func.count()).select_from(_SCHEDULES)):
        target.execute(sa.delete(_SCHEDULES))
        _copy(source.execute(sa.select(_SCHEDULES)), target, _SCHEDULES)


def _carry_audit(source: sa.Connection, target: sa.Connection) -> None:
    """Entries younger than the backup, at their numbers; all, renumbered, if it is a stranger's."""
    highest = target.scalar(sa.select(sa.func.max(_AUDIT.c.id))) or 0
    last = sa.select(_AUDIT).where(_AUDIT.c.id == highest)
    ours = source.execute(last).first() == target.execute(last).first()
    younger = sa.select(_AUDIT).order_by(_AUDIT.c.id)
    if ours:
        younger = younger.where(_AUDIT.c.id > highest)
    _copy(source.execute(younger), target, _AUDIT, shift=0 if ours else highest)
    go_on_numbering_of(target, _AUDIT.name)


def _copy(
    rows: sa.CursorResult[tuple[object, ...]],
    target: sa.Connection,
    table: sa.Table,
    shift: int = 0,
) -> None:
    for batch in rows.mappings().partitions(BATCH):
        values = [dict(row) for row in batch]
        for row in values if shift else ():
            row["id"] += shift
        target.execute(sa.insert(table), values)
