"""The API as a page in a real browser: its commands, its buttons, and its width on a phone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import CONTRAST, opened
from tests.support.credentials import token_file
from tests.support.process import Process, running

WIDTH = "[document.documentElement.scrollWidth, innerWidth]"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    with running("--workers", "1", "--max-k", "4") as service:
        yield service


@pytest.fixture
def page(browser: Browser, service: Process) -> Iterator[Page]:
    with opened(browser, service.url, permissions=["clipboard-read"]) as watch:
        watch.page.goto(f"{service.url}/docs")
        yield watch.page


def run(command: str, **variables: str) -> str:
    """What a command prints in a shell."""
    ran = subprocess.run(
        ["/bin/bash", "-c", f"{command} -sS --fail"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=variables,
    )
    return ran.stdout


def test_commands_are_for_the_origin_that_the_page_came_from(browser: Browser, service: Process) -> None:
    """By whichever name the service was called, that name stands in every command, and the command works as it is."""
    for url in (service.url, service.url.replace("127.0.0.1", "localhost")):
        with opened(browser, url) as watch:
            watch.page.goto(f"{url}/docs")
            commands = watch.page.get_by_label("Command").all_inner_texts()
            assert len(commands) > 8
            assert all(f'curl "{url}/' in command for command in commands)
            assert watch.page.locator("body").inner_text().count("http://") == len(commands) + 1
            assert json.loads(run(commands[0]))["symbol"] == "EURUSD"


def test_a_button_copies_its_command(page: Page) -> None:
    """Every command has a button of its own, says of what it is, and puts that command, as it is, on the clipboard."""
    blocks = page.locator(".command")
    assert blocks.count() == page.get_by_label("Command").count() > 8
    for at in (0, 1, blocks.count() - 1):
        button = blocks.nth(at).get_by_role("button")
        expect(button).to_have_accessible_name("Copy")
        button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == blocks.nth(at).locator("code").inner_text()
        title = page.locator(f"#{button.get_attribute('aria-describedby')}").inner_text()
        assert urlsplit(title.split()[1]).path in page.evaluate("navigator.clipboard.readText()")
    expect(button).to_have_text("Copy")


def test_without_a_clipboard_to_write_to_the_buttons_copy_all_the_same(page: Page) -> None:
    """A page over plain HTTP from another machine has no clipboard to write to; copying goes by what is selected."""
    page.evaluate("Object.defineProperty(navigator.clipboard, 'writeText', { value: undefined })")
    page.locator(".command").first.get_by_role("button", name="Copy").press("Enter")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl ")


def test_there_is_a_way_back_to_the_dashboard(page: Page, service: Process) -> None:
    """A link leads to the dashboard, and one there leads here again."""
    page.get_by_role("link", name="Dashboard").click()
    expect(page).to_have_url(f"{service.url}/")
    page.get_by_role("link", name="API").click()
    expect(page).to_have_url(f"{service.url}/docs")


def test_the_page_on_a_phone_in_light_and_dark(browser: Browser, service: Process, scheme: str) -> None:
    """At 390 pixels nothing is beyond the width, and all text has a contrast of at least 4.5, buttons too."""
    with opened(browser, service.url, viewport=PHONE, color_scheme=scheme) as watch:
        watch.page.goto(f"{service.url}/docs")
        assert watch.page.evaluate(WIDTH) == [390, 390]
        contrasts = watch.page.evaluate(CONTRAST)
        assert len(contrasts) > 100
        assert contrasts[0][0] >= 4.5, contrasts[:3]


def test_without_scripts_the_page_is_whole(browser: Browser, service: Process) -> None:
    """Who forbids scripts reads the same, for the address that tenfold has by default, and no buttons."""
    with opened(browser, service.url, java_script_enabled=False) as watch:
        watch.page.goto(f"{service.url}/docs")
        assert (
            watch.page.get_by_label("Command").first.inner_text().startswith('curl "http://127.0.0.1:8000/add_batch/"')
        )
        assert watch.page.get_by_role("button").count() == 0


def test_where_tokens_are_asked_for_commands_have_one(browser: Browser, tmp_path: Path) -> None:
    """The commands that need a token take it from a variable, and work with it; the others have none."""
    token = "w" * 16
    with (
        running(*token_file(tmp_path, write=token), workers=1, max_k=4) as service,
        opened(browser, service.url) as watch,
    ):
        watch.page.goto(f"{service.url}/docs")
        commands = watch.page.get_by_label("Command").all_inner_texts()
        assert [command for command in commands if "$TOKEN" not in command] == [
            f'curl "{service.url}{path}"' for path in ("/health/", "/openapi.json", "/docs", "/")
        ]
        assert watch.page.evaluate(WIDTH)[0] <= 1440
        assert json.loads(run(commands[0], TOKEN=token))["added"] == 4
