"""Numbers that published rolling statistics get wrong, each beside the methods that get it wrong.

``BAD`` holds these methods; every case says which of them fail it, and its test shows that they do. The trap of each
case comes from a defect that several libraries shared: cancellation in E[x²] − E[x]² (online-ml/river and many before
it), running sums that keep the error of what has left the window (pandas, bottleneck), single precision, and the
rounded mean of a two-pass variance.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation import Geometry, Series
from tests.aggregation.oracle import (
    LEAST,
    VAR_LEAST,
    VAR_RELATIVE,
    History,
    answer,
    assert_all_windows,
    assert_exact,
    new_series,
    relative_error,
)

Prices = npt.NDArray[np.float64]

GEOMETRY: Final = Geometry(max_k=5)
WINDOW: Final = 100_000
LENGTH: Final = 234_567


def mean_of_squares(prices: Prices) -> float:
    """E[x²] − E[x]² over the newest window."""
    window = prices[-WINDOW:]
    return float(np.mean(window**2) - np.mean(window) ** 2)


def running_sums(prices: Prices) -> float:
    """Welford's update for what enters the window and its inverse for what leaves, price by price."""
    values = prices.tolist()
    mean = m2 = 0.0
    for i, x in enumerate(values):
        if i < WINDOW:
            d = x - mean
            mean += d / (i + 1)
            m2 += d * (x - mean)
        else:
            left = values[i - WINDOW]
            before = mean
            mean += (x - left) / WINDOW
            m2 += (x - left) * ((x - mean) + (left - before))
    return m2 / WINDOW


