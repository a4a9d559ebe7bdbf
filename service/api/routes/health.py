"""``GET /health/``: whether it serves."""

from __future__ import annotations

import orjson
from sanic import HTTPResponse, Request

from aggregation import Symbols
from service.api.routes import Handler
from service.http.whole import Answer


def health_handler(symbols: Symbols) -> Handler:
    """Make the handler that says that it serves, and how many symbols there are and may be."""

    async def health(_request: Request) -> HTTPResponse:
        body = {"status": "ok", "symbols": len(symbols), "max_symbols": symbols.layout.max_symbols}
        return Answer(orjson.dumps(body))

    return health
