"""One connection of a client: its state, and the limits that hold in it.

``Connection`` is what the event loop knows: it turns away whoever is one too many, keeps the state, counts the bytes of
unfinished requests against a budget, and closes what is past a deadline. ``Framework`` is Sanic's side of the same
connection, which reads the requests and writes the answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from sanic.exceptions import RequestTimeout, SanicException, ServiceUnavailable
from sanic.http.constants import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from service.api.problems import SATURATED
from service.metrics.counters import Cell

from .exchange import Exchange
from .limits import Budget, Sweeper
from .states import TABLE, State

READ_AHEAD_BYTES: Final = 256 * 1024
"""What is read of a body before reading pauses for the handler: enough for a largest batch at full precision."""

FREE_BYTES: Final = 16 * 1024
"""What of a request may arrive before it is counted: all but large batches, and a thousand of these are 16 MiB."""

_BODY: Final = SATURATED.body()
TURNED_AWAY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
"""What a connection beyond the cap is told before it is closed."""


class Framework(HttpProtocol):
    """Sanic's side of a connection: a task that waits for bytes, has requests handled, and sends answers."""

    HTTP_CLASS = Exchange
    __slots__ = ("connection",)

    def __init__(self, connection: Connection, **options: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(**options)
        self.connection = connection
        self._http = None

    def turn_away(self, transport: asyncio.Transport) -> None:
        """Say that there are too many connections, and close this one."""
        self.transport = transport
        transport.write(TURNED_AWAY)
        self.close()

    def take(self, data: bytes, now: float) -> None:
        """Take in some bytes.

        In place of the framework's ``data_received``, which does the same but looks its limit up each time.
        """
        received = self.recv_buffer
        self._time = now
        received += data
        if len(received) >= READ_AHEAD_BYTES and self.transport is not None:
            self.transport.pause_reading()
        self._data_received.set()

    @property
    def last_active(self) -> float:
        """When something was last taken in or sent."""
        return self._time

    @property
    def rests(self) -> bool:
        """Whether it has dealt with a request, and not begun with another."""
        return self._http is None or self._http.stage is Stage.IDLE

    def held(self) -> int:
        """Bytes of unfinished requests that are here."""
        http = self._http
        body = 0 if http is None else (http.request_bytes or 0) - (http.request_bytes_left or 0)
        return len(self.recv_buffer) + body

    def refuse(self, reason: SanicException) -> None:
        """Have the request that is under way answered with a refusal, and the connection closed after it."""
        if self._http is not None and self._task is not None:
            self._http.exception = reason
            self._task.cancel()

    def abort(self) -> None:
        """Close at once, and see that nothing goes on reading from what is closed."""
        super().abort()
        if self._task is not None:
            if self._http is not None and self._http.request is None:
                self._http.create_empty_request()  # Sanic names the request when it is cancelled, and fails without one
            self._task.cancel()

    def check_timeouts(self) -> None:
        """Sanic's own idle timers, a timer a connection: the sweep does it all."""


class Connection(asyncio.Protocol):
    """A connection as the event loop and the sweep see it. Its ``Sweeper`` and its ``Counters`` are in ``app.ctx``.

    Args:
        framework: makes the framework's side.
        connections: those that are served; a stop goes through them.
        options: what Sanic gives to its protocols.
    """

    __slots__ = (
        "_app",
        "_arrived",
        "_budget",
        "_connections",
        "_counts",
        "_framework",
        "_since",
        "_stuck_since",
        "_sweeper",
        "pipelined",
        "state",
    )

    def __init__(
        self,
        *,
        connections: set[Connection],
        framework: Callable[..., Framework] = Framework,
        **options: Any,  # noqa: ANN401 - handed on
    ) -> None:
        self._app = options["app"]
        self._sweeper: Sweeper = self._app.ctx.sweeper
        self._budget: Budget = self._sweeper.budget
        self._counts: memoryview[int] = self._app.ctx.counters.counts
        self._connections = connections
        self._framework = framework(self, **options)
        self.state = State.IDLE
        self.pipelined = False  # whether the request that has begun came along with the one before
        self._since = time.monotonic()  # when the request began, or the connection became idle
        self._stuck_since: float | None = None  # when the client ceased to take its answers
        self._arrived = 0  # bytes, since the request began

    def become(self, state: State) -> None:
        """Go on to a state that may follow. A refusal from outside is followed by the end alone, as is the end.

        Raises:
            RuntimeError: it may not follow; a defect.
        """
        if self.state < State.REFUSING:
            if state not in TABLE[self.state].followed_by:
                raise RuntimeError(f"a connection went from {self.state.name} to {state.name}")
            self.state = state
        elif state is State.CLOSED:
            self.state = state

    # What the event loop calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, or refuse it where there are as many as may be."""
        if len(self._connections) >= self._sweeper.limits.connections:
            self._sweeper.refused += 1
            self._counts[Cell.REFUSED] += 1
            self.become(State.CLOSED)
            self._framework.turn_away(transport)
            return
        self._connections.add(self)
        self._framework.connection_made(transport)
        self._counts[Cell.ACCEPTED] += 1
        self._counts[Cell.CONNECTIONS] = len(self._connections)
        self._sweeper.connections = self._connections

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection that was served."""
        if self in self._connections:
            self.become(State.CLOSED)
            self._budget.forget(self)
            self._connections.discard(self)
            self._framework.connection_lost(exc)
            self._counts[Cell.CONNECTIONS] = len(self._connections)

    def data_received(self, data: bytes) -> None:
        """Take in some bytes; note when a request begins, and what it holds if that is much."""
        if self.state >= State.REFUSING:
            return
        now = time.monotonic()
        if self.state is State.IDLE:
            self._begin(now)
        self._framework.take(data, now)
        self._arrived += len(data)
        if self._arrived > FREE_BYTES:
            self._budget.note(self)

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        self._stuck_since = time.monotonic()
        self._framework.pause_writing()

    def resume_writing(self) -> None:
        """The client takes it."""
        self._stuck_since = None
        self._framework.resume_writing()
        if self._framework.rests:
            self._settle()

    def eof_received(self) -> None:
        """The client sends nothing more: the event loop closes."""

    # What the framework's side tells.

    def rest(self) -> None:
        """The last request has been dealt with, but for its answer perhaps; the next one may be here already."""
        self.pipelined = bool(self._framework.recv_buffer)
        if self._stuck_since is None:
            self._settle()

    def _settle(self) -> None:
        if self.state is State.HEAD:  # its first bytes came before the framework was ready for them
            return
        if self._framework.recv_buffer:
            self._begin(self._framework.last_active)
            self._arrived = self._framework.held()
        elif self.state is not State.IDLE:
            self.become(State.IDLE)
            self._since = self._framework.last_active

    def _begin(self, now: float) -> None:
        """A request has begun."""
        self.become(State.HEAD)
        self._since = now
        if self._arrived > FREE_BYTES:
            self._budget.forget(self)
        self._arrived = 0

    # What the budget, the sweep and a stop call.

    def held(self) -> int:
        """Bytes of unfinished requests that the connection holds."""
        return self._framework.held()

    def give_way(self) -> None:
        """Let go of what was received, and answer 503 if no answer was begun."""
        self._sweeper.crowded_out += 1
        self._refuse(ServiceUnavailable(headers={"retry-after": "1"}))
        self._framework.recv_buffer.clear()

    def sweep(self, now: float) -> bool:
        """Close the connection if it is past a deadline, or idle at a stop; whether it was."""
        if self.state is State.REFUSING:  # for half a second, and the client has not closed
            self.abort()
            return True
        stuck, limits = self._stuck_since, self._sweeper.limits
        late = TABLE[self.state if stuck is None else State.ANSWERING].late
        since = self._since if stuck is None else stuck
        if since >= now - (limits.idle_seconds if late is Cell.IDLE_TIMEOUT else limits.request_seconds):
            return not self._app.config.KEEP_ALIVE and self.close_if_idle()
        self._counts[late] += 1
        if not self.close_if_idle():
            self._sweeper.late += 1
            self._refuse(RequestTimeout())
        return True

    def close_if_idle(self) -> bool:
        """Close if no request is under way; whether that was so."""
        if self.state is State.IDLE:
            self._framework.close()
        return self.state is State.IDLE

    def abort(self) -> None:
        """Close at once."""
        self._framework.abort()

    def _refuse(self, reason: SanicException) -> None:
        """Answer with the reason if no answer was begun, and close; the next sweep does so if the client does not."""
        if State.REFUSING in TABLE[self.state].followed_by:
            self.become(State.REFUSING)
            self._framework.refuse(reason)
        else:
            self.abort()
