"""A function a path: what it does, what it takes, what it answers."""

from __future__ import annotations

from typing import Final

from service.metrics.exposition import CONTENT_TYPE
from service.settings import Settings

from .answers import answers, ok, responses, without_bodies
from .schemas import PRICES, STATISTICS, Json, ref, symbols_example, windows_example

PRICES_TAG: Final = "Prices"
SYMBOLS_TAG: Final = "Symbols"
SERVICE_TAG: Final = "Service"

TAGS: Final = [
    {"name": PRICES_TAG, "description": "Prices in, statistics out: what most clients need."},
    {"name": SYMBOLS_TAG, "description": "Which symbols there are, and making room for others."},
    {"name": SERVICE_TAG, "description": "Whether it serves, and what it says of itself."},
]


def paths(settings: Settings) -> Json:
    """All paths."""
    return {
        "/add_batch/": add_batch(settings),
        "/stats/": stats(settings),
        "/stats/all/": all_stats(settings),
        "/symbols/": list_symbols(settings),
        "/symbols/{symbol}": symbol(settings),
        "/health/": health(settings),
        "/metrics": metrics(settings),
        "/openapi.json": document(settings),
        "/docs": page(settings),
        "/": dashboard(settings),
    }


def _guarded(settings: Settings) -> Json:
    """What an operation says of tokens: nothing, unless the service asks for them."""
    return {"security": [{"bearer": []}]} if settings.token_file is not None else {}


def _in_query(name: str, description: str, schema: Json, example: object) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def _symbol_in_query() -> Json:
    return _in_query("symbol", "Whose prices, percent-encoded where it must be.", ref("Symbol"), "EURUSD")


def _readable(operation: Json, settings: Settings) -> Json:
    """GET, and HEAD, which answers the same without a body."""
    name = operation["operationId"]
    head = operation | {
        "operationId": name.replace("get", "head", 1).replace("list", "head", 1),
        "summary": f"{operation['summary']}: the headers only",
        "description": "Answers as GET does, without the body.",
        "responses": without_bodies(operation["responses"], responses(settings)),
    }
    return {"get": operation, "head": head}


def add_batch(settings: Settings) -> Json:
    """Prices in."""
    return {
        "post": {
            "operationId": "addBatch",
            **_guarded(settings),
            "tags": [PRICES_TAG],
            "summary": "Append a batch of prices",
            "description": (
                f"Appends 1 to {settings.max_batch:,} prices to a symbol, all or none of them. A symbol's first batch "
                f"creates it; there may be {settings.max_symbols:,}. Once this is answered, every query sees them."
            ),
            "parameters": [
                {
                    "name": "symbol",
                    "in": "query",
                    "required": False,
                    "description": "Needed with `application/octet-stream`, ignored with JSON.",
                    "schema": ref("Symbol"),
                }
            ],
            "requestBody": {
                "required": True,
                "description": f"At most {settings.max_body:,} bytes, not compressed.",
                "content": {
                    "application/json": {
                        "schema": ref("Batch"),
                        "example": {"symbol": "EURUSD", "values": PRICES},
                    },
                    "application/octet-stream": {
                        "schema": {
                            "type": "string",
                            "format": "binary",
                            "description": (
                                f"1 to {settings.max_batch:,} little-endian float64; the symbol is in the query."
                            ),
                        }
                    },
                },
            },
            "responses": answers(
                settings,
                ok("All prices are appended.", "Receipt", {"symbol": "EURUSD", "added": 4, "count": 4}),
                401,
                403,
                409,
                415,
                422,
                507,
            ),
        }
    }


def stats(settings: Settings) -> Json:
    """One window."""
    ks = {"type": "integer", "minimum": 1, "maximum": settings.max_k}
    return _readable(
        {
            "operationId": "getStatistics",
            **_guarded(settings),
            "tags": [PRICES_TAG],
            "summary": "Statistics of one window",
            "description": (
                "Minimum, maximum, last, average and variance of exactly the last 10^k prices, or of all there are if "
                "fewer. It costs the same for every k."
            ),
            "parameters": [
                _symbol_in_query(),
                _in_query("k", "The window: the last 10^k prices. Digits only, as in `4`.", ks, 1),
            ],
            "responses": answers(settings, ok("The window's statistics.", "Statistics", STATISTICS), 401, 404),
        },
        settings,
    )


