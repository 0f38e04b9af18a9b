"""Rows as PostgreSQL sends them, made into lines of JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.backups.rows import as_json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUE = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT


def as_csv(value: object) -> str:
    """What COPY writes with FORCE_QUOTE for texts, ESCAPE backslash and NULL null."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return json.dumps(value)


@given(st.lists(st.lists(VALUE, min_size=1, max_size=4), min_size=1, max_size=5))
def test_every_text_comes_through(rows: list[list[object]]) -> None:
    csv = "".join(",".join(map(as_csv, row)) + "\n" for row in rows).encode()
    found = as_json(csv, len(rows)).split(b"\n")
    assert found.pop() == b""
    assert [json.loads(line) for line in found] == rows


def test_control_characters_are_written_as_the_engines_write_them() -> None:
    csv = b'1,"a\nb","c\\\\\td"\n2,"\x01\x1f\x7f\r","\\""\n3,null,""\n'
    assert as_json(csv, 3) == (
        b'[1,"a\\nb","c\\\\\\td"]\n[2,"\\u0001\\u001f\x7f\\r","\\""]\n[3,null,""]\n'
    )
