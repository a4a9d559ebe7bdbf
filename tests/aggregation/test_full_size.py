from __future__ import annotations

import time
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Layout, Series, SharedMemory, Symbols
from tests.aggregation.oracle import Exact, assert_exact

COUNT: Final = 100_123_457
BATCH: Final = 10_000
CENTRE: Final = 98_304.0
UNIT: Final = 2.0**-36
"""Every price from 2^16 to 2^17 is an integer times 2^-36, the ulp there."""


def batch_at(position: int, pattern: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Prices [position, position + 10,000): a walk that repeats every 2^20 + 7 prices, on a slope of two decimals."""
    indices = np.arange(position, min(position + BATCH, COUNT))
    return np.round(pattern[indices % len(pattern)] + 1e-6 * indices, 2).astype(np.float64)


def integer_sums(prices: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Σ u and Σ u² of u = (price − CENTRE) / UNIT, without any rounding: u is split so that no int64 overflows."""
    u = ((prices - CENTRE) / UNIT).astype(np.int64)
    high, low = u >> 24, u & (2**24 - 1)
    squares = int(np.dot(high, high)) * 2**48 + int(np.dot(high, low)) * 2**25 + int(np.dot(low, low))
    return int(u.sum()), squares


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_million_prices() -> None:
    """At full size, after the ring has wrapped, every k is as exact as on small data, and a fold takes microseconds."""
    rng = np.random.default_rng(1)
    steps = rng.normal(0, 0.05, 2**20 + 7)
    pattern = CENTRE + np.cumsum(steps - steps.mean())
    symbols = Symbols(SharedMemory(Layout(Geometry(), max_symbols=1)))
    for position in range(0, COUNT, BATCH):
        symbols.append("EURUSD", batch_at(position, pattern))
        symbols.roll_up("EURUSD")
    assert symbols.count("EURUSD") == COUNT
    series = symbols.series("EURUSD")
    for k in range(1, 9):
        start = COUNT - 10**k
        total = squares = 0
        low, high = np.inf, -np.inf
        for position in range(start // BATCH * BATCH, COUNT, BATCH):
            prices = batch_at(position, pattern)[max(0, start - position) :]
            block_total, block_squares = integer_sums(prices)
            total += block_total
            squares += block_squares
            low, high = min(low, float(prices.min())), max(high, float(prices.max()))
        unit = Fraction(UNIT)
        exact = Exact(
            size=10**k,
            min=low,
            max=high,
            last=float(prices[-1]),
            avg=Fraction(CENTRE) + Fraction(total, 10**k) * unit,
            var=(Fraction(squares, 10**k) - Fraction(total, 10**k) ** 2) * unit**2,
        )
        assert_exact(symbols.statistics("EURUSD", k), exact)
        fastest = min(seconds_of_a_fold(series, k) for _ in range(100))
        assert fastest < 100e-6
    series.check()


def seconds_of_a_fold(series: Series, k: int) -> float:
    begin = time.perf_counter()
    series.statistics(k)
    return time.perf_counter() - begin
