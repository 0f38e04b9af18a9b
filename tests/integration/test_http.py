"""The client against a server that misbehaves on the wire, byte by byte."""

import contextlib
import gzip
import ipaddress
import os
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors.classify import Wants, classify
from app.sources import decoding
from app.sources import http as http_module
from app.sources.base import Answer, Code, Failure, Request
from app.sources.http import MEBIBYTE as MIB
from app.sources.http import Client, _reason
from app.sources.sandbox import Sandbox

Script = Callable[[socket.socket], object]


class Server:
    """Hands each connection to the next script, the last one again; keeps what was asked."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.scripts: list[Script] = []
        self.asked: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def url(self, path: str = "/x") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            connection, _ = self.listening.accept()
            if self.stopping.is_set():
                connection.close()
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection, script))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, script: Script) -> None:
        connection.settimeout(20)
        with connection, contextlib.suppress(OSError):
            while head := self._head(connection):
                self.asked.append(head)
                if script(connection) is STOP:
                    return

    def _head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(4096)
            if not more:
                return b""
            head += more
        return head

    def stop(self) -> None:
        self.stopping.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self.threads:
            thread.join(20)
        self.listening.close()


STOP = object()


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def whole(body: bytes, status: str = "200 OK", **headers: object) -> Script:
    return lambda wire: wire.sendall(head(status, Content_Length=len(body), **headers) + body)


def then_close(*parts: bytes) -> Script:
    def script(wire: socket.socket) -> object:
        for part in parts:
            wire.sendall(part)
        return STOP

    return script


def reset(wire: socket.socket) -> object:
    linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # close with RST, not FIN
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    return STOP


def drip(first: bytes, piece: bytes) -> Script:
    """A byte or so every 50 ms: each read gets something, the whole never comes."""

    def script(wire: socket.socket) -> object:
        wire.sendall(first)
        for _ in range(400):
            wire.sendall(piece)
            time.sleep(0.05)
        return STOP

    return script


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("Fikstur/test", connect_timeout_s=1, read_timeout_s=1)
    yield client
    client.close()


def ask(client: Client, url: str, headers: dict[str, str] | None = None) -> Answer | Failure:
    return client.ask(Request(url, "/x", headers or {}))


def failure(answer: Answer | Failure) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


def answer_of(answer: Answer | Failure) -> Answer:
    assert isinstance(answer, Answer), answer
    return answer


def test_a_whole_answer(server: Server, client: Client) -> None:
    server.scripts = [whole(b'{"events": []}', X_Limit="3", Content_Type="application/json")]
    answer = answer_of(ask(client, server.url(), {"X-Auth-Token": "key"}))
    assert (answer.status, answer.body) == (200, b'{"events": []}')
    assert answer.headers["x-limit"] == "3"
    assert 0 <= answer.elapsed_ms < 1000
    asked = server.asked[0].lower()
    assert b"user-agent: fikstur/test\r\n" in asked
    assert b"x-auth-token: key\r\n" in asked
    assert b"accept-encoding: gzip, deflate\r\n" in asked


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 X", "503 X"])
def test_every_status_is_an_answer_and_is_asked_once(
    server: Server, client: Client, status: str
) -> None:
    server.scripts = [whole(b"", status, Retry_After="0")]
    assert answer_of(ask(client, server.url())).status == int(status[:3])
    assert len(server.asked) == 1


def test_the_connection_is_kept_and_cookies_are_not(server: Server, client: Client) -> None:
    chunked = head(Transfer_Encoding="chunked", Set_Cookie="a=b") + b"2\r\n{}\r\n0\r\n\r\n"
    server.scripts = [lambda wire: wire.sendall(chunked)]
    for _ in range(3):
        assert answer_of(ask(client, server.url())).body == b"{}"
    assert (server.connections, len(server.asked)) == (1, 3)
    assert b"ookie" not in b"".join(server.asked)


def test_each_thread_has_its_own_connection(server: Server, client: Client) -> None:
    server.scripts = [whole(b"{}")]
    bodies: list[bytes] = []

    def work() -> None:
        bodies.append(answer_of(ask(client, server.url())).body)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [b"{}"] * 3
    assert server.connections == 3


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_answer_is_unpacked(server: Server, client: Client, coding: str) -> None:
    plain = b'{"a": 1}' * 9000
    packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    server.scripts = [whole(packed, Content_Encoding=coding)]
    assert answer_of(ask(client, server.url())).body == plain


def test_a_damaged_compressed_answer_is_truncated(server: Server, client: Client) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 999))
    packed[40:80] = b"\xff" * 40
    server.scripts = [whole(bytes(packed), Content_Encoding="gzip")]
    assert failure(ask(client, server.url())).code is Code.TRUNCATED


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_bomb_is_too_large_and_costs_no_memory(
    server: Server, client: Client, framing: str
) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(b"\0" * MIB) for _ in range(300)] + [packer.flush()])
    if framing == "length":
        server.scripts = [whole(bomb, Content_Encoding="gzip")]
    else:
        start = head(Content_Encoding="gzip", Transfer_Encoding="chunked")
        server.scripts = [then_close(start, b"%x\r\n" % len(bomb), bomb, b"\r\n0\r\n\r\n")]
    client.max_bytes = 5 * MIB
    tracemalloc.start()
    try:
        failed = failure(ask(client, server.url()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (failed.code, failed.status) == (Code.TOO_LARGE, 200)
    assert peak < 20 * MIB
    assert failed.detail == "more than 5 MiB"


def test_sixty_megabytes_are_too_large_announced_or_not(server: Server, client: Client) -> None:
    assert client.max_bytes == 25 * MIB
    server.scripts = [whole(b"x" * (60 * MIB))]
    announced = failure(ask(client, server.url()))
    assert (announced.code, announced.received) == (Code.TOO_LARGE, 0)
    server.scripts = [then_close(head(Connection="close"), b"x" * (60 * MIB))]
    silent = failure(ask(client, server.url()))
    assert silent.code is Code.TOO_LARGE
    assert 25 * MIB < silent.received < 26 * MIB


@pytest.mark.parametrize(
    "parts",
    [
        (head(Content_Length=100), b"x" * 40),
        (head(Transfer_Encoding="chunked"), b"64\r\n" + b"x" * 40),
        (head(Transfer_Encoding="chunked"), b"28\r\n" + b"x" * 40 + b"\r\n"),
        (head(Transfer_Encoding="chunked"), b"28\r\n" + b"x" * 40 + b"\r\nzz\r\n"),
    ],
)
def test_an_answer_that_breaks_off_is_truncated(
    server: Server, client: Client, parts: tuple[bytes, ...]
) -> None:
    server.scripts = [then_close(*parts)]
    failed = failure(ask(client, server.url()))
    assert (failed.code, failed.status) == (Code.TRUNCATED, 200)


def test_a_reset_and_a_silent_close_are_conn_reset(server: Server, client: Client) -> None:
    server.scripts = [reset, then_close(), then_close(b"SSH-2.0-nonsense\r\n\r\n")]
    details = []
    for _ in server.scripts:
        failed = failure(ask(client, server.url()))
        assert (failed.code, failed.status) == (Code.CONN_RESET, None)
        details.append(failed.detail.partition(": ")[2])
    assert details == [
        "reset the connection",
        "closed the connection, no answer",
        "what came was not HTTP",
    ]


def test_refused_is_conn_reset_and_says_so(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    failed = failure(ask(client, f"http://name:secret@127.0.0.1:{port}/x?token=secret"))
    assert failed.code is Code.CONN_RESET
    assert failed.detail == f"127.0.0.1:{port}: refused the connection"


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (head(Content_Length=100_000), b"x"),
        (head(Transfer_Encoding="chunked"), b"1\r\nx\r\n"),
        (head(Transfer_Encoding="chunked"), b"0"),
        (head(Content_Length=100_000, Content_Encoding="gzip"), gzip.compress(b"x", mtime=0)),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        (b"", b"H"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_drip_ends_when_the_whole_answer_is_due(
    server: Server, client: Client, first: bytes, piece: bytes
) -> None:
    server.scripts = [drip(first, piece)]
    started = time.monotonic()
    failed = failure(ask(client, server.url()))
    assert failed.code is Code.TIMEOUT_READ
    assert 0.9 < time.monotonic() - started < 3
    assert "within 1 s" in failed.detail


def test_silence_is_a_read_timeout(server: Server, client: Client) -> None:
    def silent(_wire: socket.socket) -> object:
        time.sleep(1.5)
        return STOP

    server.scripts = [silent]
    failed = failure(ask(client, server.url()))
    assert (failed.code, failed.status) == (Code.TIMEOUT_READ, None)
    assert 900 < failed.elapsed_ms < 1500


def test_an_answer_may_take_longer_than_a_connection(server: Server) -> None:
    def slow(wire: socket.socket) -> None:
        time.sleep(0.8)
        whole(b"{}")(wire)

    server.scripts = [slow]
    with contextlib.closing(Client("Fikstur/test", connect_timeout_s=0.3)) as client:
        assert answer_of(ask(client, server.url())).body == b"{}"


def test_after_a_slow_answer_the_kept_connection_is_as_patient_as_before(
    server: Server, client: Client
) -> None:
    def slow(wire: socket.socket) -> None:
        time.sleep(0.7)
        whole(b"{}")(wire)

    server.scripts = [slow]
    for _ in range(3):
        assert answer_of(ask(client, server.url())).body == b"{}"
    assert server.connections == 1


def test_a_connection_that_does_not_come_is_a_connect_timeout(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: object, **_kwargs: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", never)
    failed = failure(ask(client, "http://127.0.0.1:9/x"))
    assert failed.code is Code.TIMEOUT_CONNECT
    assert failed.detail == "no connection to 127.0.0.1:9 within 1 s"


def test_a_handshake_that_does_not_come_is_a_connect_timeout(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = failure(ask(client, f"https://127.0.0.1:{silent.getsockname()[1]}/x"))
    assert failed.code is Code.TIMEOUT_CONNECT


def test_a_name_that_is_none_is_dns(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failed = failure(ask(client, "http://nowhere.invalid/x?token=secret"))
    assert failed.code is Code.DNS
    assert failed.detail == "nowhere.invalid: there is no such name"


def test_a_server_without_tls_is_a_failed_connection_and_may_be_mended(
    server: Server, client: Client
) -> None:
    def plain() -> None:
        wire, _ = listening.accept()
        with wire:
            wire.recv(4096)
            wire.sendall(head("400 Bad Request", Content_Length=0))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=plain)
        thread.start()
        failed = failure(ask(client, f"https://127.0.0.1:{listening.getsockname()[1]}/"))
        thread.join()
    assert failed.code is Code.CONN_RESET


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One for 127.0.0.1 that nobody signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path / "certificate.pem"
    form = serialization.PrivateFormat.PKCS8
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, form, plain))
    return file


@contextlib.contextmanager
def safe_server(certificate: Path) -> Iterator[str]:
    """Answers one request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        wire, _ = listening.accept()
        with contextlib.suppress(OSError), context.wrap_socket(wire, server_side=True) as safe:
            safe.recv(4096)
            safe.sendall(head("200 OK", Content_Length=0))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


