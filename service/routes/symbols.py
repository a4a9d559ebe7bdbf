"""``DELETE /symbols/<symbol>``: a slot free again."""

from __future__ import annotations

from sanic import HTTPResponse, Request

from aggregation import Symbols, UnknownSymbolError
from service.problems import UNKNOWN_SYMBOL

from . import Handler


def delete_symbol_handler(symbols: Symbols) -> Handler:
    """Make the handler that removes a symbol with all its prices."""

    async def delete_symbol(_request: Request, symbol: str) -> HTTPResponse:
        try:
            symbols.delete(symbol)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL.response()
        return HTTPResponse(status=204)

    return delete_symbol
