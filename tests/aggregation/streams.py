"""Long streams of prices with their exact statistics, and series to append them to.

A stream is a list of batches of which few are different, so that the sums of a hundred million prices are soon known.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aggregation import Geometry, Series
from tests.aggregation.exact import Sums, exact_sums, extremes
from tests.aggregation.oracle import Exact, answer, bits

Prices = npt.NDArray[np.float64]
Random = np.random.Generator

BATCH: Final = 10_000
MAP_NORESERVE: Final = 0x4000


class Batch(NamedTuple):
    """Prices with their exact sums."""

    prices: Prices
    sums: Sums
    min: float
    max: float


Draw = Callable[[Random, int], Prices]
"""So many prices from a distribution."""

Stream = Callable[[int], list[Batch]]
"""So many prices, in batches of BATCH, the last one shorter."""


def batch_of(prices: Prices) -> Batch:
    return Batch(prices, exact_sums(prices), *extremes(prices))


def exact_window(batches: list[Batch], length: int) -> Exact:
    """The statistics of the newest ``length`` prices."""
    sums, low, high = Sums(0, 0, 0), batches[-1].prices[-1], batches[-1].prices[-1]
    for batch in reversed(batches):
        missing = length - sums.size
        if not missing:
            break
        part = batch if missing >= len(batch.prices) else batch_of(batch.prices[-missing:])
        sums = sums.plus(part.sums)
        low, high = extremes(np.array([low, high, part.min, part.max]))
    return Exact(sums.size, low, high, float(batches[-1].prices[-1]), sums.avg, sums.var)


def newest(batches: list[Batch], length: int) -> Prices:
    kept = batches[-(length // BATCH + 2) :]
    return np.concatenate([batch.prices for batch in kept])[-length:]


def cut(batches: list[Batch], count: int) -> list[Batch]:
    rest = count - BATCH * (len(batches) - 1)
    return [*batches[:-1], batch_of(batches[-1].prices[:rest])]


def shuffled(*draws: Draw, run: int = 1) -> Stream:
    """Batches from each of the distributions, in random order, each ``run`` times in a row."""

    def stream(count: int) -> list[Batch]:
        rng = np.random.default_rng(run)
        palette = [batch_of(draw(rng, BATCH)) for draw in draws for _ in range(16 // len(draws))]
        needed = -(-count // BATCH)
        order = np.repeat(rng.integers(len(palette), size=-(-needed // run)), run)
        return cut([palette[i] for i in order[:needed]], count)

    return stream


def trend(count: int) -> list[Batch]:
    return [
        batch_of(100 + np.arange(i, min(i + BATCH, count), dtype=np.float64) * 1e-3) for i in range(0, count, BATCH)
    ]


def rounded_down(price: float, ulp: float) -> Stream:
    """As many ulps above a price as digits of the position are below 4.

    So of any ten neighbouring blocks of a size, the mean is 0.4 ulp above a float, if their own were rounded to floats.
    """

    def stream(count: int) -> list[Batch]:
        within = sum(np.arange(BATCH) // 10**j % 10 < 4 for j in range(4))
        kinds = [batch_of(price + ulp * (within + more)) for more in range(5)]
        return cut([kinds[sum(i // 10**j % 10 < 4 for j in range(4))] for i in range(-(-count // BATCH))], count)

    return stream


def changed(stream: Stream, price: float, *ages: int) -> Stream:
    """The same, but for the price at some ages: that of the newest price is 1."""

    def edited(count: int) -> list[Batch]:
        batches = stream(count)
        for place in (count - age for age in ages if age <= count):
            prices = batches[place // BATCH].prices.copy()
            prices[place % BATCH] = price
            batches[place // BATCH] = batch_of(prices)
        return batches

    return edited


def normal(mean: float, deviation: float, digits: int | None = None) -> Draw:
    def draw(rng: Random, size: int) -> Prices:
        prices: Prices = rng.normal(mean, deviation, size)
        return prices if digits is None else prices.round(digits)

    return draw


def constant(price: float) -> Draw:
    return lambda _, size: np.full(size, price)


def either(first: float, second: float, share: float = 0.5) -> Draw:
    """One of two prices, the second in such a share."""
    return lambda rng, size: np.where(rng.random(size) < share, second, first)


def fresh(max_k: int) -> Series:
    """An empty series in memory of its own, which a forked process shares."""
    geometry = Geometry(max_k=max_k)
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    return Series(mmap.mmap(-1, geometry.slot_bytes, flags=flags), geometry)


def answered(series: Series) -> list[list[str]]:
    """Every number of every window, to the bit, after seeing that each window alone gives the same."""
    windows = series.windows()
    assert windows is not None
    together = [bits(statistics) for statistics in windows.statistics]
    assert together == [bits(answer(series, k)) for k in range(1, series.geometry.max_k + 1)]
    return together


def append(series: Series, batches: list[Batch], lag: int = 0) -> None:
    """Append batches, all but the last ``lag`` of them with a roll-up behind."""
    for i, batch in enumerate(batches, start=1):
        append_prices(series, batch.prices, roll_up=i <= len(batches) - lag)


def append_prices(series: Series, prices: Prices, roll_up: bool = True) -> None:
    for begin in range(0, len(prices), BATCH):
        series.append(prices[begin : begin + BATCH])
        if roll_up:
            series.roll_up()
