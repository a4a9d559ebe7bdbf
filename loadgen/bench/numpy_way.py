"""What numpy does about the same tasks: the other contender of the core's benchmark, and the check on its answers."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Prices = npt.NDArray[np.float64]

_LIMIT: Final = 1e100
_RADIX: Final = 10


def window_statistics(window: Prices) -> tuple[float, float, float, float, float]:
    """(min, max, last, avg, var) of raw prices; O(len(window)).

    ``var`` is handed the mean that is known already, which spares numpy one of its passes.
    """
    mean = window.mean()
    return float(window.min()), float(window.max()), float(window[-1]), float(mean), float(window.var(mean=mean))


class NumpyBlocks:
    """A ring of raw prices and rings of block summaries, kept up to date with whole-array operations.

    The same work as an append and a roll-up in tenfold: refuse what is not finite, copy, and summarise every block of
    10, 100, … prices that is complete by now. It is spared what tenfold takes care of (other readers, batches that
    straddle the end of a ring, blocks that an odd batch leaves half done).

    Args:
        raw: the memory of the raw ring, 10^j prices, all pages touched.
        batch: prices in every batch, a power of ten. So no batch straddles anything.
    """

    def __init__(self, raw: Prices, batch: int) -> None:
        self.count = 0
        self._raw = raw
        self._batch = batch
        self._levels: list[tuple[int, Prices]] = []
        size = _RADIX
        while size <= len(raw):
            # Columns are min, max, mean, var; full() touches every page, zeros() would not.
            self._levels.append((size, np.full((4, len(raw) // size), 0.0)))
            size *= _RADIX

    def append(self, prices: Prices) -> None:
        """Check, copy and summarise one batch; O(batch) amortised."""
        if not (np.abs(prices) <= _LIMIT).all():
            raise ValueError("a price is not finite or too large")
        start = self.count % len(self._raw)
        self._raw[start : start + self._batch] = prices
        before, self.count = self.count, self.count + self._batch
        children: Prices | None = None
        for size, blocks in self._levels:
            first, end = before // size, self.count // size
            if first == end:
                break
            first %= blocks.shape[1]
            end = first + end - before // size
            if children is None:
                _summarise_prices(self._raw[first * _RADIX : end * _RADIX], blocks[:, first:end])
            else:
                _summarise_blocks(children[:, first * _RADIX : end * _RADIX], blocks[:, first:end])
            children = blocks

    def newest(self, size: int) -> tuple[float, float, float, float]:
        """(min, max, mean, var) of the newest complete block of ``size`` prices."""
        blocks = dict(self._levels)[size]
        low, high, mean, var = blocks[:, (self.count // size - 1) % blocks.shape[1]].tolist()
        return low, high, mean, var


def _summarise_prices(prices: Prices, blocks: Prices) -> None:
    """Summarise tens of prices; transposed first, since numpy reduces ten long rows faster than many rows of ten."""
    tens = np.ascontiguousarray(prices.reshape(-1, _RADIX).T)
    mean = tens.mean(axis=0)
    distance = tens - mean
    blocks[0] = tens.min(axis=0)
    blocks[1] = tens.max(axis=0)
    blocks[2] = mean
    blocks[3] = np.einsum("ij,ij->j", distance, distance) / _RADIX


def _summarise_blocks(children: Prices, blocks: Prices) -> None:
    """Summarise tens of blocks: the mean of means, and variance within plus variance between."""
    lows, highs, means, variances = (np.ascontiguousarray(row.reshape(-1, _RADIX).T) for row in children)
    mean = means.mean(axis=0)
    distance = means - mean
    blocks[0] = lows.min(axis=0)
    blocks[1] = highs.max(axis=0)
    blocks[2] = mean
    blocks[3] = variances.mean(axis=0) + np.einsum("ij,ij->j", distance, distance) / _RADIX
