"""Framing that the framework lets pass and that we refuse, because a proxy in front may read it differently.

What two parsers read differently is how requests are smuggled past the first one (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sanic.exceptions import BadRequest
from sanic.http.http1 import Http
from sanic.server.protocols.http_protocol import HttpProtocol

DIGITS: Final = {10: re.compile("[0-9]{1,18}"), 16: re.compile("[0-9a-fA-F]{1,15}")}
"""Numbers as the grammar has them. int() also takes digits of other scripts, white space, and 0x in front."""

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"

HEAD: Final = re.compile(
    rb"%b [!-~]++ HTTP/1\.[01](?:\r\n%b:[\t ]*+(?:[!-~][\t -~\x80-\xff]*+)?+)*+" % (_TOKEN, _TOKEN)
)
"""Request line and headers as the grammar has them: no header is folded, no white space before a colon, no control
character anywhere, and no value begins with what is white space only beyond ASCII, which the framework would strip."""


BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
"""The end of a line for many a client, but not for HTTP/1.1."""

HEAD_END: Final = b"\r\n\r\n"

HOST_LINE: Final = re.compile(rb"\r\nhost:[ \t]*([^\r]*?)[ \t]*(?=\r|$)", re.IGNORECASE)

HOST: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[(?:[0-9A-Fa-f:.]+|v[0-9A-Fa-f]+\.[A-Za-z0-9._~:-]+)\])"
    rb"(?::[0-9]*)?"
)
"""A name or an address, and perhaps a port: RFC 3986, section 3.2. It may be empty."""

CLOSE: Final = re.compile(rb"\r\nconnection:(?:[^\r]*[ \t,])?close[ \t]*(?=[,\r]|$)", re.IGNORECASE)
"""Among the options of any Connection header; the framework looks at the last header only."""

HEADS_REMEMBERED: Final = 256
"""Clients repeat themselves, headers and all; at 8 KiB each these are at most 2 MiB."""


@lru_cache(maxsize=HEADS_REMEMBERED)
def is_well_formed(head: bytes) -> bool:
    """Whether the head of a request is as the grammar has it, with exactly one Host, or none before HTTP/1.1.

    The latter is RFC 9112, section 3.2.
    """
    if not HEAD.fullmatch(head):
        return False
    hosts = HOST_LINE.findall(head)
    if not hosts:
        return head.split(b"\r\n", 1)[0].endswith(b"HTTP/1.0")
    return len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None


@lru_cache(maxsize=HEADS_REMEMBERED)
def is_last(head: bytes) -> bool:
    """Whether the client says that no request follows: RFC 9112, section 9.6."""
    return CLOSE.search(head) is not None


class StrictHttp(Http):
    """HTTP/1.1, with the exceptions to its grammar taken back."""

    __slots__ = ("_pipelined", "begun")

    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)
        self.request = None  # type: ignore[assignment]  # Sanic sets it before it reads it, but does not declare it
        self.begun = 0  # requests, of which the last may not have come to its first byte

    def init_for_request(self) -> None:
        """Be ready for the next request, and let go of the last one's body, to which Sanic holds on until then."""
        if self.request is not None:
            self.request.body = b""
        self.begun += 1
        self._pipelined = bool(self.recv_buffer)
        super().init_for_request()

    async def http1_request_header(self) -> None:
        """Read the head of a request; if it came along with the last one, let other connections have their turn first.

        Raises:
            BadRequest: it is not well-formed.
        """
        if self._pipelined:
            await self.protocol.app.ctx.turns.mine()
        if self.recv_buffer.find(HEAD_END) < 0:
            await self._receive_head()
        await super().http1_request_header()
        if not is_well_formed(self.request.head):
            self.keep_alive = False
            raise BadRequest
        if is_last(self.request.head):
            self.keep_alive = False

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
