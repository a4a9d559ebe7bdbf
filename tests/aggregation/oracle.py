"""What the answers must be: naive, exact, and without any arithmetic of tenfold's.

Every finite float is an integer times a power of two. ``History`` keeps the prices as such integers with their
prefix sums, so the average and the variance of any window come out as exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate, islice
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aggregation import Geometry, Series, Statistics

LEAST: Final = Fraction(5e-324)
"""The smallest float above zero: near zero, rounding errors are counted in these instead of ulps."""

AVG_ULPS: Final = 4
"""How far an average may be off, in ulps of the average or of the spread (max − min), whichever is larger.

Rounding the result is half an ulp. The rest is the distance from the centre to the average, computed from differences
within the data, so its rounding is counted in the spread's ulps. 1.1 is the largest seen where all is rolled up, 3.6
where the roll-up lags and prices jump by a million times their step.
"""

VAR_RELATIVE: Final = Fraction(1, 10**14)
"""How far a variance may be off, relatively: 14 digits, or 45 to 90 ulps.

Prices without extremes stay within 5 ulps; an outlier inside the window, or blocks of 10,000 prices that are measured
from one, cost up to 24. 3e-15 is the largest seen.
"""

VAR_LEAST: Final = 8
"""How far a variance may be off in units of 5e-324 where its squares underflow: half a unit a level and stage.

1 is the most seen.
"""


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
        total = self._sums[end] - self._sums[begin]
        squares = self._squares[end] - self._squares[begin]
        return Exact(
            size=size,
            min=float(window[np.argmin(window)]),  # the first of equals, as is wanted of 0.0 and −0.0
            max=float(window[np.argmax(window)]),
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


def avg_error(found: Statistics, exact: Exact) -> float:
    """Error of the average in ulps of the average or of the spread, whichever is larger."""
    spread = Fraction(exact.max) - Fraction(exact.min)
    return float(abs(Fraction(found.avg) - exact.avg) / max(ulp(exact.avg), ulp(spread)))


def relative_error(var: float, exact: Exact) -> float:
    """Relative error of a variance, after the first few units of 5e-324.

    Infinite for any error at all where the exact variance is 0, and for what is no number.
    """
    if not math.isfinite(var):
        return math.inf
    error = abs(Fraction(var) - exact.var)
    if exact.var == 0:
        return math.inf if error else 0.0
    return float(max(Fraction(0), error - VAR_LEAST * LEAST) / exact.var)


def assert_exact(found: Statistics, exact: Exact, var_relative: Fraction = VAR_RELATIVE) -> None:
    """Size, min, max and last are identical; average and variance as close as the tolerances above say."""
    assert found.size == exact.size
    assert bits(found[1:4]) == bits(exact[1:4])
    assert found.min <= found.avg <= found.max
    assert avg_error(found, exact) <= AVG_ULPS
    assert relative_error(found.var, exact) <= var_relative, (found, float(exact.var))


def assert_all_windows(series: Series, history: History) -> None:
    """Every k answers as the history does, and so do all of them at once, to the bit."""
    assert series.count == history.count
    answers = [answer(series, k) for k in range(1, series.geometry.max_k + 1)]
    for k, found in enumerate(answers, start=1):
        assert_exact(found, history.newest(series.geometry.radix**k))
    windows = series.windows()
    assert windows is not None
    assert windows.appended == history.count
    assert list(map(bits, windows.statistics)) == list(map(bits, answers))


def new_series(geometry: Geometry, start: int = 0) -> tuple[Series, History]:
    """A series beside its history, as if ``start`` zeros had been appended and rolled up already.

    That is what the preset says: memory is all zero at first, and the summary of a block of zeros is (0, 0, 0, 0).
    """
    series = Series(bytearray(geometry.slot_bytes), geometry)
    for level in range(geometry.levels):
        size = geometry.radix**level
        series.covered[level] = start // size * size
    zeros = min(start, geometry.radix**geometry.max_k)
    return series, History(np.zeros(zeros), start - zeros)
