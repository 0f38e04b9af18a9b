"""The only place that speaks HTTP outward: one GET in, a whole answer or a named failure out."""

import http.client
import io
import os
import re
import socket
import ssl
import threading
import time
import types
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import exceptions as errors
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Retry, Timeout

from app.sources.base import Answer, Code, Failure, Request

MAX_REDIRECTS = 3
HOSTS, CONNECTIONS = 16, 128  # kept open: of so many hosts, so many each
CHUNK = 64 * 1024
SLACK_S = 0.02  # an answer may come so much later than it should
MEBIBYTE = 1024 * 1024


class Client:
    """Asks, and waits at most connect + read timeout for all of an answer. Fit for many threads.

    Connections are kept and lent to one thread at a time. Nothing is retried, no proxy or netrc of
    the environment is used, no cookie is kept, certificates are verified.
    """

    def __init__(
        self,
        user_agent: str,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 30,
        max_bytes: int = 25 * MEBIBYTE,
    ) -> None:
        self.user_agent = user_agent
        self.connect_timeout_s = connect_timeout_s
        self.read_timeout_s = read_timeout_s
        self.max_bytes = max_bytes
        self._kept: _Kept | None = None
        self._lock = threading.Lock()

    def ask(self, request: Request) -> Answer | Failure:
        """The answer, whatever its status; a Failure when none came, it broke off or was too large.

        Redirects are followed on the same host only, else the 3xx itself is the answer. Raises
        nothing for anything the network does.
        """
        asking = _Asking(time.monotonic(), self.connect_timeout_s + self.read_timeout_s)
        try:
            return self._follow(request, asking)
        except (OSError, ValueError, errors.HTTPError, http.client.HTTPException) as error:
            # requests' own are OSErrors; ValueErrors come of unfit addresses and headers.
            return self._failure(request, error, asking)

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            if self._kept is not None:
                self._kept.session.close()
            self._kept = None

    def _follow(self, request: Request, asking: "_Asking") -> Answer | Failure:
        url = request.url
        for _ in range(MAX_REDIRECTS):
            answer = self._once(url, request, asking)
            target = _redirect(url, answer)
            if target is None:
                return answer
            url = target
        return self._once(url, request, asking)

    def _once(self, url: str, request: Request, asking: "_Asking") -> Answer | Failure:
        asking.received, asking.status = 0, None
        server, path = _parts(url)
        kept = self._of_this_process()
        # Straight to the engine below requests: its own way there costs as much again, per request.
        response = kept.connections(server).urlopen(
            "GET",
            path,
            headers={**kept.headers, **request.headers},
            timeout=Timeout(connect=self.connect_timeout_s, read=asking.left(self.read_timeout_s)),
            retries=_NEVER,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        with closing(response):
            asking.status = response.status
            body = self._body(cast(urllib3.HTTPResponse, response), asking)
        if body is None:
            limit = f"more than {self.max_bytes / MEBIBYTE:g} MiB"
            return asking.failure(Code.TOO_LARGE, limit)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body, asking.elapsed_ms())

    def _body(self, raw: urllib3.HTTPResponse, asking: "_Asking") -> bytes | None:
        """The decompressed body; None when it is too large, found out without holding it."""
        if (raw.length_remaining or 0) > self.max_bytes:
            return None
        chunks: list[bytes] = []
        for chunk in raw.stream(CHUNK, decode_content=True):
            asking.received += len(chunk)
            if asking.received > self.max_bytes:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _of_this_process(self) -> "_Kept":
        """What is kept; all new after a fork, as sockets must not be shared."""
        with self._lock:
            if self._kept is None or self._kept.process != os.getpid():
                self._kept = _Kept(_session(self.user_agent))
            return self._kept

    def _failure(self, request: Request, error: Exception, asking: "_Asking") -> Failure:
        host = _host(request.url)
        code, detail = _reason(error)
        waited = {
            Code.TIMEOUT_CONNECT: f"no connection to {host} within {self.connect_timeout_s:g} s",
            Code.TIMEOUT_READ: f"no whole answer from {host} within {self.read_timeout_s:g} s",
        }
        return asking.failure(code, waited.get(code) or f"{host}: {detail}")


