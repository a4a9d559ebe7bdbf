"""What is sent and what comes back, as JSON Schema 2020-12, each with an example that belongs to one small story.

The story: four prices of EURUSD are appended to an empty service, and then it is asked about them. The schemas of what
comes back are made of the types that it is written as, the examples by the functions that write it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired, get_args, get_origin, get_type_hints

import numpy as np
import orjson

import aggregation
from aggregation import MAX_PRICE, NAME_BYTES
from service.api import documents
from service.api.problems import UNKNOWN_SYMBOL, not_a_number
from service.settings import Settings

Json = dict[str, Any]
"""A JSON object."""

SYMBOL_FORMAT: Final = "tenfold-symbol"

_CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SPACES: Final = r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
SYMBOL_PATTERN: Final = f"^[^{_CONTROLS}{_SPACES}](?:[^{_CONTROLS}]*[^{_CONTROLS}{_SPACES}])?$"
"""No control characters, no bidirectional controls, no white space at the ends. Spelled out: what \\s means differs
from one regular-expression engine to the next."""

TYPES: Final = {str: "string", int: "integer", float: "number"}

BATCH: Final[Json] = {"symbol": "EURUSD", "values": [1.25, 1.5, 1.0, 1.25]}
NOT_A_BATCH: Final = not_a_number(17)


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def examples(settings: Settings) -> dict[type, Json]:
    """The documents of the story."""
    window = aggregation.Statistics(size=4, min=1.0, max=1.5, last=1.25, avg=1.25, var=0.03125)
    holding = aggregation.Holding("EURUSD", window.size, window.last, held_bytes=8192, batches=1, lag=0)
    windows = aggregation.Windows(window.size, [window.size] * settings.max_k, [list(window[1:])] * settings.max_k)
    all_statistics = orjson.loads(documents.write_windows("EURUSD", windows))
    newest = aggregation.Stretch(1, window.size, np.array(BATCH["values"][1:]))
    overview = orjson.loads(documents.write_overview([holding], settings.layout))
    return {
        documents.Batch: BATCH,
        documents.Receipt: orjson.loads(documents.write_receipt("EURUSD", window.size, window.size)),
        documents.Statistics: orjson.loads(documents.write_statistics(window)),
        documents.AllStatistics: all_statistics,
        documents.Window: all_statistics["windows"]["1"],
        documents.Prices: orjson.loads(documents.write_prices("EURUSD", newest, as_octets=False).content),
        documents.Symbols: overview,
        documents.Holding: overview["symbols"][0],
        documents.Limits: overview["limits"],
        documents.Health: orjson.loads(documents.write_health(0, settings.max_symbols)),
        documents.Problem: orjson.loads(UNKNOWN_SYMBOL.body()),
        documents.Place: orjson.loads(NOT_A_BATCH.body())["errors"][0],
    }


BASIC: Final = {
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
}
"""What all documents are made of."""


def schemas(settings: Settings) -> Json:
    """All schemas by name, with the limits of these settings."""
    shown = examples(settings)
    limits = shown[documents.Limits]
    return BASIC | {document.__name__: _record(document, example, limits) for document, example in shown.items()}


def _record(document: type, example: Json, limits: Json) -> Json:
    """An object with exactly the fields of a TypedDict, in the order in which they are written."""
    fields = get_type_hints(document, include_extras=True)
    return {
        "type": "object",
        "description": document.__doc__,
        "properties": {name: _value(fields[name], limits) for name in example | fields},
        "required": [name for name, kind in fields.items() if get_origin(kind) is not NotRequired],
        "additionalProperties": document is documents.Batch,  # all else is answered, and nothing but what is said
        "examples": [example],
    }


def _value(kind: object, limits: Json) -> Json:
    """A value of this type, with what it is annotated with."""
    if get_origin(kind) is NotRequired:
        return _value(get_args(kind)[0], limits)
    bare, *notes = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    schema = _plain(bare, limits)
    for note in notes:
        match note:
            case documents.Component(name):
                schema = ref(name)
            case documents.Schema():
                schema |= {keyword: limits.get(str(value), value) for keyword, value in note.items()}
            case str():
                schema = ({"allOf": [schema]} if "$ref" in schema else schema) | {"description": note}
    return schema


def _plain(kind: Any, limits: Json) -> Json:  # noqa: ANN401 - a class, or what typing has for one
    """A value of a type without annotations; a type that is none of JSON's is a component."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"const": inner[0]}
    if origin is list:
        return {"type": "array", "items": _value(inner[0], limits)}
    if origin is dict:
        ks = [str(k) for k in range(1, limits["max_k"] + 1)]
        windows = dict.fromkeys(ks, _value(inner[1], limits))
        return {"type": "object", "properties": windows, "required": ks, "additionalProperties": False}
    return {"type": TYPES[kind]} if kind in TYPES else ref(kind.__name__)