def all_stats(settings: Settings) -> Json:
    """All windows."""
    good = ok("All windows of the symbol.", "AllStatistics", windows_example(settings))
    return _readable(
        {
            "operationId": "getAllStatistics",
            **_guarded(settings),
            "tags": [PRICES_TAG],
            "summary": "Statistics of all windows at one moment",
            "description": (
                "What `/stats/` gives for every k, all over the same prices. Cheaper than two queries of one window."
            ),
            "parameters": [_symbol_in_query()],
            "responses": answers(settings, good, 401, 404),
        },
        settings,
    )


def list_symbols(settings: Settings) -> Json:
    """All symbols."""
    good = ok("The symbols.", "Symbols", symbols_example(settings))
    return _readable(
        {
            "operationId": "listSymbols",
            **_guarded(settings),
            "tags": [SYMBOLS_TAG],
            "summary": "The symbols, and the limits",
            "description": "What each symbol holds, and how much there may be of everything.",
            "responses": answers(settings, good, 401),
        },
        settings,
    )


def symbol(settings: Settings) -> Json:
    """One symbol."""
    return {
        "delete": {
            "operationId": "deleteSymbol",
            **_guarded(settings),
            "tags": [SYMBOLS_TAG],
            "summary": "Delete a symbol with all its prices",
            "description": (
                "Its place is free for another symbol and its memory is back with the system. A later batch of the "
                "same symbol starts anew."
            ),
            "parameters": [
                {
                    "name": "symbol",
                    "in": "path",
                    "required": True,
                    "description": "Percent-encoded: `/symbols/EUR%2FUSD`.",
                    "schema": ref("Symbol"),
                    "example": "EURUSD",
                }
            ],
            "responses": answers(settings, {"204": {"description": "It is gone."}}, 401, 403, 404),
        }
    }


def health(settings: Settings) -> Json:
    """Whether it serves."""
    example = {"status": "ok", "symbols": 0, "max_symbols": settings.max_symbols}
    return _readable(
        {
            "operationId": "getHealth",
            "tags": [SERVICE_TAG],
            "summary": "Whether it serves",
            "description": "For a load balancer or a container's probe: 200 as soon as batches are served.",
            "responses": answers(settings, ok("It serves.", "Health", example)),
        },
        settings,
    )


def metrics(settings: Settings) -> Json:
    """What Prometheus collects."""
    content = {CONTENT_TYPE: {"schema": {"type": "string"}}}
    return _readable(
        {
            "operationId": "getMetrics",
            **_guarded(settings),
            "tags": [SERVICE_TAG],
            "summary": "Metrics for Prometheus",
            "description": "Of all workers, whichever is asked.",
            "responses": answers(settings, {"200": {"description": "The metrics.", "content": content}}, 401),
        },
        settings,
    )


def document(settings: Settings) -> Json:
    """The document itself."""
    content = {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["openapi", "info", "paths"],
                "properties": {"openapi": {"const": "3.1.0"}, "info": {"type": "object"}, "paths": {"type": "object"}},
            }
        }
    }
    return _readable(
        {
            "operationId": "getOpenapi",
            "tags": [SERVICE_TAG],
            "summary": "This document",
            "description": "OpenAPI 3.1 with the limits of the service that answers: for generators of clients.",
            "responses": answers(settings, {"200": {"description": "The document.", "content": content}}),
        },
        settings,
    )


def page(settings: Settings) -> Json:
    """The page for people."""
    return _readable(
        {
            "operationId": "getDocs",
            "tags": [SERVICE_TAG],
            "summary": "This document as a page",
            "description": "For people: needs no other network than the way to this service.",
            "responses": answers(settings, html_page("The page.")),
        },
        settings,
    )


def dashboard(settings: Settings) -> Json:
    """The page that shows the prices."""
    return _readable(
        {
            "operationId": "getDashboard",
            "tags": [SERVICE_TAG],
            "summary": "The dashboard",
            "description": "Every symbol's windows as they change, in a browser.",
            "responses": answers(settings, html_page("The page. It holds no prices; it asks for them.")),
        },
        settings,
    )


def html_page(description: str) -> Json:
    """A 200 with a page, and a 304 for whoever has it already."""
    tag = {"ETag": {"description": "Send it back in `If-None-Match`.", "required": True, "schema": {"type": "string"}}}
    content = {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
    return {
        "200": {"description": description, "headers": tag, "content": content},
        "304": {"description": "It has not changed since the `ETag` of `If-None-Match`.", "headers": tag},
    }
