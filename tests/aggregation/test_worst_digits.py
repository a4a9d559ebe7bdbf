"""A search for prices that cost digits: odd exponents, far apart or next to each other, in odd orders.

It is the same in every run of the suite. ``TENFOLD_DIGIT_CLIMBS=4000`` in the environment has it go on a hundred times
as long.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from tests.aggregation.exact import avg_error, error, exact_sums
from tests.aggregation.oracle import answer
from tests.aggregation.streams import Prices, Random, append_prices, fresh
from tests.aggregation.wrong_ways import WAYS, Moments

CLIMBS: Final = int(os.environ.get("TENFOLD_DIGIT_CLIMBS", "40"))
"""How many times the search sets out; the n-th is always the same."""

TRIES: Final = 100


EDGES: Final = [-1_018, -508, 332]
"""Powers of two where averages or variances are the smallest normal numbers, or prices the largest."""


class Guess(NamedTuple):
    """Few prices, and the order in which they come, again and again."""

    values: Prices
    order: npt.NDArray[np.int64]

    @property
    def prices(self) -> Prices:
        return self.values[self.order]


def odd_price(rng: Random, others: Prices) -> float:
    """Any at all, or one that stands in an awkward relation to another."""
    x = float(rng.choice(others))
    prices = (
        rng.uniform(-1, 1) * 2.0 ** rng.integers(-1_074, 333),
        rng.uniform(-1, 1) * 2.0 ** rng.choice(EDGES),
        round(rng.uniform(50, 150), 2),
        rng.normal(x, 1),
        x * (1 + 2.0 ** -rng.integers(1, 53)),
        x * 2.0 ** -rng.integers(1, 110),
        float(np.nextafter(x, rng.choice([-np.inf, np.inf]))),
        -x,
        0.0,
    )
    return min(max(float(rng.choice(prices)), -1e100), 1e100)


def odd_order(rng: Random, kinds: int) -> npt.NDArray[np.int64]:
    """At random, in runs, in turns, or all the same but for one."""
    size = int(10 ** rng.uniform(0, 4.5))
    order = rng.integers(kinds, size=size)
    run = 10 ** rng.integers(1, 5)
    at = np.arange(size)
    orders = (order, order[at // run], at % kinds, (at == rng.integers(size)) * 1)
    return orders[rng.integers(len(orders))]


def odder(rng: Random, guess: Guess) -> Guess:
    values, order = guess.values.copy(), guess.order.copy()
    change = rng.random()
    if change < 0.7:
        values[rng.integers(len(values))] = odd_price(rng, values)
    elif change < 0.9:
        begin, end = sorted(rng.integers(len(order) + 1, size=2))
        order[begin:end] = rng.integers(len(values))
    else:
        order = odd_order(rng, len(values))
    return Guess(values, order)


def climb(measure: Callable[[Prices], float], seed: int) -> tuple[float, Guess]:
    """The worst that was found from one random start, by keeping every change that does not make it better."""
    rng = np.random.default_rng(seed)
    values = np.ones(1)
    for _ in range(rng.integers(2, 9)):
        values = np.append(values, odd_price(rng, values[-1:]))
    guess = Guess(values[1:], odd_order(rng, len(values) - 1))
    worst = measure(guess.prices)
    for _ in range(TRIES):
        other = odder(rng, guess)
        found = measure(other.prices)
        if found >= worst:
            worst, guess = found, other
    return worst, guess


def worst_error(found: list[Moments], window: Prices) -> float:
    """The error of what was found to be a window's average or variance, whichever is worse."""
    exact, largest = exact_sums(window), np.abs(window).max()
    return max(max(avg_error(avg, exact.avg, largest), error(var, exact.var)) for avg, var in found)


def error_of_series(prices: Prices) -> float:
    """The worst of all windows, rolled up or not."""
    series = fresh(max_k=5)
    append_prices(series, prices, roll_up=False)
    lengths = {min(10**k, len(prices)): k for k in range(1, 6)}
    before = {k: answer(series, k) for k in lengths.values()}
    series.roll_up()
    return max(
        worst_error([(found.avg, found.var) for found in (before[k], answer(series, k))], prices[-length:])
        for length, k in lengths.items()
    )


def error_of_way(way: Callable[[Prices], Moments], prices: Prices) -> float:
    """The error of a wrong way over the longest window that is a block."""
    window = prices[-(10 ** int(np.log10(len(prices)))) :]
    return worst_error([way(window)], window)


def test_no_search_finds_a_digit_that_is_wrong() -> None:
    """No prices are found whose average or variance is off by more than one unit in the last place."""
    for seed in range(CLIMBS):
        worst, guess = climb(error_of_series, seed)
        assert worst <= 1, f"climb {seed} came to {guess}"


@pytest.mark.parametrize("name", ["numpy", "float", "minimum"])
def test_the_search_finds_what_is_wrong(name: str) -> None:
    """The same search soon finds prices that cost these wrong ways digits."""
    assert max(climb(partial(error_of_way, WAYS[name]), seed)[0] for seed in range(3)) > 1
