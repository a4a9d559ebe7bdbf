"""Sanic's side of a connection: a task that waits for bytes, has requests handled, and sends answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sanic.exceptions import SanicException
from sanic.http.constants import Stage
from sanic.server.protocols.http_protocol import HttpProtocol

from .exchange import Exchange

if TYPE_CHECKING:
    from .connection import Connection

READ_AHEAD_BYTES: Final = 256 * 1024
"""What is read of a body before reading pauses for the handler: enough for a largest batch at full precision."""


class Framework(HttpProtocol):
    """What the framework does for one ``Connection``, which it tells how far it is."""

    HTTP_CLASS = Exchange
    __slots__ = ("connection", "ended")

    def __init__(self, connection: Connection, **options: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(**options)
        self.connection = connection
        self.ended = False  # whether the client sends nothing more
        self._http = None

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

    def end(self) -> None:
        """The client sends nothing more: what has come whole is still answered."""
        self.ended = True
        self._data_received.set()

    async def receive_more(self) -> None:
        """Wait for more to come; close the connection if nothing will."""
        if self.ended:
            self.connection.close()
        await super().receive_more()

    @property
    def last_active(self) -> float:
        """When something was last taken in or sent."""
        return self._time

    @property
    def rests(self) -> bool:
        """Whether it has dealt with a request, and not begun with another."""
        http = self._http
        return http is None or (http.stage is Stage.IDLE and not http.request_body)

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

    def close(self, timeout: float | None = None) -> None:  # noqa: ARG002 - as Sanic has it
        """Let go of what was received; the connection closes in its own way, instead of by Sanic's timers."""
        self.recv_buffer.clear()
        self.connection.close()

    def check_timeouts(self) -> None:
        """Sanic's own idle timers, a timer a connection: the sweep does it all."""
