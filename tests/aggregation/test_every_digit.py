"""Average and variance to the last digit, on streams that cost others their digits."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import pytest

from aggregation import Statistics
from tests.aggregation.exact import LEAST, avg_error, error, exact_sums
from tests.aggregation.killing import begin_in_child
from tests.aggregation.oracle import answer, assert_exact
from tests.aggregation.streams import (
    BATCH,
    Stream,
    answered,
    append,
    append_prices,
    batch_of,
    changed,
    constant,
    either,
    exact_window,
    fresh,
    newest,
    normal,
    rounded_down,
    shuffled,
    trend,
)
from tests.aggregation.wrong_ways import WAYS, WINDOW, Blocks, one_block, tens

EVERY_AGE: Final = [10**k for k in range(1, 8)]
EXTREMES: Final = [1e100, 0.0, -1e100, 0.0]


class Case(NamedTuple):
    """A stream, and the wrong ways by which its average and its variance are off by ten ulps or by far more."""

    stream: Stream
    avg: str
    var: str


# Nobody gets the averages of subnormal prices wrong, as long as they are kept apart from the others.
CASES: Final[dict[str, Case]] = {
    "two decimals": Case(shuffled(normal(50_000, 30, 2)), avg="running loop", var="running squares loop"),
    "five decimals": Case(shuffled(normal(1.1, 0.01, 5)), avg="running loop", var="running squares loop"),
    "returns around 0": Case(shuffled(normal(0, 1e-4)), avg="running loop minimum", var="running loop"),
    "a billion ± a thousandth": Case(shuffled(normal(1e9, 1e-3)), avg="loop", var="running squares loop numpy float"),
    "a quarter around 1e15": Case(
        shuffled(either(1e15, 1e15 + 0.25), either(1e15, 1e15 - 0.25)),
        avg="loop",
        var="running squares loop numpy float",
    ),
    "one ulp apart": Case(
        shuffled(either(1.9, np.nextafter(1.9, 2))), avg="loop", var="running squares loop numpy float"
    ),
    "one ulp apart in blocks": Case(
        shuffled(either(1.9, np.nextafter(1.9, 2), 0.003), either(1.9, np.nextafter(1.9, 2), 0.997), run=100),
        avg="loop",
        var="running squares loop numpy float",
    ),
    "rounded down at every level": Case(
        rounded_down(1.9, 2.0**-52), avg="loop float", var="running squares loop numpy"
    ),
    "rounded down at the smallest normal number": Case(
        rounded_down(2.3e-308, 5e-324), avg="loop float minimum", var=""
    ),
    "all equal": Case(shuffled(constant(0.1)), avg="loop", var="running squares loop numpy"),
    "all equal but one, by an ulp": Case(
        changed(shuffled(constant(1.1)), np.nextafter(1.1, 2), 4_321),
        avg="loop",
        var="running squares loop numpy float",
    ),
    "a trend": Case(trend, avg="", var="running squares"),
    "alternation": Case(
        shuffled(lambda _, size: np.where(np.arange(size) % 2, 1.1, 1.3)), avg="loop", var="running squares loop"
    ),
    "one −1e9 among 78": Case(
        changed(shuffled(normal(78, 0.05, 2)), -1e9, 543_210), avg="running loop minimum", var="running loop"
    ),
    "an outlier at last": Case(changed(shuffled(normal(100, 0.01)), -1e12, 1), avg="minimum", var=""),
    "an outlier at first, in every window": Case(
        changed(shuffled(normal(100, 0.01)), 1e12, *EVERY_AGE), avg="running loop", var="loop"
    ),
    "an outlier that has just left every window": Case(
        changed(shuffled(normal(100, 0.01)), 1e12, *(age + 1 for age in EVERY_AGE)), avg="running loop", var="loop"
    ),
    "an outlier in a block of every size": Case(
        changed(shuffled(normal(100, 0.01)), -42_426.4, *(3 * age // 10 + 7 for age in EVERY_AGE)),
        avg="running loop minimum",
        var="running",
    ),
    "blocks apart, each with an outlier": Case(
        shuffled(
            lambda rng, size: np.append(rng.normal(0, 1, size - 1), -42_426.4),
            lambda rng, size: np.append(rng.normal(300, 1, size - 1), -42_426.4),
        ),
        avg="running loop minimum",
        var="running loop",
    ),
    "extremes in unequal parts": Case(shuffled(either(1e100, -1e100, 0.4)), avg="running loop", var="loop"),
    "extremes that cancel": Case(
        shuffled(lambda rng, size: np.where(np.arange(size) % 2, rng.normal(0, 1, size), np.resize(EXTREMES, size))),
        avg="",
        var="loop",
    ),
    "a huge and a tiny cluster": Case(
        shuffled(either(1e90, 1e-90, 0.4), normal(1e-90, 1e-95), normal(-3e90, 1e80)),
        avg="running loop",
        var="running loop",
    ),
    "thirty orders of magnitude": Case(
        shuffled(lambda rng, size: np.exp(rng.normal(0, 8, size))), avg="running loop", var="running loop"
    ),
    "squares at the smallest normal number": Case(
        shuffled(normal(0, 1.6e-154), normal(1e-154, 1.6e-154)), avg="running loop", var="running loop"
    ),
    "subnormal prices": Case(
        shuffled(lambda rng, size: rng.integers(-1_000, 1_000, size).astype(np.float64) * 5e-324), avg="", var=""
    ),
}


@pytest.mark.parametrize("count", [10_000_000, 12_345_678])
@pytest.mark.parametrize("name", CASES)
def test_every_digit(name: str, count: int) -> None:
    """Every window up to 10^7, aligned to the blocks or not, is right, whether the newest are rolled up or not."""
    series = fresh(max_k=7)
    batches = CASES[name].stream(count)
    append(series, batches, lag=4)
    before = answered(series)
    for k in range(1, 8):
        assert_exact(answer(series, k), exact_window(batches, 10**k))
    series.roll_up()
    assert answered(series) == before


@pytest.mark.parametrize("name", CASES)
def test_where_others_are_wrong(name: str) -> None:
    """The wrong ways that are named beside a stream miss the average and the variance that are asked for."""
    batches = CASES[name].stream(2 * WINDOW)
    exact = exact_window(batches, WINDOW)
    prices = newest(batches, 2 * WINDOW)
    for way in CASES[name].avg.split():
        assert avg_error(WAYS[way](prices)[0], exact.avg, max(-exact.min, exact.max)) > 1, way
    for way in CASES[name].var.split():
        assert error(WAYS[way](prices)[1], exact.var) > 1, way


@pytest.mark.slow
def test_a_hundred_million() -> None:
    """Blocks of 10^7 that alternate around 134, with one 0 each: right at k = 8, also after a wrap."""
    block = 10**7
    rng = np.random.default_rng(1)
    kinds = []
    for mean in (133.5, 134.5):
        usual = batch_of(rng.normal(mean, 0.01, BATCH))
        kinds.append([batch_of(np.append(usual.prices[1:], 0.0)), *[usual] * (block // BATCH - 1)])
    batches = kinds[0] + kinds[1]
    series = fresh(max_k=8)
    for _ in range(5):
        append(series, batches)
    assert series.count == 10**8
    exact = exact_window(batches * 5, 10**8)
    assert_exact(answer(series, 8), exact)
    halves = [one_block(newest(kind, block), from_minimum=True) for kind in kinds]
    origins, offsets, m2 = (np.tile(np.concatenate(parts), 5) for parts in list(zip(*halves, strict=True))[:3])
    assert error(tens(Blocks(origins, offsets, m2, block), from_minimum=True).moments[1], exact.var) > 1

    more = [*kinds[0][:123], batch_of(kinds[0][0].prices[:4_567])]
    append(series, more, lag=4)
    for k in range(1, 9):
        assert_exact(answer(series, k), exact_window(batches * 5 + more, 10**k))


@pytest.mark.parametrize("name", ["two decimals", "five decimals", "returns around 0", "thirty orders of magnitude"])
def test_correctly_rounded(name: str) -> None:
    """In random windows the average and the variance are the nearest float, in 99.9 % of a thousand at least."""
    rng = np.random.default_rng(1)
    prices = newest(CASES[name].stream(100_000), 100_000)
    right = 0
    for _ in range(500):
        series = fresh(max_k=4)
        start, size = rng.integers(80_000), int(10 ** rng.uniform(0, 4))
        window = prices[start : start + size]
        series.append(window)
        if rng.random() < 0.5:
            series.roll_up()
        k = int(rng.integers(1, 5))
        found, exact = answer(series, k), exact_sums(window[-(10**k) :])
        right += (found.avg == float(exact.avg)) + (found.var == float(exact.var))
    assert right >= 999


@pytest.mark.parametrize("count", [200_000, 234_567])
@pytest.mark.parametrize(
    "name",
    [
        "five decimals",
        "returns around 0",
        "one ulp apart",
        "an outlier in a block of every size",
        "extremes in unequal parts",
        "extremes that cancel",
    ],
)
def test_any_lag_gives_the_same_bits(name: str, count: int) -> None:
    """However many of the newest prices are not rolled up, every number of every window is the same to the bit."""
    batches = CASES[name].stream(count)
    prices = newest(batches, count)
    prompt = fresh(max_k=5)
    append(prompt, batches)
    expected = answered(prompt)
    for lag in (0, 9, 999, 1_000, 1_001, 12_345, prompt.geometry.max_tail):
        lagging = fresh(max_k=5)
        append_prices(lagging, prices[: count - lag])
        append_prices(lagging, prices[count - lag :], roll_up=False)
        assert answered(lagging) == expected
        lagging.roll_up()
        assert answered(lagging) == expected


def test_the_same_bits_during_a_roll_up() -> None:
    """While another process rolls up, whatever it has come to, every number of every window is the same to the bit."""
    series = fresh(max_k=6)
    rng = np.random.default_rng(1)
    append_prices(series, rng.normal(0, 1e-4, 123_456))
    for _ in range(30):
        append_prices(series, rng.normal(0, 1e-4, series.geometry.max_tail), roll_up=False)
        before = answered(series)
        child = begin_in_child(series.roll_up)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            assert answered(series) == before
        assert answered(series) == before


@pytest.mark.parametrize("value", [1.0, 0.1, -1e9 / 3, 1e100, -1e100, 5e-324, 1e-200, 1 / 3])
def test_constants(value: float) -> None:
    """Equal prices have a variance of exactly 0 and an average of exactly that price, at every k and every lag."""
    series = fresh(max_k=5)
    for size in (1, 2, 7, 3_333, 10_000, 9_999, 10_000, 10_000, 10_000):
        series.append(np.full(size, value))
        assert all(answer(series, k)[1:] == (value, value, value, value, 0.0) for k in range(1, 6))
        if size == 9_999:
            series.roll_up()


@pytest.mark.parametrize("roll_up", [False, True])
def test_the_sign_of_a_zero(roll_up: bool) -> None:
    """Of 0.0 and −0.0 the latter is smaller, whatever tiles the window; an average has no sign if it is zero."""
    signs = np.random.default_rng(1).choice([0.0, -0.0], 12_345)
    for low, high in ((-0.0, -0.0), (-0.0, 1.0), (-1.0, -0.0), (-1.0, 1.0), (0.0, 0.0)):
        for last in (0.0, -0.0):
            all_alike = np.full(1_234, last)
            prices = np.concatenate([signs, [low, high], all_alike, [last]])
            series = fresh(max_k=5)
            append_prices(series, prices, roll_up)
            for k in range(1, 6):
                assert_exact(answer(series, k), exact_window([batch_of(prices)], 10**k))


def test_an_outlier_is_forgotten_entirely() -> None:
    """Once an outlier has left a window, the answer is bit for bit that of a stream that never had it."""
    prices = np.random.default_rng(14).normal(1.1, 1e-4, 234_567)
    series = [fresh(max_k=5), fresh(max_k=5)]
    append_prices(series[0], prices)
    prices[100_000] = 1e100
    append_prices(series[1], prices)
    assert answered(series[0]) == answered(series[1])


def test_the_exact_sums() -> None:
    """They are what fractions give for any floats at all."""
    rng = np.random.default_rng(1)
    patterns = np.frombuffer(rng.bytes(8 * 1_000))
    for prices in (
        patterns[np.isfinite(patterns)],
        rng.integers(-9, 9, 100).astype(np.float64) * 5e-324,
        np.full(20_000, -1 + 2.0**-53),
    ):
        fractions = [Fraction(price) for price in prices.tolist()]
        avg = sum(fractions) / len(fractions)
        sums = exact_sums(prices)
        assert sums.avg == avg
        assert sums.var == sum((x - avg) ** 2 for x in fractions) / len(fractions)


def test_what_is_refused() -> None:
    """The comparison that all tests share refuses two ulps, a variance above 0 of equal prices, and a wrong sign."""
    exact = exact_window([batch_of(np.array([0.1, 0.2, 0.4]))], 10)
    found = Statistics(3, 0.1, 0.4, 0.4, float(exact.avg), float(exact.var))
    assert_exact(found, exact)
    none = exact_window([batch_of(np.zeros(3))], 10)
    nothing = Statistics(3, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert_exact(nothing, none)
    for wrong, right in (
        (found._replace(avg=found.avg * (1 + 2.0**-51)), exact),
        (found._replace(var=found.var * (1 - 2.0**-51)), exact),
        (found._replace(size=4), exact),
        (nothing._replace(var=float(LEAST)), none),
        (nothing._replace(avg=-0.0), none),
        (nothing._replace(min=-0.0), none),
    ):
        with pytest.raises(AssertionError):
            assert_exact(wrong, right)
