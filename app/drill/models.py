"""The receipts of the drills that were asked for in the panel."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, RowId


class DrillReceipt(Base):
    """One drill that came to a verdict."""

    __tablename__ = "drill_receipt"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    job_id: Mapped[int] = mapped_column(RowId)  # the job is forgotten some day, the receipt is not
    at: Mapped[datetime]
    passed: Mapped[bool]
    facts: Mapped[dict[str, Any]]  # drill.receipt.Facts
