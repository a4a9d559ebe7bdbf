"""One connection of a client: what the framework does, within limits.

A connection beyond the cap is refused, the bytes of unfinished requests are counted against a budget, and the sweep of
``limits`` closes what is past a deadline.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from sanic.exceptions import RequestTimeout, SanicException, ServiceUnavailable
from sanic.http.constants import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from service.api.problems import TOO_MANY_CONNECTIONS
from service.metrics.counters import (
    ACCEPTED_CELL,
    ANSWER_TIMEOUT_CELL,
    CONNECTIONS_CELL,
    IDLE_TIMEOUT_CELL,
    REFUSED_CELL,
    REQUEST_TIMEOUT_CELL,
)

from .budget import Budget
from .limits import Limits
from .measured import MeasuredHttp

READ_AHEAD_BYTES: Final = 256 * 1024
"""What is read of a body before reading pauses for the handler: enough for a largest batch at full precision."""

FREE_BYTES: Final = 16 * 1024
"""What of a request may arrive before it is counted: all but large batches, and a thousand of these are 16 MiB."""

_PROBLEM: Final = TOO_MANY_CONNECTIONS.body()
SATURATED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)
"""What a connection beyond the cap is told before it is closed."""


class LimitedProtocol(HttpProtocol):
    """A connection that can be swept. Finds its ``Sweeper`` and its ``Counters`` in ``app.ctx``."""

    HTTP_CLASS = MeasuredHttp
    __slots__ = (
        "_arrived",
        "_began",
        "_begun",
        "_budget",
        "_counted",
        "_counts",
        "_gave_up",
        "_limits",
        "_refused",
        "_stuck_since",
        "_swept",
    )

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(**options)
        self._limits: Limits = self.app.ctx.sweeper.limits
        self._budget: Budget = self.app.ctx.sweeper.budget
        self._counts: memoryview[int] = self.app.ctx.counters.counts
        self._http = None
        self._refused = self._gave_up = self._counted = False
        self._arrived = 0
        self._begun = 0
        self._began = self._swept = time.monotonic()
        self._stuck_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, or refuse it where there are as many as may be."""
        if len(self.connections) >= self._limits.connections:
            self._refused = True
            self.transport = transport
            self.app.ctx.sweeper.refused += 1
            self._counts[REFUSED_CELL] += 1
            transport.write(SATURATED)
            self.close()
            return
        super().connection_made(transport)
        self._counts[ACCEPTED_CELL] += 1
        self._counts[CONNECTIONS_CELL] = len(self.connections)
        self.app.ctx.sweeper.connections = self.connections

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection that was served."""
        if not self._refused:
            self._budget.forget(self)
            super().connection_lost(exc)
            self._counts[CONNECTIONS_CELL] = len(self.connections)

    def data_received(self, data: bytes) -> None:
        """Take in some bytes; note when a request begins, and what it holds if that is much.

        In place of the framework's method, not before it: it does the same but looks its limit up each time.
        """
        if self._refused or self._gave_up:
            return
        received, now = self.recv_buffer, time.monotonic()
        if self._is_idle():
            self._began = now
            self._arrived = len(received)
            if self._counted:
                self._budget.forget(self)
                self._counted = False
        self._time = now
        received += data
        if len(received) >= READ_AHEAD_BYTES and self.transport is not None:
            self.transport.pause_reading()
        self._data_received.set()
        self._arrived += len(data)
        if self._arrived > FREE_BYTES:
            self._counted = True
            self._budget.note(self)

    def held(self) -> int:
        """Bytes of unfinished requests that the connection holds."""
        http = self._http
        body = 0 if http is None else (http.request_bytes or 0) - (http.request_bytes_left or 0)
        return len(self.recv_buffer) + body

    def give_way(self) -> None:
        """Let go of what was received, and answer 503 if no answer was begun."""
        self.app.ctx.sweeper.crowded_out += 1
        if self._stuck_since is None and self._http is not None:
            self._give_up(ServiceUnavailable(headers={"retry-after": "1"}))
        else:
            self.abort()
        self.recv_buffer.clear()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        self._stuck_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client takes it."""
        self._stuck_since = None
        super().resume_writing()

    def abort(self) -> None:
        """Close at once, and see that nothing goes on reading from what is closed."""
        super().abort()
        if self._task is not None:
            if self._http is not None and self._http.request is None:
                self._http.create_empty_request()  # Sanic names the request when it is cancelled, and fails without one
            self._task.cancel()

    def check_timeouts(self) -> None:
        """Sanic's own idle timers, a timer a connection: the sweep does it all."""

    def sweep(self, now: float) -> bool:
        """Close the connection if it is past a deadline, or idle at a stop; whether it was."""
        http = self._http
        if http is None:
            return False
        late = now - self._limits.request_seconds
        swept, self._swept = self._swept, now
        if self._gave_up:
            self.abort()
        elif self._stuck_since is not None:
            if self._stuck_since >= late:
                return False
            self._note_late(ANSWER_TIMEOUT_CELL)
            self.abort()
        elif self._is_idle():
            if self._time < now - self._limits.idle_seconds:
                self._counts[IDLE_TIMEOUT_CELL] += 1
            elif self.app.config.KEEP_ALIVE:  # which a stop ends
                return False
            self.close()
        else:
            if http.begun != self._begun:
                # Pipelined requests follow each other without a moment of idleness. This one came after the last sweep.
                self._begun = http.begun
                self._began = max(self._began, swept)
            if self._began >= late:
                return False
            self._note_late(REQUEST_TIMEOUT_CELL)
            self._give_up(RequestTimeout())
        return True

    def _note_late(self, cell: int) -> None:
        """Count a client that is past its deadline, for whoever watches and for the log."""
        self._counts[cell] += 1
        self.app.ctx.sweeper.late += 1

    def _is_idle(self) -> bool:
        """Whether no byte of a request is outstanding; a body that nobody wanted is still read after its answer."""
        http = self._http
        return http is None or (http.stage is Stage.IDLE and not http.request_body)

    def _give_up(self, reason: SanicException) -> None:
        """Answer with the reason if no answer was begun, and close; the next sweep does so if the client does not."""
        if self._http.stage not in {Stage.REQUEST, Stage.HANDLER}:
            self.abort()
            return
        self._gave_up = True
        self._http.exception = reason
        if self._task is not None:
            self._task.cancel()
