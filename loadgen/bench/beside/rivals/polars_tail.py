"""polars: one series, to which batches are appended, and statistics of its tails.

Appending adds a chunk without copying; cutting off what is too old copies nothing either. Many small chunks would slow
everything down, so now and then they are made one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from .rival import WINDOWS, Prices, Window

MOST_CHUNKS = 100


class PolarsTail:
    """See ``rival.Rival``."""

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._series = pl.Series("price", [], pl.Float64)

    def load(self, prices: Prices) -> None:
        """O(len(prices))."""
        self._series = pl.Series("price", prices.copy())  # it would only refer to them

    def append(self, batch: Prices) -> None:
        """O(len(batch)), amortised over ``MOST_CHUNKS`` batches O(retention)."""
        if not np.isfinite(batch).all():
            raise ValueError("a price is not finite")
        self._series.append(pl.Series("price", batch))
        if self._series.len() > self._retention:
            self._series = self._series.tail(self._retention)
        if self._series.n_chunks() > MOST_CHUNKS:
            self._series = self._series.rechunk()

    def windows(self) -> list[Window]:
        """O(window)."""
        return [_statistics(self._series.tail(size)) for size in WINDOWS]


def _statistics(tail: Any) -> Window:  # noqa: ANN401 - polars is no part of the environment that types are checked in
    return (tail.len(), tail.min(), tail.max(), tail[-1], tail.mean(), tail.var(ddof=0))
