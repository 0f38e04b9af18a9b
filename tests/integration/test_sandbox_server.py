import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 21)
TOKEN = {"X-Auth-Token": "any"}
FIRST_ID = 100_000_000
NOT_FOUND = {"error": {"code": 404, "message": "Not Found"}}
ON_WINDOWS = sys.platform == "win32"
STOP_SIGNAL = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        connection = self.connect()
        try:
            return ask(connection, path, headers, **more)
        finally:
            connection.close()

    def faults(self, *rules: dict[str, Any]) -> None:
        assert self.ask("/_faults", method="PUT", body=json.dumps(rules)).status == 204

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self, number: int = STOP_SIGNAL) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=10)


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    method: str = "GET",
    body: str | None = None,
) -> Answer:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.read(), dict(response.getheaders()))


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.sandbox", *options],
        cwd=ROOT,
        env={**os.environ, "LANGUAGE": "en", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


@contextmanager
def running(*options: str) -> Iterator[Running]:
    with start("--port", "0", "--today", TODAY.isoformat(), *options) as process:
        try:
            assert process.stdout
            greeting = process.stdout.readline()
            found = re.search(r":(\d+) ", greeting)
            assert found, greeting
            yield Running(process, int(found[1]))
        finally:
            process.kill()


def refused(*options: str) -> str:
    """What the program says when it does not start."""
    with start(*options) as process:
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (2, "")
    return err


@pytest.fixture(scope="module")
def quiet_sandbox() -> Iterator[Running]:
    with running("--no-demo") as server:
        yield server


@pytest.fixture
def sandbox(quiet_sandbox: Running) -> Running:
    """Without faults; each test may put its own."""
    quiet_sandbox.faults()
    return quiet_sandbox


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    """Each test here must ask for days of its own."""
    with running() as server:
        yield server


def day_path(day: date) -> str:
    return f"/api/v1/sport/football/scheduled-events/{day}"


def day(offset: int) -> str:
    return day_path(TODAY + timedelta(days=offset))


def is_broken(row: dict[str, Any]) -> bool:
    return row["homeTeam"] is None and "startTimestamp" not in row


# answers


def test_a_day_has_matches_and_each_of_them_its_event(sandbox: Running):
    rows = sandbox.ask(day(0)).json["events"]
    assert len(rows) > 90
    for row in rows[::10]:
        assert sandbox.ask(f"/api/v1/event/{row['id']}").json == {"event": row}


def test_a_sample_of_the_100000_ids_answers_and_the_rest_of_the_numbers_is_not_found(
    sandbox: Running,
):
    connection = sandbox.connect()
    for number in range(FIRST_ID, FIRST_ID + 100_000, 997):
        assert ask(connection, f"/api/v1/event/{number}").json["event"]["id"] == number
    for number in (0, 1, 1234567, 999_999_999_999):
        found = ask(connection, f"/api/v1/event/{number}")
        assert (found.status, found.json) == (404, NOT_FOUND)
    connection.close()


def test_the_past_is_byte_identical_at_every_ask_and_in_every_process(sandbox: Running):
    path = day(-40)
    first = sandbox.ask(path).body
    assert sandbox.ask(path).body == first
    with running("--no-demo", "--seed", "1") as other:
        assert other.ask(path).body == first


def test_the_spill_over_has_the_same_rows_in_both_lists(sandbox: Running):
    one = {row["id"]: row for row in sandbox.ask(day(-1)).json["events"]}
    two = {row["id"]: row for row in sandbox.ask(day(0)).json["events"]}
    shared = one.keys() & two.keys()
    assert shared
    assert all(one[number] == two[number] for number in shared)


def test_the_details_of_a_finished_match_have_their_known_paths(sandbox: Running):
    rows = sandbox.ask(day(-2)).json["events"]
    number = next(row["id"] for row in rows if row["status"]["code"] == 100)
    statistics = sandbox.ask(f"/api/v1/event/{number}/statistics").json["statistics"]
    assert [one["period"] for one in statistics] == ["ALL", "1ST", "2ND"]
    assert {"key", "homeValue", "awayValue"} <= set(
        statistics[0]["groups"][0]["statisticsItems"][0]
    )
    incidents = sandbox.ask(f"/api/v1/event/{number}/incidents").json["incidents"]
    assert incidents[0]["text"] == "FT"
    lineups = sandbox.ask(f"/api/v1/event/{number}/lineups").json
    assert lineups["confirmed"] is True
    assert len(lineups["away"]["players"]) == 20


def test_details_that_do_not_exist_yet_are_not_found(sandbox: Running):
    number = sandbox.ask(day(5)).json["events"][0]["id"]
    for name in ("statistics", "incidents", "lineups", "h2h"):
        assert sandbox.ask(f"/api/v1/event/{number}/{name}").status == 404


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("0001-01-01", 200),
        ("9999-12-31", 200),
        ("2024-02-29", 200),
        ("0000-01-01", 400),
        ("2026-02-30", 400),
        ("20261121", 400),
        ("2026-11-2١", 400),
        ("tomorrow", 400),
    ],
)
def test_any_day_of_the_calendar_is_answered_and_nothing_else(sandbox: Running, text, status):
    with sandbox.socket() as raw:
        path = f"/api/v1/sport/football/scheduled-events/{text}"
        raw.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert raw.recv(100).split()[1] == str(status).encode()


