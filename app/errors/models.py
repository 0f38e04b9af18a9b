"""An open problem: one row per source, kind and key until a success resolves it, then history."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId
from app.core.text import Sentence


class FixtureError(Base):
    """What could not be fetched or read, why, and when it is tried again."""

    __tablename__ = "fixture_error"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    source: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))  # the work that failed, e.g. fetch_day
    key: Mapped[str] = mapped_column(String(100))  # the day or match id
    code: Mapped[str] = mapped_column(String(30))
    http_status: Mapped[int | None]
    message: Mapped[Sentence]
    evidence: Mapped[dict[str, Any]]  # the beginning of the answer, its type and size; no secret
    attempts: Mapped[int] = mapped_column(default=1)  # how often it failed since first_seen_at
    # What the plan goes by: the last code that burned an attempt, how often it did and since when.
    counted_code: Mapped[str | None] = mapped_column(String(30))
    code_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    code_since: Mapped[datetime | None]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]  # None: not by itself
    resolved_at: Mapped[datetime | None]  # None: open
    resolved_by: Mapped[str | None] = mapped_column(String(150))  # success, or who closed it
    job_id: Mapped[int | None] = mapped_column(RowId)  # the job that saw it last
    item_id: Mapped[int | None] = mapped_column(RowId)
    # What it has in common with others of the same cause: errors.fingerprint.
    fingerprint: Mapped[str] = mapped_column(String(16), default="", server_default="")

    __table_args__ = (
        Index(
            "uq_fixture_error_open",
            "source",
            "kind",
            "key",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
            sqlite_where=text("resolved_at IS NULL"),
        ),
        Index(
            "ix_fixture_error_due",
            "next_try_at",
            postgresql_where=text("resolved_at IS NULL"),
            sqlite_where=text("resolved_at IS NULL"),
        ),
        Index("ix_fixture_error_last_seen_at", "last_seen_at"),
        # Counting 100,000 open ones by group reads nothing but this one; the sparkline the next.
        Index(
            "ix_fixture_error_open_group",
            "fingerprint",
            "id",
            "first_seen_at",
            "last_seen_at",
            postgresql_where=text("resolved_at IS NULL"),
            sqlite_where=text("resolved_at IS NULL"),
        ),
        Index("ix_fixture_error_group", "fingerprint", "first_seen_at"),
    )
