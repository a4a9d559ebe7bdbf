"""``GET /health/``: whether it serves."""

from __future__ import annotations

from sanic import HTTPResponse, Request

from aggregation import Symbols
from service.api.documents import write_health
from service.api.routes import Handler
from service.http.whole import Answer


def health_handler(symbols: Symbols) -> Handler:
    """Make the handler that says that it serves, and how many symbols there are and may be."""

    async def health(_request: Request) -> HTTPResponse:
        return Answer(write_health(len(symbols), symbols.layout.max_symbols))

    return health
