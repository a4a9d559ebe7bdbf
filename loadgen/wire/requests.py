"""Prices to a request, an answer to its numbers. Nothing here touches a socket."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import orjson

from loadgen.plan import Plan, Target
from loadgen.prices import MOST_TICK, Batch, Prices

PRICE_BYTES: Final = 26
"""The longest price with its comma: sign, 17 digits, point, exponent of four characters, and some to spare."""

HEAD_BYTES: Final = 2048
"""Room for the request line, the headers with the longest token, and a symbol of 64 bytes, escaped; times eight."""


JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
"""Little-endian float64, one after the other; the symbol is in the query."""


class Statistics(NamedTuple):
    """What ``/stats/`` answers; ``var`` is the population variance."""

    min: float
    max: float
    last: float
    avg: float
    var: float


class Receipt(NamedTuple):
    """What ``/add_batch/`` answers; ``total`` is the count, all prices that were ever added."""

    symbol: str
    added: int
    total: int


class Overview(NamedTuple):
    """What ``/symbols/`` answers: the prices that each symbol has been given, and the limits.

    Args:
        counts: by symbol.
        max_symbols: that it has room for.
        max_k: the longest window.
        max_batch: prices in a batch.
    """

    counts: dict[str, int]
    max_symbols: int
    max_k: int
    max_batch: int

    @property
    def places(self) -> int:
        """How many symbols more there is room for."""
        return self.max_symbols - len(self.counts)


def batch_body(symbol: str, prices: Prices) -> bytes:
    """The JSON of a batch. O(len(prices))."""
    return _body(symbol, orjson.dumps(prices, option=orjson.OPT_SERIALIZE_NUMPY)) + b"}"


def _body(symbol: str, values: bytes) -> bytes:
    return b'{"symbol":' + orjson.dumps(symbol) + b',"values":' + values


def write_batch(room: memoryview, plan: Plan, symbol: str, batch: Batch) -> tuple[int, int]:
    """Write the request that appends a batch; where in ``room`` it begins and ends. O(its size).

    Writing ten thousand floats is most of the work of a load generator: 300 µs with orjson. Prices with two decimals
    and three digits before the point are all equally long, so numpy looks them up in a table, and puts them where they
    are sent from, at a multiple of eight bytes: ``[123.40, 123.41, …]``, as Python's own json writes them but for the
    last zero. The head goes before them.

    Args:
        room: memory that begins at a multiple of eight; see ``HEAD_BYTES`` and ``PRICE_BYTES``.
        plan: where it goes, how it is written, and whether it says where it begins.
        symbol: its name.
        batch: its next prices.
    """
    size, ticks = len(batch), batch.ticks
    at = batch.begin if plan.exactly_once else None
    end = HEAD_BYTES + 8 * size
    if plan.wire == "binary":
        body, media_type = b"", BINARY
        np.frombuffer(room, "<f8", size, HEAD_BYTES)[:] = batch.prices
    elif ticks is not None:
        body, media_type = _body(symbol, b"["), JSON
        values = np.frombuffer(room, np.int64, size, HEAD_BYTES)
        _written_ticks().take(ticks, out=values, mode="clip")  # it would make a copy of all first in any other mode
        room[end - 2 : end] = b"]}"  # instead of a comma and a blank
    else:
        request = batch_request(plan.target, symbol, batch.prices, at=at)
        room[: len(request)] = request
        return 0, len(request)
    path = _batch_path(symbol, plan.wire, at)
    head = _post_head(plan.target, path, len(body) + 8 * size, media_type) + body
    room[HEAD_BYTES - len(head) : HEAD_BYTES] = head
    return HEAD_BYTES - len(head), end


@cache
def _written_ticks() -> npt.NDArray[np.int64]:
    """Eight characters for every price up to 999.99, each as one whole number; below 100.00 zeros lead."""
    ticks = np.arange(MOST_TICK + 1)
    written = np.full((len(ticks), 8), np.frombuffer(b"000.00, ", np.uint8))
    for place, unit in ((0, 10_000), (1, 1_000), (2, 100), (4, 10), (5, 1)):
        written[:, place] += (ticks // unit % 10).astype(np.uint8)
    return written.view(np.int64).ravel()


def post(target: Target, path: str, body: bytes, media_type: str = JSON) -> bytes:
    """A whole POST request."""
    return _post_head(target, path, len(body), media_type) + body


def _post_head(target: Target, path: str, length: int, media_type: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: {target.authority}\r\n{_authorization(target)}"
        f"Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _batch_path(symbol: str, wire: str, at: int | None) -> str:
    fields = [f"symbol={quote(symbol, safe='')}"] if wire == "binary" else []
    fields += [] if at is None else [f"at={at}"]
    return f"/add_batch/{'?' if fields else ''}{'&'.join(fields)}"


def get(target: Target, path: str) -> bytes:
    """A whole GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: {target.authority}\r\n{_authorization(target)}\r\n".encode()


