"""Every window of every count: exact, and the same to the bit whatever the shape of the memory and the lag."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Series
from aggregation.codec import BLOCK
from tests.aggregation.lagging import let_lag, most_behind
from tests.aggregation.oracle import all_windows, assert_all_windows, bits, new_series

Prices = npt.NDArray[np.float64]
Random = np.random.Generator
Lag = Callable[[Series, Random], None]


def prompt(series: Series, _random: Random) -> None:
    """No block is behind."""
    series.roll_up()


def never(_series: Series, _random: Random) -> None:
    """Only appends roll up, where they must."""


def anyhow(series: Series, random: Random) -> None:
    """Every level is behind on its own, by nothing up to the most that there can be."""
    series.roll_up()
    levels = len(series.geometry.levels)
    let_lag(series, [int(random.integers(0, most_behind(series) + 1)), *random.integers(0, 3, levels - 1).tolist()])


Shapes = list[tuple[Geometry, Lag]]

FIVE: Final[Shapes] = [
    (Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=4), anyhow),  # windows from 10^4 on are cold
    (Geometry(max_k=5, max_batch=500), prompt),  # all is hot
    (Geometry(max_k=5, max_batch=500, least_hot=12_345, box_blocks=7), never),  # the window of 10^5 is cold
    (Geometry(max_k=5, max_batch=15_000, least_hot=1, box_blocks=1), anyhow),
]
FOUR: Final[Shapes] = [
    (Geometry(max_k=4, max_batch=40, least_hot=1, box_blocks=1), anyhow),  # 3,000 prices are hot
    (Geometry(max_k=4, max_batch=40, least_hot=1, box_blocks=3), never),
    (Geometry(max_k=4, max_batch=40), prompt),  # all is hot
    (Geometry(max_k=4, max_batch=12_000, least_hot=1), anyhow),  # the same, and batches longer than the retention
]
LAGS: Final[dict[int, Lag]] = {1: never, 7: prompt, 300: anyhow, 12_000: anyhow}
FEW: Final[list[Shapes]] = [[(Geometry(max_k=k, max_batch=batch), LAGS[batch]) for batch in LAGS] for k in (1, 2, 3)]


def noise(size: int, seed: int = 1) -> Prices:
    return np.random.default_rng(seed).normal(100.0, 3.0, size)


def edges(shapes: Shapes, end: int) -> list[int]:
    """Counts where a block, a box, a ring or a window begins or ends, and beside them; some between them; the last."""
    steps = {BLOCK}
    for geometry, _ in shapes:
        steps |= {geometry.hot, geometry.hot_capacity, geometry.kept}
        steps |= {geometry.capacity(level) * geometry.block_size(level) for level in geometry.levels}
        steps |= {geometry.box_blocks * BLOCK * boxes for boxes in (1, geometry.boxes) if boxes}
    beside = {sign * off for off in (0, 1, 10, 11, 100, 999) for sign in (1, -1)}
    counts = {edge + off for step in steps for edge in range(0, end + BLOCK, step) for off in beside}
    counts |= set(np.random.default_rng(end).integers(1, end, 300).tolist())
    return sorted(count for count in counts | {1, end} if 0 < count <= end)


def drive(shapes: Shapes, prices: Prices, counts: Iterable[int], start: int = 0, rounded: bool = True) -> None:
    """Append one stream to a series of each shape, and ask each for every window at every one of the counts."""
    random = np.random.default_rng(len(prices))
    (first, history), *others = [new_series(geometry, start) for geometry, _ in shapes]
    all_series = [first, *(series for series, _ in others)]
    for begin, end in pairwise([0, *counts]):
        history.append(prices[begin:end])
        for series, (geometry, lag) in zip(all_series, shapes, strict=True):
            for at in range(begin, end, geometry.max_batch):
                series.append(prices[at : min(end, at + geometry.max_batch)])
                lag(series, random)
        assert_all_windows(first, history, rounded)
        wanted = list(map(bits, all_windows(first)))
        for series in all_series[1:]:
            assert list(map(bits, all_windows(series))) == wanted, (series.geometry, series.count)
    for series in all_series:
        series.check()


@pytest.mark.parametrize(
    ("shapes", "size"), [(FIVE, 230_000), (FOUR, 40_000), *((shapes, 12_000) for shapes in FEW)], ids=lambda _: ""
)
def test_at_every_edge_through_every_wrap(shapes: Shapes, size: int) -> None:
    """Where a block, a box, a ring or a window ends, hot or cold, rolled up or not: the same bits, rounded once."""
    drive(shapes, noise(size), edges(shapes, size))
    assert size >= 2 * max(geometry.kept for geometry, _ in shapes[:3]), "rings were to wrap"


@pytest.mark.parametrize("start", [10**15, 10**15 + 12_345, 2**53 - 2_001])
@pytest.mark.parametrize("shapes", [FIVE, FOUR, FEW[2]], ids=["5", "4", "3"])
def test_far_into_a_stream(shapes: Shapes, start: int) -> None:
    """Counts beyond those that a float can hold are like any others."""
    drive(shapes, noise(5_000), [*range(1, 12), *range(900, 5_000, 333), 5_000], start, rounded=False)


@pytest.mark.parametrize("shapes", [FOUR, *FEW], ids=["4", "1", "2", "3"])
def test_price_by_price(shapes: Shapes) -> None:
    """At every count in a row, with a wrap of the smallest ring among them."""
    prices = noise(5_100)
    drive(shapes, prices, [*range(1, 60), *range(2_960, 5_100)])


@pytest.mark.parametrize("size", [*range(1, 26), 31, 32, 33, 40])
def test_every_batch_at_every_phase_of_the_wrap(size: int) -> None:
    """Batches of any size begin and end anywhere about the end of the ring of raw prices."""
    geometry = Geometry(max_k=3, max_batch=40)
    for before in range(size + 2):
        series, history = new_series(geometry, 7 * geometry.hot_capacity - before)
        for batch in (noise(size, seed=before), noise(size)):
            series.append(batch)
            history.append(batch)
            assert_all_windows(series, history)


@pytest.mark.parametrize("values", [[0.0, -0.0], [-1.5, -0.0, 0.0, 2.25], [-0.0], [-0.0, 5e-324, -5e-324]], ids=str)
def test_few_distinct_prices(values: list[float]) -> None:
    """Ties change nothing; a zero has a sign in last alone; what cancels to nothing is nothing."""
    prices = np.random.default_rng(6).choice(values, 30_000)
    drive(FOUR, prices, edges(FOUR, 30_000)[::5], rounded=False)


def test_prices_that_turn_from_decimals_to_random_bits_and_back() -> None:
    """Blocks of any width, one after another in one box: a window that begins inside of any of them is exact."""
    random = np.random.default_rng(7)
    parts = [
        noise(3_500).round(2),
        random.uniform(-1e100, 1e100, 2_500),
        np.full(4_000, 1.5),
        noise(3_000) * 10.0 ** random.integers(-90, 90, 3_000),
        np.where(random.random(9_000) < 0.02, noise(9_000), noise(9_000).round(5)),
    ]
    prices = np.concatenate(parts)
    drive(FOUR, prices, edges(FOUR, len(prices))[::5], rounded=False)
