"""Write-behind: the roll-up happens after the answer is on its way.

An append that completes a block wakes the compactor; the event loop calls it back once the handler is done and its
response was handed to the socket. Nothing polls, and there is no task that a stop would have to cancel. Folds are exact
meanwhile, with the same digits. The memory of deleted symbols is given back the same way, a slice a turn.

What fails is tried again a little later, and so is what another process has the lock of; everything else goes on.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import Final

from aggregation import Symbols
from service.logs import REQUESTS
from service.metrics.counters import Cell, Counters

log = logging.getLogger(REQUESTS)

RETRY_SECONDS: Final = 0.02
"""When what failed is tried again: an append catches up by itself before this matters."""

TIDY: Final = None
"""What is due besides symbols: to give back what deleted ones have left."""


class Compactor:
    """Rolls up the symbols that were appended to, in the order of their first append, one a turn of the event loop.

    Args:
        symbols: what is rolled up.
        counters: what is told how often, and how long it took.
    """

    def __init__(self, symbols: Symbols, counters: Counters) -> None:
        self._symbols = symbols
        self._counts, self._seconds = counters.counts, counters.seconds
        self._due: dict[str | None, None] = {}  # a set that keeps its order
        self._failed: set[str | None] = set()  # what is to be tried again
        self._next: asyncio.Handle | None = None

    @property
    def due(self) -> int:
        """What waits for its turn."""
        return len(self._due)

    def wake(self, symbol: str | None) -> None:
        """Have a symbol rolled up soon. O(1); call it from the event loop."""
        self._due[symbol] = None
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def tidy(self) -> None:
        """Have the memory of deleted symbols given back soon. O(1); call it from the event loop."""
        self.wake(TIDY)

    def catch_up(self) -> None:
        """Have all done that a process which was killed may have left undone. O(symbols)."""
        for symbol in self._symbols:
            self.wake(symbol)
        self.tidy()

    def drain(self) -> None:
        """Roll up all that is due, now."""
        self._due.pop(TIDY, None)
        while self._due:
            self._do_next()

    def _turn(self) -> None:
        if self._due:
            self._do_next()
        self._next = asyncio.get_running_loop().call_soon(self._turn) if self._due else None

    def _do_next(self) -> None:
        symbol = next(iter(self._due))
        del self._due[symbol]
        try:
            if symbol is TIDY:
                if self._symbols.tidy():
                    self._due[TIDY] = None
            else:
                self._roll_up(symbol)
        except BlockingIOError:
            self._retry_later(symbol)
        except Exception:  # whatever it is, the others have their turn
            self._counts[Cell.ROLL_UP_FAILURES] += 1
            log.exception("failed to roll up, or to give memory back")
            self._retry_later(symbol)

    def _roll_up(self, symbol: str) -> None:
        began = perf_counter()
        self._symbols.roll_up(symbol)
        self._seconds[Cell.ROLL_UP_SECONDS] += perf_counter() - began
        self._counts[Cell.ROLL_UPS] += 1

    def _retry_later(self, symbol: str | None) -> None:
        if symbol not in self._failed:
            self._failed.add(symbol)
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._retry, symbol)

    def _retry(self, symbol: str | None) -> None:
        self._failed.discard(symbol)
        self.wake(symbol)