def test_certificates_are_judged_by_the_authorities_that_came_with_the_program(
    client: Client, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with safe_server(certificate) as url:
        failed = failure(ask(client, url))
    assert (failed.code, "certificate:" in failed.detail) == (Code.TLS, True)
    monkeypatch.setattr(http_module, "DEFAULT_CA_BUNDLE_PATH", str(certificate))
    trusting = Client("Fikstür test")
    with safe_server(certificate) as url:
        answer = ask(trusting, url)
    trusting.close()
    assert isinstance(answer, Answer)
    assert answer.status == 200


def test_a_bad_certificate_is_tls_and_says_why() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    wrapped = OSError("https://host/?token=secret")
    wrapped.__cause__ = error
    assert _reason(wrapped) == (Code.TLS, "certificate: self-signed certificate")


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/", "http://[::1/x"])
def test_an_address_that_is_none_is_a_bad_request(client: Client, url: str) -> None:
    assert failure(ask(client, url)).code is Code.BAD_REQUEST


@pytest.mark.parametrize("token", ["secret\r\nX: y", "secretİ"])
def test_a_key_that_cannot_be_sent_is_a_bad_request_and_not_shown(
    server: Server, client: Client, token: str
) -> None:
    server.scripts = [whole(b"{}")]
    failed = failure(ask(client, server.url(), {"X-Auth-Token": token}))
    assert failed.code is Code.BAD_REQUEST
    assert "secret" not in failed.detail


def test_a_redirect_is_followed_on_the_same_host(server: Server, client: Client) -> None:
    moved, there = whole(b"", "302 X", Location="/y"), whole(b"{}")
    server.scripts = [lambda wire: (there if b"/y " in server.asked[-1] else moved)(wire)]
    assert answer_of(ask(client, server.url(), {"X-Auth-Token": "key"})).body == b"{}"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/y", "https://elsewhere.example/", "http://[::1/", ""]
)
def test_a_redirect_elsewhere_is_the_answer_and_the_key_stays_here(
    server: Server, client: Client, location: str
) -> None:
    server.scripts = [whole(b"", "302 X", Location=location.format(port=server.port))]
    answer = answer_of(ask(client, server.url(), {"X-Auth-Token": "key"}))
    assert answer.status == 302
    assert len(server.asked) == 1


