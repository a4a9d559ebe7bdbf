"""How seldom the dashboard asks, in a real browser."""

from __future__ import annotations

import itertools
import time
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Watch, opened
from tests.support.dashboard import card, row, settled
from tests.support.load import Client, meanwhile
from tests.support.process import Process


def test_the_service_is_asked_sparingly(watch: Watch, client: Client, page: Page, shared_service: Process) -> None:
    """With ten symbols that never rest: at most four lists a second, each symbol's windows once, one request at a time.

    When nothing is new, windows are not asked for at all; when nobody looks, hardly anything is.
    """
    symbols = [f"S{n}" for n in range(10)]
    for symbol in symbols:
        client.fill(symbol, [1.0])
    expect(page.locator(".card")).to_have_count(10)
    rising = itertools.count(1.25, 0.25)

    def stream(producer: Client) -> None:
        price = next(rising)
        for symbol in symbols:
            producer.fill(symbol, [price])
        time.sleep(0.02)

    with meanwhile(shared_service.url, stream):
        settled(page, lambda: len(watch.asked_for("/stats/all/")) >= 10)
        lists, windows = len(watch.asked_for("/symbols/")), len(watch.asked_for("/stats/all/"))
        since = page.evaluate("performance.now()")
        settled(page, lambda: len(watch.asked_for("/stats/all/")) >= windows + 20)
        seconds = (page.evaluate("performance.now()") - since) / 1000
        assert len(watch.asked_for("/symbols/")) - lists <= seconds / 0.25 + 2
        assert len(watch.asked_for("/stats/all/")) - windows <= 10 * (seconds + 1)
        asked = {parse_qs(urlsplit(request.url).query)["symbol"][0] for request in watch.asked_for("/stats/all/")}
        assert asked == set(symbols)
        assert len(watch.asked_for("/prices/")) == 10  # each line's history, once
    assert watch.most_at_once == 1

    def rests() -> bool:
        """Whether five lists go by without a question for windows."""
        lists, windows = len(watch.asked_for("/symbols/")), len(watch.asked_for("/stats/all/"))
        settled(page, lambda: len(watch.asked_for("/symbols/")) >= lists + 5)
        return len(watch.asked_for("/stats/all/")) == windows

    settled(page, rests)
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    page.wait_for_timeout(500)
    lists = len(watch.asked_for("/symbols/"))
    page.wait_for_timeout(1500)
    assert len(watch.asked_for("/symbols/")) <= lists + 1
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    settled(page, lambda: len(watch.asked_for("/symbols/")) >= lists + 3)


def test_only_what_is_on_screen_is_asked_for(browser: Browser, client: Client, shared_service: Process) -> None:
    """Windows of a card further down are asked for when it is scrolled to, and not before."""
    symbols = [f"S{n}" for n in range(10)]
    for symbol in symbols:
        client.fill(symbol, [1.0])
    with opened(browser, shared_service.url, viewport={"width": 360, "height": 600}) as watch:
        watch.page.goto(shared_service.url)
        expect(row(watch.page, "S1", 1).locator(".min")).not_to_have_text("")
        watch.page.wait_for_timeout(700)
        assert row(watch.page, "S9", 1).locator(".min").text_content() == ""
        asked = {parse_qs(urlsplit(request.url).query)["symbol"][0] for request in watch.asked_for("/stats/all/")}
        assert "S9" not in asked
        card(watch.page, "S9").scroll_into_view_if_needed()
        expect(row(watch.page, "S9", 1).locator(".min")).not_to_have_text("")
