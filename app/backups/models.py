"""The catalogue, which `rescan` rebuilds; copies elsewhere, schedules, and what went wrong."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Float, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId
from app.core.text import Sentence


class State(StrEnum):
    """What is known of an archive. Only the last two count as backups."""

    WRITTEN = "written"  # seen, not checked
    CORRUPT = "corrupt"  # checked, and not what was written
    MISSING = "missing"  # its file is gone
    INCOMPLETE = "incomplete"  # whole, but files of the media folder are not in it
    VERIFIED = "verified"  # every hash is right
    DRILLED = "drilled"  # restored into a scratch database, every table equal


GOOD = (State.VERIFIED, State.DRILLED)


class Backup(Base):
    """One archive. No restore changes this table: the rows are carried over."""

    __tablename__ = "backup"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # as in its manifest
    file: Mapped[str] = mapped_column(String(120), unique=True)  # its name in BACKUP_DIR
    name: Mapped[str] = mapped_column(String(40))
    type: Mapped[str] = mapped_column(String(20))
    made: Mapped[str] = mapped_column(String(20))  # manual, scheduled, safety
    state: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]  # the instant its data are of
    size: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    engine: Mapped[str | None] = mapped_column(String(20))  # where the rows came from
    revision: Mapped[str] = mapped_column(String(40))
    needs: Mapped[str | None] = mapped_column(Text)  # ids of those it builds on, by spaces
    encrypted: Mapped[bool]
    recipients: Mapped[str | None] = mapped_column(Text)  # whose keys open it, by spaces
    trusted: Mapped[bool]  # signed by this installation or one that it trusts
    pinned: Mapped[bool] = mapped_column(default=False)  # never pruned
    verified_at: Mapped[datetime | None]
    drilled_at: Mapped[datetime | None]
    drill_s: Mapped[float | None] = mapped_column(Float)  # how long that restore took
    message: Mapped[Sentence | None]  # what the last look found wrong
    job_id: Mapped[int | None] = mapped_column(RowId)  # the job that made it

    __table_args__ = (Index("ix_backup_at", "at"),)


def needs_of(row: Backup) -> frozenset[str]:
    """The ids of all that a backup builds on."""
    return frozenset((row.needs or "").split())


class BackupSchedule(Base):
    """When backups are made by themselves. One that has no row is as it comes: switched off."""

    __tablename__ = "backup_schedule"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)  # and that of its backups
    type: Mapped[str] = mapped_column(String(20))
    hour: Mapped[int]  # of the configured time zone
    weekday: Mapped[int]  # of the weekly one: 0 is Monday
    day: Mapped[int]  # of the monthly one: at most 28, which every month has
    keep: Mapped[int]  # how many of its backups stay
    incremental: Mapped[bool] = mapped_column(default=False, server_default=false())
    enabled: Mapped[bool]
    since: Mapped[datetime]  # as it is now: what was due before is nobody's
    taken_at: Mapped[datetime | None]  # the last due time that was taken: it is what fires once


class FarCopy(Base):
    """A copy of an archive in a far store, made or tried. No restore changes this table."""

    __tablename__ = "backup_copy"

    store: Mapped[str] = mapped_column(String(300), primary_key=True)  # the name of the place
    file: Mapped[str] = mapped_column(String(120), primary_key=True)  # as in BACKUP_DIR
    backup_id: Mapped[str | None] = mapped_column(String(32))  # None: seen there, not sent by us
    needs: Mapped[str | None] = mapped_column(Text)  # as of the backup
    type: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]  # the instant its data are of
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))  # of the whole file, as it was sent
    verified_at: Mapped[datetime | None]  # read back and found equal; None: there is no copy
    failures: Mapped[int] = mapped_column(default=0)  # in a row, since the last success
    failed_at: Mapped[datetime | None]
    message: Mapped[Sentence | None]  # why the last try failed


class Incident(Base):
    """Something wrong with the backups that administrators are told of once. So is its end."""

    __tablename__ = "backup_incident"

    key: Mapped[str] = mapped_column(String(120), primary_key=True)  # such as overdue:daily
    message: Mapped[Sentence]
    since: Mapped[datetime]
    told: Mapped[bool]  # a letter was asked for; False: nobody could be told
