"""Open problems as plain values for JSON: the same for the commands and the API."""

from typing import Any

import msgspec

from app.errors.models import FixtureError

FIELDS = (
    "id",
    "source",
    "kind",
    "key",
    "code",
    "http_status",
    "attempts",
    "first_seen_at",
    "last_seen_at",
    "next_try_at",
    "job_id",
    "item_id",
    "resolved_at",
    "resolved_by",
)


def error_as_dict(
    error: FixtureError, language: str, *, with_evidence: bool = False
) -> dict[str, Any]:
    """One problem; the evidence is long and comes only when asked for."""
    values = {name: getattr(error, name) for name in FIELDS}
    values["message"] = error.message.to(language)
    if with_evidence:
        values["evidence"] = error.evidence
    plain: dict[str, Any] = msgspec.to_builtins(values)
    return plain
