"""What the index knows of the pinned packages, asked from a small index of our own."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))
import advisories

FAULT = {"id": "PYSEC-1", "fixed_in": ["3.2"], "summary": "It\nopens the door.", "withdrawn": None}


@contextmanager
def index(answer: bytes, status: int = 200) -> Iterator[str]:
    """An index that says the same of every package."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    told = "# words\n-r x.txt\nflask[async]==3.1  # why\nhuey==3.5; python_version > '3'\n"
    (tmp_path / "requirements.txt").write_text(told, "utf-8")
    (tmp_path / "constraints.txt").write_text("Jinja2==3.1.6\nflask==3.1\n", "utf-8")
    monkeypatch.setattr(advisories, "HOME", tmp_path)
    return tmp_path


def said(known: list[dict[str, object]]) -> bytes:
    return json.dumps({"vulnerabilities": known}).encode()


def test_every_pin_is_read_once(home: Path) -> None:
    assert advisories.pins(home) == [("Jinja2", "3.1.6"), ("flask", "3.1"), ("huey", "3.5")]
    own = dict(advisories.pins(Path(__file__).parent.parent.parent))
    assert {"Jinja2", "huey", "playwright"} <= set(own)
    assert len(own) > 50


@pytest.mark.usefixtures("home")
def test_a_known_fault_is_named_with_the_version_that_mends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with index(said([FAULT, {**FAULT, "id": "PYSEC-2", "withdrawn": "2026-01-01"}])) as address:
        assert advisories.main([address]) == advisories.KNOWN
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "flask 3.1: PYSEC-1 (mended in 3.2) It opens the door."
    assert len(lines) == 3


@pytest.mark.usefixtures("home")
def test_nothing_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with index(said([])) as address:
        assert advisories.main([address]) == 0
    assert "Nothing is known of 3 packages" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("answer", "status"), [(b"", 200), (b"{}", 200), (b"[]", 200), (b"", 503)])
def test_where_nobody_can_say_it_is_not_taken_for_good(
    answer: bytes, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with index(answer, status) as address:
        assert advisories.main([address]) == advisories.NOT_ASKED
    assert advisories.main(["http://127.0.0.1:9"]) == advisories.NOT_ASKED
    assert capsys.readouterr().out.count("does not say what is known") == 2
