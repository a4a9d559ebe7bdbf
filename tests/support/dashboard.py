"""What stands where on the dashboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page

MAX_K = 8
MAX_SYMBOLS = 12


def card(page: Page, symbol: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=symbol, exact=True))


def row(page: Page, symbol: str, k: int) -> Locator:
    return card(page, symbol).locator(f"tr[data-k='{k}']")


def settled(page: Page, condition: Callable[[], bool]) -> None:
    """Let the page go on until a condition is met."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("not within 15 s")
