from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Series
from tests.aggregation.oracle import assert_all_windows, new_series

Lag = Callable[[Series], None]

LAGS: Final[dict[str, Lag]] = {
    "rolled up at once": lambda series: series.roll_up(),
    "never rolled up": lambda _series: None,
    **{f"level {j} at most": lambda series, j=j: series.roll_up(j) for j in range(1, 5)},  # type: ignore[misc]
}


def staggered() -> Lag:
    """Every level lags differently, and every lag is met at every phase in the course of time."""
    levels = cycle([0, 1, 0, 2, 1, 0, 3, 0, 0, 9, 0, 0, 0])
    return lambda series: series.roll_up(next(levels))


def noise(size: int, seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(100.0, 3.0, size)


def drive(geometry: Geometry, prices: npt.NDArray[np.float64], batch: int, lag: Lag) -> None:
    series, history = new_series(geometry)
    for begin in range(0, len(prices), batch):
        series.append(prices[begin : begin + batch])
        history.append(prices[begin : begin + batch])
        lag(series)
        assert_all_windows(series, history)
    series.check()
    assert len(prices) > 3 * geometry.capacity(0), "the rings were to wrap several times"


@pytest.mark.parametrize("lag", [*LAGS.values(), staggered()], ids=[*LAGS, "staggered"])
def test_every_phase_of_every_window(lag: Lag) -> None:
    """Price by price through ten wraps of the ring, every k is exact at every phase, however far behind a level is."""
    drive(Geometry(max_k=5, radix=2, max_batch=7), noise(400, seed=1), batch=1, lag=lag)


@pytest.mark.parametrize("batch", range(1, 8))
def test_every_batch_size(batch: int) -> None:
    """Batches of any one size land on every phase of the ring's wrap and of the blocks."""
    drive(Geometry(max_k=5, radix=2, max_batch=7), noise(280, seed=2), batch, staggered())


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(max_k=1, radix=2, max_batch=3),
        Geometry(max_k=1, radix=10, max_batch=4),
        Geometry(max_k=2, radix=2, max_batch=1),
        Geometry(max_k=4, radix=3, max_batch=5),
        Geometry(max_k=3, radix=5, max_batch=11),
        Geometry(max_k=2, radix=10, max_batch=13),
        Geometry(max_k=7, radix=2, max_batch=64),
    ],
    ids=repr,
)
@pytest.mark.parametrize("lag", [LAGS["rolled up at once"], staggered()], ids=["rolled up at once", "staggered"])
def test_every_shape(geometry: Geometry, lag: Lag) -> None:
    """Any radix, depth and margin give exact answers, one level only and one price of margin included."""
    drive(geometry, noise(3 * geometry.capacity(0) + 50, seed=3), batch=1, lag=lag)


@pytest.mark.parametrize("lag", [LAGS["rolled up at once"], staggered()], ids=["rolled up at once", "staggered"])
def test_batches_longer_than_the_retention(lag: Lag) -> None:
    """One batch may replace all that is retained, several times over."""
    drive(Geometry(max_k=3, radix=2, max_batch=50), noise(1_000, seed=4), batch=43, lag=lag)


@pytest.mark.parametrize("seed", range(2))
def test_batches_of_one_to_ten_thousand(seed: int) -> None:
    """At radix ten, any mix of batch sizes up to the largest gives exact answers, before and after compaction."""
    rng = np.random.default_rng(seed)
    series, history = new_series(Geometry(max_k=5))
    while series.count < 250_000:
        sizes = [1, 9, 10, 11, 99, 101, 1_000, 10_000, int(rng.integers(1, 10_001))]
        batch = rng.normal(50_000.0, 20.0, int(rng.choice(sizes))).round(2)
        series.append(batch)
        history.append(batch)
        if rng.random() < 0.5:
            assert_all_windows(series, history)
        if rng.random() < 0.7:
            series.roll_up()
            assert_all_windows(series, history)
    series.check()


@pytest.mark.parametrize("rolled_up", [True, False])
def test_zeros_of_both_signs(rolled_up: bool) -> None:
    """Of 0.0 and −0.0, min and max are the oldest in the window, whatever tiles it."""
    signs = np.random.default_rng(5).choice([0.0, -0.0], 200)
    drive(
        Geometry(max_k=4, radix=2, max_batch=7), signs, 1, LAGS["rolled up at once" if rolled_up else "never rolled up"]
    )


@pytest.mark.parametrize("lag", [LAGS["rolled up at once"], staggered()], ids=["rolled up at once", "staggered"])
def test_few_distinct_prices(lag: Lag) -> None:
    """Ties, signed zeros among them, and prices of either sign change nothing: extremes are bit for bit the oldest."""
    prices = np.random.default_rng(6).choice([-1.5, -0.0, 0.0, 2.25], 300)
    drive(Geometry(max_k=4, radix=2, max_batch=7), prices, 1, lag)
