"""Requests as bytes over sockets, and answers as h11 reads them: strictly, and with nothing that the service has.

Whatever is tested of HTTP is sent and read here, so what is to hold for every test of it need be said only here.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import h11

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

SILENCE: Final = 0.1
"""After so long without an answer the service is waiting for more bytes."""


class BrokenOffError(Exception):
    """An answer had begun, and its connection ended before it did."""


class Answer(NamedTuple):
    """A response; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def document(self) -> Any:
        """What the content says; None where there is none."""
        return json.loads(self.content) if self.content else None

    @property
    def told(self) -> tuple[int, Any]:
        """Status and document."""
        return self.status, self.document

    @property
    def closes(self) -> bool:
        """Whether it is the last one of its connection."""
        return self.headers.get("connection") == "close"


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def request(method: str, target: str | bytes, *headers: str | bytes, body: bytes | None = None) -> bytes:
    """A request in HTTP/1.1; where there is a body, its length is told."""
    length = [] if body is None else [b"Content-Length: %d" % len(body)]
    start = b"%b %b HTTP/1.1" % (method.encode(), _bytes(target))
    return b"\r\n".join([start, b"Host: test", *map(_bytes, headers), *length, b"", body or b""])


HEALTH: Final = request("GET", "/health")


def post(body: bytes, *headers: str | bytes) -> bytes:
    """The request that adds a batch."""
    return request("POST", "/add_batch", *headers, body=body)


def last(request: bytes) -> bytes:
    """The same as the last request of its connection."""
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def chunk(piece: bytes) -> bytes:
    """A part of a body that is sent in chunks; one without a byte is the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class Wire:
    """A connection that is told bytes, and read answer by answer.

    Args:
        port: of the service.
        tls: whom to trust, if the connection is to be encrypted.
        receive_buffer: bytes that the kernel keeps here; of few, the rest of what is not read waits in the service.
        seconds: how long anything may take.
    """

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0, seconds: float = 30.0
    ) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect(("127.0.0.1", port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        except BaseException:
            self.socket.close()
            raise
        self._ahead = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    @property
    def port(self) -> int:
        """This end's port."""
        return int(self.socket.getsockname()[1])

    @property
    def tls_version(self) -> str | None:
        """Of the protocol that it is encrypted with."""
        return self.socket.version() if isinstance(self.socket, ssl.SSLSocket) else None

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece by itself."""
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer; interim ones are passed over.

        Raises:
            ConnectionError: there is none, the connection has ended.
            BrokenOffError: it ended in the middle of the answer.
        """
        begun = False

        def receive() -> bytes:
            nonlocal begun
            try:
                data = self._ahead or self.socket.recv(65536)
                if not data:
                    raise ConnectionResetError("closed by the service")
            except ConnectionError as error:
                if begun:
                    raise BrokenOffError from error
                raise
            self._ahead, begun = b"", True
            return data

        found, self._ahead = _read(receive, head=head)
        return found

    def ask(self, *pieces: bytes) -> Answer:
        """Send one request, and read its answer."""
        self.send(*pieces)
        return self.answer(head=pieces[0].startswith(b"HEAD "))

    def last_answer(self) -> Answer:
        """The next answer, which must be followed by the end of the connection."""
        answer = self.answer()
        assert self.rest() == b"", "nothing may come after the last answer"
        return answer

    def ends(self) -> bool:
        """Whether the service closes, without another byte and in good order."""
        return not self._ahead and self.socket.recv(1) == b""

    def rest(self) -> bytes:
        """All that comes until the service closes, however it does."""
        received, self._ahead = self._ahead, b""
        with suppress(ConnectionResetError, ssl.SSLEOFError):
            while data := self.socket.recv(65536):
                received += data
        return received

    def converse(self, *pieces: bytes) -> list[Answer]:
        """Send what the service may close the connection upon before it is all there; return all answers."""
        with suppress(ConnectionError):
            self.send(*pieces)
        return answers(self.rest())

    def has_answer(self, seconds: float = 0.0) -> bool:
        """Whether something to read, or the end, is there within a time."""
        return bool(self._ahead or select.select([self.socket], [], [], seconds)[0])

    def exchange(self, pieces: Iterable[bytes], pause: float = 0.0) -> bytes:
        """Send pieces, with a pause after each, and return all that comes back until the service closes.

        Where it waits for more, our side is closed, upon which it must close its own.
        """
        received = b""
        with suppress(ConnectionError):  # refused before its end: the answer is there all the same
            for piece in pieces:
                self.socket.sendall(piece)
                if self.has_answer(pause):
                    if not (data := self.socket.recv(65536)):
                        return received
                    received += data
        with suppress(ConnectionError):  # closed with bytes unread; a time-out is an error
            while self.has_answer(SILENCE):
                if not (data := self.socket.recv(65536)):
                    return received
                received += data
            self.socket.shutdown(socket.SHUT_WR)
            received += self.rest()
        return received

    def flood(self, data: bytes, seconds: float) -> int:
        """Send the same over and over and read nothing, until the service closes; return how many bytes went out."""
        over, sent = time.monotonic() + seconds, 0
        self.socket.setblocking(False)
        while time.monotonic() < over:
            try:
                sent += self.socket.send(data)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                time.sleep(0.01)
            except OSError:
                return sent
        raise AssertionError(f"not cut off within {seconds} s")


def ask_once(port: int, *pieces: bytes, tls: ssl.SSLContext | None = None) -> Answer:
    """The answer to the only request of a connection, which must end with it."""
    with Wire(port, tls=tls) as wire:
        wire.send(*pieces)
        return wire.last_answer()


def answers(received: bytes, *, heads: bool = False) -> list[Answer]:
    """All responses in a stream of bytes, which must be nothing but whole responses.

    Args:
        received: up to the end of the connection.
        heads: whether a HEAD may have been among the requests, whose answers have no body.
    """
    found: list[Answer] = []
    while received:
        assert not (found and found[-1].closes), "something comes after the last answer"
        final = received.removeprefix(CONTINUE)
        rest = final[final.find(b"\r\n\r\n") + 4 :]
        bodyless = heads and (not rest or rest.startswith(b"HTTP/1.1 "))
        answer, received = _read(iter([received, b""]).__next__, head=bodyless)
        found.append(answer)
    return found


def _read(receive: Callable[[], bytes], *, head: bool) -> tuple[Answer, bytes]:
    """One response out of what is received piece by piece, b"" at the end, and what came after it."""
    protocol = h11.Connection(our_role=h11.CLIENT)
    protocol.send(h11.Request(method="HEAD" if head else "GET", target="/", headers=[("host", "test")]))
    protocol.send(h11.EndOfMessage())

    def event() -> object:
        while (event := protocol.next_event()) is h11.NEED_DATA:
            protocol.receive_data(receive())
        return event

    while isinstance(response := event(), h11.InformationalResponse):
        assert response.status_code == 100
    assert isinstance(response, h11.Response), response
    content = b""
    while isinstance(data := event(), h11.Data):
        content += data.data
    assert isinstance(data, h11.EndOfMessage), data
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Answer(response.status_code, headers, content), protocol.trailing_data[0]
