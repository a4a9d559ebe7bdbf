"""What a batch and a query are, written down a second time: nothing here is the service's, and nothing is fast.

Numbers are exact fractions until they become the nearest double. A refusal knows every place that is wrong, so it does
not matter which of them the service finds first.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple, NoReturn

LARGEST: Final = Fraction(1e100)  # the double, which is a little above 10 ** 100
MOST_ELSE: Final = 10_000  # commas, and brackets that open, beside the prices
LONGEST_EXPONENT: Final = 12
DEEPEST: Final = 900
"""Beyond this depth the service may refuse; the documents that are made here are far from it on either side."""


class Batch(NamedTuple):
    """A symbol and its prices."""

    symbol: str
    prices: tuple[float, ...]

    @property
    def bits(self) -> bytes:
        """The prices so that equal means identical."""
        return struct.pack(f"<{len(self.prices)}d", *self.prices)


class Refusal(NamedTuple):
    """The status, and the places that may be named."""

    status: int
    pointers: frozenset[str] = frozenset()


class Members(list[tuple[str, Any]]):
    """An object's members in their order, with all repetitions."""


def parse(body: bytes, max_batch: int, named: str | None = None) -> Batch | Refusal:
    """What a body says, before anybody asks whether the symbol and the number of prices are admissible.

    The query may have named the symbol. That the body names another one is of no matter where a name is missing, given
    twice, or no text; of values it does not matter what is in them.
    """
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=Members,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_not_json,
        )
        for text in _texts(document):
            text.encode()
    except (ValueError, RecursionError):
        return Refusal(400)
    if not isinstance(document, Members) or sum(body.count(one) for one in (b",", b"[", b"{")) > max_batch + MOST_ELSE:
        return Refusal(422, frozenset({"#"}))
    wrong = set()
    found: dict[str, Any] = {}
    for name in ("symbol", "values"):
        given = [value for key, value in document if key == name]
        if name == "symbol" and named is not None:
            given = given or [named]
        if len(given) != 1:
            wrong.add(f"#/{name}")
        else:
            found[name] = given[0]
    if not isinstance(found.get("symbol", ""), str):
        wrong.add("#/symbol")
    if not wrong and named not in (None, found["symbol"]):
        return Refusal(400)
    values = found.get("values", [])
    if type(values) is not list:
        wrong.add("#/values")
    else:
        wrong |= {f"#/values/{index}" for index, value in enumerate(values) if type(value) is not float}
    return Refusal(422, frozenset(wrong)) if wrong else Batch(found["symbol"], tuple(values))


def read(body: bytes, max_batch: int, named: str | None = None) -> Batch | Refusal:
    """The batch that a body is, or why it is none."""
    batch = parse(body, max_batch, named)
    if isinstance(batch, Refusal):
        return batch
    wrong = set()
    if not admissible(batch.symbol):
        wrong.add("#/symbol")
    if not 1 <= len(batch.prices) <= max_batch:
        wrong.add("#/values")
    wrong |= {f"#/values/{index}" for index, price in enumerate(batch.prices) if abs(Fraction(price)) > LARGEST}
    return Refusal(422, frozenset(wrong)) if wrong else batch


def admissible(symbol: str) -> bool:
    """Whether a text may be a symbol."""
    control = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
    directing = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
    return (
        1 <= len(symbol.encode()) <= 64
        and not control.search(symbol)
        and not directing.search(symbol)
        and not symbol[0].isspace()
        and not symbol[-1].isspace()
    )


def read_query(query: str, max_k: int) -> tuple[str, int] | None:
    """The symbol and k that a query asks for; None if it is none."""
    fields: dict[str, list[str]] = {}
    for field in query.split("&"):
        name, _, value = field.partition("=")
        try:
            fields.setdefault(_unquoted(name), []).append(_unquoted(value))
        except UnicodeDecodeError:
            return None
    symbols, ks = fields.get("symbol", []), fields.get("k", [])
    if len(symbols) != 1 or len(ks) != 1 or not symbols[0] or ks[0] not in set("12345678"[:max_k]):
        return None
    return symbols[0], int(ks[0])


def _unquoted(text: str) -> str:
    """A field with its escapes undone; what only looks like an escape stands for itself."""
    raw = text.replace("+", " ").encode()
    escape = re.compile(rb"%([0-9a-fA-F]{2})")
    return escape.sub(lambda match: bytes.fromhex(match[1].decode()), raw).decode()


def _integer(literal: str) -> float:
    """The double nearest to an integer; there is no negative zero among integers."""
    return _nearest(Decimal(literal)) + 0.0


def _decimal(literal: str) -> float:
    """The double nearest to a number with a fraction or an exponent, which keeps its sign even as zero."""
    mantissa, _, exponent = literal.lower().partition("e")
    if len(exponent.lstrip("+-0")) > LONGEST_EXPONENT:  # no mantissa here makes up for it, and Decimal knows none such
        literal = f"{mantissa}e{'-' * exponent.startswith('-')}{'9' * LONGEST_EXPONENT}"
    return float(f"{'-' * literal.startswith('-')}{abs(_nearest(Decimal(literal)))!r}")


def _nearest(number: Decimal) -> float:
    """Round to the nearest double. Python divides integers exactly, to the nearest, ties to even."""
    if not number:
        return 0.0
    if number.adjusted() > 400 or number.adjusted() < -400:  # the fraction would have a million digits
        if number.adjusted() > 0:
            _not_json("beyond every double")
        return 0.0
    numerator, denominator = Fraction(number).as_integer_ratio()
    try:
        return numerator / denominator
    except OverflowError:
        _not_json("beyond every double")


def _not_json(reason: str) -> NoReturn:
    raise ValueError(reason)


def _texts(document: object, depth: int = 0) -> Iterator[str]:
    """Every string of a document, names included."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(document, str):
        yield document
    elif isinstance(document, Members):
        for name, value in document:
            yield name
            yield from _texts(value, depth + 1)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value, depth + 1)
