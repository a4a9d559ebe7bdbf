"""Bytes to a batch or a problem. Nothing here acts.

Its Content-Type says how: as JSON, or as float64 in binary, which needs no parsing at all.
Parsing ten thousand prices is the dearest thing that the service does, and simdjson's ``as_buffer`` does it in a third
of the time of any other parser, straight into float64. But it is lenient where a batch must be strict: it flattens
nested arrays, skips a byte-order mark, takes the first of two equal keys, and refuses integers from 2^64 on, which are
fine JSON. So the fast reader may only say *yes*: it takes what is plainly a batch and leaves all else to the careful
reader, which decides alone and knows why. Whatever the fast one takes, the careful one takes too, with the same prices
to the bit.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import simdjson

from aggregation import NAME_BYTES

from .problems import Problem, not_a_number
from .query import QUERIES_REMEMBERED, read_symbol_query

BIDIRECTIONAL: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them: two symbols could look alike."""

PRICE: Final = np.dtype("<f8")
"""A price in a binary batch."""

TOO_LONG: Final = f"symbol must not be longer than {NAME_BYTES} bytes in UTF-8."

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Batch(NamedTuple):
    """A symbol and its new prices, float64, oldest first."""

    symbol: str
    prices: npt.NDArray[np.float64]


UNSERVED_TYPE: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, in UTF-8, or application/octet-stream."
)

Body = bytes | bytearray
"""Of a request. Whoever reads it does not keep it."""

Reader = Callable[[Body, str, int], Batch | Problem]
"""From a request's body, its query and the limit to a batch. Whether the prices are within bounds the series says."""


def read_json(body: Body, _query: str, max_batch: int) -> Batch | Problem:
    """Read ``{"symbol": …, "values": […]}``; O(len(body)). Other keys are ignored, and so is the query."""
    batch = _read_fast(body) or _read_carefully(body)
    return batch if isinstance(batch, Problem) else _within_limits(batch, max_batch)


def read_binary(body: Body, query: str, max_batch: int) -> Batch | Problem:
    """Read little-endian float64, of the symbol that ``symbol=…`` in the query names; O(1), nothing is copied."""
    symbol = read_symbol_query(query)
    if isinstance(symbol, Problem):
        return symbol
    if len(body) % PRICE.itemsize:
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not a row of float64: its length is no multiple of 8.")
    return _within_limits(Batch(symbol, np.frombuffer(body, PRICE)), max_batch)


def _within_limits(batch: Batch, max_batch: int) -> Batch | Problem:
    """The batch, if its symbol may be one and it is neither empty nor too long."""
    # What is remembered of a symbol must be short: a thousand refused ones of a megabyte each must not stay.
    refusal = refuse_symbol(batch.symbol) if len(batch.symbol) <= NAME_BYTES else TOO_LONG
    if refusal is not None:
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, refusal, pointer="/symbol")
    if not 1 <= len(batch.prices) <= max_batch:
        detail = f"values must hold 1 to {max_batch} prices, not {len(batch.prices)}."
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer="/values")
    return batch


@lru_cache(maxsize=QUERIES_REMEMBERED)
def choose_reader(media_type: str | None, encoding: str | None) -> Reader | Problem:
    """The reader for a body's Content-Type and Content-Encoding. JSON is UTF-8, said or not, and the default."""
    if encoding is not None:
        return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "No Content-Encoding is served; send the body as it is.")
    kind, *parameters = (part.strip().lower() for part in (media_type or "application/json").split(";"))
    if kind == "application/json" and set(parameters) <= {"", "charset=utf-8", 'charset="utf-8"'}:
        return read_json
    if kind == "application/octet-stream" and set(parameters) <= {""}:
        return read_binary
    return UNSERVED_TYPE


_parser = simdjson.Parser()


def _read_fast(body: Body) -> Batch | None:
    """The batch, if the body is plainly one, else None: then the careful reader decides.

    One opening bracket in all means that no array is nested. The document dies with this frame, as it must before the
    parser is used again.
    """
    if body.find(b"[", body.find(b"[") + 1) >= 0 or body.startswith(BYTE_ORDER_MARK):
        return None
    try:
        document = _parser.parse(body)
        if not isinstance(document, simdjson.Object) or len(document) != 2:  # noqa: PLR2004 - symbol and values, once
            return None
        symbol, values = document["symbol"], document["values"]
        if not isinstance(symbol, str) or not isinstance(values, simdjson.Array):
            return None
        return Batch(symbol, np.frombuffer(values.as_buffer(of_type="d")))
    except (KeyError, RuntimeError, TypeError, ValueError):
        return None


class _Members(list[tuple[str, Any]]):
    """An object's members in the order in which they stand, repeated names and all."""


def _whole_number(digits: str) -> float:
    """The nearest double, however many digits. Adding zero makes -0 the integer that it is."""
    return float(digits) + 0.0


def _read_carefully(body: Body) -> Batch | Problem:
    """The batch, or what is wrong with it.

    orjson decides whether this is JSON: it is strict, and refuses lone surrogates and numbers beyond float64. It keeps
    only the last of repeated names, though, so the members are then read with the standard library.
    """
    try:
        orjson.loads(body)
        members = json.loads(body, object_pairs_hook=_Members, parse_int=_whole_number)
    except orjson.JSONDecodeError as error:
        return Problem(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.")
    except RecursionError:
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON that can be read: it is nested too deeply.")
    if not isinstance(members, _Members):
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The body must be an object with symbol and values.", pointer=""
        )
    names = [name for name, _ in members]
    for name in ("symbol", "values"):
        if names.count(name) != 1:
            detail = f"{name} is missing." if name not in names else f"{name} is given more than once."
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=f"/{name}")
    return _shape(dict(members))


def _shape(document: Mapping[str, Any]) -> Batch | Problem:
    """The batch, if symbol and values are of the right types."""
    symbol, values = document["symbol"], document["values"]
    if not isinstance(symbol, str):
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "symbol must be a string.", pointer="/symbol")
    if not isinstance(values, list) or isinstance(values, _Members):
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "values must be an array of numbers.", pointer="/values")
    for index, value in enumerate(values):
        if not isinstance(value, float):
            return not_a_number(index)
    return Batch(symbol, np.array(values, dtype=np.float64))


@lru_cache(maxsize=QUERIES_REMEMBERED)
def refuse_symbol(symbol: str) -> str | None:
    """What is wrong with a new symbol's name, or None."""
    if not symbol:
        return "symbol must not be empty."
    if len(symbol.encode()) > NAME_BYTES:
        return TOO_LONG
    if symbol != symbol.strip():
        return "symbol must not begin or end with white space."
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in symbol):
        return "symbol must not contain control characters."
    if not BIDIRECTIONAL.isdisjoint(symbol):
        return "symbol must not contain bidirectional controls."
    return None
