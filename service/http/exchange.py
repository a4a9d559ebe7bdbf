"""Requests and answers, one after the other: the framework's HTTP/1.1, held to the grammar, in one piece, and counted.

It adds four things to Sanic's ``Http``:

* **Grammar.** What the framework lets pass and a proxy in front may read differently is refused; see ``heads``.
* **One piece.** The framework streams: a body is copied when it comes, when it is taken and when its parts are joined,
  and each header of an answer is checked for characters that would break the framing. What comes here is at most a
  batch, and the headers that go out are always the same three, so both can be done at once.
* **Counting.** The head of an answer, formatted and about to be sent, is the one place that each of them passes,
  whoever gives it: handlers know nothing of it, and what never reaches a handler is seen as well. What is timed is what
  tenfold can answer for: from its last reading of the connection before the answer, or the answer before if requests
  came together. A client that takes its time to send is not in it, nor is one that takes its time to read.
* **The state of the connection**, which it tells at each step.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import BadRequest
from sanic.http import Http
from sanic.http.constants import Stage

from service.metrics.counters import BOUNDS, BUCKETS, STATUS_OFFSET, first_cell

from .heads import BARE_LINE_FEED, DIGITS, HEAD_END, is_last, is_well_formed
from .states import State

if TYPE_CHECKING:
    from .connection import Framework

JSON: Final = "application/json"

_HEADS: Final = {
    keep_alive: b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: %b\r\ncontent-length: "
    % (JSON.encode(), b"keep-alive" if keep_alive else b"close")
    for keep_alive in (False, True)
}

NO_ROUTE: Final = "none"
"""The route of a request that matches none. Paths begin with a slash, so it is none of them."""

_NO_ROUTE_CELL: Final = first_cell(0)


def number_routes(app: Sanic[Any, Any]) -> list[str]:
    """Give each route of an application, which must be complete, its cells; return what the routes are called.

    The templates are the names, so no client can make new ones. All workers number alike, as they add alike.

    Raises:
        ValueError: there are more routes than there is room for.
    """
    names = [NO_ROUTE]
    for route in app.router.routes:
        template = "/" + re.sub(r"<(\w+)[^>]*>", r"<\1>", route.path)
        if template not in names:
            names.append(template)
        route.ctx.first_cell = first_cell(names.index(template))
    return names


class WholeRequest(Request[Any, Any]):
    """A request whose body is taken from the connection's buffer once all of it is there."""

    async def receive_body(self) -> None:
        """Receive the body, if it was not received already; at most as much as the limit allows is waited for.

        What needs more than waiting (chunks, a refusal, an encouraging word first) is left to the framework.
        """
        stream: Any = self.stream
        if (
            stream.request_body is not True
            or stream.request_bytes_left > stream.request_max_size
            or stream.expecting_continue
        ):
            await super().receive_body()
            stream.connection.become(State.HANDLING)
            return
        received: bytearray = stream.recv_buffer
        size: int = stream.request_bytes_left
        while len(received) < size:
            await stream._receive_more()  # noqa: SLF001 - as the framework's own read does
        if len(received) == size:  # nothing came after it: the buffer is the body, and the connection gets a new one
            self.body = received  # type: ignore[assignment] # bytes to whoever reads it
            stream.recv_buffer = stream.protocol.recv_buffer = bytearray()
        else:
            self.body = bytes(received[:size])
            del received[:size]
        stream.request_bytes_left = 0
        stream.request_body = None
        stream.connection.become(State.HANDLING)


class Answer(HTTPResponse):
    """A 200 with a JSON body and no header of its own."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type=JSON)


class Exchange(Http):
    """All that a connection says and is told, a request at a time."""

    __slots__ = ("_counts", "_seconds", "connection")

    def __init__(self, protocol: Framework) -> None:
        super().__init__(protocol)
        self.request = None  # type: ignore[assignment]  # Sanic sets it before it reads it, but does not declare it
        self.connection = protocol.connection
        counters = protocol.app.ctx.counters
        self._counts: memoryview[int] = counters.counts
        self._seconds: memoryview[float] = counters.seconds

    def init_for_request(self) -> None:
        """Be ready for the next request, and let go of the last one's body, to which Sanic holds on until then."""
        if self.request is not None:
            self.request.body = b""
        super().init_for_request()
        self.connection.rest()

    async def http1_request_header(self) -> None:
        """Read the head of a request; if it came along with the last one, let other connections have their turn first.

        Raises:
            BadRequest: it is not well-formed.
        """
        await self.protocol._can_write.wait()  # noqa: SLF001 - whoever takes no answers is asked nothing more
        if self.connection.pipelined:
            await self.protocol.app.ctx.turns.mine()
        if self.recv_buffer.find(HEAD_END) < 0:
            await self._receive_head()
        await super().http1_request_header()
        if not is_well_formed(self.request.head):
            self.keep_alive = False
            raise BadRequest
        if is_last(self.request.head):
            self.keep_alive = False
        self.connection.become(State.BODY if self.request_body else State.HANDLING)

    async def _receive_head(self) -> None:
        """Wait until the head is whole, or longer than it may be. O(bytes), however many pieces they come in.

        Raises:
            BadRequest: its lines end with bare line feeds, so that its end would never come.
        """
        received, looked = self.recv_buffer, 0
        while received.find(HEAD_END, max(0, looked - 3)) < 0 and len(received) < self.HEADER_MAX_SIZE:
            if BARE_LINE_FEED.search(received, looked):
                self.keep_alive = False
                raise BadRequest
            looked = len(received)
            await self._receive_more()

    async def read(self) -> bytes | None:
        """Read some of a body.

        Raises:
            BadRequest: a chunk does not end where its size says.
        """
        body: object = self.request_body
        if body == "chunked" and self.request_bytes_left == 0:
            while len(self.recv_buffer) < 2:  # noqa: PLR2004 - CR and LF
                await self._receive_more()
            if not self.recv_buffer.startswith(b"\r\n"):
                self.keep_alive = False
                raise BadRequest
        data: bytes | None = await super().read()
        return data

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        """Count an answer that has somebody to go to; send its head, and its body if it is there."""
        protocol = self.protocol
        transport = protocol.transport
        if transport is not None and not transport.is_closing():
            seconds = monotonic() - protocol._time  # noqa: SLF001 - when Sanic last read or wrote; nothing public tells
            route = self.request.route
            row = (_NO_ROUTE_CELL if route is None else route.ctx.first_cell) + STATUS_OFFSET[self.response.status]
            self._counts[row + bisect_left(BOUNDS, seconds)] += 1
            self._seconds[row + BUCKETS] += seconds
        self.connection.become(State.ANSWERING)
        answer = self.response
        if type(answer) is not Answer or self.head_only or self.expecting_continue:
            await super().http1_response_header(data, end_stream)
        else:
            body = answer.body or b""
            self.response_func = None  # type: ignore[assignment] # as the framework itself does
            await self._send(b"%b%d\r\n\r\n%b" % (_HEADS[self.keep_alive], len(body), body))
            self.stage = Stage.IDLE
        if self.request_body:
            self.connection.become(State.LINGERING)

    def create_empty_request(self) -> None:
        """Stand in for a request that could not be read, so that the refusal can be sent; its URL may be the reason."""
        try:
            super().create_empty_request()
        except BadRequest:
            self.url = "*"
            super().create_empty_request()

    @staticmethod
    def _safe_int(value: str, base: int = 10) -> int:
        digits = value.rstrip(" \t")  # in front the framework has stripped a header, and a chunk may have none
        if not DIGITS[base].fullmatch(digits):
            raise ValueError(value)
        return int(digits, base)
