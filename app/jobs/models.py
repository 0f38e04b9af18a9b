"""The ledger's tables: a job is what somebody asked for, its items are what can be claimed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId
from app.core.text import Sentence


class JobState(StrEnum):
    """Derived from the items, and what the outside sees."""

    PENDING = "PENDING"  # nothing claimed yet
    PROCESSING = "PROCESSING"
    DONE = "DONE"  # every item done
    FAILED = "FAILED"  # every item ended, at least one failed or quarantined
    CANCELLED = "CANCELLED"  # every item ended, none failed, at least one cancelled


class ItemState(StrEnum):
    """Where an item is. Their sum is always what was submitted."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"  # its worker died under it three times


class ItemOutcome(StrEnum):
    """What done means."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    NO_DATA = "no_data"


class Trigger(StrEnum):
    """Where a job came from."""

    PANEL = "panel"
    API = "api"
    CLI = "cli"
    SCHEDULE = "schedule"


OPEN_JOB = (JobState.PENDING, JobState.PROCESSING)
OPEN_ITEM = (ItemState.WAITING, ItemState.RUNNING)
BAD_END = (ItemState.FAILED, ItemState.QUARANTINED)

_JOB_IS_OPEN = text("state IN ('PENDING', 'PROCESSING')")
_ITEM_WAITS = text("state = 'waiting'")
_ITEM_RUNS = text("state = 'running'")
_ITEM_IS_OPEN = text("state IN ('waiting', 'running')")


class Job(Base):
    """What was asked, by whom, when. Its state follows its items."""

    __tablename__ = "job"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))  # the function in tasks.py
    state: Mapped[str] = mapped_column(String(20), default=JobState.PENDING)
    params: Mapped[dict[str, Any]]  # as asked, for people; the items carry what is to be done
    unique_key: Mapped[str | None] = mapped_column(String(200))  # no two open jobs share one
    priority: Mapped[int] = mapped_column(default=5)  # 0 last, 9 first
    trigger: Mapped[str] = mapped_column(String(20))
    requested_by: Mapped[str] = mapped_column(String(150))
    submitted: Mapped[int]  # how many items: what the sum of their states must be
    submitted_at: Mapped[datetime]
    started_at: Mapped[datetime | None]  # the first claim
    finished_at: Mapped[datetime | None]  # the last item ended
    deadline_at: Mapped[datetime | None]  # what waits longer has failed
    cancel_requested_at: Mapped[datetime | None]
    cancelled_by: Mapped[str | None] = mapped_column(String(150))
    paused_at: Mapped[datetime | None]  # its items are not handed out
    rung_at: Mapped[datetime | None]  # the last bell
    retries: Mapped[int] = mapped_column(default=0, server_default="0")  # spent: jobs.budget

    __table_args__ = (
        Index(
            "uq_job_unique_key_open",
            "unique_key",
            unique=True,
            postgresql_where=_JOB_IS_OPEN,
            sqlite_where=_JOB_IS_OPEN,
        ),
        Index("ix_job_open", "id", postgresql_where=_JOB_IS_OPEN, sqlite_where=_JOB_IS_OPEN),
        Index("ix_job_submitted_at", "submitted_at"),
        Index("ix_job_state_id", "state", "id"),
    )


class JobItem(Base):
    """One unit that can be claimed: a day, a match, a backup."""

    __tablename__ = "job_item"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(RowId, ForeignKey("job.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(40))  # the work, e.g. fetch_day in a fetch_range
    source: Mapped[str | None] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(20), default=ItemState.WAITING)
    outcome: Mapped[str | None] = mapped_column(String(20))
    code: Mapped[str | None] = mapped_column(String(30))  # the last verdict, from the taxonomy
    message: Mapped[Sentence | None]  # the last verdict, for people
    attempts: Mapped[int] = mapped_column(default=0)  # verdicts; throttling burns none
    crashes: Mapped[int] = mapped_column(default=0)  # workers that died with it in hand
    fence: Mapped[int] = mapped_column(default=0)  # raised by every claim; a lower one is stale
    worker: Mapped[str | None] = mapped_column(String(120))  # who claimed it last
    lease_until: Mapped[datetime | None]  # while running; then others may take it
    deadline_at: Mapped[datetime | None]  # while running; the lease is never renewed beyond
    not_before: Mapped[datetime]
    started_at: Mapped[datetime | None]  # the last claim
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_job_item_job_id_state", "job_id", "state"),
        Index(
            "ix_job_item_claimable",
            "job_id",
            "not_before",
            "id",
            postgresql_where=_ITEM_WAITS,
            sqlite_where=_ITEM_WAITS,
        ),
        Index(
            "ix_job_item_lease",
            "lease_until",
            postgresql_where=_ITEM_RUNS,
            sqlite_where=_ITEM_RUNS,
        ),
        Index(
            "ix_job_item_open_key",
            "source",
            "kind",
            "key",
            postgresql_where=_ITEM_IS_OPEN,
            sqlite_where=_ITEM_IS_OPEN,
        ),
    )


class JobEvent(Base):
    """History: one row per transition, written in the transition's own transaction. Pruned."""

    __tablename__ = "job_event"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(RowId)
    item_id: Mapped[int | None] = mapped_column(RowId)  # None: of the job itself
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))  # after it
    worker: Mapped[str | None] = mapped_column(String(120))
    fence: Mapped[int | None]
    code: Mapped[str | None] = mapped_column(String(30))
    message: Mapped[Sentence | None]

    __table_args__ = (
        Index("ix_job_event_job_id", "job_id", "id"),
        Index("ix_job_event_item_id", "item_id", "id"),
        Index("ix_job_event_at", "at"),
    )


class Worker(Base):
    """A worker process that was seen. For eyes only: recovery depends on each item's own lease."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(120), primary_key=True)  # host:pid:boot
    host: Mapped[str] = mapped_column(String(80))
    pid: Mapped[int]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
