"""Files of this folder, read once at the start and served from memory.

Pages hold no prices: they fetch these from the API like any other client. What a browser lets them do is fenced in by
the headers below, the same for every page, style sheet and script.
"""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from sanic import HTTPResponse, Request

from service.http.handlers import Handler

FOLDER: Final = Path(__file__).parent

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS: Final = {
    # Scripts, styles, images and requests of this origin, and nothing else; nothing inline, no eval. Trusted types
    # have the browser refuse to turn any text into markup, so that a symbol's name cannot become an element.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # for browsers that do not know frame-ancestors
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # keep it, but ask each time whether it is still the one: see the entity tag
}


def page_handler(name: str) -> Handler:
    """Make the handler that serves a file of this folder; it is read now."""
    return body_handler((FOLDER / name).read_bytes(), TYPES[Path(name).suffix])


def body_handler(body: bytes, content_type: str) -> Handler:
    """Make the handler that serves bytes which never change, and 304 to whoever has them already."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {**HEADERS, "etag": tag}

    async def page(request: Request) -> HTTPResponse:
        if _has(request, tag):
            return HTTPResponse(status=HTTPStatus.NOT_MODIFIED.value, headers=headers)
        return HTTPResponse(body, headers=headers, content_type=content_type)

    return page


def _has(request: Request, tag: str) -> bool:
    """Whether the client names this entity tag as one that it has; W/ in front is nothing (RFC 9110, 13.1.2)."""
    known = ",".join(request.headers.getall("if-none-match", []))
    return known.strip() == "*" or tag in (entry.strip().removeprefix("W/") for entry in known.split(","))
