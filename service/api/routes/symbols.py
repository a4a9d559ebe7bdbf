"""``GET /symbols/``: what there is; ``DELETE /symbols/<symbol>``: a slot free again."""

from __future__ import annotations

import logging

from sanic import HTTPResponse, Request

from aggregation import Symbols, UnknownSymbolError
from service.api.documents import write_overview
from service.api.problems import UNKNOWN_SYMBOL, Problem
from service.api.routes import Handler
from service.api.wire import read_segment
from service.http.whole import Answer
from service.logs import OWN, fields

log = logging.getLogger(OWN)


def list_symbols_handler(symbols: Symbols) -> Handler:
    """Make the handler that lists the symbols with what they hold, and the limits."""

    async def list_symbols(_request: Request) -> HTTPResponse:
        return Answer(write_overview(symbols.overview(), symbols.layout))

    return list_symbols


def delete_symbol_handler(symbols: Symbols) -> Handler:
    """Make the handler that removes a symbol with all its prices."""

    async def delete_symbol(_request: Request, symbol: str) -> HTTPResponse:
        name = read_segment(symbol)
        if isinstance(name, Problem):
            return name.response()
        try:
            symbols.delete(name)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL.response()
        log.info("symbol %s deleted", name, extra=fields(symbol=name))
        return HTTPResponse(status=204)

    return delete_symbol