@dataclass(slots=True)
class _Asking:
    """How far one request has come."""

    started: float  # monotonic
    allowed_s: float
    received: int = 0  # bytes, decompressed
    status: int | None = None

    def left(self, at_most: float) -> float:
        """Seconds for the next answer; never 0, which would mean no waiting at all."""
        return max(min(self.started + self.allowed_s - time.monotonic(), at_most), 0.001)

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def failure(self, code: Code, detail: str) -> Failure:
        return Failure(code, detail, self.elapsed_ms(), self.received, self.status)


_URL = re.compile(r"(https?://[^/?#]+)([^#]*)", re.I)


def _parts(url: str) -> tuple[str, str]:
    """Scheme with host and port, and what to ask there. ValueError when it is no web address."""
    found = _URL.match(url)
    if found is None:
        raise ValueError("not a web address")
    path = found[2]
    return found[1], path if path.startswith("/") else f"/{path}"


def _redirect(url: str, answer: Answer | Failure) -> str | None:
    """Where to go next: only to the same place, or from http to https on the same host.

    The key travels in a header; it must not be carried elsewhere.
    """
    if isinstance(answer, Failure) or answer.status not in (301, 302, 303, 307, 308):
        return None
    location = answer.headers.get("location")
    if not location:
        return None
    try:
        target = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(target)
        safer = (old.scheme, new.scheme) == ("http", "https") and old.hostname == new.hostname
    except ValueError:
        return None
    return target if safer or (old.scheme, old.netloc) == (new.scheme, new.netloc) else None


def _host(url: str) -> str:
    """Host and port of `url` without a name or key before them."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


# --- the session ----------------------------------------------------------------------------------


class _InTime(io.RawIOBase):
    """A socket to read from until a moment; each byte that comes in does not put it off.

    A socket's own timeout is anew for each read: a server that feeds a byte now and then would
    hold a worker for hours.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._raw, self._sock = raw, sock
        self._set = sock.gettimeout() or 0.0
        self._until = time.monotonic() + self._set

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer did not come in time")
        if self._set - left > SLACK_S:  # the system is asked each time: costly with many threads
            self._sock.settimeout(left)
            self._set = left
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


_NAME = re.compile("[!-9;-~]+")


def _read_head(fp: io.BufferedReader) -> http.client.HTTPMessage:
    """The headers as `http.client.parse_headers` reads them.

    That reads each head as if it were a letter with parts, for a tenth of all that an answer costs.
    Whatever is not plain is left to it.
    """
    lines: list[bytes] = http.client._read_headers(fp)  # type: ignore[attr-defined]
    message = http.client.HTTPMessage()
    for line in lines[:-1]:
        text = line.decode("iso-8859-1").removesuffix("\n").removesuffix("\r")
        name, colon, value = text.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\r" in value:
            return http.client.parse_headers(io.BytesIO(b"".join(lines)))
        message[name] = value.lstrip(" \t")
    return message


