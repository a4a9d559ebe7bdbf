"""``GET /openapi.json`` and ``GET /docs``: the API described, for programs and for people."""

from __future__ import annotations

import orjson
from sanic import HTTPResponse, Request

from service.openapi.document import openapi
from service.openapi.page import HEADERS, render
from service.settings import Settings

from . import Handler


def openapi_handler(settings: Settings) -> Handler:
    """Make the handler that answers with the document."""
    body = orjson.dumps(openapi(settings))

    async def document(_request: Request) -> HTTPResponse:
        return HTTPResponse(body, content_type="application/json")

    return document


def docs_handler(settings: Settings) -> Handler:
    """Make the handler that answers with the document as a page."""
    body = render(openapi(settings)).encode()

    async def docs(_request: Request) -> HTTPResponse:
        return HTTPResponse(body, headers=HEADERS, content_type="text/html; charset=utf-8")

    return docs
