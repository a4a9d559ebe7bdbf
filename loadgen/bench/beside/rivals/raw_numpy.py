"""numpy over the raw window: prices in one array with room at its end, statistics of its last n elements.

Appending is a copy; when the array is full, what is still needed moves to its front. So every window is one contiguous
view, which numpy reduces as fast as it can. A query costs O(window), and there is nothing quicker to write with numpy
alone.
"""

from __future__ import annotations

import numpy as np

from .rival import WINDOWS, Prices, Window

LEAST_ROOM = 100_000


class RawNumpy:
    """See ``rival.Rival``."""

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._prices = np.empty(retention + max(LEAST_ROOM, retention // 4))
        self._end = 0

    def load(self, prices: Prices) -> None:
        """O(len(prices))."""
        self._prices[: len(prices)] = prices
        self._end = len(prices)

    def append(self, batch: Prices) -> None:
        """O(len(batch)), amortised."""
        if not np.isfinite(batch).all():
            raise ValueError("a price is not finite")
        if self._end + len(batch) > len(self._prices):
            kept = min(self._end, self._retention)
            self._prices[:kept] = self._prices[self._end - kept : self._end]
            self._end = kept
        self._prices[self._end : self._end + len(batch)] = batch
        self._end += len(batch)

    def windows(self) -> list[Window]:
        """O(window), four passes; ``var`` is spared one by the mean."""
        held = min(self._end, self._retention)
        return [self._statistics(min(size, held)) for size in WINDOWS]

    def _statistics(self, size: int) -> Window:
        window = self._prices[self._end - size : self._end]
        mean = window.mean()
        return (
            size,
            float(window.min()),
            float(window.max()),
            float(window[-1]),
            float(mean),
            float(window.var(mean=mean)),
        )
