"""A function a resource: from what was asked to the bytes of the answer, or to a problem.

They know neither sockets nor the framework, and nothing in them waits. Whoever received a request, whichever way, asks
here; what to make of the answer is his business. Where another process has a lock that is needed, the answer is
``Busy``: nothing was done, and he may ask again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from aggregation import (
    BLOCK,
    MAX_PRICE,
    MemoryReserveError,
    NotHeldError,
    PositionError,
    PriceError,
    Symbols,
    TooManySymbolsError,
    UnknownSymbolError,
)
from service.logs import CHANGES, REQUESTS, fields

from .batch import Batch, Body, choose_reader
from .compactor import Compactor
from .documents import (
    Variant,
    write_health,
    write_overview,
    write_prices,
    write_receipt,
    write_statistics,
    write_windows,
)
from .problems import DEFECT, UNKNOWN_SYMBOL, Problem, not_held, sentence, wrong_place
from .query import ANYWHERE, prefers_octets, read_query, read_segment, read_symbol_query, read_target, read_wanted

changes = logging.getLogger(CHANGES)
failures = logging.getLogger(REQUESTS)


class Question(NamedTuple):
    """What the head of a request says, as far as any resource looks at it.

    Args:
        query: what follows the question mark.
        media_type, encoding: Content-Type and Content-Encoding, if there are any.
        accept: which forms of an answer are wanted.
        segment: the part of the path that a route leaves open, as it was sent.
    """

    query: str = ""
    media_type: str | None = None
    encoding: str | None = None
    accept: str = ""
    segment: str = ""


@dataclass(frozen=True, kw_only=True)
class Busy(Problem):
    """Another process has a lock that this needs: 503, if asking ``again`` for a while does not help."""

    again: Callable[[], Said]

    @classmethod
    def until(cls, again: Callable[[], Said]) -> Busy:
        """Until ``again`` says something else."""
        detail = "Another request holds the symbol up. Nothing was done; try again."
        return cls(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"retry-after": "1"}, again=again)


Said = bytes | Variant | Problem
"""A JSON document; where there are other forms as well, one of them; or a refusal. No bytes: nothing to say, 204."""

Resource = Callable[[Question, Body], Said]
"""From the head and the body of a request to what is said."""


def ask(resource: Resource, question: Question, body: Body) -> Said:
    """What a resource says; 500, with a line in the log, where it fails in a way that nobody foresaw."""
    try:
        return resource(question, body)
    except Exception:  # noqa: BLE001 - whatever it is, the client is answered and the others are served
        failures.exception("failed at %s", resource.__name__)
        return DEFECT


class Resources:
    """What a worker answers about its symbols.

    Args:
        symbols: who is asked.
        compactor: woken after an append that completes a block, and a deletion; the answer goes first.
    """

    def __init__(self, symbols: Symbols, compactor: Compactor) -> None:
        self._symbols = symbols
        self._wake, self._tidy = compactor.wake, compactor.tidy
        self._max_k = symbols.geometry.max_k
        self._max_batch = symbols.geometry.max_batch

    def add_batch(self, question: Question, body: Body) -> bytes | Problem:
        """``POST /add_batch/``: append a batch, and if it is said at which position, there alone. O(len(body))."""
        read = choose_reader(question.media_type, question.encoding)
        if isinstance(read, Problem):
            return read
        target = read_target(question.query) if question.query else ANYWHERE
        if isinstance(target, Problem):
            return target
        symbol, at = target
        batch = read(body, symbol, self._max_batch)
        return batch if isinstance(batch, Problem) else self._append(batch, at)

    def _append(self, batch: Batch, at: int | None) -> bytes | Problem:
        symbol, prices = batch
        try:
            count = self._symbols.append(symbol, prices, at)
        except BlockingIOError:
            self._tidy()  # it may be a place that is wanted, and not clean yet
            return Busy.until(partial(self._append, batch, at))
        except PositionError as error:
            return wrong_place(error)
        except PriceError as error:
            detail = f"Every one of values must be within ±{MAX_PRICE:g}."
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=f"/values/{error.index}")
        except TooManySymbolsError as error:
            return Problem(HTTPStatus.CONFLICT, sentence(error))
        except MemoryReserveError as error:
            failures.warning("refused a batch of %d prices: the reserve is reached", len(prices))
            return Problem(HTTPStatus.INSUFFICIENT_STORAGE, sentence(error))
        added = len(prices)
        if count % BLOCK < added:  # it has completed one
            self._wake(symbol)
        if count == added:  # nothing was there before
            changes.info("symbol %s created", symbol, extra=fields(symbol=symbol))
        return write_receipt(symbol, added, count)

    def stats(self, question: Question, _body: Body) -> bytes | Problem:
        """``GET /stats/``: the statistics of one window. O(levels)."""
        window = read_query(question.query, self._max_k)
        if isinstance(window, Problem):
            return window
        try:
            return write_statistics(self._symbols.statistics(window.symbol, window.k))
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL

    def all_stats(self, question: Question, _body: Body) -> bytes | Problem:
        """``GET /stats/all/``: the statistics of every window, of one moment. O(levels²)."""
        symbol = read_symbol_query(question.query)
        if isinstance(symbol, Problem):
            return symbol
        try:
            return write_windows(symbol, self._symbols.windows(symbol))
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL

    def prices(self, question: Question, _body: Body) -> Said:
        """``GET /prices/``: neighbouring prices that are held, in JSON or in binary. O(prices)."""
        wanted = read_wanted(question.query, self._max_batch)
        if isinstance(wanted, Problem):
            return wanted
        try:
            stretch = self._symbols.prices(*wanted)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL
        except NotHeldError as error:
            return not_held(error)
        return write_prices(wanted.symbol, stretch, as_octets=prefers_octets(question.accept))

    def list_symbols(self, _question: Question, _body: Body) -> bytes | Problem:
        """``GET /symbols/``: what each symbol holds, and what there may be. O(symbols)."""
        return write_overview(self._symbols.overview(), self._symbols.layout)

    def delete_symbol(self, question: Question, _body: Body) -> bytes | Problem:
        """``DELETE /symbols/<symbol>``: a slot free again; its memory is given back soon after. O(1)."""
        symbol = read_segment(question.segment)
        return symbol if isinstance(symbol, Problem) else self._delete(symbol)

    def _delete(self, symbol: str) -> bytes | Problem:
        try:
            self._symbols.delete(symbol)
        except UnknownSymbolError:
            return UNKNOWN_SYMBOL
        except BlockingIOError:
            return Busy.until(partial(self._delete, symbol))
        self._tidy()
        changes.info("symbol %s deleted", symbol, extra=fields(symbol=symbol))
        return b""

    def health(self, _question: Question, _body: Body) -> bytes | Problem:
        """``GET /health/``: that it serves, and how many symbols there are and may be. O(max_symbols)."""
        return write_health(len(self._symbols), self._symbols.layout.max_symbols)
