"""A tiny S3 for tests: keeps objects in memory, takes uploads in parts, and fails as it is told."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from servers import serving

KEY_ID, SECRET, BUCKET = "test-key", "test-secret", "backups-1"


@dataclass
class Bucket:
    """What is stored, what was asked, and what goes wrong."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut_parts: int = 0  # so many parts are cut off in the middle
    fail_with: int = 0  # this status for every request
    fail_times: int = 10**9
    spoil: bool = False  # store other bytes than were sent
    lose_tail: bool = False  # store fewer

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def keep(self, name: str, data: bytes) -> None:
        if self.spoil and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        self.objects[name] = data[:-1] if self.lose_tail else data


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def bucket(self) -> Bucket:
        return self.server.bucket  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_arguments: object) -> None:
        pass

    def _begin(self) -> tuple[str, dict[str, list[str]]] | None:
        """Object and query; None when the request was answered with a fault already."""
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        self.bucket.asked.append(f"{self.command} {self.path}")
        if self.bucket.fail_with and self.bucket.fail_times > 0:
            self.bucket.fail_times -= 1
            self._drain()
            self._say(self.bucket.fail_with)
            return None
        if f"Credential={KEY_ID}/" not in self.headers.get("Authorization", ""):
            self._drain()
            self._say(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")
            return None
        if not parts.path.startswith(f"/{BUCKET}"):
            self._drain()
            self._say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            return None
        return unquote(parts.path.removeprefix(f"/{BUCKET}").lstrip("/")), query

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = self.headers.get("x-amz-content-sha256", "")
        assert told in ("UNSIGNED-PAYLOAD", hashlib.sha256(data).hexdigest())
        return data

    def _drain(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        if (begun := self._begin()) is None:
            return
        name, query = begun
        body = self._body()
        if "uploads" in query:
            upload = f"upload-{len(self.bucket.parts)}"
            self.bucket.parts[upload] = {}
            told = f"<UploadId>{upload}</UploadId>"
            self._xml(f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>")
            return
        parts = self.bucket.parts.pop(query["uploadId"][0])
        wanted = [int(number) for number in re.findall(rb"<PartNumber>(\d+)<", body)]
        self.bucket.keep(name, b"".join(parts[number] for number in wanted))
        self._xml("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")

    def do_PUT(self) -> None:
        if self.bucket.cut_parts > 0:
            self.bucket.cut_parts -= 1
            self.rfile.read(min(1000, int(self.headers["Content-Length"])))
            self.close_connection = True
            self.connection.close()
            return
        if (begun := self._begin()) is None:
            return
        name, query = begun
        data = self._body()
        if "partNumber" in query:
            self.bucket.parts[query["uploadId"][0]][int(query["partNumber"][0])] = data
        else:
            self.bucket.keep(name, data)
        self._say(200, ETag='"x"')

    def do_GET(self) -> None:
        if (begun := self._begin()) is None:
            return
        name, query = begun
        if "list-type" in query:
            self._list(query.get("prefix", [""])[0])
            return
        data = self.bucket.objects.get(name)
        if data is None:
            self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        dated = {"ETag": '"x"', "Last_Modified": "Mon, 02 Mar 2026 12:00:00 GMT"}
        self._say(200, data, **dated)

    do_HEAD = do_GET  # noqa: N815  the name http.server looks for

    def _list(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(data)}</Size><ETag>x</ETag>"
            "<LastModified>2026-03-02T12:00:00.000Z</LastModified></Contents>"
            for name, data in sorted(self.bucket.objects.items())
            if name.startswith(prefix)
        )
        self._xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>")

    def _xml(self, text: str) -> None:
        self._say(200, text.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        if (begun := self._begin()) is None:
            return
        name, query = begun
        if "uploadId" in query:
            self.bucket.parts.pop(query["uploadId"][0], None)
        self.bucket.objects.pop(name, None)
        self._say(204)


@contextmanager
def bucket(**faults: object) -> Iterator[Bucket]:
    """One on a free port of this machine."""
    kept = Bucket(**faults)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.bucket = kept  # type: ignore[attr-defined]
    with serving(server) as kept.port:
        yield kept