def test_the_other_shape_has_the_same_matches_of_the_day(sandbox: Running):
    last = TODAY + timedelta(days=1)
    page = sandbox.ask(f"/v4/matches?dateFrom={TODAY}&dateTo={last}", TOKEN).json
    rows = {row["id"]: row for row in page["matches"]}
    assert page["resultSet"]["count"] == len(rows) == 106
    listed = {row["id"]: row for row in sandbox.ask(day(0)).json["events"]}
    assert rows.keys() <= listed.keys()
    one = next(iter(rows))
    assert sandbox.ask(f"/v4/matches/{one}", TOKEN).json == rows[one]


def test_the_end_of_a_period_is_not_in_it(sandbox: Running):
    page = sandbox.ask(f"/v4/matches?dateFrom={TODAY}&dateTo={TODAY}", TOKEN).json
    assert page["resultSet"] == {"count": 0}


@pytest.mark.parametrize(
    ("query", "headers", "message"),
    [
        ("?dateFrom=2026-11-01&dateTo=2026-11-11", {}, "Your API token is invalid."),
        (
            "?dateFrom=2026-11-01&dateTo=2026-11-12",
            TOKEN,
            "Specified period must not exceed 10 days.",
        ),
        ("?dateFrom=2026-11-01&dateTo=x", TOKEN, "Value provided for date is invalid."),
    ],
)
def test_the_other_shape_refuses_as_the_real_one_does(sandbox: Running, query, headers, message):
    found = sandbox.ask("/v4/matches" + query, headers)
    assert (found.status, found.json) == (400, {"message": message, "errorCode": 400})


def test_ten_days_are_allowed_and_an_unknown_match_is_not_found(sandbox: Running):
    found = sandbox.ask("/v4/matches?dateFrom=2026-11-01&dateTo=2026-11-11", TOKEN)
    assert found.json["resultSet"]["count"] > 400
    assert sandbox.ask("/v4/matches/5", TOKEN).json["errorCode"] == 404


# HTTP


