"""tenfold's aggregation library with the interface of its rivals: what the service does, without HTTP.

With ``core`` one of the two modules here that import ``aggregation``.
"""

from __future__ import annotations

from aggregation import Geometry, Layout, SharedMemory, Symbols

from .rivals.rival import Prices, Window

SYMBOL = "S"


class Tenfold:
    """See ``rivals.rival.Rival``: the service's own calls, its locks and checks between processes included.

    It always has the service's geometry, so it retains 10^8 prices whatever ``retention`` says, and what is appended
    while it is timed stays.
    """

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._symbols = Symbols(SharedMemory(Layout(Geometry(), max_symbols=1)))

    def load(self, prices: Prices) -> None:
        """O(len(prices))."""
        for begin in range(0, len(prices), 10_000):
            self.append(prices[begin : begin + 10_000])

    def append(self, batch: Prices) -> None:
        """O(len(batch)); the roll-up, which the service leaves for after the answer, is part of it."""
        self._symbols.append(SYMBOL, batch)
        self._symbols.roll_up(SYMBOL)

    def windows(self) -> list[Window]:
        """All of one moment; O(levels²)."""
        return [*self._symbols.windows(SYMBOL).statistics]
