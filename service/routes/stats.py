"""``GET /stats/``: one window's statistics."""

from __future__ import annotations

from http import HTTPStatus

from sanic import HTTPResponse, Request

from aggregation import Symbols
from service.problems import Problem
from service.wire import read_query, write_statistics

from . import Handler


def stats_handler(symbols: Symbols) -> Handler:
    """Make the handler that folds the window that the query names."""
    max_k = symbols.geometry.max_k

    async def stats(request: Request) -> HTTPResponse:
        window = read_query(request.query_string, max_k)
        if isinstance(window, Problem):
            return window.response()
        series = symbols.get(window.symbol)
        if series is None:
            return Problem(HTTPStatus.NOT_FOUND, "No price of this symbol has been added.").response()
        return HTTPResponse(write_statistics(series.statistics(window.k)), content_type="application/json")

    return stats
