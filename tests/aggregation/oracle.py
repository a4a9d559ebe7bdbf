"""What the answers must be: naive, exact, and without any arithmetic of tenfold's.

Every finite float is an integer times a power of two. ``History`` keeps the prices as such integers with their
prefix sums, so the average and the variance of any window come out as exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aggregation import Geometry, Series, Statistics
from aggregation.codec import BLOCK
from aggregation.levels import COUNT, COVERED
from tests.aggregation.exact import avg_error, error, extremes


class Exact(NamedTuple):
    """The statistics of a window without any rounding."""

    size: int
    min: float
    max: float
    last: float
    avg: Fraction
    var: Fraction


class History:
    """Every price of a stream from position ``start`` on; what lies before it cannot be asked for.

    Args:
        prices: the first of them.
        start: position of the first.
    """

    def __init__(self, prices: npt.ArrayLike = (), start: int = 0) -> None:
        self.start = start
        self.prices: npt.NDArray[np.float64] = np.zeros(0)
        self._denominator = 1
        self._sums = [0]
        self._squares = [0]
        self.append(prices)

    @property
    def count(self) -> int:
        """Prices ever appended."""
        return self.start + len(self.prices)

    def append(self, prices: npt.ArrayLike) -> None:
        """Append prices, oldest first."""
        batch = np.asarray(prices, dtype=np.float64)
        self.prices = np.concatenate([self.prices, batch])
        ratios = [x.as_integer_ratio() for x in batch.tolist()]
        denominator = max([self._denominator, *(d for _, d in ratios)])
        if denominator > self._denominator:
            finer = denominator // self._denominator
            self._sums = [total * finer for total in self._sums]
            self._squares = [total * finer**2 for total in self._squares]
            self._denominator = denominator
        units = [n * (denominator // d) for n, d in ratios]
        self._sums.extend(islice(accumulate(units, initial=self._sums[-1]), 1, None))
        self._squares.extend(islice(accumulate((u * u for u in units), initial=self._squares[-1]), 1, None))

    def newest(self, length: int) -> Exact:
        """Exact statistics of the newest ``length`` prices, or of all there are if fewer."""
        size = min(length, self.count)
        begin, end = len(self.prices) - size, len(self.prices)
        assert begin >= 0, "the window reaches back before the history's start"
        window = self.prices[begin:]
        low, high = extremes(window)
        total = self._sums[end] - self._sums[begin]
        squares = self._squares[end] - self._squares[begin]
        return Exact(
            size=size,
            min=low,
            max=high,
            last=float(window[-1]),
            avg=Fraction(total, size * self._denominator),
            var=Fraction(size * squares - total * total, (size * self._denominator) ** 2),
        )


def answer(series: Series, k: int) -> Statistics:
    """The statistics of a series that has a price."""
    statistics = series.statistics(k)
    assert statistics is not None
    return statistics


def bits(values: Iterable[float]) -> list[str]:
    """The values so that equal means identical: 0.0 and −0.0 differ."""
    return [float(value).hex() for value in values]


def ulp(value: Fraction | float) -> Fraction:
    """The distance from ``value`` to the next float, exactly."""
    return Fraction(math.ulp(float(value)))


def assert_exact(found: Statistics, exact: Exact, rounded: bool = False) -> None:
    """Size, min, max and last are identical; average and variance are within one unit in the last place.

    Args:
        found: the answer.
        exact: what it should be.
        rounded: average and variance are the exact ones, rounded once. Among some thousand prices of like size they
            must be: a pair holds their sum without an error, and of the variance all but the last 2^−80 or so.
    """
    assert found.size == exact.size
    assert bits(found[1:4]) == bits(exact[1:4])
    assert found.min <= found.avg <= found.max
    assert bits([found.avg, found.var]) == bits([found.avg + 0.0, found.var + 0.0]), "an average of zero has no sign"
    if rounded:
        assert (found.avg, found.var) == (float(exact.avg), float(exact.var))
    else:
        assert avg_error(found.avg, exact.avg, max(-exact.min, exact.max)) <= 1, (found, float(exact.avg))
        assert error(found.var, exact.var) <= 1, (found, float(exact.var))


def all_windows(series: Series) -> list[Statistics]:
    """The answer for every k, and so are all of them at once, to the bit."""
    answers = [answer(series, k) for k in range(1, series.geometry.max_k + 1)]
    windows = series.windows()
    assert windows is not None
    assert windows.appended == series.count
    assert list(map(bits, windows.statistics)) == list(map(bits, answers))
    return answers


def assert_all_windows(series: Series, history: History, rounded: bool = False) -> None:
    """Every k answers as the history does, alone and with all others."""
    assert series.count == history.count
    for k, found in enumerate(all_windows(series), start=1):
        assert_exact(found, history.newest(10**k), rounded)


def new_series(geometry: Geometry, start: int = 0) -> tuple[Series, History]:
    """A series beside its history, as if ``start`` zeros had been appended, and rolled up as far as there are blocks.

    The count begins as if so many were long forgotten that neither a box nor a block of any level is cut. Those that
    are retained are appended. So ``start`` may be anything.
    """
    series = Series(bytearray(geometry.slot_bytes), geometry)
    zeros = min(start, geometry.retention)
    box = geometry.box_blocks * BLOCK if geometry.boxes else 1
    whole = math.lcm(geometry.block_size(geometry.levels[-1]), box)
    forgotten = (start - zeros) // whole * whole
    series._words[COUNT : COVERED + len(geometry.levels)] = forgotten
    while series.count < start:
        series.append(np.zeros(min(start - series.count, geometry.max_batch)))
    series.roll_up()
    return series, History(np.zeros(zeros), start - zeros)
