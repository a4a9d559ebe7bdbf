"""The dashboard in a real browser: headless Chromium against running services."""

from __future__ import annotations

import itertools
import re
import shlex
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Route, expect

from tests.support import prices
from tests.support.browser import CONTRAST, Watch, opened
from tests.support.credentials import token_file
from tests.support.load import Client, meanwhile
from tests.support.process import Process, running

MAX_K = 8
MAX_SYMBOLS = 12


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Process]:
    with running("--max-symbols", str(MAX_SYMBOLS), "--workers", "1") as service:
        yield service


@pytest.fixture
def client(shared_service: Process) -> Iterator[Client]:
    """A client of a service without symbols."""
    with Client(shared_service.url) as client:
        for entry in client.request("GET", "/symbols/").document["symbols"]:
            assert client.delete(entry["symbol"]).status == 204
        yield client


@pytest.fixture
def watch(browser: Browser, shared_service: Process) -> Iterator[Watch]:
    with opened(browser, shared_service.url) as watch:
        yield watch


@pytest.fixture
def page(watch: Watch, client: Client, shared_service: Process) -> Page:
    """The dashboard of a service without symbols."""
    assert client.request("GET", "/symbols/").document["symbols"] == []
    watch.page.goto(shared_service.url)
    return watch.page


def card(page: Page, symbol: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=symbol, exact=True))


def row(page: Page, symbol: str, k: int) -> Locator:
    return card(page, symbol).locator(f"tr[data-k='{k}']")


def number(text: str | None) -> tuple[float, float]:
    """A number as it is shown, and half a unit of its last digit: how far it may be from what it stands for."""
    assert text is not None
    plain = text.replace(",", "").replace("−", "-")
    mantissa, _, exponent = plain.partition("E")
    decimals = len(mantissa.partition(".")[2])
    return float(plain), 0.5 * 10.0 ** (int(exponent or 0) - decimals)


def assert_row(shown: Locator, window: list[float]) -> None:
    """The four numbers of a row are those of its window, rounded where they are cut, and cut at no fewer digits."""
    expected = {
        "min": min(window),
        "avg": statistics.fmean(window),
        "max": max(window),
        "dev": statistics.pstdev(window),
    }
    for name, exact in expected.items():
        value, half_unit = number(shown.locator(f".{name}").text_content())
        assert abs(value - exact) <= half_unit * (1 + 1e-6), (name, value, exact)
        finest = 0.005 * exact if name == "dev" else 0.51e-5  # three digits; the five decimals of the data
        assert half_unit <= finest, (name, half_unit)


def test_every_window_shows_its_numbers(page: Page, client: Client) -> None:
    """Minimum, average, maximum and deviation of each window are those of the prices that were posted."""
    ticks = prices.load("eurusd_ticks").tolist()
    values = [*ticks, *reversed(ticks)][:12_345]
    client.fill("EURUSD", values)
    expect(card(page, "EURUSD").locator(".price")).to_have_text(f"{values[-1]:.5f}")
    for k in range(1, MAX_K + 1):
        shown = row(page, "EURUSD", k)
        expect(shown.locator(".min")).not_to_have_text("")
        assert_row(shown, values[-(10**k) :])
        expect(shown.locator(".note")).to_contain_text("of 12,345±" if k >= 5 else "±")
    client.fill("EURUSD", [1.23456])
    expect(card(page, "EURUSD").locator(".price")).to_have_text("1.23456")
    expect(row(page, "EURUSD", 1).locator(".max")).to_have_text("1.23456")
    for k in (1, 4, 8):
        assert_row(row(page, "EURUSD", k), [*values, 1.23456][-(10**k) :])


LOOK = """(symbol) => {
    const card = [...document.querySelectorAll(".card")].find((e) => e.querySelector("h2").textContent === symbol);
    const read = (text) => Number(text.replaceAll(",", ""));
    const all = (selector) => [...card.querySelectorAll(selector)].map((e) => e.textContent);
    return [
        read(card.querySelector(".price").textContent),
        read(card.querySelector(".meta").textContent.match(/([0-9,]+) in all/)?.[1] ?? "NaN"),
        ...[...all(".min").slice(0, 1), ...all(".max")].map((text) => read(text || "NaN")),
    ];
}"""
"""What a card shows at one moment: price, count, the shortest window's minimum and every window's maximum."""


