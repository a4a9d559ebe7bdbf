"""A query, or a piece of a path, to what it asks for, or to a problem."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from .documents import OCTETS
from .problems import MOST_POSITION, Problem, wrong_k, wrong_position

QUERIES_REMEMBERED: Final = 256
"""Dashboards repeat at most symbols × windows queries, 80 by default; the rest of the room is slack."""


class Window(NamedTuple):
    """A symbol and which of its windows is asked for."""

    symbol: str
    k: int


_POSITION: Final = re.compile("0|[1-9][0-9]{0,18}")
"""int() would also take "01", "+1" and full-width digits."""
_WEIGHT: Final = re.compile("(?:^|;)[ \t]*q=([01](?:\\.[0-9]{0,3})?)[ \t]*(?:;|$)")


class Target(NamedTuple):
    """Where a batch is to go, as far as its query says: to which symbol, and its first price to which position."""

    symbol: str | None
    at: int | None


ANYWHERE: Final = Target(None, None)
"""Where there is no query, as with most batches in JSON."""


class Wanted(NamedTuple):
    """So many prices of a symbol, from position ``begin`` on; without one the newest."""

    symbol: str
    size: int
    begin: int | None


def missing(name: str) -> Problem:
    """A query must have this field."""
    return Problem(HTTPStatus.BAD_REQUEST, f"{name} is missing from the query.")


def _read_fields(query: str, needed: tuple[str, ...], known: tuple[str, ...] = ()) -> dict[str, str] | Problem:
    """The fields of a query: each needed one is given once, each known one at most; others are ignored."""
    if "%" not in query and "+" not in query:  # as in most; the same in a quarter of the time
        fields = [(name, value) for field in query.split("&") if field for name, _, value in [field.partition("=")]]
    else:
        try:
            fields = parse_qsl(query, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            return Problem(HTTPStatus.BAD_REQUEST, "The query is not UTF-8 after percent-decoding.")
    names = [name for name, _ in fields]
    for name in (*needed, *known):
        if names.count(name) > 1:
            return Problem(HTTPStatus.BAD_REQUEST, f"{name} is given more than once.")
        if name in needed and name not in names:
            return missing(name)
    values = dict(fields)
    if values.get("symbol") == "":
        return Problem(HTTPStatus.BAD_REQUEST, "symbol is blank.")
    return values


def _is_position(text: str) -> bool:
    return _POSITION.fullmatch(text) is not None and int(text) <= MOST_POSITION


@lru_cache(maxsize=QUERIES_REMEMBERED)
def read_query(query: str, max_k: int) -> Window | Problem:
    """Read ``symbol=…&k=…``. k is matched literally: int() would also take "01", "+1" and full-width digits."""
    values = _read_fields(query, ("symbol", "k"))
    if isinstance(values, Problem):
        return values
    if values["k"] not in [str(k) for k in range(1, max_k + 1)]:
        return wrong_k(max_k)
    return Window(values["symbol"], int(values["k"]))


@lru_cache(maxsize=QUERIES_REMEMBERED)
def read_symbol_query(query: str) -> str | Problem:
    """Read ``symbol=…``; k is another field here, and ignored like any."""
    values = _read_fields(query, ("symbol",))
    return values if isinstance(values, Problem) else values["symbol"]


@lru_cache(maxsize=QUERIES_REMEMBERED)
def read_target(query: str) -> Target | Problem:
    """Read the query of a batch, which may say ``symbol=…`` and ``at=…``."""
    values = _read_fields(query, (), ("symbol", "at"))
    if isinstance(values, Problem):
        return values
    at = values.get("at")
    if at is not None and not _is_position(at):
        return wrong_position("at")
    return Target(values.get("symbol"), None if at is None else int(at))


@lru_cache(maxsize=QUERIES_REMEMBERED)
def read_wanted(query: str, most: int) -> Wanted | Problem:
    """Read ``symbol=…&last=…`` or ``symbol=…&from=…&size=…``, of at most so many prices."""
    values = _read_fields(query, ("symbol",), ("last", "from", "size"))
    if isinstance(values, Problem):
        return values
    said = values.keys() & {"last", "from", "size"}
    if said not in ({"last"}, {"from", "size"}):
        return Problem(HTTPStatus.BAD_REQUEST, "The query needs either last, or from and size.")
    name = "last" if "last" in said else "size"
    if not _is_position(values[name]) or not 1 <= int(values[name]) <= most:
        return Problem(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number from 1 to {most}.")
    begin = values.get("from")
    if begin is not None and not _is_position(begin):
        return wrong_position("from")
    return Wanted(values["symbol"], int(values[name]), None if begin is None else int(begin))


@lru_cache(maxsize=QUERIES_REMEMBERED)
def prefers_octets(accept: str) -> bool:
    """Whether an Accept header names binary, and does not like JSON better (RFC 9110, section 12.5.1)."""
    weights = {OCTETS: 0.0, "application/json": 0.0}
    for one in accept.lower().split(","):
        name, _, parameters = one.partition(";")
        if (name := name.strip()) in weights:
            weight = _WEIGHT.search(parameters)
            weights[name] = float(weight[1]) if weight else 1.0
    return weights[OCTETS] > 0 and weights[OCTETS] >= weights["application/json"]


def read_segment(segment: str) -> str | Problem:
    """Undo the percent-encoding of a symbol in a path; Sanic would put U+FFFD, another symbol, for what is no UTF-8."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return Problem(HTTPStatus.BAD_REQUEST, "The path is not UTF-8 after percent-decoding.")
