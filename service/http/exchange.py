"""Requests and answers, one after the other: the framework's HTTP/1.1, held to the grammar, and counted.

It adds to Sanic's ``Http``:

* **Grammar.** What the framework lets pass and a proxy in front may read differently is refused; see ``heads``.
* **Counting.** The head of an answer, formatted and about to be sent, is the one place that each of them passes,
  whoever gives it: handlers know nothing of it, and what never reaches a handler is seen as well. What is timed is what
  tenfold can answer for: from its last reading of the connection before the answer, or the answer before if requests
  came together. A client that takes its time to send is not in it, nor is one that takes its time to read. It is also
  the place where a head is remembered for the ``door``.
* **The state of the connection**, which it tells at each step.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sanic import Request, Sanic
from sanic.exceptions import BadRequest, ExpectationFailed, PayloadTooLarge, RequestCancelled, SanicException
from sanic.http import Http
from sanic.http.constants import Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.router import Router
from sanic_routing.exceptions import NotFound

from service.api.batch import choose_reader
from service.api.problems import Problem
from service.metrics.counters import Counters, first_cell

from .answers import Answer, RefusalError, header_lines, written
from .door import Door, Ticket
from .heads import BARE_LINE_FEED, CHUNK_LINE, DIGITS, HEAD_END, is_last, is_well_formed
from .states import State

if TYPE_CHECKING:
    from .framework import Framework

NO_ROUTE: Final = "none"
"""The route of a request that matches none. Paths begin with a slash, so it is none of them."""

CHUNKS_A_TURN: Final = 64
"""Chunks of a byte take some 2 µs each, and what is read ahead holds 40,000 of them."""

MOST_CHUNK_LINE: Final = 256
"""Bytes before a chunk: its size has at most 15, the rest are extensions, which nobody asked for."""

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


class OneSlash(Router):
    """Takes one slash off the end of a path that is not found. The framework takes off all, a call deeper for each."""

    def resolve(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - as the framework's
        """Find the route of a path.

        Raises:
            NotFound: there is none.
        """
        if path.endswith("//"):
            raise NotFound("", path=path)
        return super().resolve(path, **options)


class WholeRequest(Request[Any, Any]):
    """A request whose body is taken at once where that is possible; the framework would go by pieces."""

    @property
    def path(self) -> str:
        """The path; that of a whole URL may be missing, which means the root."""
        return (self._parsed_url.path or b"/").decode()

    async def receive_body(self) -> None:
        """Receive the body, if it was not received already.

        Raises:
            RefusalError: the client asks before it sends it, and it would be of no use.
        """
        stream: Any = self.stream
        if stream.expecting_continue and self.method == "POST":
            reader = choose_reader(self.headers.get("content-type"), self.headers.get("content-encoding"))
            if isinstance(reader, Problem):
                raise RefusalError(reader)
        body = stream.whole_body()
        if body is None:
            body = bytearray()  # the framework would keep a million chunks, and join them in one go
            async for data in stream:
                body += data
        self.body = bytes(body)


class Exchange(Http):
    """All that a connection says and is told, a request at a time."""

    __slots__ = ("_chunks", "_counters", "_door", "_edition", "connection")

    def __init__(self, protocol: Framework) -> None:
        super().__init__(protocol)
        self.request = None  # type: ignore[assignment]  # Sanic sets it before it reads it, but does not declare it
        self.connection = protocol.connection
        self._counters: Counters = protocol.connection.counters
        self._door: Door = protocol.app.ctx.door
        self._edition = 0  # of the door when the head was read
        self._chunks = 0  # that have come over this connection

    def init_for_request(self) -> None:
        """Be ready for the next request, and let go of the last one's body, to which Sanic holds on until then."""
        if self.request is not None:
            self.request.body = b""
        super().init_for_request()
        self.connection.rest()

    async def http1(self) -> None:
        """Serve one request after the other, and close after the last answer."""
        await super().http1()
        self.connection.close(whole=not self.request_body and not self.recv_buffer)

    async def http1_request_header(self) -> None:
        """Read the head of a request; if it came along with the last one, let other connections have their turn first.

        Raises:
            BadRequest: it is not well-formed.
            ExpectationFailed: it expects what is not known here.
        """
        while self.connection.stuck:
            await self.protocol._can_write.wait()  # noqa: SLF001 - who takes no answers is asked nothing more
            self.connection.rest()
        if self.connection.pipelined:
            await self.protocol.app.ctx.turns.mine()
        try:
            if self.recv_buffer.find(HEAD_END) < 0 or self.recv_buffer.startswith(b"\r"):
                await self._receive_head()
            await super().http1_request_header()
        except SanicException:  # whose body would depend on how far the framework had come
            self.head_only = self.recv_buffer.startswith(b"HEAD ")
            raise
        if not is_well_formed(self.request.head):
            raise BadRequest
        self.keep_alive = bool(self.protocol.app.config.KEEP_ALIVE) and not is_last(self.request.head)
        if "expect" in self.request.headers:
            self._consider_expectations()
        self._edition = self._door.edition
        self.connection.become(State.BODY if self.request_body else State.HANDLING)

    async def _receive_head(self) -> None:
        """Wait until the head is whole, or longer than it may be. O(bytes), however many pieces they come in.

        An empty line in front of it is passed over, once: RFC 9112, section 2.2.

        Raises:
            BadRequest: its lines end with bare line feeds, so that its end would never come, or a line is empty.
        """
        received, looked = self.recv_buffer, 0
        while not received or received == b"\r":
            await self._receive_more()
        if received.startswith(b"\r\n"):
            del received[:2]
        while received.find(HEAD_END, max(0, looked - 3)) < 0 and len(received) < self.HEADER_MAX_SIZE:
            if BARE_LINE_FEED.search(received, looked) or received.startswith(b"\r\n"):
                raise BadRequest
            looked = len(received)
            await self._receive_more()

    def _consider_expectations(self) -> None:
        """See what the client expects, if that may be: RFC 9110, section 10.1.1.

        Raises:
            ExpectationFailed: it is not known here.
        """
        if any(one.lower() != "100-continue" for one in self.request.headers.getall("expect")):
            raise ExpectationFailed
        if self.request.version == "1.0":  # knows no interim answers
            self.expecting_continue = False

    def whole_body(self) -> bytes | None:
        """Take the body, if all of it has come and nothing else need be done for it: most are small and come whole."""
        size, received = self.request_bytes_left or 0, self.recv_buffer
        streamed: object = self.request_body  # True where its length is known
        if streamed is not True or size > min(len(received), self.request_max_size) or self.expecting_continue:
            return None
        body = bytes(received[:size])
        del received[:size]
        self.request_bytes_left, self.request_body = 0, None
        self.connection.become(State.HANDLING)
        return body

    async def read(self) -> bytes | None:
        """Read some of a body; after some chunks let other connections have their turn first.

        Raises:
            BadRequest: a chunk does not end where its size says, or what is said of the next one is not well-formed.
            PayloadTooLarge: it is; also before the client is told to send it.
        """
        if self.expecting_continue:
            if (self.request_bytes or 0) > self.request_max_size:
                raise PayloadTooLarge
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)
        body: object = self.request_body
        if body == "chunked" and self.request_bytes_left == 0:
            self._chunks += 1
            if self._chunks % CHUNKS_A_TURN == 0:
                await self.protocol.app.ctx.turns.mine()
            await self._receive_chunk_line()
        data: bytes | None = await super().read()
        if not self.request_body and self.connection.state is State.BODY:
            self.connection.become(State.HANDLING)
        return data

    async def _receive_chunk_line(self) -> None:
        """Wait for what stands before a chunk.

        Raises:
            BadRequest: it is not well-formed.
        """
        received = self.recv_buffer
        while (end := received.find(b"\r\n", 2)) < 0 and len(received) < MOST_CHUNK_LINE:
            if not b"\r\n".startswith(received[:2]):
                break
            await self._receive_more()
        if not 0 <= end < MOST_CHUNK_LINE or not CHUNK_LINE.fullmatch(received, 0, end):
            self.keep_alive = False
            raise BadRequest

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        """Count an answer that has somebody to go to, remember what it was asked by, and send it."""
        protocol, request, answer = self.protocol, self.request, self.response
        if self.connection.over:
            raise RequestCancelled  # nobody is there to be answered
        cell = _NO_ROUTE_CELL if request.route is None else request.route.ctx.first_cell
        seconds = monotonic() - protocol._time  # noqa: SLF001 - when Sanic last read or wrote; nothing public tells
        self._counters.answered(cell, answer.status, seconds)
        self.connection.become(State.ANSWERING)
        if not protocol.app.config.KEEP_ALIVE:  # a stop has begun since the head was read
            self.keep_alive = False
        if self.expecting_continue:  # whether a body comes that was not asked for nobody can know
            self.expecting_continue = self.keep_alive = False
        shared = protocol.app.ctx.origins.headers(request)
        if type(answer) is Answer:
            lines = header_lines(shared)
            if answer.asked is not None and self.keep_alive and self._edition == self._door.edition:
                self._door.remember(request.head, request.method, request.headers, Ticket(*answer.asked, cell, lines))
            whole = written(answer.said, keep_alive=self.keep_alive, head_only=bool(self.head_only), lines=lines)
            self.response_func = None  # type: ignore[assignment] # as the framework itself does
            await self._send(whole)
            self.stage = Stage.IDLE
        else:
            answer.headers.update(shared)
            await super().http1_response_header(data, end_stream)
        if self.request_body and self.keep_alive:
            self.connection.become(State.DRAINING)
        elif self.request_body:
            self.request_body = None  # else the framework would wait for all of it
            self.connection.close(whole=False)

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
