"""The record of fires: one row per schedule and due time."""

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId


class ScheduleFire(Base):
    """A due time that was taken. The unique key is what makes it fire once."""

    __tablename__ = "schedule_fire"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    schedule: Mapped[str] = mapped_column(String(40))
    due_at: Mapped[datetime]
    fired_at: Mapped[datetime]
    job_id: Mapped[int | None] = mapped_column(RowId)  # None: it had nothing to submit

    __table_args__ = (
        UniqueConstraint("schedule", "due_at"),
        Index("ix_schedule_fire_fired_at", "fired_at"),
    )
