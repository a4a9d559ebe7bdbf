"""Two services that differ in one thing: one remembers heads at its door, the other has Sanic answer everything."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from tests.support.process import Process, running
from tests.support.sockets import SILENCE, Wire

PAUSE = 0.002
"""For what was sent to be received by itself; that it is so proves nothing and is only likely."""


class Doors:
    """Whatever is said to both must be answered with the same bytes.

    Args:
        services: the one with its door open first.
        tls: whom to trust, if connections are encrypted.
    """

    def __init__(self, services: tuple[Process, Process], tls: ssl.SSLContext | None) -> None:
        self.services = services
        self._tls = tls
        self._pool = ThreadPoolExecutor(len(services))

    def wire(self, service: Process) -> Wire:
        """A connection to one of them."""
        return Wire(service.port, tls=self._tls)

    def answers(self, *pieces: bytes, until_closed: bool = False) -> tuple[bytes, bytes]:
        """Say the same to both over a connection of its own, piece by piece; what each answers until it closes.

        Args:
            pieces: the last should have the connection closed, or our side is closed after some silence.
            until_closed: wait for the services to close, whatever they wait for.
        """
        with_door, without = self._pool.map(partial(self._say, pieces, until_closed), self.services)
        return with_door, without

    def alike(self, *pieces: bytes, until_closed: bool = False) -> bytes:
        """The answers of both, which must be the same."""
        with_door, without = self.answers(*pieces, until_closed=until_closed)
        assert with_door == without, pieces
        return with_door

    def _say(self, pieces: tuple[bytes, ...], until_closed: bool, service: Process) -> bytes:
        received = b""
        with self.wire(service) as wire, suppress(ConnectionError, ssl.SSLEOFError):
            for piece in pieces:
                wire.socket.settimeout(30)
                wire.send(piece)
                wire.socket.settimeout(PAUSE)
                with suppress(TimeoutError):  # else an answer would be lost where the next piece finds a closed door
                    if not (data := wire.socket.recv(65536)):
                        return received
                    received += data
            wire.socket.settimeout(30 if until_closed else SILENCE)
            with suppress(TimeoutError):
                while data := wire.socket.recv(65536):
                    received += data
                return received
            wire.socket.settimeout(30)
            wire.socket.shutdown(socket.SHUT_WR)
            received += wire.rest()
        return received


@contextmanager
def doors(*options: str, tls: ssl.SSLContext | None = None, **named: Any) -> Iterator[Doors]:
    """Both, with the same options, of one worker each so that what is said again is heard by the same."""
    with (
        running(*options, workers=1, **named) as with_door,
        running(*options, "--no-door", workers=1, **named) as without,
    ):
        yield Doors((with_door, without), tls)
        for service in (with_door, without):
            service.stop_cleanly()
