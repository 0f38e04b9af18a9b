"""What is kept of a source: whether it is paused, and one row for each request made to it."""

from datetime import datetime

from sqlalchemy import Float, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId
from app.core.text import Sentence


class SourceState(Base):
    """One row per source that ever was in the way. Items of a paused one are not handed out."""

    __tablename__ = "source_state"

    source: Mapped[str] = mapped_column(String(40), primary_key=True)
    paused_until: Mapped[datetime | None]  # None: not paused; UNTIL_RESUMED: until somebody resumes
    code: Mapped[str | None] = mapped_column(String(30))  # why, from the taxonomy; PAUSED: a person
    message: Mapped[Sentence | None]
    paused_at: Mapped[datetime | None]
    pauses: Mapped[int] = mapped_column(default=0)  # for blocks in a row, since it last answered
    free_at: Mapped[datetime | None]  # all its slots are taken until then; nothing is handed out
    failures: Mapped[int] = mapped_column(default=0, server_default="0")  # in a row, of its server
    # Of the breaker, in a row; a block opens it too. While there are any, one is asked at a time.
    opens: Mapped[int] = mapped_column(default=0, server_default="0")
    factor: Mapped[float] = mapped_column(Float, default=1, server_default="1")  # of its speed
    factor_at: Mapped[datetime | None]  # when it was changed last


class RequestLog(Base):
    """One HTTP request and what came of it. Pruned."""

    __tablename__ = "request_log"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    source: Mapped[str] = mapped_column(String(40))
    template: Mapped[str] = mapped_column(String(200))  # the url with ids replaced: no secret
    key: Mapped[str] = mapped_column(String(100))  # the day or match ids asked for
    status: Mapped[int | None]  # None: no HTTP answer came
    code: Mapped[str] = mapped_column(String(30))
    bytes: Mapped[int] = mapped_column(default=0)
    elapsed_ms: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=1)
    job_id: Mapped[int | None] = mapped_column(RowId)
    item_id: Mapped[int | None] = mapped_column(RowId)
    items: Mapped[str | None] = mapped_column(Text)  # ",7,8,9,": all of them, where it was for many

    __table_args__ = (
        Index("ix_request_log_at", "at"),
        Index(
            "ix_request_log_together",
            "job_id",
            postgresql_where=text("items IS NOT NULL"),
            sqlite_where=text("items IS NOT NULL"),
        ),
        Index("ix_request_log_item_id", "item_id"),
        Index("ix_request_log_source_at", "source", "at"),
    )
