from __future__ import annotations

from itertools import cycle

import pytest

from aggregation import Statistics
from tests.aggregation.oracle import History, assert_exact
from tests.service.conftest import Api
from tests.support.prices import NAMES, load


def assert_windows(api: Api, symbol: str, history: History) -> None:
    """All windows as they come over HTTP, against exact arithmetic."""
    for k in range(1, api.symbols.geometry.max_k + 1):
        exact = history.newest(10**k)
        answer = api.get("/stats/", symbol=symbol, k=str(k)).json()
        assert_exact(Statistics(exact.size, **answer), exact)


@pytest.mark.parametrize("name", NAMES)
def test_real_prices_over_http_are_exact_also_after_rings_wrap(api: Api, name: str) -> None:
    """Real prices, posted in uneven batches, are answered exactly at every k, also after the ring has wrapped."""
    prices = load(name).tolist()
    history = History()
    sizes = cycle([1, 7, 100, 9_999])
    begin = 0
    while begin < len(prices):
        batch = prices[begin : begin + next(sizes)]
        assert api.add(name, batch).json()["count"] == begin + len(batch)
        history.append(batch)
        begin += len(batch)
        assert_windows(api, name, history)
