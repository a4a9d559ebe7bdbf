"""Deadlines and caps that the framework does not have: no client may hold on to anything for ever.

Sanic's timeouts are idle timers, which every byte sets back: a client that sends a byte a second is served for as long
as it likes. Here a whole request must arrive before a deadline, its answer must be taken before another, and only so
many connections are served at once. One sweep looks at all connections of a worker twice a second; on the way of a
request there is nothing but a comparison.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from sanic.exceptions import RequestTimeout
from sanic.http.constants import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from .problems import Problem
from .whole import WholeHttp

SWEEP_SECONDS: Final = 0.5
"""How late a deadline may be noticed."""

_PROBLEM: Final = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "There are as many connections as this worker serves.").body()
SATURATED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)
"""What a connection beyond the cap is told before it is closed."""


@dataclass(frozen=True)
class Limits:
    """What a client may take of a worker.

    Args:
        connections: served at once; one more is refused.
        request_seconds: from the first byte of a request to its last, and for its answer to be taken.
        idle_seconds: between two requests.
    """

    connections: int
    request_seconds: float
    idle_seconds: float


class Sweeper:
    """Closes the connections of one worker that are past a deadline."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections: AbstractSet[LimitedProtocol] = frozenset()

    def start(self) -> None:
        """Sweep now and every half second from now on; call it from the event loop."""
        now = time.monotonic()
        for connection in list(self.connections):
            connection.sweep(now)
        asyncio.get_running_loop().call_later(SWEEP_SECONDS, self.start)


class LimitedProtocol(HttpProtocol):
    """A connection that can be swept. Finds its ``Sweeper`` in ``app.ctx.sweeper``."""

    HTTP_CLASS = WholeHttp
    __slots__ = ("_began", "_gave_up", "_limits", "_refused", "_request", "_stuck_since", "_swept")

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(**options)
        self._limits: Limits = self.app.ctx.sweeper.limits
        self._http = None
        self._refused = self._gave_up = False
        self._request: object = None
        self._began = self._swept = time.monotonic()
        self._stuck_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, or refuse it where there are as many as may be."""
        if len(self.connections) >= self._limits.connections:
            self._refused = True
            transport.write(SATURATED)
            transport.close()
            return
        super().connection_made(transport)
        self.app.ctx.sweeper.connections = self.connections

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection that was served."""
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take note of when a request begins."""
        if self._refused:
            return
        if self._is_idle():
            self._began = time.monotonic()
        super().data_received(data)

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
            self._task.cancel()

    def check_timeouts(self) -> None:
        """Sanic's own idle timers, a timer a connection: the sweep does it all."""

    def sweep(self, now: float) -> None:
        """Close the connection if it is past a deadline."""
        if self._http is None:
            return
        late = now - self._limits.request_seconds
        if self._stuck_since is not None:
            if self._stuck_since < late:
                self.abort()
        elif self._is_idle():
            if self._time < now - self._limits.idle_seconds or not self.app.config.KEEP_ALIVE:  # which a stop ends
                self.close()
        else:
            if self._http.request is not self._request:
                # Pipelined requests follow each other without a moment of idleness. This one came after the last sweep.
                self._request = self._http.request
                self._began = max(self._began, self._swept)
            if self._began < late:
                self._give_up()
        self._swept = now

    def _is_idle(self) -> bool:
        """Whether no byte of a request is outstanding; a body that nobody wanted is still read after its answer."""
        http = self._http
        return http is None or (http.stage is Stage.IDLE and not http.request_body)

    def _give_up(self) -> None:
        """Answer 408 if no answer was begun, and close; if that was tried, close without a word."""
        if self._gave_up or self._http.stage not in {Stage.REQUEST, Stage.HANDLER}:
            self.abort()
            return
        self._gave_up = True
        self._http.exception = RequestTimeout()
        if self._task is not None:
            self._task.cancel()
