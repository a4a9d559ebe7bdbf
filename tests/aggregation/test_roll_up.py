"""What a summary holds, what the lag may change, and what a process that is killed may leave behind."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import MAX_PRICE, Geometry, Series, Statistics, kernels
from tests.aggregation.oracle import History, answer, assert_all_windows, assert_exact, bits, new_series, ulp

SMALL: Final = Geometry(max_k=4, radix=3, max_batch=20)

LAG_VAR_ULPS: Final = 32
"""How far variances of one window may differ between tilings.

Each is within 14 digits of the truth; among prices without extremes each is within a few ulps. 3 is the most seen.
"""


def filled(geometry: Geometry, count: int, seed: int = 0) -> tuple[Series, History]:
    """A series that was rolled up at every append, in random batches."""
    rng = np.random.default_rng(seed)
    series, history = new_series(geometry)
    while series.count < count:
        batch = rng.normal(10.0, 2.0, min(int(rng.integers(1, geometry.max_batch + 1)), count - series.count))
        series.append(batch)
        history.append(batch)
        series.roll_up()
    return series, history


def batch_of(history: History, size: int, seed: int = 99) -> npt.NDArray[np.float64]:
    batch = np.random.default_rng(seed).normal(10.0, 2.0, size)
    history.append(batch)
    return batch


def row_of(series: Series, level: int, block: int) -> int:
    return int(series.geometry.plan[level, kernels.FIRST_ROW]) + block % series.geometry.capacity(level)


def everything(series: Series) -> tuple[bytes, bytes, bytes]:
    return series.covered.tobytes(), series._raw.tobytes(), series._summaries.tobytes()


def assert_as_close(found: Statistics, other: Statistics) -> None:
    assert bits(found[:4]) == bits(other[:4])
    unit = max(ulp(other.avg), ulp(other.max - other.min))
    assert abs(Fraction(found.avg) - Fraction(other.avg)) <= 2 * unit
    assert abs(Fraction(found.var) - Fraction(other.var)) <= LAG_VAR_ULPS * ulp(other.var)


def test_summary_of_every_block() -> None:
    """Every summary of every level is that of its block's prices: extremes bit for bit, mean and m2 to 14 digits."""
    series, history = filled(SMALL, 500)
    for level in range(1, SMALL.levels):
        size = 3**level
        for block in range(-(-(500 - SMALL.retention) // size), 500 // size):
            exact = History(history.prices[block * size : (block + 1) * size]).newest(size)
            low, high, mean_offset, m2 = series._summaries[row_of(series, level, block)].tolist()
            assert bits([low, high]) == bits([exact.min, exact.max])
            assert abs(Fraction(mean_offset) - (exact.avg - Fraction(low))) <= 2 * ulp(high - low)
            assert abs(Fraction(m2) - size * exact.var) <= size * exact.var / 10**14


def test_blocks_are_covered_as_soon_as_they_are_complete() -> None:
    """After a roll-up each level covers exactly the whole blocks of the count."""
    series, _ = new_series(SMALL)
    for count in range(1, 300):
        series.append([float(count)])
        series.roll_up()
        assert series.covered.tolist() == [count // 3**level * 3**level for level in range(SMALL.levels)]
        assert series.tail == count % 3


def test_roll_up_is_idempotent() -> None:
    """Rolling up twice changes no byte."""
    series, _ = filled(SMALL, 400)
    before = everything(series)
    series.roll_up()
    assert everything(series) == before


@pytest.mark.parametrize("seed", range(5))
def test_summaries_do_not_depend_on_when_they_are_made(seed: int) -> None:
    """Rolled up after every price, now and then level by level, or once at the end: the same bytes in every block."""
    rng = np.random.default_rng(seed)
    prices = rng.normal(0.0, 1.0, SMALL.retention)
    eager, _ = new_series(SMALL)
    lazy, _ = new_series(SMALL)
    partial, _ = new_series(SMALL)
    for price in prices:
        for series in (eager, lazy, partial):
            series.append([price])
        eager.roll_up()
        partial.roll_up(int(rng.integers(0, 4)))
    for series in (eager, lazy, partial):
        series.roll_up()
    assert everything(eager) == everything(lazy) == everything(partial)


@pytest.mark.parametrize("tail", [1, 9, 10, 999, 10_000, 33_333, 50_000])
def test_any_lag_gives_the_same_answers(tail: int) -> None:
    """However many of the newest prices are not rolled up, min, max and last are identical, and the rest to ulps."""
    geometry = Geometry(max_k=5)
    rng = np.random.default_rng(tail)
    lagging, history = new_series(geometry)
    prompt, _ = new_series(geometry)
    prices = rng.normal(1.1, 1e-4, 130_000 + tail).round(5)
    for begin in range(0, len(prices), 10_000):
        batch = prices[begin : begin + 10_000]
        for series in (lagging, prompt):
            series.append(batch)
        history.append(batch)
        prompt.roll_up()
        if series.count <= 130_000:
            lagging.roll_up()
    for k in range(1, 6):
        assert_as_close(answer(lagging, k), answer(prompt, k))
    assert_all_windows(lagging, history)
    assert_all_windows(prompt, history)


def test_an_append_bounds_the_lag() -> None:
    """No append leaves more un-rolled prices standing than max_tail and its own."""
    series, history = new_series(SMALL)
    longest = 0
    for _ in range(40):
        series.append(batch_of(history, 20, seed=series.count))
        longest = max(longest, series.tail)
        assert_all_windows(series, history)
    assert SMALL.max_tail < longest <= SMALL.max_tail + SMALL.max_batch


@pytest.mark.parametrize("count", range(81, 81 + 101))
def test_killed_before_the_count_is_published(count: int) -> None:
    """Prices that were written but not published change no answer, and the next append overwrites them."""
    series, history = filled(SMALL, count)
    torn = np.full(SMALL.max_batch, 1e100)
    assert kernels.write(series._raw, series.count, torn, MAX_PRICE) == -1
    assert_all_windows(series, history)
    series.check()
    series.append(batch_of(history, 5))
    assert_all_windows(series, history)
    series.roll_up()
    series.check()
    assert_all_windows(series, history)


@pytest.mark.parametrize("count", [81, 100, 161, 162, 242, 243, 300, 486])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_killed_before_a_level_is_published(count: int, level: int) -> None:
    """Summaries that were written but not published change no answer, and the next roll-up gives the same bytes."""
    series, history = filled(SMALL, count)
    published = series.covered[level:].copy()
    series.append(batch_of(history, 20))
    series.roll_up()
    whole = everything(series)
    series.covered[level:] = published
    series.check()
    assert_all_windows(series, history)
    series.roll_up()
    assert everything(series) == whole


@pytest.mark.parametrize("torn", [np.nan, -1e300, 0.0])
def test_killed_inside_a_summary(torn: float) -> None:
    """Whatever half-written rows lie beyond a level's cover, no fold reads them and the next roll-up replaces them."""
    for count in range(200, 281):
        series, history = filled(SMALL, count)
        series.append(batch_of(history, 20))
        for level in range(1, SMALL.levels):
            size = 3**level
            first = int(series.covered[level]) // size
            rows = [row_of(series, level, block) for block in range(first, series.count // size)]
            series._summaries[rows] = torn
        assert_all_windows(series, history)
        series.roll_up()
        series.check()
        assert_all_windows(series, history)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_stopped_after_a_level(level: int) -> None:
    """A roll-up that stops after any level is taken up again after any number of further appends."""
    for appends in range(8):
        series, history = filled(SMALL, 250)
        series.append(batch_of(history, 20, seed=1))
        series.roll_up(level)
        series.check()
        for i in range(appends):
            series.append(batch_of(history, 13, seed=2 + i))
            assert_all_windows(series, history)
        series.roll_up()
        series.check()
        assert_all_windows(series, history)


@pytest.mark.parametrize(("level", "column"), [(level, column) for level in (1, 2, 3) for column in range(4)])
def test_check_notices_a_wrong_summary(level: int, column: int) -> None:
    """One number that is off in any summary of the retention makes check() fail and name the level."""
    series, _ = filled(SMALL, 300)
    series._summaries[row_of(series, level, (300 - SMALL.retention) // 3**level + 1), column] *= 1 + 1e-9
    with pytest.raises(AssertionError, match=f"level {level}"):
        series.check()


def test_check_notices_wrong_counts() -> None:
    """A level that runs ahead of the one below, or covers part of a block, makes check() fail."""
    series, _ = filled(SMALL, 300)
    good = series.covered.copy()
    for level, value, message in [(1, 303, "ahead"), (2, 301, "ahead"), (2, 289, "part of a block"), (3, -27, "ahead")]:
        series.covered[:] = good
        series.covered[level] = value
        with pytest.raises(AssertionError, match=message):
            series.check()


def test_far_into_a_stream() -> None:
    """Counts near 2**40 are answered as exactly as small ones."""
    for offset in (0, 1, 26, 80):
        series, history = new_series(SMALL, start=2**40 + offset)
        assert_exact(answer(series, 4), history.newest(81))
        for i in range(60):
            series.append(batch_of(history, 1 + i % 20, seed=i))
            if i % 3:
                series.roll_up()
            series.check()
            assert_all_windows(series, history)
