"""Jobs, items and their history as plain values for JSON: the same for the commands and the API.

Keys, states and codes are English; only messages are put into `language`.
"""

from typing import Any

import msgspec

from app.core.text import N_, Sentence
from app.jobs.audit import Imbalance
from app.jobs.models import ItemOutcome, ItemState, JobEvent, JobItem
from app.jobs.report import JobReport

JOB_FIELDS = (
    "id",
    "kind",
    "state",
    "submitted",
    "trigger",
    "requested_by",
    "priority",
    "submitted_at",
    "started_at",
    "finished_at",
    "deadline_at",
    "paused_at",
    "cancel_requested_at",
    "cancelled_by",
    "params",
)
ITEM_FIELDS = (
    "id",
    "job_id",
    "kind",
    "source",
    "key",
    "state",
    "outcome",
    "code",
    "attempts",
    "crashes",
    "worker",
    "not_before",
    "started_at",
    "finished_at",
)
EVENT_FIELDS = ("id", "job_id", "item_id", "at", "event", "state", "worker", "fence", "code")

# The words for people; in JSON and in options the states themselves are written.
WORDS = {
    ItemState.WAITING: N_("%(count)s waiting"),
    ItemState.RUNNING: N_("%(count)s running"),
    ItemState.DONE: N_("%(count)s done"),
    ItemState.FAILED: N_("%(count)s failed"),
    ItemState.CANCELLED: N_("%(count)s cancelled"),
    ItemState.QUARANTINED: N_("%(count)s quarantined"),
    ItemOutcome.STORED: N_("%(count)s stored"),
    ItemOutcome.UNCHANGED: N_("%(count)s unchanged"),
    ItemOutcome.NO_DATA: N_("%(count)s without data"),
}


def job_as_dict(report: JobReport, language: str) -> dict[str, Any]:
    """A job with its sums. Times are ISO 8601 in UTC, rates per second."""
    return _plain(
        report.job,
        JOB_FIELDS,
        items=report.items,
        outcomes=report.outcomes,
        errors=report.errors,
        balanced=report.balanced,
        rate=report.rate,
        left_s=report.left_s,
        waits_for=in_words(report.waits_for, language),
        answered_by=report.answered_by,
    )


def item_as_dict(item: JobItem, language: str) -> dict[str, Any]:
    """One unit of a job; `answered_by` is its source once that has answered."""
    answered_by = item.source if item.state == ItemState.DONE else None
    message = in_words(item.message, language)
    return _plain(item, ITEM_FIELDS, message=message, answered_by=answered_by)


def event_as_dict(event: JobEvent, language: str) -> dict[str, Any]:
    """One transition of an item or a job."""
    return _plain(event, EVENT_FIELDS, message=in_words(event.message, language))


def imbalance_as_dict(wrong: Imbalance, language: str) -> dict[str, Any]:
    """A job whose books are wrong."""
    fields = ("job_id", "submitted", "counted", "open_items", "adrift", "undone", "state")
    return _plain(wrong, fields, message=in_words(wrong.sentence, language))


def in_words(sentence: Sentence | None, language: str) -> str | None:
    """A sentence that may not be there."""
    return None if sentence is None else sentence.to(language)


def _plain(row: object, fields: tuple[str, ...], **more: object) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in fields}
    plain: dict[str, Any] = msgspec.to_builtins(values | more)
    return plain
