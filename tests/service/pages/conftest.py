"""A browser for a module.

Playwright keeps an event loop running as long as it is started, which others in this process could not stand. So a
browser lives as long as the tests of a module, and all tests of that module are with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.support.browser import Watch, launch, opened
from tests.support.dashboard import MAX_SYMBOLS
from tests.support.load import Client
from tests.support.process import Process, running


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except Error:
            if shutil.which("chromium") or os.environ.get("CI") == "true":
                raise
            reason = "the pages are not tested, for want of a browser: apt-get install chromium"
            request.node.add_marker(pytest.mark.skip(reason=reason))  # the others of this module, in one line with this
            pytest.skip(reason)
        expect.set_options(timeout=15_000)  # what is expected may take a while where many tests share few cores
        yield browser
        browser.close()


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


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """No mark of the test, with which it would not be in the one line of those that were skipped."""
    return str(request.param)
