"""``POST /add_batch/``: prices in."""

from __future__ import annotations

import logging
from http import HTTPStatus

from sanic import HTTPResponse, Request

from aggregation import MAX_PRICE, MemoryReserveError, PriceError, Symbols, TooManySymbolsError
from service.api.compactor import Compactor
from service.api.documents import write_receipt
from service.api.problems import Problem, sentence
from service.api.routes import Handler
from service.api.wire import choose_reader
from service.http.whole import Answer
from service.logs import OWN, fields

log = logging.getLogger(OWN)


def add_batch_handler(symbols: Symbols, compactor: Compactor) -> Handler:
    """Make the handler that appends a batch, answers, and leaves the roll-up to the compactor."""
    max_batch = symbols.geometry.max_batch

    async def add_batch(request: Request) -> HTTPResponse:
        headers = request.headers
        read = choose_reader(headers.get("content-type"), headers.get("content-encoding"))
        if isinstance(read, Problem):
            return read.response()
        batch = read(request.body, request.query_string, max_batch)
        if isinstance(batch, Problem):
            return batch.response()
        try:
            count = symbols.append(batch.symbol, batch.prices)
        except PriceError as error:
            detail = f"Every one of values must be within ±{MAX_PRICE:g}."
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=f"/values/{error.index}").response()
        except TooManySymbolsError as error:
            return Problem(HTTPStatus.CONFLICT, sentence(error)).response()
        except MemoryReserveError as error:
            return Problem(HTTPStatus.INSUFFICIENT_STORAGE, sentence(error)).response()
        added = len(batch.prices)
        compactor.wake(batch.symbol, added)
        if count == added:  # nothing was there before
            log.info("symbol %s created", batch.symbol, extra=fields(symbol=batch.symbol))
        return Answer(write_receipt(batch.symbol, added, count))

    return add_batch
