"""A segment tree over a ring of prices: what comes to mind first where windows differ and every answer must be quick.

A node knows minimum, maximum, sum and sum of squares of the prices below it. A batch changes a run of leaves, and with
them one run of nodes on each level above, which numpy computes at a time. A window is combined from O(log n) nodes.
Sums are of distances from the first price, which helps as long as prices stay near it.
"""

from __future__ import annotations

import numpy as np

from .rival import WINDOWS, Prices, Window

LOW, HIGH, TOTAL, SQUARES = range(4)


class SegmentTree:
    """See ``rival.Rival``; 64 bytes a price. Leaf i of n is node n + i; node i has the children 2i and 2i + 1."""

    def __init__(self, retention: int) -> None:
        self._leaves = retention
        self._nodes = np.zeros((4, 2 * retention))
        self._nodes[LOW] = np.inf
        self._nodes[HIGH] = -np.inf
        self._count = 0
        self._origin = 0.0
        self._last = 0.0

    def load(self, prices: Prices) -> None:
        """O(len(prices))."""
        self.append(prices)

    def append(self, batch: Prices) -> None:
        """O(len(batch) + log n), in some forty calls of numpy a level at most."""
        if not np.isfinite(batch).all():
            raise ValueError("a price is not finite")
        if not self._count:
            self._origin = float(batch[0])
        batch = batch[-self._leaves :]
        start = self._count % self._leaves
        before_wrap = min(len(batch), self._leaves - start)
        self._write(start, batch[:before_wrap])
        if before_wrap < len(batch):
            self._write(0, batch[before_wrap:])
        self._count += len(batch)
        self._last = float(batch[-1])

    def _write(self, start: int, prices: Prices) -> None:
        """Set leaves from ``start`` on, and recompute all above them, level by level."""
        first = self._leaves + start
        last = first + len(prices) - 1
        low, high, total, squares = self._nodes
        low[first : last + 1] = high[first : last + 1] = prices
        distances = prices - self._origin
        total[first : last + 1] = distances
        np.square(distances, out=squares[first : last + 1])
        while last > 1:
            first, last = max(1, first >> 1), last >> 1
            here, left, right = (
                slice(first, last + 1),
                slice(2 * first, 2 * last + 1, 2),
                slice(2 * first + 1, 2 * last + 2, 2),
            )
            np.minimum(low[left], low[right], out=low[here])
            np.maximum(high[left], high[right], out=high[here])
            np.add(total[left], total[right], out=total[here])
            np.add(squares[left], squares[right], out=squares[here])

    def windows(self) -> list[Window]:
        """O(log n) a window."""
        held = min(self._count, self._leaves)
        return [self.statistics(min(size, held)) for size in WINDOWS]

    def statistics(self, size: int) -> Window:
        """One window over the newest ``size`` prices, at most those that are held; O(log n)."""
        end = (self._count - 1) % self._leaves + 1
        nodes = self._cover(max(0, end - size), end)
        if size > end:
            nodes += self._cover(self._leaves - (size - end), self._leaves)
        low, high, total, squares = self._nodes[:, nodes]
        mean = float(total.sum()) / size
        var = max(0.0, float(squares.sum()) / size - mean * mean)
        return size, float(low.min()), float(high.max()), self._last, self._origin + mean, var

    def _cover(self, begin: int, end: int) -> list[int]:
        """The nodes whose leaves are exactly [begin, end)."""
        nodes = []
        begin += self._leaves
        end += self._leaves
        while begin < end:
            if begin & 1:
                nodes.append(begin)
                begin += 1
            if end & 1:
                end -= 1
                nodes.append(end)
            begin >>= 1
            end >>= 1
        return nodes
