"""What a first request would wait for, done before anybody can send one.

The first call of a kernel takes some 15 ms, of a route up to 50: imports, caches, code that specialises itself. The
supervisor calls the kernels before it forks, so every worker inherits that; a worker asks itself once for every route
before it says that it serves, over a pair of sockets, and does not count what it asks.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any, Final

from aggregation import Geometry, Layout, SharedMemory, Symbols
from service.api.access import Guard
from service.app import AnySanic
from service.http.connection import Connection
from service.http.limits import Sweeper
from service.metrics.counters import SharedMetrics

_NAME: Final = "warm-up"
_BATCHES: Final = {
    "application/json": b'{"symbol": "%b", "values": []}' % _NAME.encode(),
    "application/octet-stream": b"\0",
}
"""No price, and a part of one: all is done with them but to append them, which no memory need be had for."""


def warm_kernels() -> None:
    """Call every kernel once, on memory that is thrown away: prices enough that the first ones are cold."""
    symbols = Symbols(SharedMemory(Layout(Geometry(max_k=4, max_batch=1000, least_hot=1), max_symbols=1)))
    for _ in range(10):
        symbols.append(_NAME, [1.0] * 999)
        symbols.roll_up(_NAME)
    symbols.statistics(_NAME, 4)
    symbols.windows(_NAME)
    symbols.overview()
    symbols.delete(_NAME)


async def warm_routes(app: AnySanic, guard: Guard | None) -> None:
    """Send a request to every route of an application that has started, and take the answers; none changes anything."""
    loop = asyncio.get_running_loop()
    # Other clients may be here already: they are counted, and may be as many as there may be.
    options: dict[str, Any] = {"counters": SharedMetrics(1).of_worker(0), "sweeper": Sweeper(app.ctx.sweeper.limits)}
    for request in _requests(app, guard):
        client, served = socket.socketpair()
        client.setblocking(False)
        with client:
            await loop.connect_accepted_socket(
                lambda: Connection(app=app, loop=loop, connections=set(), **options), served
            )
            await loop.sock_sendall(client, request)
            while await loop.sock_recv(client, 65536):
                pass


def _requests(app: AnySanic, guard: Guard | None) -> Iterator[bytes]:
    token = b"authorization: Bearer %b\r\n" % guard.strongest() if guard else b""
    for route in app.router.routes:
        target = f"/{re.sub('<[^>]*>', _NAME, route.path)}?symbol={_NAME}&k=1"
        for method in route.methods:
            for kind, body in _BATCHES.items() if method == "POST" else [("", b"")]:
                length = f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n" if body else ""
                head = f"{method} {target} HTTP/1.1\r\nhost: {_NAME}\r\nconnection: close\r\n{length}"
                yield head.encode() + token + b"\r\n" + body
