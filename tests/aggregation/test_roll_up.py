"""What blocks and summaries hold, when they are made, and what a process that is killed may leave behind."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Series
from aggregation.codec import BLOCK
from aggregation.levels import BATCHES, PRICES_AT
from aggregation.summaries import M2, M2_LOW, MAX, MIN, SCALE, SUM, SUM_LOW
from tests.aggregation.lagging import covered, let_lag, most_behind, summaries
from tests.aggregation.oracle import History, all_windows, assert_all_windows, bits, new_series

SMALL: Final = Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=4)


def filled(count: int, geometry: Geometry = SMALL) -> tuple[Series, History]:
    """A series that was rolled up at every append, in random batches."""
    random = np.random.default_rng(count)
    series, history = new_series(geometry)
    while series.count < count:
        size = min(count - series.count, int(random.integers(1, geometry.max_batch + 1)))
        append_to(series, history, size)
        series.roll_up()
    return series, history


def append_to(series: Series, history: History, size: int) -> None:
    prices = np.random.default_rng(series.count).normal(10.0, 2.0, size).round(series.count % 5)
    series.append(prices)
    history.append(prices)


def memory(series: Series) -> bytes:
    """All bytes of the slot but the number of batches."""
    words: npt.NDArray[np.int64] = series._words.copy()
    words[BATCHES] = 0
    return words.tobytes()


def test_summary_of_every_block() -> None:
    """Every summary of every level is that of its prices: extremes and sum without any error, m2 to thirty digits."""
    series, history = filled(130_000)
    for level in SMALL.levels:
        size = SMALL.block_size(level)
        for block in range(-(-(130_000 - SMALL.retention) // size), 130_000 // size):
            exact = History(history.prices[block * size : (block + 1) * size]).newest(size)
            found = [Fraction(x) for x in summaries(series, level)[block % SMALL.capacity(level)].tolist()]
            assert [found[MIN], found[MAX]] == [Fraction(exact.min), Fraction(exact.max)]
            assert found[SUM] + found[SUM_LOW] == exact.avg * size
            m2 = exact.var * size * Fraction(SCALE) ** 2
            assert abs(found[M2] + found[M2_LOW] - m2) <= m2 / 10**29


@pytest.mark.parametrize("geometry", [SMALL, Geometry(max_k=5), Geometry(max_k=1), Geometry(max_k=4, max_batch=1)])
def test_blocks_are_covered_as_soon_as_they_are_complete(geometry: Geometry) -> None:
    """After a roll-up each level covers exactly the whole blocks of the count, also at and beside their edges."""
    for start in (999, 1_000, 9_999, 10**6 - 1, 10**6, 10**15 - 1):
        series, history = new_series(geometry, start)
        for count in (start, start + 1, start + 2):
            sizes = [geometry.block_size(level) for level in geometry.levels]
            assert covered(series).tolist() == [count // size * size for size in sizes]
            assert series.lag == count % BLOCK
            series.check()
            assert_all_windows(series, history)
            append_to(series, history, 1)
            series.roll_up()


def test_memory_does_not_depend_on_when_blocks_are_rolled_up() -> None:
    """At once, now and then, killed in the middle and taken up again, only where an append must: the same bytes."""
    random = np.random.default_rng(3)
    prices = random.normal(0.0, 1.0, 231_234).round(3)
    prompt, partial, late = (new_series(SMALL)[0] for _ in range(3))
    for begin in range(0, len(prices), SMALL.max_batch):
        for series in (prompt, partial, late):
            series.append(prices[begin : begin + SMALL.max_batch])
        prompt.roll_up()
        if random.random() < 0.3:
            partial.roll_up()
            let_lag(partial, random.integers(0, 3, len(SMALL.levels)).tolist())
    for series in (prompt, partial, late):
        series.roll_up()
        series.roll_up()
        series.check()
    assert memory(prompt) == memory(partial) == memory(late)


@pytest.mark.parametrize(
    "geometry", [SMALL, Geometry(max_k=5, max_batch=15_000, least_hot=1, box_blocks=1), Geometry(max_k=4)]
)
def test_any_lag_gives_the_same_bits(geometry: Geometry) -> None:
    """Whichever of the newest blocks of each level are missing or half-written, every answer stays, to the bit."""
    kept = geometry.kept
    for count in {10_000, kept - 1, kept, kept + 1, kept + 10_999, kept + 11_000, kept + 11_001}:
        series, history = filled(count, geometry)
        wanted, whole = list(map(bits, all_windows(series))), memory(series)
        for blocks in range(most_behind(series) + 1):
            let_lag(series, [blocks, *[blocks % 3] * (len(geometry.levels) - 1)])
            assert list(map(bits, all_windows(series))) == wanted
            series.check()
            series.roll_up()
            assert memory(series) == whole
        assert_all_windows(series, history, rounded=True)


def test_an_append_bounds_the_lag() -> None:
    """No append leaves more un-rolled prices standing than max_tail and its own, and each lag that may be is met."""
    series, history = new_series(SMALL)
    lags = []
    for _ in range(40):
        append_to(series, history, SMALL.max_batch)
        lags.append(series.lag)
        assert_all_windows(series, history)
    assert max(lags) == SMALL.max_tail + SMALL.max_batch


@pytest.mark.parametrize("count", [*range(6_498, 6_503), *range(6_995, 7_006), 108_000, 108_001, 216_999])
def test_killed_before_the_count_is_published(count: int) -> None:
    """Prices that were written but not published change no answer, and the next append overwrites them."""
    series, history = filled(count)
    ring = series._words.view(np.float64)[SMALL.plan()[PRICES_AT] :][: SMALL.hot_capacity]
    for lag in range(most_behind(series)):
        ring[np.arange(series.count, series.count + SMALL.max_batch) % SMALL.hot_capacity] = np.nan
        let_lag(series, [lag, 0])
        series.check()
        assert_all_windows(series, history)
        series.roll_up()
        series.check()
    append_to(series, history, 500)
    series.roll_up()
    series.check()
    assert_all_windows(series, history)
