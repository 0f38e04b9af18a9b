"""One row per letter. Its text is made when it is sent: no link is ever stored."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId
from app.core.text import Sentence


class Mail(Base):
    """A letter that was asked for. How its sending goes is in the ledger, by its id. Pruned."""

    __tablename__ = "mail"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # of letters.Kind
    to: Mapped[str] = mapped_column(String(254))
    language: Mapped[str] = mapped_column(String(5))
    told: Mapped[Sentence | None]  # what it tells, where its kind alone does not say it
    asked_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_mail_asked_at", "asked_at"),)
