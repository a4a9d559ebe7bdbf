from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan import Sizes
from loadgen.prices import KINDS, Batches, Prices
from loadgen.truth.oracle import CHUNK, History, mismatches
from loadgen.wire.requests import Statistics


def exact(window: Prices) -> tuple[Fraction, Fraction]:
    """Average and variance without any rounding."""
    values = [Fraction(x) for x in window.tolist()]
    avg = sum(values, Fraction()) / len(values)
    return avg, sum(((x - avg) ** 2 for x in values), Fraction()) / len(values)


def assert_exact(found: Statistics | None, window: Prices) -> None:
    """Min, max, last to the bit; avg and var far closer than the tolerances that others are held to."""
    assert found is not None
    avg, var = exact(window)
    assert found[:3] == (window.min(), window.max(), window[-1])
    spread = Fraction(found.max) - Fraction(found.min)
    assert abs(Fraction(found.avg) - avg) <= Fraction(math.ulp(found.avg)) + spread / 10**14
    assert abs(Fraction(found.var) - var) <= var / 10**12


@pytest.mark.parametrize("kind", KINDS)
def test_every_window_is_that_of_exact_fractions(kind: str) -> None:
    """Small and large windows, with ragged ends and without, agree with exact rational arithmetic."""
    stream = Batches(kind, seed=5, place=0, sizes=Sizes(1, 2_500))
    history = History(0, 10**6)
    prices: Prices = np.zeros(0)
    for _ in range(7):
        batch = stream.take().prices
        history.append(batch)
        prices = np.concatenate([prices, batch])
        for k in (1, 2, 3, 8):
            assert_exact(history.statistics(len(prices), k), prices[-(10**k) :])


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 10, 3 * CHUNK])
def test_earlier_states_can_be_asked_for(count: int) -> None:
    """What the statistics were when there were fewer prices is still known, at every kind of chunk edge."""
    prices = np.random.default_rng(2).normal(1e9, 1e-3, 3 * CHUNK)
    history = History(0, 10**6)
    history.append(prices)
    for k in (1, 3, 4):
        assert_exact(history.statistics(count, k), prices[:count][-(10**k) :])


def test_known_numbers() -> None:
    """A case that a person can work out: 1, 2, 4 and 9 have the average 4 and the population variance 38 / 4."""
    history = History(0, 10)
    history.append(np.array([1.0, 2.0, 4.0, 9.0]))
    assert history.statistics(4, 1) == Statistics(min=1, max=9, last=9, avg=4, var=9.5)


def test_a_window_beyond_its_memory_is_not_answered() -> None:
    """What the oracle has forgotten it does not guess; what it still has is right, also after the ring has wrapped."""
    prices = np.random.default_rng(3).normal(100, 1, 200_000)
    history = History(0, 20_000)
    for begin in range(0, len(prices), 7_777):
        history.append(prices[begin : begin + 7_777])
    assert history.statistics(len(prices), 5) is None
    assert history.statistics(100_000, 1) is None
    for k in (1, 2, 3, 4):
        assert_exact(history.statistics(len(prices), k), prices[-(10**k) :])


def test_prices_of_others_are_not_guessed() -> None:
    """With prices in the symbol that this run did not send, only windows that this run filled are answered."""
    history = History(5_000, 10**6)
    prices = np.random.default_rng(4).normal(100, 1, 1_500)
    history.append(prices)
    assert_exact(history.statistics(6_500, 3), prices[-1_000:])
    assert history.statistics(6_500, 4) is None
    assert history.statistics(5_999, 3) is None


RIGHT = Statistics(min=1.0, max=9.0, last=9.0, avg=4.0, var=9.5)


def test_the_right_answer_is_accepted() -> None:
    """No number is wrong in the right answer, nor in one that differs in the last place of avg and var."""
    assert mismatches(RIGHT, RIGHT) == []
    assert mismatches(RIGHT._replace(avg=math.nextafter(4.0, 5), var=math.nextafter(9.5, 0)), RIGHT) == []


@given(
    name=st.sampled_from(Statistics._fields),
    factor=st.sampled_from([1 + 1e-8, 1 - 1e-8, 2.0, -1.0, math.nan, math.inf]),
)
def test_every_number_is_compared(name: str, factor: float) -> None:
    """A number that is off by the 1e-8 of a sample variance over 10^8 prices, or more, is named and is the only one."""
    assert mismatches(RIGHT._replace(**{name: getattr(RIGHT, name) * factor}), RIGHT) == [name]


def test_extremes_are_compared_to_the_bit() -> None:
    """One unit in the last place of min, max or last is wrong."""
    for name in ("min", "max", "last"):
        off = RIGHT._replace(**{name: math.nextafter(getattr(RIGHT, name), 0)})
        assert mismatches(off, RIGHT) == [name]


def test_equal_prices_have_no_variance() -> None:
    """Of equal prices the variance is 0 and nothing else, however little."""
    history = History(0, 1_000)
    history.append(np.full(1_000, 0.1))
    wanted = history.statistics(1_000, 3)
    assert wanted == Statistics(0.1, 0.1, 0.1, 0.1, 0.0)
    assert mismatches(wanted._replace(var=1e-34), wanted) == ["var"]


def test_ticks_are_kept_as_they_were_sent() -> None:
    """Prices with two decimals come back to the bit from half the memory, across the end of the ring as well."""
    prices, ticks = History(0, 10_000), History(0, 10_000, ticks=True)
    stream = Batches("walk", 3, 0, Sizes(3_000, 3_000))
    for _ in range(20):
        taken = stream.take()
        batch = taken.prices
        prices.append(batch)
        ticks.append(taken.kept)
        for k in range(1, 5):
            assert ticks.statistics(ticks.count, k) == prices.statistics(prices.count, k)
            assert ticks.newest(ticks.count, 10) == batch[-10:].tolist()
