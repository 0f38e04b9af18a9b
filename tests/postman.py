"""A mail server for tests: says what it is told to say, and keeps what it was sent."""

import socketserver
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from servers import serving


@dataclass
class Postman:
    """Answers by the first word of a command; what is not named here is taken."""

    says: Mapping[str, str] = field(default_factory=dict)
    offers: tuple[str, ...] = ("AUTH PLAIN LOGIN", "8BITMIME", "SMTPUTF8")
    port: int = 0
    letters: list[bytes] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        man: Postman = self.server.man  # type: ignore[attr-defined]
        self._say(man.says.get("", "220 here"))
        while line := self.rfile.readline().decode().strip():
            man.heard.append(line)
            word = line.split()[0].upper()
            if reply := man.says.get(word):
                self._say(reply)
            elif word == "EHLO":
                self._say("\r\n".join(f"250-{offer}" for offer in ("here", *man.offers)))
                self._say("250 HELP")
            elif word == "AUTH":
                self._say("235 come in")
            elif word == "DATA":
                self._say("354 go on")
                man.letters.append(self._letter())
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _letter(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return b"".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def postman(**settings: object) -> Iterator[Postman]:
    """One on a free port of this machine."""
    man = Postman(**settings)  # type: ignore[arg-type]
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Talk)
    server.man = man  # type: ignore[attr-defined]
    with serving(server) as man.port:
        yield man
