"""Pipelined requests take turns, so that whoever sends thousands at once does not keep others waiting.

A connection whose next request is in the buffer already never lets go of the event loop by itself, and a hundred such
connections, each of which lets go after every request, would still go before a client that waits for its answer. So
all that is pipelined in a worker goes through one gate, which lets one request pass in a turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """One of those who wait may go on in each turn of the event loop, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def mine(self) -> None:
        """Wait until it is the caller's turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its connection has gone
                turn.set_result(None)
                break
        self._turning = bool(self._waiting)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)
