"""The dashboard in a real browser: headless Chromium against running services."""

from __future__ import annotations

import itertools
import re
import shlex
import statistics
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Route, expect

from tests.support import prices
from tests.support.browser import CONTRAST, Watch, opened
from tests.support.credentials import token_file
from tests.support.dashboard import MAX_K, card, row
from tests.support.load import Client, meanwhile
from tests.support.process import Process, running


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
