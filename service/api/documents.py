"""What each answer looks like, said once: its fields with what they mean, and the function that writes it.

A document is a ``TypedDict``. mypy holds the function that writes it to its fields, and ``service.pages.openapi`` makes
the schema that clients read of the same: the docstring says what the document is, a text what a field means, ``Schema``
what its type does not say. So a new field is two lines here, its words and its value. Refusals are written by
``problems``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Final, Literal, NamedTuple, NotRequired, TypedDict

import numpy as np
import orjson

import aggregation

OCTETS: Final = "application/octet-stream"
OCTET_PRICE: Final = np.dtype("<f8")
"""A price in binary, coming or going."""


class Schema(dict[str, int | str]):
    """Keywords of JSON Schema. A text that is the name of one of the ``Limits`` stands for its number."""


class Component(NamedTuple):
    """The schema that stands under this name is that of the value."""

    name: str


Symbol = Annotated[str, Component("Symbol")]
Price = Annotated[float, Component("Price")]
Count = Annotated[int, Schema(minimum=0)]


class Batch(TypedDict):
    """Prices of one symbol, oldest first. Other members are ignored; none may be given twice."""

    symbol: NotRequired[Annotated[Symbol, "Whose prices, where the query does not name it; the same, where both do."]]
    values: Annotated[list[Price], Schema(minItems=1, maxItems="max_batch"), "The prices, oldest first."]


class Receipt(TypedDict):
    """The batch is appended; whoever asks from now on sees it."""

    symbol: Symbol
    added: Annotated[int, Schema(minimum=1, maximum="max_batch"), "Prices in this batch."]
    count: Annotated[Count, "Prices ever appended to the symbol."]


class Spread(TypedDict):
    """What a window says of its prices, besides the last of them."""

    min: Annotated[Price, "The smallest, to the bit."]
    max: Annotated[Price, "The largest, to the bit."]
    avg: Annotated[Price, "The mean, within one unit in the last place, or 10^-28 of the largest price."]
    var: Annotated[float, Schema(minimum=0), "The population variance (divided by N), likewise within one unit."]


class Statistics(Spread):
    """One window: the last 10^k prices, or all there are if fewer."""

    last: Annotated[Price, "The newest, to the bit."]


class Window(Spread):
    """One of all windows."""

    count: Annotated[Count, "Prices in this window: 10^k, or all there are if fewer."]


class AllStatistics(TypedDict):
    """All windows of a symbol at one moment."""

    symbol: Symbol
    count: Annotated[Count, "Prices ever appended to the symbol."]
    last: Annotated[Price, "The newest price, which is the last of every window."]
    windows: Annotated[dict[str, Window], "Each window under its k."]


_From = TypedDict("_From", {"from": Annotated[Count, "The position of the first of them."]})  # a word of Python's own


class Prices(_From):
    """Neighbouring prices, all of one moment."""

    symbol: Symbol
    count: Annotated[Count, "Prices ever appended to the symbol."]
    prices: Annotated[list[Price], Schema(minItems=1, maxItems="max_batch"), "The prices, oldest first, to the bit."]


class Holding(TypedDict):
    """What a symbol holds."""

    symbol: Symbol
    count: Annotated[Count, "Prices ever appended to it."]
    last: Annotated[Price, "The newest of them."]
    bytes: Annotated[Count, "Memory that its prices and summaries lie on, in whole pages."]


class Limits(TypedDict):
    """What there may be."""

    max_symbols: Annotated[int, Schema(const="max_symbols"), "Symbols."]
    max_k: Annotated[int, Schema(const="max_k"), "The longest window is the last 10^max_k prices."]
    retention: Annotated[int, Schema(const="retention"), "Prices kept."]
    max_batch: Annotated[int, Schema(const="max_batch"), "Prices in a batch."]


class Symbols(TypedDict):
    """The symbols by name, and the limits of the service."""

    symbols: Annotated[
        list[Holding],
        Schema(minItems=0, maxItems="max_symbols"),
        "Each is of one moment; they need not be of the same.",
    ]
    limits: Limits


class Health(TypedDict):
    """It serves."""

    status: Literal["ok"]
    symbols: Annotated[Count, "Symbols that there are."]
    max_symbols: Annotated[int, Schema(const="max_symbols"), "Symbols that there may be."]


class Place(TypedDict):
    """Where in the body it is wrong."""

    pointer: Annotated[str, Schema(pattern="^#(?:/|$)"), "A JSON pointer as a URI fragment (RFC 6901)."]
    detail: Annotated[str, "What is wrong there."]


class Problem(TypedDict):
    """What is wrong with a request (RFC 9457). A refused request changes nothing."""

    type: Annotated[Literal["about:blank"], "The status says which kind of problem it is."]
    title: Annotated[str, "The status in words."]
    status: Annotated[int, Schema(minimum=400, maximum=599), "The status once more."]
    detail: Annotated[str, "One sentence for a person."]
    count: NotRequired[Annotated[Count, "Prices ever appended to the symbol, where that is what is wrong."]]
    oldest: NotRequired[Annotated[Count, "The oldest position that is held, where prices are not."]]
    errors: NotRequired[Annotated[list[Place], Schema(minItems=1, maxItems=1), "The place, where one can be named."]]


def write_receipt(symbol: str, added: int, count: int) -> bytes:
    """The answer of ``/add_batch/``: what was added, and the prices ever appended to the symbol."""
    receipt: Receipt = {"symbol": symbol, "added": added, "count": count}
    return orjson.dumps(receipt)


_STATISTICS: Final = Statistics(min=0.0, max=0.0, last=0.0, avg=0.0, var=0.0)
"""A form that is filled in anew for every answer, which is quicker than to make one."""


def write_statistics(window: aggregation.Statistics) -> bytes:
    """The answer of ``/stats/``: JSON numbers in their shortest form that reads back the same."""
    form = _STATISTICS
    _, form["min"], form["max"], form["last"], form["avg"], form["var"] = window
    return orjson.dumps(form)


@cache
def _form(windows: int) -> tuple[AllStatistics, list[Window]]:
    """A form of so many windows, and each of them in it: to make it takes twice as long as to write it as JSON."""
    spaces = [Window(count=0, min=0.0, max=0.0, avg=0.0, var=0.0) for _ in range(windows)]
    under_k = {str(k): space for k, space in enumerate(spaces, 1)}
    return {"symbol": "", "count": 0, "last": 0.0, "windows": under_k}, spaces


def write_windows(symbol: str, windows: aggregation.Windows) -> bytes:
    """The answer of ``/stats/all/``: prices ever appended and the last of them, then each window under its k."""
    appended, sizes, rows = windows
    statistics, spaces = _form(len(rows))
    statistics["symbol"], statistics["count"], statistics["last"] = symbol, appended, rows[0][2]
    for space, size, row in zip(spaces, sizes, rows, strict=True):
        space["count"] = size
        space["min"], space["max"], _, space["avg"], space["var"] = row
    return orjson.dumps(statistics)


class Variant(NamedTuple):
    """One of several forms that an answer has, with headers of its own."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