def test_a_client_that_can_unpack_gets_the_same_bytes_packed(sandbox: Running):
    plain = sandbox.ask(day(-9))
    packed = sandbox.ask(day(-9), {"Accept-Encoding": "br, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) * 4 < len(plain.body)
    assert "Content-Encoding" not in sandbox.ask(day(-9), {"Accept-Encoding": "gzip;q=0"}).headers


@pytest.mark.parametrize("path", [day(-9), "/v4/matches?dateFrom=2026-11-01&dateTo=2026-11-05"])
def test_a_list_that_the_client_has_is_not_sent_again(sandbox: Running, path):
    tag = sandbox.ask(path, TOKEN).headers["ETag"]
    assert tag.startswith('W/"')
    known = sandbox.ask(path, {**TOKEN, "If-None-Match": f'"other", {tag}'})
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    assert sandbox.ask(path, {**TOKEN, "If-None-Match": '"other"'}).status == 200


def test_one_connection_serves_many_requests_and_64_are_held_at_once(sandbox: Running):
    connections = [sandbox.connect() for _ in range(64)]
    for _ in range(2):
        for connection in connections:
            connection.request("GET", f"/api/v1/event/{FIRST_ID}")
        for connection in connections:
            assert connection.getresponse().read()
    for connection in connections:
        connection.close()


def test_what_is_not_http_is_refused_and_the_next_client_served(sandbox: Running):
    for nonsense in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        with sandbox.socket() as raw:
            raw.sendall(nonsense)
            assert raw.recv(100).startswith(b"HTTP/1.1 400 ")
    assert sandbox.ask("/_health").json == {"ok": True}


def test_only_reading_is_allowed(sandbox: Running):
    assert sandbox.ask("/", method="POST", body="x").status == 405
    head = sandbox.ask("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")


def test_the_front_page_says_what_this_is(sandbox: Running):
    assert sandbox.ask("/").json["ids"] == [FIRST_ID, FIRST_ID + 99_999]
    assert sandbox.ask("/nowhere").json == NOT_FOUND


# faults on demand


def test_a_status_with_headers_and_a_body_is_sent_as_asked(sandbox: Running):
    sandbox.faults(
        {
            "match": "/event/",
            "times": 1,
            "status": 429,
            "headers": {"Retry-After": "2"},
            "body": [1],
        }
    )
    found = sandbox.ask(f"/api/v1/event/{FIRST_ID}")
    assert (found.status, found.headers["Retry-After"], found.json) == (429, "2", [1])
    assert sandbox.ask(f"/api/v1/event/{FIRST_ID}").status == 200


def test_an_error_without_a_body_gets_one_that_fits(sandbox: Running):
    sandbox.faults({"match": "a", "times": 1, "status": 404}, {"match": "a", "status": 503})
    assert sandbox.ask(day(-9)).json == NOT_FOUND
    assert sandbox.ask(day(-9)).body.startswith(b"<html>")


def test_a_reset_is_a_reset(sandbox: Running):
    sandbox.faults({"match": "/event/", "action": "reset"})
    with sandbox.socket() as raw:
        raw.sendall(b"GET /api/v1/event/1 HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionError):
            raw.recv(100)


def test_a_truncated_answer_ends_at_half_its_length(sandbox: Running):
    whole = sandbox.ask(day(-9)).body
    sandbox.faults({"match": "scheduled", "action": "truncate"})
    connection = sandbox.connect()
    connection.request("GET", day(-9))
    with pytest.raises(http.client.IncompleteRead) as caught:
        connection.getresponse().read()
    connection.close()
    assert caught.value.partial == whole[: len(whole) // 2]


def test_a_dripping_answer_arrives_whole_but_late(sandbox: Running):
    sandbox.faults({"match": "/event/", "action": "drip", "body": "x" * 150})
    began = time.monotonic()
    assert sandbox.ask("/api/v1/event/1").body == b"x" * 150
    assert time.monotonic() - began >= 0.39


def test_an_empty_answer_is_empty_and_well_formed(sandbox: Running):
    sandbox.faults({"match": "/event/", "action": "empty"})
    found = sandbox.ask(f"/api/v1/event/{FIRST_ID}")
    assert (found.status, found.body, found.headers["Content-Length"]) == (200, b"", "0")


def test_a_block_is_the_challenge_in_json(sandbox: Running):
    sandbox.faults({"match": "/event/", "action": "block"})
    found = sandbox.ask(f"/api/v1/event/{FIRST_ID}")
    assert (found.status, found.json) == (403, {"error": {"code": 403, "reason": "challenge"}})


def test_a_page_comes_where_json_is_due(sandbox: Running):
    sandbox.faults({"match": "/event/", "action": "html"})
    found = sandbox.ask(f"/api/v1/event/{FIRST_ID}")
    assert (found.status, found.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_malformed_json_has_a_correct_length(sandbox: Running):
    sandbox.faults({"match": "scheduled", "action": "malformed"})
    found = sandbox.ask(day(-9))
    assert (found.status, int(found.headers["Content-Length"])) == (200, len(found.body))
    with pytest.raises(ValueError, match=r"."):
        json.loads(found.body)


def test_a_large_answer_is_valid_json_of_that_size(sandbox: Running):
    sandbox.faults({"match": "scheduled", "size_mb": 3})
    found = sandbox.ask(day(-9))
    assert len(found.body) == 3 * 1024 * 1024
    assert found.json["events"] == []


def test_a_delay_alone_changes_nothing_but_the_time(sandbox: Running):
    tag = sandbox.ask(day(-9)).headers["ETag"]
    sandbox.faults({"match": "scheduled", "delay_s": 0.2})
    began = time.monotonic()
    assert sandbox.ask(day(-9), {"If-None-Match": tag}).status == 304
    assert time.monotonic() - began >= 0.19


def test_a_broken_row_carries_no_tag_and_hides_behind_none(sandbox: Running):
    tag = sandbox.ask(day(-9)).headers["ETag"]
    sandbox.faults({"match": "scheduled", "action": "broken_row"})
    found = sandbox.ask(day(-9), {"If-None-Match": tag})
    assert found.status == 200
    assert "ETag" not in found.headers
    assert sum(is_broken(row) for row in found.json["events"]) == 1


def test_a_wrong_plan_is_refused_and_the_old_one_stays(sandbox: Running):
    sandbox.faults({"match": "/event/", "status": 500})
    found = sandbox.ask("/_faults", method="PUT", body='[{"match": "x", "tims": 1}]')
    assert found.status == 400
    assert "Rule 1" in found.json["error"]["message"]
    assert sandbox.ask("/api/v1/event/1").status == 500


# demo faults


@pytest.mark.parametrize("offset", [0, -7, 14])
def test_today_has_one_broken_row_at_first_and_is_whole_then(demo: Running, offset):
    first, second = demo.ask(day(offset)), demo.ask(day(offset))
    assert sum(is_broken(row) for row in first.json["events"]) == 1
    assert len(first.json["events"]) == len(second.json["events"])
    assert not any(is_broken(row) for row in second.json["events"])
    assert "ETag" not in first.headers
    assert "ETag" in second.headers


@pytest.mark.parametrize("offset", [-1, -8, 6])
def test_yesterday_is_not_found_at_first_and_there_then(demo: Running, offset):
    first = demo.ask(day(offset))
    assert (first.status, first.json) == (404, NOT_FOUND)
    assert demo.ask(day(offset)).status == 200


@pytest.mark.parametrize("offset", [-3, -10, 4])
def test_three_days_ago_is_unavailable_at_first_and_there_then(demo: Running, offset):
    first = demo.ask(day(offset))
    assert (first.status, first.headers["Retry-After"]) == (503, "2")
    assert demo.ask(day(offset)).status == 200


def test_the_other_days_and_the_other_shape_never_fail(demo: Running):
    assert [demo.ask(day(offset)).status for offset in (-2, -4, -5, -6)] == [200] * 4
    assert demo.ask(f"/v4/matches?dateFrom={TODAY}", TOKEN).status == 200


def test_a_plan_sent_later_ends_the_demo():
    with running() as server:
        server.faults()
        assert server.ask(day(-1)).status == 200


# the program


def test_every_request_is_counted_and_logged_but_questions_about_it_are_not(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    with running("--no-demo", "--log", str(log)) as server:
        server.ask("/?a=1")
        sent = server.ask("/?a=1")
        server.ask(day(0), {"Accept-Encoding": "gzip"})
        server.ask("/_health")
        assert server.ask("/_count").json == {"/?a=1": 2, day(0): 1}
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [line["path"] for line in lines] == ["/?a=1", "/?a=1", day(0)]
    assert (lines[1]["status"], lines[1]["bytes"]) == (200, len(sent.body))
    assert 0 < lines[2]["bytes"] < 20_000
    assert abs(lines[0]["t"] - time.time()) < 60


def test_a_plan_and_its_files_are_read_from_the_plans_folder(tmp_path: Path):
    plan = tmp_path / "faults.json"
    (tmp_path / "page.txt").write_text("çalındı", "utf-8")
    plan.write_text('[{"match": "/event/", "status": 418, "body_file": "page.txt"}]', "utf-8")
    with running("--faults", str(plan)) as server:
        found = server.ask("/api/v1/event/1")
        assert (found.status, found.body.decode()) == (418, "çalındı")
        assert server.ask(day(-1)).status == 200
        outside = '[{"match": "x", "body_file": "../../etc/passwd"}]'
        assert server.ask("/_faults", method="PUT", body=outside).status == 400


def test_a_wrong_plan_or_option_stops_the_start_with_one_sentence(tmp_path: Path):
    plan = tmp_path / "faults.json"
    plan.write_text('[{"match": "("}]', "utf-8")
    assert "Rule 1" in refused("--faults", str(plan))
    assert refused("--faults", str(tmp_path / "no.json")).startswith("Cannot open ")
    assert refused("--port", "many").startswith("--port needs a value")
    assert refused("--porrt", "1").startswith("There is no option --porrt")


def test_a_taken_port_is_one_clear_sentence(sandbox: Running):
    said = refused("--port", str(sandbox.port))
    assert said.startswith(f"Port {sandbox.port} is in use")
    assert said.count("\n") == 1


@pytest.mark.parametrize("number", [STOP_SIGNAL] if ON_WINDOWS else [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_cleanly_in_the_middle_of_everything(number):
    with running("--latency-ms", "60000") as server:
        with server.socket() as idle, server.socket() as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\n\r\n")
            idle.sendall(b"GET /_health HTTP/1.1\r\n\r\n")
            assert idle.recv(100)
            assert server.stop(number) == 0
        assert server.process.stderr
        assert server.process.stderr.read() == ""
