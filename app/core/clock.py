"""The one place that asks this machine for the time; leases use the database's clock instead."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)
