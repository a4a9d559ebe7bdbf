"""What a series accepts and refuses, and the merge law of its answers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation import MAX_PRICE, Geometry, NotHeldError, PriceError, Series, Statistics
from aggregation.codec import BLOCK
from aggregation.levels import PRICES_AT
from tests.aggregation.exact import UNDERFLOW
from tests.aggregation.oracle import History, answer, assert_all_windows, new_series, ulp

GEOMETRY = Geometry(max_k=4, max_batch=50, least_hot=1, box_blocks=2)


def in_use() -> tuple[Series, History]:
    """A series with cold prices and wrapped rings, a block that is not rolled up, and a tail."""
    series, history = new_series(GEOMETRY, 3 * GEOMETRY.kept + 2_000)
    for i in range(62):
        batch = np.random.default_rng(i).normal(5.0, 1.0, 17)
        series.append(batch)
        history.append(batch)
    assert series.lag > BLOCK
    return series, history


def everything(series: Series) -> tuple[bytes, bytes]:
    """All bytes that count, and all prices: a batch that is refused may have been written where nobody looks."""
    words: npt.NDArray[np.int64] = series._words.copy()
    begin = GEOMETRY.plan()[PRICES_AT]
    words[begin + np.arange(series.count, series.count + GEOMETRY.max_batch) % GEOMETRY.hot_capacity] = 0
    held = min(series.count, GEOMETRY.retention)
    return words.tobytes(), series.prices(series.count - held, held).tobytes()


def assert_refused(act: Callable[[Series], object], error: type[Exception], match: str) -> Exception:
    """``act`` raises, and then every byte is as before."""
    series, history = in_use()
    before = everything(series)
    with pytest.raises(error, match=match) as caught:
        act(series)
    assert everything(series) == before
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


@pytest.mark.parametrize("k", [0, -1, 5, 8, 10**6])
def test_k_out_of_range(k: int) -> None:
    """A k that the geometry does not retain is refused."""
    assert_refused(lambda series: series.statistics(k), ValueError, f"k must be from 1 to 4, not {k}")


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_empty_series(k: int) -> None:
    """A series without a price has no statistics."""
    series, _ = new_series(GEOMETRY)
    assert series.count == series.lag == 0
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
    for i in range(400):
        batch = np.random.default_rng(i).normal(0.0, 1.0, 43)
        (writer, reader)[i % 2].append(batch)
        history.append(batch)
        (writer, reader)[i % 3 % 2].roll_up()
        assert_all_windows(writer, history)
        assert_all_windows(reader, history)


def test_memory_may_be_larger() -> None:
    """Bytes beyond the slot are left alone."""
    memory = bytearray(b"\0" * GEOMETRY.slot_bytes + b"mine")
    series = Series(memory, GEOMETRY)
    for _ in range(300):
        series.append(np.random.default_rng(1).normal(0.0, 1.0, 50))
        series.roll_up()
    assert memory[GEOMETRY.slot_bytes :] == b"mine"


def test_append_returns_the_new_count() -> None:
    """An append answers how many prices the stream has now, and leaves the roll-up to others."""
    series, _ = new_series(GEOMETRY)
    assert [series.append([1.0] * size) for size in (1, 50, 9)] == [1, 51, 60]
    assert (series.count, series.lag) == (60, 60)


@pytest.mark.timeout(10)
def test_no_price_at_all_can_be_asked_for() -> None:
    """The newest 0 prices are an answer, at once, as 0 prices from any position are."""
    series = Series(bytearray(Geometry(max_k=1).slot_bytes), Geometry(max_k=1))
    assert series.last(0) is None
    series.append([1.0, 2.0, 3.0])
    for stretch in (series.last(0), series.stretch(3, 0)):
        assert stretch is not None
        assert (stretch.begin, stretch.appended, len(stretch.prices)) == (3, 3, 0)


@pytest.mark.parametrize("start", [0, 3 * GEOMETRY.kept - 2_990])
def test_prices_are_held_bit_for_bit(start: int) -> None:
    """Any stretch of the retention reads as it was appended, hot or cold or both; what is not held is refused."""
    series, history = new_series(GEOMETRY, start)
    random = np.random.default_rng(start)
    for count in range(50, 9_000, 50):
        batch = random.choice([1.25, -0.0, 0.0, 5e-324, np.pi], 50)
        series.append(batch)
        history.append(batch)
        oldest = max(0, start + count - GEOMETRY.retention)
        begin, end = np.sort(random.integers(oldest, series.count + 1, 2)).tolist()
        wanted = history.prices[begin - history.start : end - history.start]
        assert series.prices(begin, end - begin).tobytes() == wanted.tobytes()
        for first, size in [(oldest - 1, 1), (oldest, series.count - oldest + 1), (series.count, 1)]:
            with pytest.raises(NotHeldError, match=f"{oldest} to {series.count - 1} are"):
                series.prices(first, size)


def statistics_of(prices: list[float], rolled_up: bool) -> Statistics:
    series, _ = new_series(GEOMETRY)
    for begin in range(0, len(prices), GEOMETRY.max_batch):
        series.append(prices[begin : begin + GEOMETRY.max_batch])
    if rolled_up:
        series.roll_up()
    return answer(series, 4)


streams = st.builds(list.__mul__, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=100), st.sampled_from([1, 2, 11]))
"""Some are longer than a block."""


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

    # Each of the three averages is rounded, by half a unit; the variance feels that through their distance.
    unit = ulp(max(abs(both.min), abs(both.max)))
    assert abs(Fraction(both.avg) - avg) <= unit
    assert abs(Fraction(both.var) - var) <= 2 * ulp(max(a.var, b.var, both.var)) + unit * abs(apart) + UNDERFLOW
