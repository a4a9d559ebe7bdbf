"""A process that appends to a series for as long as it is let, and prices that tell of which count an answer is.

The price at position i is i and a fraction, in units of 2^−16. So the last price says the count, and what an answer
must be is said by whole numbers, without any rounding, at any count. The fractions repeat after a while. In stretches
they are 0, some decimals, and as many bits as there are: so blocks are compressed in all ways that there are, and to
sizes from a few words to several hundred.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from aggregation import Geometry, Series, Statistics
from tests.aggregation.killing import begin_in_child

UNITS: Final = 1 << 16
PERIOD: Final = 47_000


def _fractions() -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(11)
    fractions = np.zeros(PERIOD, dtype=np.int64)
    fractions[20_000:35_000] = rng.integers(0, 8, 15_000) * (UNITS // 8)
    fractions[35_000:] = rng.integers(0, UNITS, PERIOD - 35_000)
    return fractions


FRACTIONS: Final = _fractions()
_SUMS: Final = [0, *accumulate(FRACTIONS.tolist())]
_MOMENTS: Final = [0, *accumulate(i * x for i, x in enumerate(FRACTIONS.tolist()))]
_SQUARES: Final = [0, *accumulate(x * x for x in FRACTIONS.tolist())]


def prices(begin: int, end: int) -> npt.NDArray[np.float64]:
    """The prices at positions [begin, end)."""
    positions = np.arange(begin, end)
    found: npt.NDArray[np.float64] = positions + FRACTIONS[positions % PERIOD] / UNITS
    return found


def _sums(count: int) -> tuple[int, int]:
    """The sum and the sum of squares of the first ``count`` prices, in units."""
    periods, rest = divmod(count, PERIOD)
    total = periods * _SUMS[-1] + _SUMS[rest]
    moments = PERIOD * (periods * (periods - 1) // 2 * _SUMS[-1] + periods * _SUMS[rest]) + periods * _MOMENTS[-1]
    moments += _MOMENTS[rest]
    squares = periods * _SQUARES[-1] + _SQUARES[rest]
    positions, positions_squared = count * (count - 1) // 2, (count - 1) * count * (2 * count - 1) // 6
    return UNITS * positions + total, UNITS * UNITS * positions_squared + 2 * UNITS * moments + squares


def exact_at(count: int, length: int) -> Statistics:
    """Statistics of the newest ``length`` of the first ``count`` prices; each number is rounded once."""
    size = min(length, count)
    (total, squares), (total_before, squares_before) = _sums(count), _sums(count - size)
    total, squares = total - total_before, squares - squares_before
    low, high = prices(count - size, count - size + 1)[0], prices(count - 1, count)[0]
    avg, var = total / (size * UNITS), (size * squares - total * total) / (size * UNITS) ** 2
    return Statistics(size, float(low), float(high), float(high), avg, var)


def append_next(series: Series, size: int) -> None:
    """Append the ``size`` prices that come next."""
    series.append(prices(series.count, series.count + size))


def fill(series: Series, count: int) -> None:
    """Append and roll up until there are ``count`` prices at least."""
    while series.count < count:
        append_next(series, series.geometry.max_batch)
        series.roll_up()


def write(series: Series, seed: int) -> None:
    """Append batches of random size until killed, or until the parent is gone; roll up after most of them."""
    parent = os.getppid()
    rng = np.random.default_rng(seed)
    while os.getppid() == parent:
        for size in rng.integers(1, series.geometry.max_batch + 1, 200).tolist():
            append_next(series, size)
            if size % 4:
                series.roll_up()


@contextmanager
def writing(series: Series, seed: int) -> Iterator[None]:
    """Inside, another process appends to the series; it is killed (SIGKILL) in the end."""
    process = begin_in_child(lambda: write(series, seed))
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


SMALL_BOXES: Final = Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=4)
"""Most is cold, and all rings are gone around soon: the boxes after 108,000 prices, and after 7,000 the hot ones."""
