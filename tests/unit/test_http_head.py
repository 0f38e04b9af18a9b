"""The head of an answer is read as the standard library reads it, only sooner."""

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.sources.http import _read_head

PIECES = (b"Content-Type", b"ETag", b"X", b":", b": ", b" ", b"\t", b"a", b"gzip", b"\xe9", b"\r")
LINES = st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join)
ENDS = st.sampled_from((b"\r\n", b"\n"))


def told(message: http.client.HTTPMessage) -> tuple[object, ...]:
    """Everything that the client, http.client and urllib3 ask of a head."""
    payload = message.get_payload()
    defects = [type(defect) for defect in message.defects]
    rest = payload if isinstance(payload, str) else ""
    return message.items(), defects, rest, message.is_multipart()


@given(st.lists(st.tuples(LINES, ENDS), max_size=6))
@example([(b"Content-Type: text/html", b"\r\n"), (b" ; charset=utf-8", b"\r\n")])  # folded
@example([(b"Set-Cookie: a=1", b"\r\n"), (b"Set-Cookie: b=2", b"\r\n")])
@example([(b"X: a\r", b"\r\n")])
@example([(b"no colon at all", b"\r\n"), (b"X: 1", b"\r\n")])
@example([(b"From somebody", b"\r\n"), (b"X: 1", b"\r\n")])
def test_it_says_what_the_standard_library_says(lines: list[tuple[bytes, bytes]]) -> None:
    head = b"".join(line + end for line, end in lines) + b"\r\nbody"
    mine, theirs = io.BufferedReader(io.BytesIO(head)), io.BufferedReader(io.BytesIO(head))
    assert told(_read_head(mine)) == told(http.client.parse_headers(theirs))
    assert mine.read() == theirs.read()


@pytest.mark.parametrize("head", [b"X: 1\r\n" * 101 + b"\r\n", b"X: " + b"a" * 65_536 + b"\r\n"])
def test_a_head_without_end_is_refused(head: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        _read_head(io.BufferedReader(io.BytesIO(head)))