def single_precision(prices: Prices) -> float:
    """Two passes over the window in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.var(prices[-WINDOW:].astype(np.float32)))


def two_passes(prices: Prices) -> float:
    """The variance of numpy: the rounded mean first, then the squares around it."""
    return float(np.var(prices[-WINDOW:]))


BAD: Final[dict[str, Callable[[Prices], float]]] = {
    "mean of squares": mean_of_squares,
    "running sums": running_sums,
    "single precision": single_precision,
    "two passes": two_passes,
}


class Case(NamedTuple):
    """Prices, and the methods whose variance is wrong there."""

    prices: Prices
    fail: tuple[str, ...]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_outliers(prices: Prices, at: list[int], value: float) -> Prices:
    prices[at] = value
    return prices


CASES: Final[dict[str, Case]] = {
    "a walk of two decimals": Case(
        np.round(50_000 + np.cumsum(rng(1).normal(0, 0.05, LENGTH)), 2).astype(np.float64),
        ("mean of squares", "running sums", "single precision"),
    ),
    "a billion ± a thousandth": Case(
        1e9 + rng(2).uniform(-1e-3, 1e-3, LENGTH),
        ("mean of squares", "running sums", "single precision", "two passes"),
    ),
    "a trillion + small integers": Case(
        1e12 + rng(3).integers(0, 7, LENGTH).astype(np.float64),
        ("mean of squares", "running sums", "single precision", "two passes"),
    ),
    "an outlier that left the window": Case(
        with_outliers(rng(4).normal(100, 0.01, LENGTH), [77_777], 1e9),
        ("mean of squares", "running sums", "single precision"),
    ),
    "an outlier inside the window": Case(
        with_outliers(rng(5).normal(100, 0.01, LENGTH), [LENGTH - 5_432], 1e9),
        ("single precision",),
    ),
    "an outlier below, in the oldest block": Case(
        with_outliers(rng(6).normal(100, 0.01, LENGTH), [LENGTH - WINDOW + 1_234], -1e9),
        ("running sums", "single precision"),
    ),
    "a constant": Case(
        np.full(LENGTH, 0.1),
        ("mean of squares",),
    ),
    "a constant after noise": Case(
        np.concatenate([rng(7).normal(0, 1e3, LENGTH - WINDOW), np.full(WINDOW, 1.1)]),
        ("mean of squares", "running sums", "single precision", "two passes"),
    ),
    "a constant but for the newest price": Case(
        with_outliers(np.full(LENGTH, 1.1), [LENGTH - 1], 1.1000000000000003),
        ("mean of squares", "running sums", "single precision", "two passes"),
    ),
    "alternating extremes": Case(
        np.where(np.arange(LENGTH) % 2, 1e100, -1e100),
        ("single precision",),
    ),
    "extremes that left the window": Case(
        np.concatenate([np.tile([1e100, -1e100], 60_000), rng(8).normal(1, 1e-6, LENGTH - 120_000)]),
        ("mean of squares", "running sums", "single precision"),
    ),
    "squares below the smallest float": Case(rng(9).integers(-1_000, 1_000, LENGTH).astype(np.float64) * 5e-324, ()),
    "squares among the subnormal floats": Case(rng(10).normal(0, 1e-155, LENGTH), ("single precision",)),
    "squares just above them": Case(rng(11).normal(3e-152, 1e-152, LENGTH), ("single precision",)),
    "thirty orders of magnitude": Case(np.exp(rng(12).normal(0, 8, LENGTH)).astype(np.float64), ("single precision",)),
    "blocks apart, each measured from an outlier": Case(
        with_outliers(
            np.where(np.arange(LENGTH) // 10_000 % 2, 300.0, 0.0) + rng(13).normal(0, 1, LENGTH),
            list(range(0, LENGTH, 9_973)),
            -42_426.4,
        ),
        ("running sums", "single precision"),
    ),
}


@cache
def history_of(name: str) -> History:
    """The history of a case, which takes longer to make than to ask."""
    return History(CASES[name].prices)


def append_all(series: Series, prices: Prices) -> None:
    for begin in range(0, len(prices), 10_000):
        series.append(prices[begin : begin + 10_000])
        series.roll_up()


@pytest.mark.parametrize("name", CASES)
def test_right_where_others_are_wrong(name: str) -> None:
    """Every k is right to fourteen digits on this data, and the named bad methods are not."""
    prices, fail = CASES[name]
    series, _ = new_series(GEOMETRY)
    history = history_of(name)
    append_all(series, prices)
    series.check()
    assert_all_windows(series, history)
    exact = history.newest(WINDOW)
    for bad in fail:
        assert relative_error(BAD[bad](prices), exact) > 2 * VAR_RELATIVE, bad


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("through", [0, 1, 2])
def test_right_however_long_the_tail(name: str, through: int) -> None:
    """The same holds when nothing of the newest forty thousand prices is rolled up, or only the lower levels are."""
    prices, _ = CASES[name]
    series, _ = new_series(GEOMETRY)
    append_all(series, prices[: LENGTH - 40_000])
    for begin in range(LENGTH - 40_000, LENGTH, 10_000):
        series.append(prices[begin : begin + 10_000])
        series.roll_up(through)
    assert series.tail >= (0 if through else 40_000)
    assert_all_windows(series, history_of(name))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e9 / 3, 1e100, 5e-324, 1 / 3])
def test_constants(value: float) -> None:
    """Equal prices have a variance of exactly 0 and an average of exactly that price, at every k and every lag."""
    series, _ = new_series(GEOMETRY)
    for size in (1, 2, 7, 3_333, 10_000, 9_999, 10_000, 10_000, 10_000):
        series.append(np.full(size, value))
        for k in range(1, 6):
            assert answer(series, k)[1:] == (value, value, value, value, 0.0)
        if size == 9_999:
            series.roll_up()
    series.roll_up()
    assert all(answer(series, k)[1:] == (value, value, value, value, 0.0) for k in range(1, 6))


def test_an_outlier_is_forgotten_entirely() -> None:
    """Once an outlier has left a window, the answer is bit for bit that of a stream that never had it."""
    prices = rng(14).normal(1.1, 1e-4, LENGTH)
    answers = []
    for value in (prices[100_000], 1e100):
        series, _ = new_series(GEOMETRY)
        append_all(series, with_outliers(prices.copy(), [100_000], float(value)))
        answers.append([answer(series, k) for k in range(1, 6)])
    assert answers[0] == answers[1]


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=60), st.integers(0, 3))
def test_any_prices_at_all(prices: list[float], through: int) -> None:
    """Whatever the prices, tiny, huge or both, every answer is exact, finite, and its average between min and max."""
    series, history = new_series(Geometry(max_k=4, radix=2, max_batch=5))
    for begin in range(0, len(prices), 5):
        series.append(prices[begin : begin + 5])
        history.append(prices[begin : begin + 5])
        series.roll_up(through)
        assert_all_windows(series, history)


def test_the_tolerance_refuses_a_thirteenth_digit_that_is_wrong() -> None:
    """The comparison that all these tests share fails on an error of 2e-14, and on nine of the smallest floats."""
    prices = rng(15).normal(0, 1, 100)
    series, _ = new_series(GEOMETRY)
    series.append(prices)
    found, exact = answer(series, 2), History(prices).newest(100)
    assert_exact(found, exact)
    with pytest.raises(AssertionError):
        assert_exact(found._replace(var=found.var * (1 + 2e-14)), exact)
    with pytest.raises(AssertionError):
        assert_exact(found._replace(avg=found.avg + 1e-14), exact)
    tiny = exact._replace(var=Fraction(0))
    assert relative_error(float(LEAST), tiny) > VAR_RELATIVE
    small = exact._replace(var=LEAST)
    assert relative_error(float((VAR_LEAST + 2) * LEAST), small) > VAR_RELATIVE
