"""Takes the picture of the dashboard in the README: ``python -m docs.picture FILE``.

Ten symbols with some hundred thousands of prices each and new ones coming in, as the page shows them after half a
minute. The four whose prices are in ``tests/data`` are real; the others are random walks.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from playwright.sync_api import sync_playwright

from tests.support import prices
from tests.support.browser import launch
from tests.support.load import MAX_BATCH, Client
from tests.support.process import running

SECONDS = 30
TICK_SECONDS = 0.1

rng = np.random.default_rng(10)


@dataclass
class Feed:
    """One symbol: where its prices start, their step, how many there are at first, and how many a second come."""

    symbol: str
    start: float
    step: float
    decimals: int
    at_first: int
    per_second: float
    owed: float = 0.0
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.start

    def take(self, size: int) -> npt.NDArray[np.float64]:
        """Go on with the walk."""
        walk = self.level + np.cumsum(self.step * rng.standard_t(5, size))
        self.level = float(walk[-1] + (self.start - walk[-1]) * min(1.0, 2e-6 * size))
        return walk.round(self.decimals)


@dataclass
class RealFeed(Feed):
    """Real prices, over and over, forwards and backwards so that they never jump."""

    name: str = ""
    position: int = 0

    def take(self, size: int) -> npt.NDArray[np.float64]:
        """Go on in the file, and back again at its end."""
        there = prices.load(self.name)
        both = np.concatenate([there, there[::-1]])
        self.position += size
        return both[np.arange(self.position - size, self.position) % len(both)]


FEEDS = [
    RealFeed("EURUSD", 0, 0, 5, 640_000, 12, name="eurusd_ticks"),
    RealFeed("GBPUSD", 0, 0, 5, 12_345, 1.4, name="gbpusd_minutes"),
    RealFeed("BTCUSDT", 0, 0, 2, 2_600_000, 880, name="btcusdt_trades"),
    RealFeed("BTC-PERP", 0, 0, 1, 310_000, 45, name="btcperp_minutes"),
    Feed("ETHUSDT", 3312.4, 0.03, 2, 1_900_000, 1240),
    Feed("XAUUSD", 2331.6, 0.02, 2, 410_000, 96),
    Feed("ES 03-26", 5287.25, 0.12, 2, 760_000, 530),
    Feed("BRK.B", 412.7, 0.02, 2, 52_000, 6),
    Feed("USDJPY", 151.42, 0.0015, 3, 1_020_000, 330),
    Feed("AAPL", 189.4, 0.01, 2, 3_400_000, 710),
]


def post(client: Client, feed: Feed, size: int) -> None:
    """Post the next prices of a symbol."""
    for start in range(0, size, MAX_BATCH):
        client.fill(feed.symbol, feed.take(min(MAX_BATCH, size - start)))


def main(path: str) -> None:
    """Start a service, fill it, watch it, and take the picture."""
    with running() as service, Client(service.url) as client, sync_playwright() as playwright:
        for feed in FEEDS:
            post(client, feed, feed.at_first)
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1440, "height": 880})
        page.goto(service.url)
        before, end = time.monotonic(), time.monotonic() + SECONDS
        while (now := time.monotonic()) < end:
            for feed in FEEDS:
                feed.owed += (now - before) * feed.per_second * rng.uniform(0.7, 1.3)
                post(client, feed, int(feed.owed))
                feed.owed %= 1
            before = now
            page.wait_for_timeout(1000 * TICK_SECONDS)
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