def test_the_body_of_a_redirect_is_limited_too(server: Server, client: Client) -> None:
    server.scripts = [whole(b"x" * (2 * MIB), "302 X", Location="/y")]
    client.max_bytes = MIB
    assert failure(ask(client, server.url())).code is Code.TOO_LARGE


def test_redirects_in_a_circle_end(server: Server, client: Client) -> None:
    server.scripts = [whole(b"", "302 X", Location="/x")]
    assert answer_of(ask(client, server.url())).status == 302
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        ('{"a": "Beşiktaş"}'.encode("utf-8-sig"), "application/json", "utf-8-sig"),
        ('{"a": "Fenerbahçe"}'.encode("cp1252"), "application/json", "cp1252"),
    ],
)
def test_marks_and_old_encodings_come_through(
    server: Server, client: Client, body: bytes, content_type: str, encoding: str
) -> None:
    server.scripts = [whole(body, Content_Type=content_type)]
    answer = answer_of(ask(client, server.url()))
    text, said = decoding.to_text(answer.body, answer.headers["content-type"])
    assert said == encoding
    assert set(decoding.members(text)) == {"a"}


def test_a_page_comes_through_and_is_a_block(server: Server, client: Client) -> None:
    server.scripts = [whole(b"<html><title>No</title></html>", Content_Type="text/html")]
    answer = ask(client, server.url())
    outcome = classify(Sandbox(), answer, wants=Wants.day(), last_good=5, now=datetime.now(UTC))
    assert outcome.code is Code.BLOCKED


def test_proxies_and_passwords_of_the_environment_are_not_used(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", "/nonexistent")
    server.scripts = [whole(b"{}")]
    assert answer_of(ask(client, server.url())).body == b"{}"
