"""HTTPS: connections until they are encrypted, and how they end.

The framework would let the event loop do the handshake, unseen: a connection counts from its end on, and the loop waits
a minute for it. A thousand clients that connect and say nothing would hold a thousand sockets outside of every limit.
So a connection is accepted as it is, waits for its handshake in a number of its own and with a deadline, and is a
``Connection`` from then on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, cast

from service.settings import Limits

from .connection import Connection


class Handshakes:
    """The connections of one worker that are not encrypted yet.

    There may be as many as there may be connections, else the oldest makes room; each has as long as a request has to
    arrive.
    """

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        self.context = context
        self.limits = limits
        self.pending: dict[Handshake, asyncio.Transport] = {}  # the oldest comes first


class Handshake(asyncio.Protocol):
    """A connection that is not encrypted yet. Finds its ``Handshakes`` in ``app.ctx.handshakes``.

    Failures are the client's: it speaks plain HTTP, or trusts another authority, or has gone. Nobody would read about
    them, so they are not logged; the connection is just closed.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - handed on
        self._options = options
        self._handshakes: Handshakes = options["app"].ctx.handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake; where as many as may be are under way the oldest makes room."""
        limits, pending = self._handshakes.limits, self._handshakes.pending
        if len(pending) >= limits.connections:
            pending.pop(next(iter(pending))).abort()
        pending[self] = transport = cast("asyncio.Transport", transport)
        handshake = asyncio.get_running_loop().start_tls(
            transport,
            self,
            self._handshakes.context,
            server_side=True,
            ssl_handshake_timeout=limits.request_seconds,
            ssl_shutdown_timeout=limits.request_seconds,
        )
        # A task would take its first step an iteration of the loop later; but reading begins as soon as this returns,
        # and what came meanwhile would be lost. So the first step is taken here, up to the one thing it waits for.
        waiter: asyncio.Future[None] = handshake.send(None)
        waiter.add_done_callback(lambda _: self._done(transport, handshake))

    def _done(self, wire: asyncio.Transport, handshake: Coroutine[Any, Any, asyncio.Transport | None]) -> None:
        """Serve the connection from now on, if the handshake has succeeded."""
        self._handshakes.pending.pop(self, None)
        try:
            handshake.send(None)
        except StopIteration as end:
            transport: asyncio.Transport = end.value
        except OSError:  # of which ssl.SSLError and TimeoutError are some
            wire.abort()
            return
        if transport.is_closing():  # the client has gone with its last word
            return
        protocol = Connection(wire=wire, **self._options)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
