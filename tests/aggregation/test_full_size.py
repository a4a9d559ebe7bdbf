from __future__ import annotations

import time
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Layout, Series, SharedMemory, Symbols
from tests.aggregation.exact import Sums, exact_sums, extremes
from tests.aggregation.oracle import Exact, assert_exact

COUNT: Final = 103_123_457
BATCH: Final = 10_000


def prices_at(position: int, size: int, pattern: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Prices from a position on: a walk that repeats every 2^20 + 7 prices, on a slope, of two decimals."""
    indices = np.arange(position, position + size)
    return np.round(pattern[indices % len(pattern)] + 1e-6 * indices, 2).astype(np.float64)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_million_prices() -> None:
    """At full size, after every ring has wrapped, every k is as exact as ever, and a fold takes microseconds."""
    random = np.random.default_rng(1)
    steps = random.normal(0, 0.05, 2**20 + 7)
    pattern = 98_304.0 + np.cumsum(steps - steps.mean())
    symbols = Symbols(SharedMemory(Layout(Geometry(), max_symbols=1)))
    for position in range(0, COUNT, BATCH):
        symbols.append("EURUSD", prices_at(position, min(BATCH, COUNT - position), pattern))
        symbols.roll_up("EURUSD")
    series = symbols.series("EURUSD")
    assert series.count == COUNT > series.geometry.kept + 2 * 10**6
    sums, parts = Sums(0, 0, 0), []
    begin = COUNT
    for k in range(1, 9):
        while begin > COUNT - 10**k:
            size = min(2**20, begin - (COUNT - 10**k))
            begin -= size
            part = prices_at(begin, size, pattern)
            assert series.prices(begin, size).tobytes() == part.tobytes()
            sums = sums.plus(exact_sums(part))
            parts.append(extremes(part))
        lowest, highest = extremes(np.array(parts))
        exact = Exact(10**k, lowest, highest, float(series.prices(COUNT - 1, 1)[0]), sums.avg, sums.var)
        assert_exact(symbols.statistics("EURUSD", k), exact, rounded=True)
        assert min(seconds_of_a_fold(series, k) for _ in range(100)) < 100e-6
    series.check()


def seconds_of_a_fold(series: Series, k: int) -> float:
    begin = time.perf_counter()
    series.statistics(k)
    return time.perf_counter() - begin
