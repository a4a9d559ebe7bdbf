"""A browser for the tests of pages: headless Chromium, and all that a page in it does."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Request

CONTRAST = """() => {
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parse = (color) => color.match(/[0-9.]+/g).map(Number);
    const background = (node) => {
        for (let n = node; n; n = n.parentElement) {
            const rgba = parse(getComputedStyle(n).backgroundColor);
            if (rgba.length === 3) return rgba;
        }
        throw new Error("no background");
    };
    const worst = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !node.checkVisibility() || node.tagName === "NOSCRIPT") continue;
        const [one, other] = [parse(getComputedStyle(node).color), background(node)].map(luminance);
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        worst.push([ratio, texts.currentNode.data]);
    }
    return worst.sort((a, b) => a[0] - b[0]);
}"""
"""The contrast of every text that is shown with what is behind it, by the formula of WCAG 2, least first."""


class Watch:
    """Everything that a page logs, asks for, and fails at."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.most_at_once = self._under_way = 0
        page.on("console", lambda message: self.complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on("request", self._begun)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def _begun(self, request: Request) -> None:
        self.requests.append(request)
        if self.of_api(request):
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)

    def _ended(self, request: Request) -> None:
        self._under_way -= self.of_api(request)

    @staticmethod
    def of_api(request: Request) -> bool:
        return urlsplit(request.url).path in {"/symbols/", "/stats/all/", "/prices/"}

    def asked_for(self, path: str) -> list[Request]:
        return [request for request in self.requests if urlsplit(request.url).path == path]

    def forgive(self, pattern: str) -> None:
        """Take away complaints that the test provoked; there must have been some."""
        assert any(re.search(pattern, text) for text in self.complaints), self.complaints
        self.complaints = [text for text in self.complaints if not re.search(pattern, text)]


def launch(playwright: Playwright) -> Browser:
    """Start the Chromium of the system, or the one that Playwright has fetched (see ``make browser``)."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # which Chromium demands of root
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)


@contextmanager
def opened(browser: Browser, url: str, **options: object) -> Iterator[Watch]:
    """A page in a context of its own. At the end nothing may have been logged, and no other place asked."""
    context: BrowserContext = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    page = context.new_page()
    watch = Watch(page)
    try:
        yield watch
        assert watch.complaints == []
        assert {urlsplit(request.url).netloc for request in watch.requests} == {urlsplit(url).netloc}
    finally:
        context.close()