class _Response(http.client.HTTPResponse):
    """http.client's answer, of which head and body have the read timeout together."""

    # Its own way to begin, with another reader of headers: it knows no place for one.
    begin = types.FunctionType(
        http.client.HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": _read_head}
    )

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_InTime(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SafeConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


class _Adapter(HTTPAdapter):
    """requests' way to urllib3, with our connections in the pools."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        # Given here, for requests gives it with each request of its own, and ours are not. Else
        # it would be the system's authorities, which not every system has.
        super().init_poolmanager(*args, **kwargs, ca_certs=DEFAULT_CA_BUNDLE_PATH)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}


class _Kept:
    """What a process keeps from one request to the next."""

    def __init__(self, session: requests.Session) -> None:
        self.session = session
        self.process = os.getpid()
        self.headers = {name: str(value) for name, value in session.headers.items()}
        self._pools: dict[str, HTTPConnectionPool] = {}

    def connections(self, server: str) -> HTTPConnectionPool:
        """Those to a server. urllib3 takes as long to find them as to read an answer's head."""
        pool = self._pools.get(server)
        if pool is None:
            if len(self._pools) == HOSTS:
                self._pools.clear()  # urllib3 closes those that were not asked for in long
            adapter = cast(HTTPAdapter, self.session.get_adapter(server))
            pool = self._pools[server] = adapter.poolmanager.connection_from_url(server)
        return pool


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, so that requests leaves redirects alone: it reads their bodies without a limit."""
        del resp


_NEVER = Retry(0, connect=0, read=False, redirect=0, respect_retry_after_header=False)


def _session(user_agent: str) -> requests.Session:
    session = _Session()
    session.trust_env = False  # else ~/.netrc would add a password, and a proxy would see the key
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update(
        {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_connections=HOSTS, pool_maxsize=CONNECTIONS))
    return session


# --- failures -------------------------------------------------------------------------------------

# The first row that fits one of an error's causes counts; no words: those of the system.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], Code, str], ...] = (
    ((errors.NameResolutionError, socket.gaierror), Code.DNS, "there is no such name"),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), Code.CONN_RESET, "closed the connection"),
    ((ssl.SSLCertVerificationError,), Code.TLS, ""),
    # Alerts and broken records pass by themselves; only a certificate has to be mended by somebody.
    ((ssl.SSLError, errors.SSLError), Code.CONN_RESET, ""),
    ((errors.ReadTimeoutError, TimeoutError), Code.TIMEOUT_READ, ""),
    ((ConnectionRefusedError,), Code.CONN_RESET, "refused the connection"),
    ((http.client.RemoteDisconnected,), Code.CONN_RESET, "closed the connection, no answer"),
    ((ConnectionError,), Code.CONN_RESET, "reset the connection"),
    ((http.client.IncompleteRead,), Code.TRUNCATED, "fewer bytes came than announced"),
    ((errors.DecodeError,), Code.TRUNCATED, "the compressed body is damaged"),
    ((errors.InvalidHeader,), Code.TRUNCATED, "the headers contradict each other"),
    ((http.client.InvalidURL,), Code.BAD_REQUEST, "the address is not valid"),
    ((http.client.HTTPException,), Code.CONN_RESET, "what came was not HTTP"),
    ((errors.ProtocolError,), Code.TRUNCATED, "the answer broke off"),
    ((ValueError,), Code.BAD_REQUEST, "the address or the key is not valid"),
)


def _reason(error: BaseException) -> tuple[Code, str]:
    """The code and one line about `error`, in our words: the libraries' own contain the address."""
    causes = list(_causes(error))
    if any(type(cause) is errors.ConnectTimeoutError for cause in causes):  # its heirs: “refused”
        return Code.TIMEOUT_CONNECT, ""
    for kinds, code, words in _REASONS:
        cause = next((cause for cause in causes if isinstance(cause, kinds)), None)
        if cause is not None:
            # A slow TLS handshake is reported as a read; nothing had been asked yet.
            if code is Code.TIMEOUT_READ and any("handshake" in str(each) for each in causes):
                code = Code.TIMEOUT_CONNECT
            return code, words or _words(causes)
    return Code.CONN_RESET, _words(causes)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that lies behind it: the libraries wrap one another's in four ways."""
    waiting, seen = [error], set[int]()
    while waiting:
        error = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        behind = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        waiting += [each for each in behind if isinstance(each, BaseException)]


def _words(causes: list[BaseException]) -> str:
    """What the system says: the certificate's fault, an error number's text, else the kind."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return cause.strerror
    return type(causes[-1]).__name__
