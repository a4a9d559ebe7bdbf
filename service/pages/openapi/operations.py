"""What can be asked: for each request what it does, what it takes, what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from service.api import documents
from service.api.access import Scope
from service.api.problems import MOST_POSITION
from service.metrics.exposition import CONTENT_TYPE
from service.settings import Settings

from .answers import answers, html_page, ok, responses
from .schemas import BATCH, Json, ref

TAGS: Final = {
    "Prices": "Prices in, statistics out: what most clients need.",
    "Symbols": "Which symbols there are, and making room for others.",
    "Service": "Whether it serves, and what it says of itself.",
}
"""The chapters."""

NEEDED: Final = {Scope.NOTHING: (), Scope.READ: (401,), Scope.WRITE: (401, 403)}
"""How a request without the right token is refused."""


class Route(NamedTuple):
    """A method, a path, the name of the operation, what a token must allow, and the chapter that this stands in."""

    method: str
    path: str
    name: str
    scope: Scope
    tag: str


@dataclass(frozen=True)
class Operation:
    """A request in the words of the document.

    Args:
        route: what is asked; whatever serves GET serves HEAD, which need not be said.
        words: the first sentence is the summary.
        good: the answers that are no refusals.
        refused: statuses of its own, besides those that the scope has and those that any request may get.
        more: its parameters and its body, as OpenAPI has them.
    """

    route: Route
    words: str
    good: Json
    refused: tuple[int, ...] = ()
    more: Json = field(default_factory=dict)


def paths(settings: Settings) -> Json:
    """All paths."""
    described: Json = {}
    for operation in operations(settings):
        methods = described.setdefault(operation.route.path, {})
        methods[operation.route.method] = _described(operation, settings)
        if "get" in methods:
            methods["head"] = _head(methods["get"], settings)
    return described


def _described(operation: Operation, settings: Settings) -> Json:
    route = operation.route
    summary, _, description = operation.words.partition(". ")
    guarded = route.scope and settings.token_file is not None
    return {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": summary,
        "description": description,
        "responses": answers(operation.good, *NEEDED[route.scope], *operation.refused),
        **({"security": [{"bearer": []}]} if guarded else {}),
        **operation.more,
    }


def _head(get: Json, settings: Settings) -> Json:
    """HEAD, which answers as GET does, with the same headers, without a body."""
    name, refusals = get["operationId"], responses(settings)
    return get | {
        "operationId": name.replace("get", "head", 1).replace("list", "head", 1),
        "summary": f"{get['summary']}: the headers only",
        "description": "Answers as GET does, without the body.",
        "responses": {
            status: {part: value for part, value in refusals.get(status, answer).items() if part != "content"}
            for status, answer in get["responses"].items()
        },
    }


def _parameter(name: str, where: str, description: str, schema: Json, example: object = None) -> Json:
    """A parameter; without an example it need not be there."""
    parameter = {"name": name, "in": where, "description": description, "schema": schema}
    return parameter | ({"required": False} if example is None else {"required": True, "example": example})


def operations(settings: Settings) -> list[Operation]:
    """All requests, in the order in which the story of the examples makes them."""
    name = ref("Symbol")
    symbol = _parameter("symbol", "query", "Whose prices, percent-encoded where it must be.", name, "EURUSD")
    of_batch = _parameter("symbol", "query", "Needed in binary, and in JSON where the body does not name it.", name)
    positions = {"type": "integer", "minimum": 0, "maximum": MOST_POSITION}
    at = _parameter("at", "query", "Append only if so many prices were added before.", positions)
    sizes = {"type": "integer", "minimum": 1, "maximum": settings.max_batch}
    last = _parameter("last", "query", "So many of the newest prices, or all that are held if fewer.", sizes)
    last["example"] = min(3, settings.max_batch)
    begin = _parameter("from", "query", "The position of the first price, 0 for the first ever.", positions)
    size = _parameter("size", "query", "How many prices; needed with `from`, and all of them must be held.", sizes)
    in_path = _parameter("symbol", "path", "Percent-encoded: `/symbols/EUR%2FUSD`.", name, "EURUSD")
    ks = {"type": "integer", "minimum": 1, "maximum": settings.max_k}
    k = _parameter("k", "query", "The window: the last 10^k prices. Digits only, as in `4`.", ks, 1)
    return [
        Operation(
            Route("post", "/add_batch/", "addBatch", Scope.WRITE, "Prices"),
            f"Append a batch of prices. Appends 1 to {settings.max_batch:,} prices to a symbol, all or none of them. A "
            f"symbol's first batch creates it; there may be {settings.max_symbols:,}. Once this is answered, every "
            "query sees them. Whoever loses the answer to a batch that says `at` sends the same again: it is in once.",
            ok(settings, documents.Receipt, "All prices are appended."),
            refused=(409, 412, 415, 422, 507),
            more={"parameters": [of_batch, at], "requestBody": _batch(settings)},
        ),
        Operation(
            Route("get", "/stats/", "getStatistics", Scope.READ, "Prices"),
            "Statistics of one window. Minimum, maximum, last, average and variance of exactly the last 10^k prices, "
            "or of all there are if fewer. It costs the same for every k.",
            ok(settings, documents.Statistics, "The window's statistics."),
            refused=(404,),
            more={"parameters": [symbol, k]},
        ),
        Operation(
            Route("get", "/stats/all/", "getAllStatistics", Scope.READ, "Prices"),
            "Statistics of all windows at one moment. What `/stats/` gives for every k, all over the same prices. "
            "About as dear as two queries of one window.",
            ok(settings, documents.AllStatistics, "All windows of the symbol."),
            refused=(404,),
            more={"parameters": [symbol]},
        ),
        Operation(
            Route("get", "/prices/", "getPrices", Scope.READ, "Prices"),
            f"The prices themselves. The newest ones (`last`), or neighbouring ones (`from` and `size`), at most "
            f"{settings.max_batch:,} at a time and each to the bit, of the last 10^{settings.max_k} of a symbol. "
            "`Accept: application/octet-stream` gets them as little-endian float64.",
            _prices(settings),
            refused=(404,),
            more={"parameters": [symbol, last, begin, size]},
        ),
        Operation(
            Route("get", "/symbols/", "listSymbols", Scope.READ, "Symbols"),
            "The symbols, and the limits. What each symbol holds, and how much there may be of everything.",
            ok(settings, documents.Symbols, "The symbols."),
        ),
        Operation(
            Route("delete", "/symbols/{symbol}", "deleteSymbol", Scope.WRITE, "Symbols"),
            "Delete a symbol with all its prices. Its place is free for another, and its memory goes back to the "
            "system within moments. A later batch of the same symbol starts anew.",
            {"204": {"description": "It is gone."}},
            refused=(404,),
            more={"parameters": [in_path]},
        ),
        Operation(
            Route("get", "/health/", "getHealth", Scope.NOTHING, "Service"),
            "Whether it serves. For a load balancer or a container's probe: 200 as soon as batches are served.",
            ok(settings, documents.Health, "It serves."),
        ),
        Operation(
            Route("get", "/metrics", "getMetrics", Scope.READ, "Service"),
            "Metrics for Prometheus. Of all workers, whichever is asked.",
            {"200": {"description": "The metrics.", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
        ),
        Operation(
            Route("get", "/openapi.json", "getOpenapi", Scope.NOTHING, "Service"),
            "This document. OpenAPI 3.1 with the limits of the service that answers: for generators of clients.",
            {"200": {"description": "The document.", "content": {"application/json": {"schema": _document()}}}},
        ),
        Operation(
            Route("get", "/docs", "getDocs", Scope.NOTHING, "Service"),
            "This document as a page. For people: needs no other network than the way to this service.",
            html_page("The page."),
        ),
        Operation(
            Route("get", "/", "getDashboard", Scope.NOTHING, "Service"),
            "The dashboard. Every symbol's windows as they change, in a browser.",
            html_page("The page. It holds no prices; it asks for them."),
        ),
    ]


def _batch(settings: Settings) -> Json:
    """A batch, in either of its forms."""
    binary = {
        "type": "string",
        "format": "binary",
        "description": f"1 to {settings.max_batch:,} little-endian float64; the symbol is in the query.",
    }
    return {
        "required": True,
        "description": f"At most {settings.max_body:,} bytes, not compressed.",
        "content": {
            "application/json": {"schema": ref("Batch"), "example": BATCH},
            "application/octet-stream": {"schema": binary},
        },
    }


def _prices(settings: Settings) -> Json:
    """Prices, in either of their forms."""
    good = ok(settings, documents.Prices, "The prices. In binary the headers say what JSON says beside them.")
    binary = {"type": "string", "format": "binary", "description": "Little-endian float64, oldest first."}
    good["200"]["content"][documents.OCTETS] = {"schema": binary}
    good["200"]["headers"] = {
        name: {"description": description, "required": True, "schema": {"type": "integer", "minimum": 0}}
        for name, description in (
            ("Tenfold-From", "The position of the first price."),
            ("Tenfold-Count", "Prices ever appended to the symbol."),
        )
    }
    return good


def _document() -> Json:
    """The least that an OpenAPI document has."""
    return {
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "properties": {"openapi": {"const": "3.1.0"}, "info": {"type": "object"}, "paths": {"type": "object"}},
    }
