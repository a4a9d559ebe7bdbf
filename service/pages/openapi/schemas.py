"""What is sent and what comes back, as JSON Schema 2020-12, each with an example that belongs to one small story.

The story: four prices of EURUSD are appended to an empty service, and then it is asked about them.
"""

from __future__ import annotations

from typing import Any, Final

from aggregation import MAX_PRICE, NAME_BYTES
from service.settings import Settings

Json = dict[str, Any]
"""A JSON object."""

SYMBOL_FORMAT: Final = "tenfold-symbol"

_CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SPACES: Final = r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
SYMBOL_PATTERN: Final = f"^[^{_CONTROLS}{_SPACES}](?:[^{_CONTROLS}]*[^{_CONTROLS}{_SPACES}])?$"
"""No control characters, no bidirectional controls, no white space at the ends. Spelled out: what \\s means differs
from one regular-expression engine to the next."""

PRICES: Final = [1.25, 1.5, 1.0, 1.25]
STATISTICS: Final = {"min": 1.0, "max": 1.5, "last": 1.25, "avg": 1.25, "var": 0.03125}


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _record(description: str, properties: Json, example: Json, optional: frozenset[str] = frozenset()) -> Json:
    """An object with exactly these members."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        "examples": [example],
    }


def _count(description: str) -> Json:
    return {"type": "integer", "minimum": 0, "description": description}


def windows_example(settings: Settings) -> Json:
    """All windows of the story: four prices are fewer than the shortest window has room for."""
    window = {"count": 4, **{name: value for name, value in STATISTICS.items() if name != "last"}}
    windows = {str(k): window for k in range(1, settings.max_k + 1)}
    return {"symbol": "EURUSD", "count": 4, "last": STATISTICS["last"], "windows": windows}


def symbols_example(settings: Settings) -> Json:
    """The symbols of the story, and the limits."""
    return {"symbols": [dict(_HOLDING)], "limits": _limits(settings)}


_HOLDING: Final = {"symbol": "EURUSD", "count": 4, "last": STATISTICS["last"], "bytes": 8192}


def _limits(settings: Settings) -> Json:
    return {
        "max_symbols": settings.max_symbols,
        "max_k": settings.max_k,
        "retention": settings.geometry.retention,
        "max_batch": settings.max_batch,
    }


def _moments(price: Json) -> Json:
    """What a window says of its prices, besides the last of them."""
    return {
        "min": {"allOf": [price], "description": "The smallest, to the bit."},
        "max": {"allOf": [price], "description": "The largest, to the bit."},
        "avg": {"allOf": [price], "description": "The mean."},
        "var": {"type": "number", "minimum": 0, "description": "The population variance: divided by N, not N − 1."},
    }


def schemas(settings: Settings) -> Json:
    """All schemas by name, with the limits of these settings."""
    price = ref("Price")
    return {
        "Symbol": {
            "type": "string",
            "minLength": 1,
            "maxLength": NAME_BYTES,
            "pattern": SYMBOL_PATTERN,
            "format": SYMBOL_FORMAT,
            "description": (
                f"An instrument's name: any text of 1 to {NAME_BYTES} bytes in UTF-8 without control characters, "
                "bidirectional controls, or white space at its ends. Compared byte for byte. "
                f"(JSON Schema counts characters; the format `{SYMBOL_FORMAT}` stands for the limit in bytes.)"
            ),
            "examples": ["EURUSD", "BRK.B", "EUR/USD", "日経225"],
        },
        "Price": {
            "type": "number",
            "minimum": -MAX_PRICE,
            "maximum": MAX_PRICE,
            "description": f"Kept as the nearest float64. Within ±{MAX_PRICE:g}, so that no statistic can overflow.",
            "examples": [1.25],
        },
        "Batch": {
            "type": "object",
            "description": "Prices of one symbol, oldest first. Other members are ignored; none may be given twice.",
            "properties": {
                "symbol": ref("Symbol"),
                "values": {
                    "type": "array",
                    "items": price,
                    "minItems": 1,
                    "maxItems": settings.max_batch,
                    "description": "The prices, oldest first.",
                },
            },
            "required": ["symbol", "values"],
            "examples": [{"symbol": "EURUSD", "values": PRICES}],
        },
        "Receipt": _record(
            "The batch is appended; whoever asks from now on sees it.",
            {
                "symbol": ref("Symbol"),
                "added": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": settings.max_batch,
                    "description": "Prices in this batch.",
                },
                "count": _count("Prices ever appended to the symbol."),
            },
            {"symbol": "EURUSD", "added": 4, "count": 4},
        ),
        "Statistics": _record(
            "One window: the last 10^k prices, or all there are if fewer.",
            {
                **_moments(price),
                "last": {"allOf": [price], "description": "The newest, to the bit."},
            },
            STATISTICS,
        ),
        "AllStatistics": _record(
            "All windows of a symbol at one moment.",
            {
                "symbol": ref("Symbol"),
                "count": _count("Prices ever appended to the symbol."),
                "last": {"allOf": [price], "description": "The newest price, which is the last of every window."},
                "windows": {
                    "type": "object",
                    "description": "Each window under its k.",
                    "properties": {str(k): ref("Window") for k in range(1, settings.max_k + 1)},
                    "required": [str(k) for k in range(1, settings.max_k + 1)],
                    "additionalProperties": False,
                },
            },
            windows_example(settings),
        ),
        "Window": _record(
            "One of all windows.",
            {
                "count": _count("Prices in this window: 10^k, or all there are if fewer."),
                **_moments(price),
            },
            windows_example(settings)["windows"]["1"],
        ),
        "Symbols": _record(
            "The symbols by name, and the limits of the service.",
            {
                "symbols": {
                    "type": "array",
                    "items": ref("Holding"),
                    "minItems": 0,
                    "maxItems": settings.max_symbols,
                    "description": "Each is of one moment; they need not be of the same.",
                },
                "limits": ref("Limits"),
            },
            symbols_example(settings),
        ),
        "Holding": _record(
            "What a symbol holds.",
            {
                "symbol": ref("Symbol"),
                "count": _count("Prices ever appended to it."),
                "last": {"allOf": [price], "description": "The newest of them."},
                "bytes": _count("Memory that its prices and summaries lie on, in whole pages."),
            },
            _HOLDING,
        ),
        "Limits": _record(
            "What there may be.",
            {
                name: {"const": value, "description": description}
                for (name, value), description in zip(
                    _limits(settings).items(),
                    (
                        "Symbols.",
                        "The longest window is the last 10^max_k prices.",
                        "Prices kept.",
                        "Prices in a batch.",
                    ),
                    strict=True,
                )
            },
            _limits(settings),
        ),
        "Health": _record(
            "It serves.",
            {
                "status": {"const": "ok"},
                "symbols": _count("Symbols that there are."),
                "max_symbols": {"const": settings.max_symbols, "description": "Symbols that there may be."},
            },
            {"status": "ok", "symbols": 0, "max_symbols": settings.max_symbols},
        ),
        "Problem": _record(
            "What is wrong with a request (RFC 9457). A refused request changes nothing.",
            {
                "type": {"const": "about:blank", "description": "The status says which kind of problem it is."},
                "title": {"type": "string", "description": "The status in words."},
                "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status once more."},
                "detail": {"type": "string", "description": "One sentence for a person."},
                "errors": {
                    "type": "array",
                    "items": ref("Place"),
                    "minItems": 1,
                    "maxItems": 1,
                    "description": "The place, where one can be named.",
                },
            },
            {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "No price of this symbol has been added.",
            },
            optional=frozenset({"errors"}),
        ),
        "Place": _record(
            "Where in the body it is wrong.",
            {
                "pointer": {
                    "type": "string",
                    "pattern": "^#(?:/|$)",
                    "description": "A JSON pointer as a URI fragment (RFC 6901).",
                },
                "detail": {"type": "string", "description": "What is wrong there."},
            },
            {"pointer": "#/values/17", "detail": "Every one of values must be a number."},
        ),
    }
