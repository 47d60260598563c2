"""A proxy of HTTP on loopback that counts requests, delays them, and answers some of them wrongly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

_ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>injected</Message>'
    b"<Resource>/</Resource><RequestId>1</RequestId></Error>"
)


@dataclass(frozen=True)
class Request:
    """A request as the proxy sees it: its method and the path and query asked for."""

    method: str
    target: str

    @property
    def kind(self) -> str:
        """What it does: GET, HEAD, PUT, DELETE, LIST, …"""
        if self.method == "GET" and "list-type" in parse_qs(urlsplit(self.target).query):
            return "LIST"
        return self.method

    @property
    def path(self) -> str:
        """The object asked for, with its bucket; of a listing the beginning of the names."""
        parts = urlsplit(self.target)
        query = parse_qs(parts.query)
        return parts.path + "/" + query.get("prefix", [""])[0] if self.kind == "LIST" else parts.path


@dataclass(frozen=True)
class Answer:
    """An error instead of what the server would say, at the time of its clock (``date``)."""

    status: int
    code: str = "InternalError"
    date: str | None = None


@dataclass(frozen=True)
class Cut:
    """The server's answer, of whose body only ``share`` arrives before the connection ends.

    ``hidden``: as if that were all of it.
    """

    share: float = 0.5
    hidden: bool = False


Fault = Answer | Cut | None


@dataclass
class FaultProxy:
    """What passes through, and what is done to it.

    Attributes:
        port: Where the server listens.
        delay: Seconds that every request is held back.
        fault: function(request) → what to do to it.
        seen: The requests so far, in order of their arrival.
        num_bytes: What of objects' content has been read.
    """

    port: int
    delay: float = 0.0
    fault: Callable[[Request], Fault] = lambda _: None
    seen: list[Request] = field(default_factory=list)
    num_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def counts(self) -> Counter[str]:
        """How many requests of each kind have passed."""
        with self._lock:
            return Counter(request.kind for request in self.seen)

    def reset(self) -> None:
        """As if it were new."""
        with self._lock:
            self.seen.clear()
            self.num_bytes = 0
        self.delay, self.fault = 0.0, lambda _: None

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serves for the length of a block; gives the URL."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                from_client, from_server = client.makefile("rb"), server.makefile("rb")
                while head := _read_head(from_client):
                    if not self._pass(head, client, server, from_client, from_server):
                        return

    def _pass(self, head, client, server, from_client, from_server) -> bool:
        """Passes one request on, and its answer back. Returns whether the connection goes on."""
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        request = Request(method, target)
        if _header(head, b"expect"):  # what the server would say before the body is sent
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(
                line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect")
            )
        body = _read_body(head, from_client)
        with self._lock:
            self.seen.append(request)
            fault = self.fault(request)
        if self.delay:
            time.sleep(self.delay)
        if isinstance(fault, Answer):
            content = b"" if method == "HEAD" else _ERROR % fault.code.encode()
            date = f"Date: {fault.date}\r\n".encode() if fault.date else b""
            client.sendall(
                b"HTTP/1.1 %d Injected\r\n%sContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n"
                % (fault.status, date, len(content))
                + content
            )
            return True
        server.sendall(head + body)
        answer = _read_head(from_server)
        content = b"" if method == "HEAD" else _read_body(answer, from_server)
        if isinstance(fault, Cut) and content:
            content = content[: int(len(content) * fault.share)]
            if fault.hidden:
                lines = [
                    line for line in answer.split(b"\r\n") if not line.lower().startswith(b"content-length")
                ]
                answer = b"\r\n".join([lines[0], b"Content-Length: %d" % len(content), *lines[1:]])
            client.sendall(answer + content)
            return fault.hidden
        client.sendall(answer + content)
        with self._lock:
            self.num_bytes += len(content)
        return True


def _read_head(file) -> bytes:
    lines = []
    while (line := file.readline()) not in (b"", b"\r\n"):
        lines.append(line)
    return b"".join([*lines, b"\r\n"]) if lines else b""


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().lower()
    return b""


def _read_body(head: bytes, file) -> bytes:
    """The body that a head announces, with its framing."""
    if _header(head, b"transfer-encoding") == b"chunked":
        pieces = []
        while True:
            line = file.readline()
            piece = file.read(int(line.split(b";")[0], 16) + 2)
            pieces += [line, piece]
            if piece == b"\r\n":
                return b"".join(pieces)
    return file.read(int(_header(head, b"content-length") or 0))
