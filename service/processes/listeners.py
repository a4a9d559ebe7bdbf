"""The sockets that the workers accept from: one each, all bound to one address by the supervisor."""

from __future__ import annotations

import socket
from typing import Final

BACKLOG: Final = 1024
"""Connections that may wait to be accepted: a burst of clients after a restart must not be turned away."""

SEND_BYTES: Final = 128 * 1024
"""What the kernel holds of answers that a client does not take, which it doubles for its own use. By itself it would
let that grow to megabytes a connection, and tenfold would answer thousands of requests before it noticed."""


def listen(host: str, port: int, workers: int) -> list[socket.socket]:
    """Bind one listening socket for each worker; the kernel spreads connections over them.

    The supervisor holds all of them open, so connections that came to a dead worker's socket wait for its replacement.
    The first is bound without SO_REUSEPORT: another service on the same port, even another tenfold, is an error.

    Raises:
        OSError: the address cannot be had.
    """
    first = _bind(host, port)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host, port = first.getsockname()[:2]
    sockets = [first, *(_bind(host, port, reuse_port=True) for _ in range(workers - 1))]
    for one in sockets:
        one.listen(BACKLOG)
    return sockets


def _bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    one = socket.socket(family, kind, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)  # inherited by what is accepted
    if reuse_port:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(address)
    return one


def url(listener: socket.socket, scheme: str = "http") -> str:
    """The address as a client writes it."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
