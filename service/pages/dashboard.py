"""``GET /``: the dashboard, and under ``/assets/`` what its page is made of."""

from __future__ import annotations

from typing import Final

from service.http.handlers import Handler
from service.pages.files import page_handler

SCRIPTS: Final = ("theme.js", "dashboard.js", "api.js", "card.js", "format.js", "tooltip.js")
ASSETS: Final = (*SCRIPTS, "dashboard.css", "icon.svg")


def dashboard_handlers() -> dict[str, Handler]:
    """Make the handlers of the page and of its parts, by path."""
    return {"/": page_handler("index.html"), **{f"/assets/{name}": page_handler(name) for name in ASSETS}}
