"""A symbol's own view, the history that its line begins with, and the filter, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Watch
from tests.support.dashboard import MAX_K, card, row, settled
from tests.support.load import Client
from tests.support.process import Process


def test_the_line_begins_with_history(page: Page, client: Client) -> None:
    """The line of a card that is new has the last thousand prices at once, or all there are, and goes on from there."""
    client.fill("MANY", [float(n) for n in range(1, 2001)])
    client.fill("FEW", [3.0, 1.0, 2.0])
    for symbol, size, low, high in [("MANY", "1,000", "1,001", "2,000"), ("FEW", "3", "1", "3")]:
        line = line_of(page, symbol)
        expect(line).to_have_attribute("aria-label", f"Line of the last {size} prices, between {low} and {high}")
        assert len((line.locator(".spark-line").get_attribute("d") or "").split("L")) == int(size.replace(",", ""))
    client.fill("MANY", [5000.0])
    expect(line_of(page, "MANY")).to_have_attribute("aria-label", re.compile("last 1,001 prices, .* and 5,000"))


def line_of(page: Page, symbol: str) -> Locator:
    return card(page, symbol).get_by_role("img")


def test_a_symbols_own_view(watch: Watch, page: Page, client: Client) -> None:
    """All windows from edge to edge, ten thousand prices as a line, and nothing of other symbols asked for."""
    values = [float(n) for n in range(1, 12_001)]
    client.fill("LONG", values)
    client.fill("OTHER", [1.0])
    expect(row(page, "LONG", 1).locator(".max")).to_have_text("12,000")
    assert bar_width(row(page, "LONG", 1)) < 1
    card(page, "LONG").click()
    expect(page.locator(".card:visible")).to_have_count(1)
    expect(page).to_have_url(re.compile("#/LONG$"))
    expect(page).to_have_title("LONG – tenfold")
    expect(page.get_by_text("Line of the last 10,000 prices, between 2,001 and 12,000")).to_be_visible()
    for k in range(1, MAX_K + 1):
        assert bar_width(row(page, "LONG", k)) == pytest.approx(97)
        expect(row(page, "LONG", k).locator(".axis")).to_have_text(f"{min(values[-(10**k) :]):,.0f}12,000")
    asked = len(watch.asked_for("/stats/all/"))
    for _ in range(3):
        client.fill("OTHER", [2.0])
        client.fill("LONG", [values[-1]])
        before = len(watch.asked_for("/stats/all/"))
        settled(page, lambda before=before: len(watch.asked_for("/stats/all/")) > before)  # type: ignore[misc]
    symbols = {parse_qs(urlsplit(one.url).query)["symbol"][0] for one in watch.asked_for("/stats/all/")[asked + 1 :]}
    assert symbols == {"LONG"}


def bar_width(shown: Locator) -> float:
    """How much of its cell's width a bar has, in per cent."""
    ends = shown.locator(".range").evaluate("(e) => [e.x1, e.x2].map((l) => l.baseVal.valueInSpecifiedUnits)")
    return float(ends[1] - ends[0])


def test_ways_into_a_symbols_own_view_and_back(page: Page, client: Client) -> None:
    """A click, and Enter on the name or a window, lead in; the button, Escape and the browser's way back lead out."""
    client.fill("A", [1.0, 2.0])
    client.fill("B", [3.0])
    expect(row(page, "A", 1).locator(".max")).to_have_text("2")
    expect(row(page, "B", 1).locator(".max")).to_have_text("3")
    link, back = page.get_by_role("link", name="A", exact=True), page.get_by_role("button", name="All symbols")
    into: list[Callable[[], object]] = [
        lambda: row(page, "A", 4).click(),
        link.click,
        lambda: link.press("Enter"),
        lambda: row(page, "A", 1).press("Enter"),
    ]
    out: list[Callable[[], object]] = [
        back.click,
        lambda: page.keyboard.press("Escape"),
        lambda: page.keyboard.press("Enter"),  # the button has the focus
        page.go_back,
    ]
    for enter, leave in zip(into, out, strict=True):
        expect(page.locator(".card:visible")).to_have_count(2)
        expect(back).to_be_hidden()
        enter()
        expect(page.locator(".card:visible")).to_have_count(1)
        expect(page.get_by_role("region", name="A", exact=True)).to_be_visible()
        expect(back).to_be_focused()
        leave()
        expect(link).to_be_focused()
        assert urlsplit(page.url).fragment == ""
    page.go_forward()
    expect(page.locator(".card:visible")).to_have_count(1)


def test_the_address_of_a_symbol_that_is_not_there(page: Page, client: Client, shared_service: Process) -> None:
    """It says so, shows the symbol as soon as there is one, and says so again when it is deleted."""
    client.fill("A", [1.0])
    for address in ("#/%F0", "#state", "#/"):  # which name no symbol
        page.goto(shared_service.url + "/" + address)
        expect(card(page, "A")).to_be_visible()
    page.goto(f"{shared_service.url}/#/NEW")
    said = page.get_by_role("heading", name="No symbol NEW")
    expect(said).to_be_visible()
    client.fill("NEW", [4.0])
    expect(card(page, "NEW").locator(".price")).to_have_text("4")
    expect(said).to_be_hidden()
    assert client.delete("NEW").status == 204
    expect(said).to_be_visible()
    page.get_by_role("button", name="All symbols").click()
    expect(card(page, "A")).to_be_visible()


def test_more_than_ten_symbols_can_be_filtered(page: Page, client: Client) -> None:
    """The filter is there from eleven symbols on, finds any part of a name, and says how many it has found."""
    for n in range(10):
        client.fill(f"S{n}", [1.0])
    expect(page.locator(".card")).to_have_count(10)
    field = page.get_by_role("searchbox", name="Filter symbols")
    expect(field).to_be_hidden()
    client.fill("EURUSD", [1.0])
    field.fill("rus")
    expect(page.locator(".card:visible h2")).to_have_text(["EURUSD"])
    found = page.get_by_role("status").filter(has_text="1 of 11 symbols")
    expect(found).to_be_visible()
    assert client.delete("S0").status == 204  # what holds a text does not go away
    expect(page.get_by_text("1 of 10 symbols")).to_be_visible()
    field.fill("nothing like it")
    expect(page.locator(".card:visible")).to_have_count(0)
    expect(page.get_by_text("0 of 10 symbols")).to_be_visible()
    field.press("Escape")
    expect(page.locator(".card:visible")).to_have_count(10)
    expect(field).to_be_hidden()
