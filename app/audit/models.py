"""One row for each change that somebody completed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId


class AuditEntry(Base):
    """Who changed what, from where. Never edited; pruned when it is old enough."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(150))  # "" before anybody had signed in
    via: Mapped[str] = mapped_column(String(10))
    address: Mapped[str | None] = mapped_column(String(45))
    action: Mapped[str] = mapped_column(String(40))  # of present.ACTIONS
    kind: Mapped[str] = mapped_column(String(20))  # of present.KINDS: what `object` names
    object: Mapped[str] = mapped_column(String(150))
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    __table_args__ = (
        Index("ix_audit_log_at", "at"),
        Index("ix_audit_log_who_id", "who", "id"),
        Index("ix_audit_log_kind_object_id", "kind", "object", "id"),
    )
