"""HTTP/1.1 over one socket, one request at a time: for the sender without ever waiting, for everybody else with.

Why not a library, and why no event loop: the processor time that a request costs the client is what decides how much of
it is left for the service. A loop around epoll is as quick as uvloop (19 and 20 µs a request when they were compared;
asyncio took 47, aiohttp on uvloop 190), and it can do what no event loop offers: read the clock for every answer of a
round before any of them is looked at, and sleep to within 50 µs where uvloop counts in ms.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import suppress
from functools import cache, lru_cache
from typing import Final, NamedTuple

from loadgen.plan import Target

READ_BYTES: Final = 65_536
"""More than any answer of tenfold's, so that one call reads it whole."""

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_NO_CONTENT: Final = b"204"
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Response(NamedTuple):
    """An answer; ``last`` says that the service closes the connection after it."""

    status: int
    body: bytes
    last: bool
    head: bytes


class ProtocolError(Exception):
    """What came is not an answer that this client reads: HTTP/1.1 with a Content-Length, one answer a request."""


class Head(NamedTuple):
    """What the head of an answer says; no ``length`` is that of a body that there cannot be."""

    status: int
    length: int
    last: bool


def parse(received: bytes, head_only: bool = False) -> Response | None:
    """The answer that was received, or nothing if some of it is still to come. O(len(received)).

    Args:
        received: all bytes since the request.
        head_only: the answer to HEAD, which has no body whatever its Content-Length says.

    Raises:
        ProtocolError: it is not an answer, or more than one.
    """
    end = received.find(_HEAD_END)
    if end < 0:
        return None
    head = received[:end]
    status, length, last = _read_head(head)
    begin = end + len(_HEAD_END)
    missing = begin + (0 if head_only else length) - len(received)
    if missing > 0:
        return None
    if missing < 0:
        raise ProtocolError("more bytes than the Content-Length says")
    return Response(status, received[begin:], last, head)


@lru_cache(256)
def _read_head(head: bytes) -> Head:
    """What a head says: answers of one length have the same, so most have been read before.

    Raises:
        ProtocolError: it is not that of an answer.
    """
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or (length is None and status[1] != _NO_CONTENT):
        raise ProtocolError("not HTTP/1.1 with a Content-Length")
    return Head(int(status[1]), int(length[1]) if length else 0, _CLOSE.search(head) is not None)


class Connection:
    """One socket that never waits; its owner watches it with epoll.

    Raises:
        OSError: from any method: the connection is of no use any more.
    """

    __slots__ = ("_received", "_rest", "_socket", "fileno")

    def __init__(self, target: Target) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect_ex(address)  # whether it succeeds shows at the first send or receive
        self._received = b""
        self._rest: memoryview | None = None
        self.fileno = self._socket.fileno()

    def send(self, request: bytes | memoryview) -> bool:
        """Send a request, as far as the socket takes it; whether it has gone entirely."""
        try:
            sent = self._socket.send(request)
        except BlockingIOError:
            sent = 0
        if sent == len(request):
            return True
        self._rest = memoryview(request)[sent:]
        return False

    @property
    def blocked(self) -> bool:
        """Whether something waits to be sent until the socket takes more."""
        return bool(self._rest)

    def send_rest(self) -> bool:
        """Go on sending; whether nothing is left."""
        if self._rest is None:
            return True
        try:
            sent = self._socket.send(self._rest)
        except BlockingIOError:
            return False
        self._rest = self._rest[sent:] if sent < len(self._rest) else None
        return self._rest is None

    def receive(self) -> bytes:
        """Read what there is.

        Raises:
            ConnectionResetError: the other side has closed.
        """
        try:
            received = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        if not received:
            raise ConnectionResetError("closed by the service")
        return received

    def answer(self, received: bytes) -> Response | None:
        """The answer, once all of it was received.

        Raises:
            ProtocolError: it is none.
        """
        if self._received:
            received = self._received + received
        response = parse(received)
        self._received = received if response is None else b""
        return response

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
        self._rest = None


class TlsConnection(Connection):
    """The same over TLS: the handshake goes along with the first request, and with its latency.

    Encryption works on bytes in memory, so that nothing here ever waits, either.
    """

    __slots__ = ("_incoming", "_outgoing", "_request", "_shaken", "_tls")

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trusting(target.ca).wrap_bio(self._incoming, self._outgoing, server_hostname=target.host)
        self._shaken = False
        self._request: bytes | memoryview = b""

    def send(self, request: bytes | memoryview) -> bool:
        """Encrypt a request, once the handshake is done, and send it as far as the socket takes it."""
        self._request = request
        return self._go_on()

    def receive(self) -> bytes:
        """Read what there is; go on with the handshake while that is not done.

        Raises:
            ConnectionResetError: the other side has closed.
            ssl.SSLError: it is not to be trusted, or does not speak TLS.
        """
        self._incoming.write(super().receive())
        if not self._shaken:
            self._go_on()
        parts = []
        try:
            while self._shaken and (part := self._tls.read(READ_BYTES)):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            if not parts:
                raise ConnectionResetError("closed by the service") from None
        return b"".join(parts)

    def _go_on(self) -> bool:
        """Do what can be done of handshake and request, and send it; whether nothing is left to be sent now."""
        if not self._shaken:
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                self._shaken = True
        if self._shaken and self._request:
            written = 0
            while written < len(self._request):
                written += self._tls.write(self._request[written:])
            self._request = b""
        self._rest = memoryview(bytes(self._rest or b"") + self._outgoing.read())
        return self.send_rest()


def open_connection(target: Target) -> Connection:
    """A connection that never waits, encrypted if the target says so."""
    return TlsConnection(target) if target.tls else Connection(target)


@cache
def trusting(ca: str | None) -> ssl.SSLContext:
    """A context that verifies the service's certificate and that it is for the host that was asked for.

    Raises:
        OSError: the file with the authorities cannot be read, or holds none (``ssl.SSLError``).
    """
    return ssl.create_default_context(cafile=ca)


class Caller:
    """One socket that waits for each answer: for what is not timed.

    Args:
        target: where to.
        timeout: seconds that one step of a call may take.

    Raises:
        OSError: from any method: it cannot be reached, or was lost.
        ProtocolError: from any method: what came is not an answer.
    """

    def __init__(self, target: Target, timeout: float = 10.0) -> None:
        self._target = target
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def call(self, request: bytes) -> Response:
        """Send a request and wait for its answer; over a new connection if the last answer closed the old one."""
        if self._socket is None:
            self._socket = self._connect()
        try:
            self._socket.sendall(request)
            response = self._wait(request.startswith(b"HEAD "))
        except BaseException:
            self.close()
            raise
        if response.last:
            self.close()
        return response

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        target = self._target
        connected = socket.create_connection((target.host, target.port), self._timeout)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not target.tls:
            return connected
        try:
            return trusting(target.ca).wrap_socket(connected, server_hostname=target.host)
        except BaseException:
            connected.close()
            raise

    def _wait(self, head_only: bool) -> Response:
        connected = self._socket
        received = b""
        while connected is not None:
            part = connected.recv(READ_BYTES)
            if not part:
                break
            received += part
            response = parse(received, head_only)
            if response is not None:
                return response
        raise ConnectionResetError("closed by the service")