def write_prices(symbol: str, stretch: aggregation.Stretch, *, as_octets: bool) -> Variant:
    """The answer of ``/prices/``: JSON, or float64 with the rest in headers, which JSON has as well. O(prices)."""
    begin, count, prices = stretch
    headers = {"vary": "accept", "tenfold-from": str(begin), "tenfold-count": str(count)}
    if as_octets:
        return Variant(prices.astype(OCTET_PRICE, copy=False).tobytes(), OCTETS, headers)
    document = {"symbol": symbol, "from": begin, "count": count, "prices": prices}
    return Variant(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), "application/json", headers)


def write_overview(holdings: Sequence[aggregation.Holding], layout: aggregation.Layout) -> bytes:
    """The answer of ``GET /symbols/``: each symbol in the order given, and what there may be."""
    geometry = layout.geometry
    symbols: Symbols = {
        "symbols": [
            {"symbol": one.symbol, "count": one.appended, "last": one.last, "bytes": one.held_bytes} for one in holdings
        ],
        "limits": {
            "max_symbols": layout.max_symbols,
            "max_k": geometry.max_k,
            "retention": geometry.retention,
            "max_batch": geometry.max_batch,
        },
    }
    return orjson.dumps(symbols)


def write_health(symbols: int, max_symbols: int) -> bytes:
    """The answer of ``/health/``: that it serves, and how many symbols there are and may be."""
    health: Health = {"status": "ok", "symbols": symbols, "max_symbols": max_symbols}
    return orjson.dumps(health)
