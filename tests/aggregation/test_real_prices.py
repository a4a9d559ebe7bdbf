from __future__ import annotations

import numpy as np
import pytest

from aggregation import Geometry
from tests.aggregation.oracle import assert_all_windows, new_series
from tests.support.prices import NAMES, load


def test_the_files() -> None:
    """The files hold as many prices as their README says, each a finite number above zero."""
    assert {name: len(load(name)) for name in NAMES} == {
        "btcperp_minutes": 45_031,
        "btcusdt_trades": 2_001,
        "eurusd_ticks": 10_000,
        "gbpusd_minutes": 30_117,
    }
    assert all(np.isfinite(load(name)).all() and (load(name) > 0).all() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("max_k", [3, 4, 5])
def test_real_prices_in_uneven_batches(name: str, max_k: int) -> None:
    """Real prices, hot and cold, are the exact ones rounded once at every k, with room for all or after many wraps."""
    prices = load(name)
    random = np.random.default_rng(max_k)
    series, history = new_series(Geometry(max_k, max_batch=700, least_hot=1, box_blocks=max_k))
    while series.count < len(prices):
        batch = prices[series.count :][: int(random.integers(1, 701))]
        history.append(batch)
        series.append(batch)
        assert_all_windows(series, history, rounded=True)
        if random.random() < 0.8:
            series.roll_up()
            assert_all_windows(series, history, rounded=True)
    series.check()
    held = min(len(prices), 10**max_k)
    assert series.prices(len(prices) - held, held).tobytes() == prices[-held:].tobytes()
