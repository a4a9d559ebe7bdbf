"""``GET /stats/all/``: the statistics of every window, of one moment."""

from __future__ import annotations

from sanic import HTTPResponse, Request

from aggregation import Symbols, UnknownSymbolError
from service.api.documents import write_windows
from service.api.problems import UNKNOWN_SYMBOL, Problem
from service.api.routes import Handler
from service.api.wire import read_symbol_query
from service.http.whole import Answer


def windows_handler(symbols: Symbols) -> Handler:
    """Make the handler that folds all windows of the symbol that the query names."""

    async def windows(request: Request) -> HTTPResponse:
        symbol = read_symbol_query(request.query_string)
        if isinstance(symbol, Problem):
            return symbol.response()
        try:
            all_windows = symbols.windows(symbol)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL.response()
        return Answer(write_windows(symbol, all_windows))

    return windows