def test_a_card_is_of_one_moment(page: Page, client: Client, shared_service: Process) -> None:
    """Whenever one looks, the price of a symbol that runs away lies in its shortest window, and the count is theirs."""
    symbols = [f"RISING {n}" for n in range(5)]
    for symbol in symbols:
        client.fill(symbol, [1.0])
        expect(row(page, symbol, 1).locator(".max")).to_have_text("1")
    rising = itertools.count(2, 100)

    def stream(producer: Client) -> None:
        begin = next(rising)
        for symbol in symbols:  # price number n is n
            producer.fill(symbol, [float(n) for n in range(begin, begin + 100)])

    looks: list[list[float]] = []
    with meanwhile(shared_service.url, stream):
        while len({tuple(look) for look in looks}) < 20:
            looks += [page.evaluate(LOOK, symbol) for symbol in symbols]
            page.wait_for_timeout(20)
        card(page, symbols[0]).click()
        while len({tuple(look) for look in looks}) < 25:
            looks.append(page.evaluate(LOOK, symbols[0]))
            page.wait_for_timeout(20)
    for price, count, low, *highs in looks:
        assert low <= price <= highs[0], (price, low, highs)
        assert {price, *highs} == {count}


def test_bars_lie_on_one_scale(page: Page, client: Client) -> None:
    """A bar begins and ends where its extremes lie between those of the longest window; the box lies in between."""
    values = [float(n) for n in range(1, 101)] + [40.0] * 5 + [60.0] * 5
    client.fill("S", values)
    expect(row(page, "S", 1).locator(".max")).to_have_text("60")

    def places(k: int) -> list[float]:
        bar = row(page, "S", k)
        box = bar.locator(".band").evaluate("(e) => [e.x.baseVal, e.width.baseVal].map((l) => l.valueInSpecifiedUnits)")
        ends = bar.locator(".range").evaluate("(e) => [e.x1, e.x2].map((l) => l.baseVal.valueInSpecifiedUnits)")
        return [ends[0], box[0], box[0] + box[1], ends[1]]

    left, _, _, right = places(8)

    def value(place: float) -> float:
        return 1 + 99 * (place - left) / (right - left)

    for k in (1, 2, 8):
        window = values[-(10**k) :]
        average, deviation = statistics.fmean(window), statistics.pstdev(window)
        expected = [min(window), average - deviation, average + deviation, max(window)]
        assert [value(place) for place in places(k)] == pytest.approx(expected, abs=1e-3)
    assert places(8)[0] >= 0
    assert places(8)[3] <= 100


def test_numbers_that_are_hard_to_write(page: Page, client: Client) -> None:
    """Huge, tiny, negative and constant prices are written so that they can be read."""
    client.fill("huge", [1e99, -1.5e99])
    client.fill("tiny", [2.5e-9])
    client.fill("negative", [-1234567.25, -1234567.5])
    client.fill("noise", [1e9 + n * 1e-3 for n in range(10)])
    client.fill("zero", [0.0] * 3)
    for symbol, text in [("huge", "−1.5E99"), ("tiny", "2.5E−9"), ("negative", "−1,234,567.50"), ("zero", "0")]:
        expect(card(page, symbol).locator(".price")).to_have_text(text)
    expect(row(page, "negative", 1).locator(".avg")).to_have_text(re.compile(r"−1,234,567\.375"))
    expect(row(page, "noise", 1).locator(".min")).to_have_text("1,000,000,000.000")
    expect(row(page, "noise", 1).locator(".avg")).to_have_text("1,000,000,000.00450")
    expect(row(page, "zero", 1).locator(".dev")).to_have_text("0")


def test_a_name_is_text_whatever_it_says(page: Page, client: Client) -> None:
    """Markup in a symbol's name is shown as it is written, and nothing of it becomes an element."""
    names = [
        "<img src=x onerror=alert(1)>",
        "日経225",
        "</h2><script>alert(2)</script>",
        "a&b=c?d#e/f%20+g",
        "'\"`${1}",
    ]
    for name in names:
        client.fill(name, [1.0, 2.0])
    for name in names:
        expect(card(page, name).locator("h2")).to_have_text(name)
        expect(row(page, name, 1).locator(".avg")).to_have_text("1.50")  # so it was asked for by its right name
        card(page, name).click()
        expect(page.locator(".card:visible h2")).to_have_text([name])
        page.reload()
        expect(page.locator(".card:visible h2")).to_have_text([name])
        expect(page.get_by_role("img", name="Line of the last 2 prices, between 1 and 2")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator(".card:visible")).to_have_count(len(names))
    assert page.locator("main img, main script").count() == 0


