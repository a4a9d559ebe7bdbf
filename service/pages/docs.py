"""``GET /openapi.json`` and ``GET /docs``: the API described, for programs and for people."""

from __future__ import annotations

import orjson
from sanic import HTTPResponse, Request

from service.http.handlers import Handler
from service.pages.files import TYPES, body_handler
from service.pages.openapi.document import openapi
from service.pages.openapi.page import SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH, render
from service.settings import Settings


def openapi_handler(settings: Settings) -> Handler:
    """Make the handler that answers with the document."""
    body = orjson.dumps(openapi(settings))

    async def document(_request: Request) -> HTTPResponse:
        return HTTPResponse(body, content_type="application/json")

    return document


def docs_handlers(settings: Settings) -> dict[str, Handler]:
    """Make the handlers of the document as a page, of its style sheet and of its script, by path."""
    return {
        "/docs": body_handler(render(openapi(settings)).encode(), TYPES[".html"]),
        STYLE_PATH: body_handler(STYLE, TYPES[".css"]),
        SCRIPT_PATH: body_handler(SCRIPT, TYPES[".js"]),
    }
