"""Running sums and monotonic deques in plain Python: the textbook's sliding window, eight times.

O(1) a price and a query, whatever the window. Each price enters the sums and the deques of eight windows and leaves
them again when it is too old. The sums are of distances from the first price, as who knows about cancellation would
write it; that helps as long as prices stay near the first one. Rounding errors stay in the sums for ever.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import isfinite

import numpy as np

from .rival import WINDOWS, Prices, Window


class _Sliding:
    """One window: sums, and the positions and prices that can still become its minimum and its maximum."""

    __slots__ = ("highs", "lows", "size", "squares", "total")

    def __init__(self, size: int) -> None:
        self.size = size
        self.total = 0.0
        self.squares = 0.0
        self.lows: deque[tuple[int, float]] = deque()
        self.highs: deque[tuple[int, float]] = deque()


class Running:
    """See ``rival.Rival``."""

    def __init__(self, retention: int) -> None:
        self._windows = [_Sliding(min(size, retention)) for size in WINDOWS]
        self._ring = array("d", bytes(8 * retention))
        self._count = 0
        self._origin = 0.0

    def load(self, prices: Prices) -> None:
        """Arrive, with numpy's help, where appending would have arrived; O(len(prices)) a window."""
        self._origin = float(prices[0])
        self._count = len(prices)
        self._ring[: len(prices)] = array("d", prices.tobytes())
        for window in self._windows:
            newest = prices[-window.size :]
            distances = newest - self._origin
            window.total = float(distances.sum())
            window.squares = float(distances @ distances)
            first = len(prices) - len(newest)
            window.lows.extend(_still_lowest(newest, first))
            window.highs.extend((place, -price) for place, price in _still_lowest(-newest, first))

    def append(self, batch: Prices) -> None:
        """O(len(batch)) a window, amortised."""
        prices: list[float] = batch.tolist()
        if not all(map(isfinite, prices)):
            raise ValueError("a price is not finite")
        if not self._count:
            self._origin = prices[0]
        for window in self._windows:
            self._slide(window, prices)
        ring, size = self._ring, len(self._ring)
        for place, price in enumerate(prices, self._count):
            ring[place % size] = price
        self._count += len(prices)

    def _slide(self, window: _Sliding, prices: list[float]) -> None:
        """Let prices into one window and the oldest out of it."""
        ring, room, size, start, origin = self._ring, len(self._ring), window.size, self._count, self._origin
        lows, highs, total, squares = window.lows, window.highs, window.total, window.squares
        for place, price in enumerate(prices, start):
            distance = price - origin
            total += distance
            squares += distance * distance
            leaving = place - size
            if leaving >= 0:
                left = (ring[leaving % room] if leaving < start else prices[leaving - start]) - origin
                total -= left
                squares -= left * left
            while lows and lows[-1][1] >= price:
                lows.pop()
            lows.append((place, price))
            while highs and highs[-1][1] <= price:
                highs.pop()
            highs.append((place, price))
            if lows[0][0] <= leaving:
                lows.popleft()
            if highs[0][0] <= leaving:
                highs.popleft()
        window.total, window.squares = total, squares

    def windows(self) -> list[Window]:
        """O(1) a window."""
        last = self._ring[(self._count - 1) % len(self._ring)]
        return [self._statistics(window, last) for window in self._windows]

    def _statistics(self, window: _Sliding, last: float) -> Window:
        size = min(window.size, self._count)
        mean = window.total / size
        var = max(0.0, window.squares / size - mean * mean)
        return size, window.lows[0][1], window.highs[0][1], last, self._origin + mean, var


def _still_lowest(prices: Prices, first: int) -> list[tuple[int, float]]:
    """Position and price of each that is lower than all after it, oldest first."""
    lowest_from = np.minimum.accumulate(prices[::-1])[::-1]
    places = np.flatnonzero(prices[:-1] < lowest_from[1:])
    return [(first + int(place), float(prices[place])) for place in (*places, len(prices) - 1)]
