"""Log lines as text or JSON, each with the job and item it belongs to; never with a secret."""

import json
import logging
from contextvars import ContextVar

job_in_hand: ContextVar[str] = ContextVar("job_in_hand", default="")

LEVELS = ("debug", "info", "warning", "error")


class _AddJob(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.job = job_in_hand.get()
        return True


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "job": getattr(record, "job", ""),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str, style: str) -> None:
    """Send everything to standard error at `level`, as `style` text or json."""
    handler = logging.StreamHandler()
    handler.addFilter(_AddJob())
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(job)s %(message)s")
    handler.setFormatter(_JsonLines() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Huey names every bell it hears; what became of a job is in the ledger.
    logging.getLogger("huey").setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
