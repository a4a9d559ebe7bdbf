"""The lowest floor: a protocol on uvloop that answers a constant to whatever arrives.

It reads no HTTP at all. What it costs is what the event loop and the system cost, and nothing in Python can be quicker.
"""

from __future__ import annotations

import asyncio
from typing import Final

import click
import uvloop

RECEIVED: Final = memoryview(bytearray(256 * 1024))


class Constant(asyncio.BufferedProtocol):
    """A connection on which everything gets the same answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio declares the base of all transports
        """Remember whom to answer."""
        self._transport = transport

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Where bytes are put that nobody reads."""
        return RECEIVED

    def buffer_updated(self, _size: int) -> None:
        """Answer."""
        self._transport.write(self._answer)


@click.command()
@click.option("--answer", default="{}", help="Body of every answer.")
def main(answer: str) -> None:
    """Serve on a free port, and say which."""
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: keep-alive\r\ncontent-length: {len(answer)}"
    )
    uvloop.run(serve(f"{head}\r\n\r\n{answer}".encode()))


async def serve(answer: bytes) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Constant(answer), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
