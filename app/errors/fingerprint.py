"""What two problems of one cause share: source, code, the sentence without its numbers. Pure.

Ids, days, byte counts and request numbers differ from row to row and say nothing of the cause.
"""

import hashlib
import re

from app.core.text import Sentence

# A run of digits with what usually stands between them, or a long hexadecimal number.
_VARIES = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]+)*\b|\d+(?:[.,:/-]\d+)*", re.I)
LENGTH = 16


def fingerprint(source: str, code: str, http_status: int | None, message: Sentence) -> str:
    """The same for every problem that one cause explains."""
    told = "\n".join((source, code, str(http_status or ""), normalised(str(message))))
    return hashlib.sha256(told.encode()).hexdigest()[:LENGTH]


def normalised(text: str) -> str:
    """The sentence with a # for whatever counts, numbers or dates something."""
    return _VARIES.sub("#", text)
