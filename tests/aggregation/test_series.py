"""What a series accepts and refuses, and the merge law of its answers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation import MAX_PRICE, Geometry, PriceError, Series, Statistics
from tests.aggregation.exact import UNDERFLOW
from tests.aggregation.oracle import History, answer, assert_all_windows, new_series, ulp

GEOMETRY = Geometry(max_k=3, radix=10, max_batch=50)


def in_use() -> tuple[Series, History]:
    """A series with wrapped rings and a tail."""
    series, history = new_series(GEOMETRY)
    for i in range(70):
        batch = np.random.default_rng(i).normal(5.0, 1.0, 17)
        series.append(batch)
        history.append(batch)
        if i < 68:
            series.roll_up()
    return series, history


def assert_refused(act: Callable[[Series], object], error: type[Exception], match: str) -> Exception:
    """``act`` raises, and then every byte is as before."""
    series, history = in_use()
    before = series.covered.tobytes(), series._raw.tobytes(), series._summaries.tobytes()
    with pytest.raises(error, match=match) as caught:
        act(series)
    assert (series.covered.tobytes(), series._raw.tobytes(), series._summaries.tobytes()) == before
    assert_all_windows(series, history)
    return caught.value


@pytest.mark.parametrize("index", [0, 1, 7, 8, 31, 49])
@pytest.mark.parametrize(
    "price", [np.nan, np.inf, -np.inf, np.nextafter(MAX_PRICE, np.inf), -np.nextafter(MAX_PRICE, np.inf), 1.8e308]
)
def test_prices_that_are_refused(price: float, index: int) -> None:
    """A price that is not finite or beyond ±1e100 refuses its batch, says which one it is, and changes nothing."""
    batch = np.ones(50)
    batch[index] = price
    batch[index + 1 :: 5] = np.nan  # later ones are not the answer
    error = assert_refused(lambda series: series.append(batch), PriceError, f"^price {index} of the batch")
    assert isinstance(error, PriceError)
    assert error.index == index


@pytest.mark.parametrize(
    "batch",
    [[], np.zeros(0), np.ones(51), np.ones((5, 5)), np.ones((1, 1)), [[1.0], [2.0]], np.ones((0, 3)), np.ones((3, 0))],
    ids=lambda batch: f"shape {np.shape(batch)}",
)
def test_batches_that_are_refused(batch: Any) -> None:
    """A batch that is empty, too long or not a row is refused and changes nothing."""
    assert_refused(lambda series: series.append(batch), ValueError, "a batch is a row of 1 to 50 prices")


@pytest.mark.parametrize(
    ("batch", "error", "match"),
    [
        (["a"], ValueError, "could not convert"),
        ([1.0, [2.0]], ValueError, "inhomogeneous"),
        ([object()], TypeError, "float"),
        ([10**400], OverflowError, "too large"),
    ],
)
def test_what_is_no_number_is_refused(batch: Any, error: type[Exception], match: str) -> None:
    """Something that numpy cannot read as numbers raises what numpy raises, and changes nothing."""
    assert_refused(lambda series: series.append(batch), error, match)


@pytest.mark.parametrize("k", [0, -1, 4, 8, 10**6])
def test_k_out_of_range(k: int) -> None:
    """A k that the geometry does not retain is refused."""
    assert_refused(lambda series: series.statistics(k), ValueError, f"k must be from 1 to 3, not {k}")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_empty_series(k: int) -> None:
    """A series without a price has no statistics."""
    series, _ = new_series(GEOMETRY)
    assert series.count == series.tail == 0
    series.roll_up()
    series.check()
    assert series.statistics(k) is None
    assert series.windows() is None
    assert series.newest() is None


@pytest.mark.parametrize("batch", [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3], np.int32), np.arange(1.0, 7.0)[::2]])
def test_batches_of_any_row_of_numbers(batch: Any) -> None:
    """Lists, tuples, integers and strided arrays mean the numbers they hold."""
    series, history = new_series(GEOMETRY)
    assert series.append(batch) == 3
    history.append([float(x) for x in batch])
    assert_all_windows(series, history)


def test_a_batch_may_be_read_only() -> None:
    """A batch is only read: it may lie in memory that nobody can write to, and belongs to its owner afterwards."""
    prices = np.array([1.0, 2.0, 3.0])
    series, history = new_series(GEOMETRY)
    series.append(np.frombuffer(prices.tobytes()))
    series.append(prices)
    prices[:] = np.nan
    history.append([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    assert_all_windows(series, history)


def test_the_largest_prices_are_accepted() -> None:
    """±1e100 themselves are prices, and nothing overflows."""
    series, history = new_series(GEOMETRY)
    series.append([MAX_PRICE, -MAX_PRICE])
    history.append([MAX_PRICE, -MAX_PRICE])
    assert_all_windows(series, history)


@pytest.mark.parametrize("missing", [1, 4096, GEOMETRY.slot_bytes])
def test_memory_too_small(missing: int) -> None:
    """Memory that lacks a single byte is refused."""
    with pytest.raises(ValueError, match=f"{GEOMETRY.slot_bytes} writable bytes, not {GEOMETRY.slot_bytes - missing}"):
        Series(bytearray(GEOMETRY.slot_bytes - missing), GEOMETRY)


def test_memory_read_only() -> None:
    """Memory that cannot be written is refused."""
    with pytest.raises(ValueError, match="writable"):
        Series(bytes(GEOMETRY.slot_bytes), GEOMETRY)


def test_a_series_is_its_memory() -> None:
    """Two series over the same bytes are one: what either appends or rolls up, both answer."""
    memory = bytearray(GEOMETRY.slot_bytes)
    writer, reader, history = Series(memory, GEOMETRY), Series(memory, GEOMETRY), History()
    for i in range(200):
        batch = np.random.default_rng(i).normal(0.0, 1.0, 13)
        (writer, reader)[i % 2].append(batch)
        history.append(batch)
        (writer, reader)[i % 3 % 2].roll_up()
        assert_all_windows(writer, history)
        assert_all_windows(reader, history)


def test_memory_may_be_larger() -> None:
    """Bytes beyond the slot are left alone."""
    memory = bytearray(b"\0" * GEOMETRY.slot_bytes + b"mine")
    series = Series(memory, GEOMETRY)
    for _ in range(100):
        series.append(np.ones(50))
        series.roll_up()
    assert memory[GEOMETRY.slot_bytes :] == b"mine"


def test_append_returns_the_new_count() -> None:
    """An append answers how many prices the stream has now, and leaves the roll-up to others."""
    series, _ = new_series(GEOMETRY)
    assert [series.append([1.0] * size) for size in (1, 50, 9)] == [1, 51, 60]
    assert (series.count, series.tail) == (60, 60)


def statistics_of(prices: list[float], rolled_up: bool) -> Statistics:
    series, _ = new_series(GEOMETRY)
    for begin in range(0, len(prices), GEOMETRY.max_batch):
        series.append(prices[begin : begin + GEOMETRY.max_batch])
    if rolled_up:
        series.roll_up()
    return answer(series, 3)


streams = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=150)


@given(streams, streams, st.booleans())
def test_merge_law(first: list[float], second: list[float], rolled_up: bool) -> None:
    """statistics(A) combined with statistics(B) = statistics(A + B), by exact arithmetic after Chan et al. (1979)."""
    a, b, both = (statistics_of(prices, rolled_up) for prices in (first, second, first + second))
    assert (both.size, both.last) == (a.size + b.size, b.last)
    assert (both.min, both.max) == (min(a.min, b.min), max(a.max, b.max))

    share_a, share_b = Fraction(a.size, both.size), Fraction(b.size, both.size)
    apart = Fraction(b.avg) - Fraction(a.avg)
    avg = Fraction(a.avg) + share_b * apart
    var = share_a * Fraction(a.var) + share_b * Fraction(b.var) + share_a * share_b * apart**2

    # Each of the three averages is rounded, by up to two units; the variance feels that through their distance.
    unit = ulp(max(abs(both.min), abs(both.max), both.max - both.min))
    assert abs(Fraction(both.avg) - avg) <= 4 * unit
    assert abs(Fraction(both.var) - var) <= var / 10**14 + 4 * unit * abs(apart) + UNDERFLOW
