"""``GET /stats/``: one window's statistics."""

from __future__ import annotations

from sanic import HTTPResponse, Request

from aggregation import Symbols, UnknownSymbolError
from service.api.documents import write_statistics
from service.api.problems import UNKNOWN_SYMBOL, Problem
from service.api.routes import Handler
from service.api.wire import read_query
from service.http.whole import Answer


def stats_handler(symbols: Symbols) -> Handler:
    """Make the handler that folds the window that the query names."""
    max_k = symbols.geometry.max_k

    async def stats(request: Request) -> HTTPResponse:
        window = read_query(request.query_string, max_k)
        if isinstance(window, Problem):
            return window.response()
        try:
            statistics = symbols.statistics(window.symbol, window.k)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL.response()
        return Answer(write_statistics(statistics))

    return stats
