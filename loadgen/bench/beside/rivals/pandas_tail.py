"""pandas: one series, to which batches are concatenated, and statistics of its tails.

A pandas series cannot grow in place: every append copies all that is held. That is what its users do, and why they
are told to collect first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .rival import WINDOWS, Prices, Window


class PandasTail:
    """See ``rival.Rival``."""

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._series = pd.Series(dtype=np.float64)

    def load(self, prices: Prices) -> None:
        """O(len(prices))."""
        self._series = pd.Series(prices.copy())

    def append(self, batch: Prices) -> None:
        """O(retention)."""
        if not np.isfinite(batch).all():
            raise ValueError("a price is not finite")
        newest = pd.Series(batch)
        kept = self._series.iloc[max(0, len(self._series) + len(batch) - self._retention) :]
        self._series = pd.concat([kept, newest], ignore_index=True) if len(kept) else newest

    def windows(self) -> list[Window]:
        """O(window)."""
        return [_statistics(self._series.iloc[-size:]) for size in WINDOWS]


def _statistics(tail: Any) -> Window:  # noqa: ANN401 - pandas is no part of the environment that types are checked in
    return (
        len(tail),
        float(tail.min()),
        float(tail.max()),
        float(tail.iloc[-1]),
        float(tail.mean()),
        float(tail.var(ddof=0)),
    )
