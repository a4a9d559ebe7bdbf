"""HTTPS: the certificate, and connections until they are encrypted.

The framework would let the event loop do the handshake, unseen: a connection counts from its end on, and the loop waits
a minute for it. A thousand clients that connect and say nothing would hold a thousand sockets outside of every limit.
So a connection is accepted as it is, waits for its handshake in a number of its own and with a deadline, and is a
``LimitedProtocol`` from then on.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, NoReturn

from .connection import LimitedProtocol
from .limits import Limits

LOOK_SECONDS: Final = 0.05
"""How often a connection that is to be closed is looked at while its last bytes have not been taken."""


class CertificateError(Exception):
    """The certificate or its key is of no use, in words for the user."""


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """The context of a server with this certificate. TLS 1.2 and newer, as Python's defaults choose them.

    Raises:
        CertificateError: one of the files cannot be read or used, or they do not belong together.
    """
    for path in (cert, key):
        try:
            with Path(path).open("rb"):
                pass
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise CertificateError(f"cannot read {path}: {reason}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client of TLS 1.2 could make us compute for ever
    context.set_alpn_protocols(["http/1.1"])

    def refuse_to_ask() -> NoReturn:
        raise CertificateError(f"the key in {key} is encrypted: give one that is not")

    try:
        context.load_cert_chain(cert, key, refuse_to_ask)
    except OSError as error:  # of which ssl.SSLError is one
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        reason = "the key is another certificate's" if mismatch else "not a certificate and its private key in PEM"
        raise CertificateError(f"cannot use {cert} with {key}: {reason}") from error
    return context


class Handshakes:
    """The connections of one worker that are not encrypted yet.

    There may be as many as there may be connections; each has as long as a request has to arrive.
    """

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        self.context = context
        self.limits = limits
        self.pending: set[Handshake] = set()


class Handshake(asyncio.Protocol):
    """A connection that is not encrypted yet. Finds its ``Handshakes`` in ``app.ctx.handshakes``.

    Failures are the client's: it speaks plain HTTP, or trusts another authority, or has gone. Nobody would read about
    them, so they are not logged; the connection is just closed.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - handed on
        self._options = options
        self._handshakes: Handshakes = options["app"].ctx.handshakes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake, or close where as many as may be are under way."""
        limits = self._handshakes.limits
        if len(self._handshakes.pending) >= limits.connections:
            transport.abort()
            return
        self._handshakes.pending.add(self)
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
        self._handshakes.pending.discard(self)
        try:
            handshake.send(None)
        except StopIteration as end:
            transport: asyncio.Transport = end.value
        except OSError:  # of which ssl.SSLError and TimeoutError are some
            wire.abort()
            return
        if transport.is_closing():  # the client has gone with its last word
            return
        protocol = EncryptedProtocol(wire, **self._options)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class EncryptedProtocol(LimitedProtocol):
    """A connection over TLS.

    Args:
        wire: the transport beneath, which carries what is encrypted.
    """

    __slots__ = ("_wire",)

    def __init__(self, wire: asyncio.Transport, **options: Any) -> None:  # noqa: ANN401 - handed on
        super().__init__(**options)
        self._wire = wire

    def close(self, timeout: float | None = None) -> None:
        """Close when all that was written has been sent.

        The framework looks only at the encrypting transport, whose bytes may have moved on to the wire's buffer, and
        would cut them off. TLS would also wait for the client's goodbye; a client that never says it is not waited for.
        """
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.close()
        until = time.monotonic() + (self._limits.request_seconds if timeout is None else timeout)
        self.loop.call_soon(self._close_wire, until)

    def _close_wire(self, until: float) -> None:
        if self.transport is None:
            return
        if self._wire.get_write_buffer_size() and time.monotonic() < until:
            self.loop.call_later(LOOK_SECONDS, self._close_wire, until)
        else:
            self.abort()
