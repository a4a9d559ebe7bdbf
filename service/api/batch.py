"""Bytes to a batch or a problem. Nothing here acts.

Its Content-Type says how: as JSON, or as float64 in binary, which needs no parsing at all.

Of JSON nearly all is numbers, so there is a fast reader for a row of them, and what stands around the row, the same in
each batch of a producer, is remembered. It may only say *yes*: it takes what is plainly a batch, and leaves all else to
the careful reader, which decides alone and knows why. What a row of numbers stands in the careful reader has judged,
too. Whatever the fast one takes, the careful one takes as well, with the same prices to the bit.
"""

from __future__ import annotations

import json
import unicodedata
from codecs import utf_8_decode
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from aggregation import NAME_BYTES

from .documents import OCTET_PRICE, OCTETS
from .numbers import read_numbers
from .problems import Problem, not_a_number
from .query import QUERIES_REMEMBERED, missing

BIDIRECTIONAL: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them: two symbols could look alike."""

_BYTE: Final = np.dtype(np.uint8)
TOO_LONG: Final = f"symbol must not be longer than {NAME_BYTES} bytes in UTF-8."


class Batch(NamedTuple):
    """A symbol and its new prices, float64, oldest first."""

    symbol: str
    prices: npt.NDArray[np.float64]


UNSERVED_TYPE: Final = Problem(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json, in UTF-8, or application/octet-stream."
)

Body = bytes | bytearray
"""Of a request. Whoever reads it does not keep it."""

Reader = Callable[[Body, str | None, int], Batch | Problem]
"""From a request's body, the symbol that its query names, and the limit to a batch. Whether the prices are within
bounds the series says."""


def read_json(body: Body, named: str | None, max_batch: int) -> Batch | Problem:
    """Read ``{"symbol": …, "values": […]}``; O(len(body)). Other keys are ignored.

    Where the query has named the symbol, it need not stand here, but must not be another one.
    """
    fast = _read_fast(body, named, max_batch)
    if fast is not None:
        return fast
    batch = _read_carefully(body, named, max_batch)
    return batch if isinstance(batch, Problem) else _within_limits(batch, max_batch)


def read_binary(body: Body, named: str | None, max_batch: int) -> Batch | Problem:
    """Read little-endian float64, of the symbol that the query names; O(1), nothing is copied."""
    if named is None:
        return missing("symbol")
    if len(body) % OCTET_PRICE.itemsize:
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not a row of float64: its length is no multiple of 8.")
    return _within_limits(Batch(named, np.frombuffer(body, OCTET_PRICE)), max_batch)


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
    if kind == OCTETS and set(parameters) <= {""}:
        return read_binary
    return UNSERVED_TYPE


MOST_FRAME: Final = 1024
"""Bytes of a body beside its numbers that are looked up as they are: a symbol, and a few keys of the sender's own."""

MOST_ELSE: Final = 10_000
"""What a body may hold beside its prices: commas, and brackets that open. Without a limit 350,000 empty objects in an
extra key would cost a hundred times as much as the largest batch."""

READ_AT_LEAST: Final = 8 * 1024
"""Bytes of a body that holds more, to see whether it is JSON at all; enough to see that it is nested too deeply."""


def _read_fast(body: Body, named: str | None, max_batch: int) -> Batch | None:
    """The batch, if the first array is a row of plain numbers and what stands around it is a batch's; else None."""
    prices = np.empty(min(max_batch, len(body) // 2))
    count, begin, end = read_numbers(np.frombuffer(body, _BYTE), prices)
    if count == 0 or begin + len(body) - end > MOST_FRAME:
        return None
    symbol = _symbol_around(bytes(body[:begin]), bytes(body[end:]), named)
    return None if symbol is None else Batch(symbol, prices[:count])


@lru_cache(maxsize=QUERIES_REMEMBERED)
def _symbol_around(before: bytes, after: bytes, named: str | None) -> str | None:
    """The symbol of a batch, if it may be one and a row of numbers between these bytes is its values.

    The careful reader is asked about two rows: it is so if it finds both of them, and the same symbol beside.
    """
    one, two = (_read_carefully(b"%b%d%b" % (before, number, after), named, 1) for number in (1, 2))
    if isinstance(one, Problem) or isinstance(two, Problem) or one.symbol != two.symbol:
        return None
    right = (*one.prices, *two.prices) == (1, 2) and not isinstance(_within_limits(one, 1), Problem)
    return one.symbol if right else None


def _read_carefully(body: Body, named: str | None, max_batch: int) -> Batch | Problem:
    """The batch, or what is wrong with it. O(len(body)), however it is written.

    orjson decides whether this is JSON: it is strict, and refuses lone surrogates and numbers beyond float64.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > max_batch + MOST_ELSE:
        return _refuse_unread(body, max_batch)
    try:
        document = orjson.loads(body)
        names = _names(body, document)
    except orjson.JSONDecodeError as error:
        return _not_json(error)
    except RecursionError:
        return Problem(HTTPStatus.BAD_REQUEST, "The body is not JSON that can be read: it is nested too deeply.")
    if not isinstance(document, dict):
        return _not_a_batch("The body must be an object with symbol and values.", "")
    for name, needed in (("symbol", named is None), ("values", True)):
        if names.count(name) > 1 or (needed and name not in names):
            detail = f"{name} is missing." if name not in names else f"{name} is given more than once."
            return _not_a_batch(detail, f"/{name}")
    return _shape(document, named)


def _shape(document: Mapping[str, Any], named: str | None) -> Batch | Problem:
    """The batch, if symbol and values are of the right types, and the symbol is the one that the query names."""
    symbol, values = document.get("symbol", named), document["values"]
    if not isinstance(symbol, str):
        return _not_a_batch("symbol must be a string.", "/symbol")
    if named is not None and symbol != named:
        return Problem(HTTPStatus.BAD_REQUEST, "The query names another symbol than the body.")
    if not isinstance(values, list):
        return _not_a_batch("values must be an array of numbers.", "/values")
    for index, value in enumerate(values):
        if type(value) is not float and type(value) is not int:  # true is an int to isinstance
            return not_a_number(index)
    return Batch(symbol, np.array(values, dtype=np.float64))


def _refuse_unread(body: Body, max_batch: int) -> Problem:
    """What is said to a body that holds more than any batch: only its beginning is read."""
    begun, _ = utf_8_decode(body[:READ_AT_LEAST], "surrogateescape")  # but for half a character at the end
    try:
        orjson.loads(begun)
    except orjson.JSONDecodeError as error:
        if error.pos < len(begun):
            return _not_json(error)
    detail = f"A body may hold {max_batch} prices and {MOST_ELSE} other things; this one holds more."
    return _not_a_batch(detail, "")


def _names(body: Body, document: object) -> list[str]:
    """The names of a document's members, each as often as it is given: orjson keeps only the last of them."""
    if not isinstance(document, dict):
        return []
    if b"\\" not in body and max(body.count(b'"symbol"'), body.count(b'"values"')) <= 1:
        return list(document)
    # Nobody looks at the numbers, and the nearest double of a long one takes long.
    return [name for name, _ in json.loads(body, object_pairs_hook=list, parse_int=len, parse_float=len)]


def _not_json(error: orjson.JSONDecodeError) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.")


def _not_a_batch(detail: str, pointer: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=pointer)


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
