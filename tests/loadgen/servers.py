"""A small, slow, correct twin of the service, and the same with one mistake each.

``python -m tests.loadgen.servers KIND [STATUS [FOLDER]]``: every batch is refused with STATUS if it is not 0, by
"most" all but every tenth, and the body of every batch is added to a file in FOLDER that is named after its symbol.

Everything is naive on purpose: all prices in one array, statistics by numpy over the window. What differs between the
kinds is in ``KINDS`` and nowhere else.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import numpy.typing as npt

Prices = npt.NDArray[np.float64]


@dataclass
class Symbol:
    """All prices of a symbol, and the count that is acknowledged; ``before`` is what they were a batch ago."""

    prices: Prices = field(default_factory=lambda: np.zeros(0))
    before: Prices = field(default_factory=lambda: np.zeros(0))
    count: int = 0
    batches: int = 0

    def append(self, batch: Prices) -> None:
        self.before = self.prices
        self.prices = np.concatenate([self.prices, batch])
        self.count += len(batch)
        self.batches += 1


def statistics(prices: Prices, window: int) -> dict[str, float]:
    """From differences to the first price, so that equal prices have variance 0."""
    newest = prices[-window:]
    distance = newest - newest[0]
    return {
        "min": float(newest.min()),
        "max": float(newest.max()),
        "last": float(newest[-1]),
        "avg": float(newest[0] + distance.mean()),
        "var": float(distance.var()),
    }


def right(symbol: Symbol, window: int) -> dict[str, float]:
    return statistics(symbol.prices, window)


def one_more_key(symbol: Symbol, window: int) -> dict[str, float]:
    return {**right(symbol, window), "median": float(np.median(symbol.prices[-window:]))}


def off_by_one(symbol: Symbol, window: int) -> dict[str, float]:
    return statistics(symbol.prices, window + 1)


def sample_variance(symbol: Symbol, window: int) -> dict[str, float]:
    size = len(symbol.prices[-window:])
    answer = right(symbol, window)
    return {**answer, "var": answer["var"] * size / max(1, size - 1)}


def stale(symbol: Symbol, window: int) -> dict[str, float]:
    return statistics(symbol.before if len(symbol.before) else symbol.prices, window)


def min_never_evicts(symbol: Symbol, window: int) -> dict[str, float]:
    return {**right(symbol, window), "min": float(symbol.prices.min())}


def append(symbol: Symbol, batch: Prices) -> None:
    symbol.append(batch)


def append_float32(symbol: Symbol, batch: Prices) -> None:
    symbol.append(batch.astype(np.float32).astype(np.float64))


def drop_third(symbol: Symbol, batch: Prices) -> None:
    """Acknowledge every third batch, count included, and forget it."""
    kept = symbol.prices
    symbol.append(batch)
    if symbol.batches % 3 == 0:
        symbol.prices = kept


def miscount(symbol: Symbol, batch: Prices) -> None:
    """Forget every third batch and say so in its count."""
    if symbol.batches % 3 == 2:
        symbol.batches += 1
    else:
        symbol.append(batch)


Append = Callable[[Symbol, Prices], None]
Answer = Callable[[Symbol, int], dict[str, float]]

KINDS: Final[dict[str, tuple[Append, Answer]]] = {
    "right": (append, right),
    "one-more-key": (append, one_more_key),
    "off-by-one": (append, off_by_one),
    "sample-variance": (append, sample_variance),
    "float32": (append_float32, right),
    "stale": (append, stale),
    "min-never-evicts": (append, min_never_evicts),
    "drops": (drop_third, right),
    "miscounts": (miscount, right),
}
WRONG: Final = tuple(kind for kind in KINDS if kind not in {"right", "one-more-key"})

CUTTING: Final = {"cuts", "twice"}
"""Right, but every fourth batch is cut off before it is appended, and every fourth after; "twice" heeds no position."""

MAX_SYMBOLS: Final = 40
MAX_BATCH: Final = 10_000


class RefusalError(Exception):
    def __init__(self, status: HTTPStatus, **more: int) -> None:
        super().__init__(status.phrase)
        self.status = status
        self.more = more


BAD: Final = RefusalError(HTTPStatus.BAD_REQUEST)
NO_BATCH: Final = RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY)


def no_constant(_name: str) -> float:
    raise BAD


def finite(text: str) -> float:
    if not np.isfinite(float(text)):
        raise BAD
    return float(text)


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(items)) != len(items):
        raise NO_BATCH
    return dict(items)


def read_batch(body: bytes) -> tuple[str, Prices]:
    try:
        document = json.loads(body, parse_constant=no_constant, parse_float=finite, object_pairs_hook=pairs)
    except ValueError:
        raise BAD from None
    match document:
        case {"symbol": str(symbol), "values": list(values)} if symbol and 1 <= len(values) <= 10_000:
            if all(type(value) in {int, float} and abs(value) <= 1e100 for value in values):
                return symbol, np.array(values, dtype=np.float64)
    raise NO_BATCH


def read_binary(body: bytes, query: str) -> tuple[str, Prices]:
    fields = [field for field in parse_qsl(query) if field[0] != "at"]
    if [name for name, _ in fields] != ["symbol"] or len(body) % 8:
        raise BAD
    prices = np.array(struct.unpack(f"<{len(body) // 8}d", body))
    if not (1 <= len(prices) <= 10_000 and np.all(np.abs(prices) <= 1e100)):
        raise NO_BATCH
    return fields[0][1], prices


class Service:
    """The contract of tenfold, over a dictionary."""

    def __init__(self, kind: str, status: str = "0", folder: str = "") -> None:
        self.append, self.answer = KINDS.get(kind, KINDS["right"])
        self.positions = kind != "twice"
        self.cuts = itertools.cycle(("before", "", "after", "") if kind in CUTTING else ("",))
        self.symbols: dict[str, Symbol] = {}
        self.refused = itertools.count() if kind == "most" else itertools.repeat(1)
        self.status = int(status)
        self.folder = folder

    def respond(self, method: str, target: str, body: bytes, binary: bool) -> tuple[HTTPStatus, dict[str, Any] | bytes]:
        url = urlsplit(target)
        path = url.path.rstrip("/")
        if path.startswith("/symbols/"):
            return self.remove(method, unquote(path.removeprefix("/symbols/")))
        reading = {"GET", "HEAD"}
        methods = {"/add_batch": {"POST"}, "/stats": reading, "/symbols": reading, "/prices": reading}.get(path)
        if methods is None:
            raise RefusalError(HTTPStatus.NOT_FOUND)
        if method not in methods:
            raise RefusalError(HTTPStatus.METHOD_NOT_ALLOWED)
        if path == "/symbols":
            return HTTPStatus.OK, self.all()
        if path == "/prices":
            return HTTPStatus.OK, self.prices(url.query)
        return HTTPStatus.OK, self.add(body, url.query, binary) if method == "POST" else self.stats(url.query)

    def all(self) -> dict[str, Any]:
        symbols = [{"symbol": name, "count": symbol.count} for name, symbol in sorted(self.symbols.items())]
        return {"symbols": symbols, "limits": {"max_symbols": MAX_SYMBOLS, "max_k": 8, "max_batch": MAX_BATCH}}

    def remove(self, method: str, name: str) -> tuple[HTTPStatus, dict[str, Any]]:
        if method != "DELETE":
            raise RefusalError(HTTPStatus.METHOD_NOT_ALLOWED)
        if self.symbols.pop(name, None) is None:
            raise RefusalError(HTTPStatus.NOT_FOUND)
        return HTTPStatus.NO_CONTENT, {}

    def add(self, body: bytes, query: str, binary: bool) -> dict[str, Any]:
        name, prices = read_binary(body, query) if binary else read_batch(body)
        if self.status and next(self.refused) % 10:
            raise RefusalError(HTTPStatus(self.status))
        if self.folder:
            with (Path(self.folder) / name).open("ab") as bodies:
                bodies.write(body)
        cut = next(self.cuts)
        if cut == "before":
            raise ConnectionAbortedError
        count = self.symbols[name].count if name in self.symbols else 0
        if self.positions and int(dict(parse_qsl(query)).get("at", count)) != count:
            raise RefusalError(HTTPStatus.PRECONDITION_FAILED, count=count)
        symbol = self.symbols.setdefault(name, Symbol())
        self.append(symbol, prices)
        if cut == "after":
            raise ConnectionAbortedError
        return {"symbol": name, "added": len(prices), "count": symbol.count}

    def stats(self, query: str) -> dict[str, Any]:
        fields = parse_qsl(query, keep_blank_values=True)
        names = [name for name, _ in fields]
        values = dict(fields)
        if sorted(names) != ["k", "symbol"] or values["k"] not in set("12345678"):
            raise BAD
        if values["symbol"] not in self.symbols:
            raise RefusalError(HTTPStatus.NOT_FOUND)
        return self.answer(self.symbols[values["symbol"]], 10 ** int(values["k"]))

    def prices(self, query: str) -> bytes:
        fields = dict(parse_qsl(query))
        begin = int(fields["from"])
        return self.symbols[fields["symbol"]].prices[begin : begin + int(fields["size"])].astype("<f8").tobytes()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split(" ", 2)
                lengths = [
                    line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")
                ]
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                kind = "application/json"
                binary = "application/octet-stream" in head
                try:
                    status, document = self.respond(method, target, body, binary)
                except RefusalError as refusal:
                    status, kind = refusal.status, "application/problem+json"
                    document = {"title": status.phrase, "status": status.value, **refusal.more}
                if isinstance(document, dict):
                    document = json.dumps(document).encode() if document else b""
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(document)}\r\n\r\n".encode()
                )
                writer.write(b"" if method == "HEAD" else document)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main(*arguments: str) -> None:
    service = Service(*arguments)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=1 << 20)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(url, file=sys.stderr, flush=True)  # noqa: T201 - how it is told
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
