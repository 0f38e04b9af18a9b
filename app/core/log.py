"""Log lines as text or JSON, each with the job and item it belongs to; never with a secret."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

job_in_hand: ContextVar[str] = ContextVar("job_in_hand", default="")

LEVELS = ("debug", "info", "warning", "error")
HIDDEN = "•••"
LEAST = 6  # letters of a secret; hiding a shorter one would leave nothing to read
_secrets: set[str] = set()


class _AddJob(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.job = job_in_hand.get()
        return True


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


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
        return masked(json.dumps(line, ensure_ascii=False))


def formatter(style: str) -> logging.Formatter:
    """Of lines as text or json."""
    if style == "json":
        return _JsonLines()
    return _Lines("%(asctime)s %(levelname)-7s %(name)s %(job)s %(message)s")


def set_up(level: str, style: str) -> None:
    """Send everything to standard error at `level`, as `style` text or json."""
    handler = logging.StreamHandler()
    handler.addFilter(_AddJob())
    handler.setFormatter(formatter(style))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Huey names every bell it hears; what became of a job is in the ledger.
    logging.getLogger("huey").setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


# --- secrets --------------------------------------------------------------------------------------


def hide(configuration: Any) -> None:
    """From here on no line shows what the configuration does not: its fields with repr=False.

    Whoever writes the line: a library that names the address it asks may name the key in it.
    """
    _secrets.update(secret for secret in _secrets_of(configuration) if len(secret) >= LEAST)


def masked(text: str) -> str:
    """The text without the secrets; the longest first, for one may hold another."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets_of(thing: Any) -> Iterator[str]:
    for each in fields(thing):
        value = getattr(thing, each.name)
        if isinstance(value, str) and not each.repr:
            yield from _as_written(value)
        elif isinstance(value, Mapping) and each.repr:
            for one in filter(is_dataclass, value.values()):
                yield from _secrets_of(one)
        elif is_dataclass(value):
            yield from _secrets_of(value)


def _as_written(secret: str) -> Iterator[str]:
    """In a line, an address, JSON; of an address only the password in it."""
    if "://" in secret:
        password = urlsplit(secret).password or ""
        yield from {password, unquote(password)}
    else:
        yield from {secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]}
