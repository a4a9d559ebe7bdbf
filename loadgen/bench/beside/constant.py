"""The lowest floor: a protocol on uvloop that answers a constant to every GET, and a receipt to every batch.

It reads no more HTTP than that takes. What it costs is what the event loop and the system cost, and nothing in Python
can be quicker. So the load generator can be seen to keep up: its batches and polls have the right answers here, if all
prices are 1.25.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Final, cast

import click
import uvloop

RECEIVED: Final = memoryview(bytearray(256 * 1024))
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: keep-alive\r\ncontent-length: %d\r\n\r\n"
)
UNKNOWN: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
GET: Final = ord("G")
SYMBOL: Final = re.compile(rb"(?:\?symbol=|/symbols/)([^& ]+)")
LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
STATISTICS: Final = '{"min":1.25,"max":1.25,"last":1.25,"avg":1.25,"var":0.0}'
OVERVIEW: Final = b'{"symbols":[],"limits":{"max_symbols":1000000,"max_k":8,"max_batch":1000000}}'


class Constant(asyncio.BufferedProtocol):
    """A connection. Requests come one at a time; prices are counted in the bytes of their batches' bodies.

    Args:
        answer: to every GET, head and all.
        counts: prices of each symbol so far.
        careful: whether a GET is looked at: a symbol without prices is unknown.
    """

    def __init__(self, answer: bytes, counts: Counter[bytes], careful: bool) -> None:
        self._answer = answer
        self._careful = careful
        self._counts = counts
        self._missing = 0  # of a body
        self._receipt = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Where bytes are put that are looked at before the next come."""
        return RECEIVED

    def buffer_updated(self, size: int) -> None:
        """Answer, or go on with a body."""
        if self._missing:
            self._missing -= size
            answer = self._receipt
        elif RECEIVED[0] == GET and not self._careful:
            answer = self._answer
        else:
            answer = self._looked_at(bytes(RECEIVED[: min(size, 1_024)]), size)
        if not self._missing:
            self._transport.write(answer)

    def _looked_at(self, begin: bytes, size: int) -> bytes:
        """The answer to a request whose first bytes these are."""
        symbol = SYMBOL.search(begin)
        if not symbol:
            return HEAD % len(OVERVIEW) + OVERVIEW
        if begin.startswith(b"DELETE"):
            del self._counts[symbol[1]]
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        if begin.startswith(b"GET"):
            return self._answer if symbol[1] in self._counts else UNKNOWN
        length, body = LENGTH.search(begin), begin.index(b"\r\n\r\n") + 4
        if not length:
            return UNKNOWN
        self._missing = int(length[1]) - (size - body)
        added = int(length[1]) // 8 if b"octet-stream" in begin else 1
        self._counts[symbol[1]] += added
        receipt = b'{"symbol":"%b","added":%d,"count":%d}' % (symbol[1], added, self._counts[symbol[1]])
        self._receipt = HEAD % len(receipt) + receipt
        return self._receipt


@click.command()
@click.option("--answer", default=STATISTICS, help="Body of the answer to GET.")
@click.option("--careful", is_flag=True, help="Look at each GET: a symbol without prices is unknown.")
def main(answer: str, careful: bool) -> None:
    """Serve on a free port, and say which."""
    uvloop.run(serve(HEAD % len(answer.encode()) + answer.encode(), careful))


async def serve(answer: bytes, careful: bool) -> None:
    """Answer until the process is ended."""
    counts: Counter[bytes] = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Constant(answer, counts, careful), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
