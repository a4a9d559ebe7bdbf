"""Write-behind: the roll-up happens after the answer is on its way.

An append wakes the compactor; the event loop calls it back once the handler is done and its response was handed to the
socket. Nothing polls, and there is no task that a stop would have to cancel. Folds are exact meanwhile: they use each
level as far as it has come.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from aggregation import Symbols

from .metrics import ROLL_UP_SECONDS_CELL, ROLL_UPS_CELL, Counters


class Compactor:
    """Rolls up the symbols that were appended to, in the order of their first append, one a turn of the event loop.

    Args:
        symbols: what is rolled up.
        counters: what is told how often, and how long it took.
    """

    def __init__(self, symbols: Symbols, counters: Counters) -> None:
        self._symbols = symbols
        self._counts, self._seconds = counters.counts, counters.seconds
        self._due: dict[str, None] = {}  # a dict for its order
        self._scheduled = False

    @property
    def due(self) -> int:
        """Symbols that wait for their roll-up."""
        return len(self._due)

    def wake(self, symbol: str) -> None:
        """Have a symbol rolled up soon. O(1); call it from the event loop."""
        self._due[symbol] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def drain(self) -> None:
        """Roll up all that is due, now."""
        while self._due:
            self._roll_up_next()

    def _turn(self) -> None:
        self._scheduled = False
        if self._due:
            self._roll_up_next()
        if self._due:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _roll_up_next(self) -> None:
        symbol = next(iter(self._due))
        del self._due[symbol]
        began = perf_counter()
        self._symbols.roll_up(symbol)
        self._seconds[ROLL_UP_SECONDS_CELL] += perf_counter() - began
        self._counts[ROLL_UPS_CELL] += 1
