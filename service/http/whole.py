"""Requests and answers that are read and written in one piece, where the framework goes by pieces.

The framework streams: a body is copied when it comes, when it is taken and when its parts are joined, and each header
of an answer is checked for characters that would break the framing. What comes here is at most a batch, and the headers
that go out are always the same three, so both can be done at once.
"""

from __future__ import annotations

from typing import Any, Final

from sanic import HTTPResponse, Request
from sanic.http.constants import Stage

from .strict import StrictHttp

JSON: Final = "application/json"

_HEADS: Final = {
    keep_alive: b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nconnection: %b\r\ncontent-length: "
    % (JSON.encode(), b"keep-alive" if keep_alive else b"close")
    for keep_alive in (False, True)
}


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


class Answer(HTTPResponse):
    """A 200 with a JSON body and no header of its own."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, content_type=JSON)


class WholeHttp(StrictHttp):
    """HTTP/1.1 that writes an ``Answer`` with one format."""

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        """Send the head of a response, and the body if it is there."""
        answer = self.response
        if type(answer) is not Answer or self.head_only or self.expecting_continue:
            await super().http1_response_header(data, end_stream)
            return
        body = answer.body or b""
        self.response_func = None  # type: ignore[assignment] # as the framework itself does
        await self._send(b"%b%d\r\n\r\n%b" % (_HEADS[self.keep_alive], len(body), body))
        self.stage = Stage.IDLE