def test_the_browser_refuses_what_the_policy_forbids(watch: Watch, page: Page) -> None:
    """Text cannot become markup, and neither script nor image nor request can come from or go elsewhere."""
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")
    with pytest.raises(Error, match="TrustedScript"):
        page.evaluate("document.createElement('script').text = 'alert(1)'")
    watch.forgive("Content Security Policy|Trusted")


def test_nothing_to_show_yet(page: Page, client: Client) -> None:
    """Without a symbol the page says so, and the command that it offers makes one."""
    expect(page.get_by_role("heading", name="No symbol yet")).to_be_visible()
    command = shlex.split(page.locator("#curl").inner_text().replace("\\\n", ""))
    assert command[0] == "curl"
    options = dict(zip(command[2::2], command[3::2], strict=True))
    header, _, value = options["-H"].partition(": ")
    assert httpx.post(command[1], content=options["-d"], headers={header: value}).status_code == 200
    expect(card(page, "EURUSD").locator(".price")).to_have_text("1.25")
    expect(page.get_by_role("heading", name="No symbol yet")).to_be_hidden()
    assert client.delete("EURUSD").status == 204
    expect(page.get_by_role("heading", name="No symbol yet")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


def test_a_symbol_that_falls_silent(watch: Watch, client: Client, shared_service: Process) -> None:
    """Twelve seconds without a price are said to be so, and forgotten with the next one."""
    watch.page.clock.install()
    client.fill("QUIET", [1.0])
    watch.page.goto(shared_service.url)
    meta = card(watch.page, "QUIET").locator(".meta")
    expect(meta).to_contain_text("0 prices/s · 1 in all")
    watch.page.clock.fast_forward(12_000)
    expect(meta).to_have_text(re.compile(r"^no new price for 1[2-9] s$"))
    client.fill("QUIET", [2.0])
    expect(meta).to_contain_text("2 in all")


def test_a_restart_is_survived_and_the_old_run_not_shown_as_live(browser: Browser) -> None:
    """Killed: said so, with the time of what is still shown. Started again: the new numbers, and nothing of the old."""
    with running("--workers", "1") as first, opened(browser, first.url) as watch:
        page = watch.page
        with Client(first.url) as client:
            client.fill("OLD", [1.0])
            client.fill("BOTH", [5.0, 7.0])
        page.goto(first.url)
        expect(row(page, "BOTH", 1).locator(".avg")).to_have_text("6.00")
        first.end()
        expect(page.get_by_role("alert").filter(has_text="The service does not answer.")).to_be_visible()
        expect(page.locator("#state")).to_have_text("disconnected")
        expect(page.locator("#summary")).to_have_text("")
        for symbol in ("OLD", "BOTH"):
            expect(card(page, symbol).locator(".meta")).to_have_text(re.compile(r"^as of \d\d:\d\d:\d\d$"))
        with running(port=first.port, workers=1) as second, Client(second.url) as client:
            expect(page.locator("#state")).to_have_text("live")
            expect(page.get_by_role("heading", name="No symbol yet")).to_be_visible()
            client.fill("BOTH", [8.0, 9.0, 10.0, 11.0])
            expect(row(page, "BOTH", 1).locator(".avg")).to_have_text("9.50")
            expect(card(page, "BOTH").locator(".meta")).to_contain_text("4 in all")
            expect(page.locator(".card")).to_have_count(1)
            expect(page.get_by_text("The service does not answer.")).to_be_hidden()
        expect(page.locator("#state")).to_have_text("disconnected")
        watch.forgive("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")


def test_a_503_or_an_answer_that_cannot_be_read_is_no_reason_to_stop(watch: Watch, client: Client, page: Page) -> None:
    """A 503, and what a broken proxy may send, are said, and the page goes on when they are over."""
    client.fill("A", [1.0])
    expect(card(page, "A")).to_be_visible()
    for status, body, text in [(503, "", "no connection to spare"), (200, "<html>", "cannot read (HTTP 200)")]:
        page.route("**/symbols/", partial(Route.fulfill, status=status, body=body))
        expect(page.locator("#notice")).to_contain_text(text)
        page.unroute_all()
        expect(page.locator("#state")).to_have_text("live")
    watch.forgive("status of 503")


def test_a_token_is_asked_for_upon_401_and_kept_in_the_tab(browser: Browser, tmp_path: Path) -> None:
    """On 401 the page asks for a token, says if it is refused, sends it as it should, and forgets it on request."""
    reader, writer = "read-" + "r" * 16, "write-" + "w" * 16
    tokens = token_file(tmp_path, read=reader, write=writer)
    with running(*tokens, workers=1) as service, opened(browser, service.url) as watch:
        page = watch.page
        with Client(service.url, writer) as client:
            client.fill("SECRET", [42.5])
        page.goto(service.url)
        field = page.get_by_label("Token", exact=True)
        expect(field).to_be_focused()
        expect(page.locator(".card")).to_have_count(0)
        asked = len(watch.asked_for("/symbols/"))
        for wrong, answer in [("two words", "no spaces"), ("wrong", "does not know this token")]:
            field.fill(wrong)
            page.get_by_role("button", name="Show prices").click()
            expect(page.locator("#token-error")).to_contain_text(answer)
        assert len(watch.asked_for("/symbols/")) == asked + 1  # for the one that fits into a header
        field.fill(reader)
        field.press("Enter")
        expect(card(page, "SECRET").locator(".price")).to_have_text("42.5")
        page.reload()
        expect(card(page, "SECRET").locator(".price")).to_have_text("42.5")
        kept = f"[JSON.stringify(localStorage), document.cookie, location.href.includes('{reader}')]"
        assert page.evaluate(kept) == ["{}", "", False]
        page.get_by_role("button", name="Forget token").click()
        expect(field).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        watch.forgive("status of 401")


def test_the_keyboard_reaches_every_number(page: Page, client: Client) -> None:
    """Tab goes from card to card, arrows from window to window; the numbers appear beside, and Escape hides them."""
    client.fill("A", [1.0, 2.0, 4.0])
    client.fill("B", [3.0])
    for k in range(1, MAX_K + 1):
        expect(row(page, "A", k).locator(".min")).to_have_text("1")
    tooltip = page.locator("#tooltip")
    for name in ("API", "Dark theme"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link" if name == "API" else "button", name=name)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="A", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(row(page, "A", 1)).to_be_focused()
    expect(tooltip).to_contain_text("Last 10 prices of 3 there are so far")
    page.keyboard.press("ArrowDown")
    expect(row(page, "A", 2)).to_be_focused()
    outline = row(page, "A", 2).evaluate("(e) => getComputedStyle(e).outlineWidth")
    assert outline == "2px"
    expect(tooltip).to_contain_text("Last 100 prices")
    # The variance of 1, 2, 4 is 14/9, and that of all three thirds of it is 1.5555…
    for text in ("Minimum1", "Maximum4", "Average2.33", "Standard deviation1.25", "Variance1.56", "Last4"):
        expect(tooltip).to_contain_text(text)
    expect(row(page, "A", 2)).to_have_attribute("aria-label", re.compile("Last 100 prices, of 3 .*: minimum 1, aver"))
    page.keyboard.press("End")
    expect(row(page, "A", MAX_K)).to_be_focused()
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="B", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(row(page, "B", 1)).to_be_focused()
    row(page, "A", 3).hover()
    expect(tooltip).to_contain_text("Last 1,000 prices")


def test_a_screen_reader_finds_headings_and_tables(page: Page, client: Client) -> None:
    """Each symbol is a region with a heading, and a table whose rows and columns have names."""
    client.fill("EURUSD", [1.25, 1.5])
    region = page.get_by_role("region", name="EURUSD")
    expect(region.get_by_role("heading", level=2)).to_have_text("EURUSD")
    table = region.get_by_role("table", name="EURUSD")
    expect(table.get_by_role("rowheader")).to_have_count(MAX_K)
    expect(table.get_by_role("columnheader", name="Std deviation")).to_have_count(1)
    expect(table.get_by_role("cell", name="1.50", exact=True)).to_have_count(MAX_K)
    assert page.get_by_role("heading", level=1).all_inner_texts() == ["tenfold"]
    assert page.locator("[aria-live]").count() == 0  # only state, notice and what a filter finds are, by their roles
    assert page.evaluate("document.documentElement.lang") == "en"


def test_light_and_dark(browser: Browser, client: Client, shared_service: Process, scheme: str) -> None:
    """The page follows the system until a theme is chosen, which stays; all text has a contrast of at least 4.5."""
    client.fill("EURUSD", [1.25, 1.5])
    with opened(browser, shared_service.url, color_scheme=scheme) as watch:
        page = watch.page
        page.goto(shared_service.url)
        expect(row(page, "EURUSD", 1).locator(".min")).to_have_text("1.25")

        def is_dark() -> bool:
            return bool(
                page.evaluate("parseInt(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]) < 128")
            )

        for dark in (scheme == "dark", scheme != "dark"):
            assert is_dark() == dark
            row(page, "EURUSD", 2).hover()
            contrasts = page.evaluate(CONTRAST)
            assert len(contrasts) > 30
            assert contrasts[0][0] >= 4.5, contrasts[:3]
            row(page, "EURUSD", 2).click()
            expect(page.get_by_role("button", name="All symbols")).to_be_visible()
            contrasts = page.evaluate(CONTRAST)
            assert contrasts[0][0] >= 4.5, contrasts[:3]
            page.go_back()
            button = page.get_by_role("button", name="Dark theme")
            expect(button).to_have_attribute("aria-pressed", str(dark).lower())
            button.click()
        page.get_by_role("button", name="Dark theme").click()
        page.reload()
        assert is_dark() == (scheme != "dark")


def test_a_phone_need_not_scroll_sideways(browser: Browser, client: Client, shared_service: Process) -> None:
    """At 360 pixels everything is within the width: long names, long numbers, the tooltip, the command."""
    with opened(browser, shared_service.url, viewport={"width": 360, "height": 780}) as watch:
        page = watch.page
        page.goto(shared_service.url)
        expect(page.get_by_role("heading", name="No symbol yet")).to_be_visible()
        width = "[document.documentElement.scrollWidth, innerWidth]"
        assert page.evaluate(width) == [360, 360]
        client.fill("W" * 64, [123_456_789_012.125, -123_456_789_012.125] * 5_000)
        shown = row(page, "W" * 64, 6)
        expect(shown.locator(".min")).to_have_text("−123,456,789,012.125")
        shown.hover()
        expect(page.locator("#tooltip")).to_be_visible()
        assert page.evaluate(width) == [360, 360]
        box = page.locator("#tooltip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        card(page, "W" * 64).locator(".price").click()
        expect(shown.locator(".axis")).to_have_text("−123,456,789,012.125123,456,789,012.125")
        expect(shown.locator(".axis")).to_be_visible()
        assert page.evaluate(width) == [360, 360]


def test_one_symbol_has_the_room_for_its_numbers(page: Page, client: Client) -> None:
    """A card on its own shows the numbers beside the bars; one among many keeps them for tooltip and screen reader."""
    client.fill("S0", [1.0, 2.0])
    width = "(e) => e.getBoundingClientRect().width"
    expect(row(page, "S0", 1).locator(".dev")).to_have_text("0.500")
    assert row(page, "S0", 1).locator(".dev").evaluate(width) > 20
    for n in range(1, 10):
        client.fill(f"S{n}", [1.0, 2.0])
    expect(page.locator(".card")).to_have_count(10)
    assert row(page, "S0", 1).locator(".dev").evaluate(width) == 1
    bottoms = page.locator(".card").evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().bottom)")
    assert max(bottoms) <= 900  # ten are on a screen of 1440 × 900 at once


def test_the_right_column_is_of_one_kind(page: Page, client: Client) -> None:
    """A narrow card has ± σ in every row of it, full window or not, and a wide one, with σ elsewhere, only "of N"."""
    client.fill("S0", [float(n) for n in range(12)])
    for k in range(1, MAX_K + 1):
        shown = row(page, "S0", k)
        expect(shown.locator(".of")).to_have_text("of 12" if k > 1 else "")
        expect(shown.locator(".spread")).to_be_hidden()
    for n in range(1, 10):
        client.fill(f"S{n}", [1.0])
    expect(page.locator(".card")).to_have_count(10)
    width = "(e) => e.getBoundingClientRect().width"
    for k in range(1, MAX_K + 1):
        shown = row(page, "S0", k)
        expect(shown.locator(".spread")).to_have_text(re.compile(r"^± \d"))
        assert shown.locator(".spread").evaluate(width) > 20
        assert shown.locator(".of").evaluate(width) == 1  # for screen readers


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


def settled(page: Page, condition: Callable[[], bool]) -> None:
    """Let the page go on until a condition is met."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("not within 15 s")


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
