"""Bytes sent over a socket, and what comes back, read with h11: strict, and no part of the service."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

import h11

from tests.service.fuzz.effort import done

LATEST: Final = 10.0
"""When an answer, or the end of the connection, must have come: far more than any of it takes."""

SILENCE: Final = 0.1
"""After so long without an answer the service is waiting for more bytes."""

STATUSES: Final = frozenset({200, 204, 400, 404, 405, 408, 409, 413, 414, 415, 417, 422, 431})
"""What a client may be told whatever it sends: nothing from 500 on is among it."""


class Answer(NamedTuple):
    """A response, its document read."""

    status: int
    document: Any


class Connection:
    """A connection to the service."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LATEST)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = h11.Connection(our_role=h11.CLIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, method: str, target: str, pieces: Iterable[bytes] | None = None, *, chunked: bool = False) -> Answer:
        """Send a request, its body in these pieces, each for itself; return the answer to it."""
        done["requests"] += 1
        headers = [("host", "fuzz")]
        body = None if pieces is None else list(pieces)
        if body is not None:
            size = str(sum(map(len, body)))
            headers.append(("transfer-encoding", "chunked") if chunked else ("content-length", size))
        parts = [self._protocol.send(h11.Request(method=method, target=target, headers=headers)) or b""]
        parts += [self._protocol.send(h11.Data(data=piece)) or b"" for piece in body or ()]
        parts.append(self._protocol.send(h11.EndOfMessage()) or b"")
        with suppress(ConnectionError):  # refused before its end: the answer is there all the same
            for part in parts:
                self.socket.sendall(part)
        event = self._next_event()
        while isinstance(event, h11.InformationalResponse):
            event = self._next_event()
        assert isinstance(event, h11.Response), event
        content = b""
        while isinstance(data := self._next_event(), h11.Data):
            content += data.data
        assert isinstance(data, h11.EndOfMessage), data
        return checked(event, content)

    def keeps(self) -> bool:
        """Whether the service goes on with this connection, and make it ready for that."""
        if self._protocol.their_state is not h11.DONE:
            return False
        self._protocol.start_next_cycle()
        return True

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self.socket.recv(65536))
        return event


PAGES = {b"text/html; charset=utf-8", b"text/plain; version=0.0.4; charset=utf-8"}
"""What the dashboard, the documentation and the metrics are sent as; their content has tests of its own."""


def checked(response: h11.Response, content: bytes) -> Answer:
    """What every answer must be: a status that a client may get, and a document of the right type."""
    status = response.status_code
    assert status in STATUSES, (status, content)
    headers = {name: value for name, value in response.headers if name in {b"content-type", b"allow"}}
    if status == 204:
        assert content == b""
        return Answer(status, None)
    media_type = headers[b"content-type"]
    if status == 200 and media_type in PAGES:
        return Answer(status, None)
    assert media_type == (b"application/json" if status == 200 else b"application/problem+json")
    if status == 405:
        assert headers[b"allow"]
    document = json.loads(content) if content else None  # none where only the head was asked for
    if status != 200 and document is not None:
        assert set(document) - {"errors"} == {"type", "title", "status", "detail"}
        assert document["status"] == status
        assert len(content) < 1000
    return Answer(status, document)


def exchange(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send pieces one after the other and return all that comes back until the service closes.

    Where it waits for more, our side is closed, upon which it must close its own.
    """
    done["streams"] += 1
    received = b""
    with Connection(port) as connection:
        wire = connection.socket
        with suppress(ConnectionError):
            for piece in pieces:
                wire.sendall(piece)
                if select.select([wire], [], [], 0)[0]:
                    received += wire.recv(65536)
            while select.select([wire], [], [], SILENCE)[0]:
                data = wire.recv(65536)
                if not data:
                    return received
                received += data
            wire.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):  # closed with bytes unread; a time-out is an error
            while data := wire.recv(65536):
                received += data
    return received


def answers(received: bytes, *, heads: bool) -> list[Answer]:
    """All responses in a stream of bytes, which must be nothing but whole responses.

    Args:
        received: up to the end of the connection.
        heads: whether a HEAD may have been among the requests, whose answers have no body.
    """
    found = []
    while received:
        protocol = h11.Connection(our_role=h11.CLIENT)
        end = received.find(b"\r\n\r\n") + 4
        rest = received[end:]
        bodyless = heads and (not rest or rest.startswith(b"HTTP/1.1 ")) and not received.startswith(b"HTTP/1.1 1")
        protocol.send(h11.Request(method="HEAD" if bodyless else "GET", target="/", headers=[("host", "fuzz")]))
        protocol.send(h11.EndOfMessage())
        protocol.receive_data(received)
        event = protocol.next_event()
        while isinstance(event, h11.InformationalResponse):
            assert event.status_code == 100
            event = protocol.next_event()
        assert isinstance(event, h11.Response), event
        content = b""
        while isinstance(data := protocol.next_event(), h11.Data):
            content += data.data
        assert isinstance(data, h11.EndOfMessage), data
        found.append(checked(event, content))
        closes = (b"connection", b"close") in list(event.headers)
        received, _ = protocol.trailing_data
        assert not (closes and received), "something comes after the last answer"
    return found