def delete(target: Target, symbol: str) -> bytes:
    """The request that removes a symbol."""
    return get(target, f"/symbols/{quote(symbol, safe='')}").replace(b"GET", b"DELETE", 1)


def _authorization(target: Target) -> str:
    """The header that carries the token, if there is one."""
    return "" if target.token is None else f"Authorization: Bearer {target.token}\r\n"


def batch_request(target: Target, symbol: str, prices: Prices, wire: str = "json", at: int | None = None) -> bytes:
    """The request that appends a batch, ready to be sent, with the prices in JSON or ``binary``."""
    path = _batch_path(symbol, wire, at)
    if wire == "binary":
        return post(target, path, prices.astype("<f8", copy=False).tobytes(), BINARY)
    return post(target, path, batch_body(symbol, prices))


def prices_request(target: Target, symbol: str, begin: int, size: int) -> bytes:
    """The request that reads prices back, as little-endian float64."""
    path = f"/prices/?symbol={quote(symbol, safe='')}&from={begin}&size={size}"
    return get(target, path).removesuffix(b"\r\n") + f"Accept: {BINARY}\r\n\r\n".encode()


def stats_path(symbol: str, k: int) -> str:
    """Where the statistics of a window are asked for."""
    return f"/stats/?symbol={quote(symbol, safe='')}&k={k}"


def stats_request(target: Target, symbol: str, k: int) -> bytes:
    """The request that asks for the newest 10^k prices' statistics, ready to be sent."""
    return get(target, stats_path(symbol, k))


def read_statistics(body: bytes) -> Statistics | None:
    """The five numbers, or nothing if the body has not all of them; what else it says is not judged."""
    document = _read(body)
    values = [float(value) for value in map(document.get, Statistics._fields) if isinstance(value, float | int)]
    return Statistics(*values) if len(values) == len(Statistics._fields) else None


def read_receipt(body: bytes) -> Receipt | None:
    """The receipt, or nothing if the body is none; what else it says is not judged."""
    document = _read(body)
    symbol, added, count = map(document.get, ("symbol", "added", "count"))
    if not (isinstance(symbol, str) and type(added) is int and type(count) is int):
        return None
    return Receipt(symbol, added, count)


def read_count(body: bytes) -> int | None:
    """How many prices a symbol holds, as a batch is told that does not begin there; nothing if the body says none."""
    count = _read(body).get("count")
    return count if type(count) is int else None


def read_overview(body: bytes) -> Overview | None:
    """The overview, or nothing if the body is none; what else it says is not judged."""
    document = _read(body)
    try:
        counts = {one["symbol"]: int(one["count"]) for one in document["symbols"]}
        return Overview(counts, *(int(document["limits"][name]) for name in Overview._fields[1:]))
    except (KeyError, TypeError, ValueError):
        return None


def _read(body: bytes) -> dict[str, Any]:
    """The members of the object, none if the body is no object."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
