"""Where the recorded answers of the real APIs are; they never enter the project."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

_PLACES = (
    os.environ.get("FIKSTUR_PAYLOADS"),
    Path(__file__).parent.parent.parent / "shared" / "payloads",
)
PAYLOADS: Path | None = next((Path(p) for p in _PLACES if p and Path(p).is_dir()), None)


def needs_payloads(test: Any) -> Any:
    """Mark a test that reads them, and skip it on machines where they are not."""
    absent = pytest.mark.skipif(
        PAYLOADS is None, reason="no recorded answers here; FIKSTUR_PAYLOADS names their folder"
    )
    return pytest.mark.payloads(absent(test))


def payload(name: str) -> bytes:
    """One recorded body, unpacked, and without the headers it may have been recorded with."""
    assert PAYLOADS is not None
    raw = (PAYLOADS / name).read_bytes()
    raw = gzip.decompress(raw) if name.endswith(".gz") else raw
    document = json.loads(raw)
    wrapped = isinstance(document, dict) and isinstance(document.get("body"), str)
    return document["body"].encode() if wrapped else raw


def sofascore_days() -> list[str]:
    """The names of all recorded day lists of SofaScore."""
    if PAYLOADS is None:
        return []
    days = (PAYLOADS / "sofascore" / "daily").glob("*.json.gz")
    return sorted(f"sofascore/daily/{day.name}" for day in days)
