"""The requests that all servers get, ready to be sent, and how their answers are read."""

from __future__ import annotations

from typing import Final

import orjson

from loadgen.plan import Target
from loadgen.wire.requests import batch_body, get, post, stats_path

from .feed import BATCHES, Prices, feed
from .rivals.rival import WINDOWS, Window

BINARY: Final = "application/octet-stream"


def stats(target: Target, symbol: str, k: int, path: str = "/stats/") -> bytes:
    """Ask for one window."""
    return get(target, stats_path(symbol, k).replace("/stats/", path, 1))


def all_windows(target: Target, symbol: str) -> bytes:
    """Ask for the eight windows at once."""
    return get(target, f"/stats/all/?symbol={symbol}")


def json_batch(target: Target, symbol: str, prices: Prices, path: str = "/add_batch/") -> bytes:
    """Post a batch as JSON, with as many digits as the prices have."""
    return post(target, path, batch_body(symbol, prices))


def binary_batch(target: Target, symbol: str, prices: Prices, path: str = "/add_batch/") -> bytes:
    """Post a batch as little-endian float64."""
    body = prices.astype("<f8").tobytes()
    head = (
        f"POST {path}?symbol={symbol} HTTP/1.1\r\nHost: {target.authority}\r\n"
        f"Content-Type: {BINARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def batches_to_post(size: int) -> list[Prices]:
    """What is posted in turn."""
    return [feed(size, start) for start in range(0, BATCHES * size, size)]


def read_window(body: bytes, size: int) -> Window:
    """The answer to ``stats``, with the prices that it must be over, which it does not say."""
    answer = orjson.loads(body)
    return size, answer["min"], answer["max"], answer["last"], answer["avg"], answer["var"]


def read_all_windows(body: bytes, sizes: list[int], last: float) -> list[Window]:
    """The answer to ``all_windows``; the windows need not repeat the last price."""
    windows = orjson.loads(body)["windows"]
    return [
        (size, window["min"], window["max"], last, window["avg"], window["var"])
        for size, window in zip(sizes, (windows[str(k)] for k in range(1, len(windows) + 1)), strict=True)
    ]


def sizes_of_windows(retention: int, max_k: int) -> list[int]:
    """Prices in each window where so many are retained."""
    return [min(size, retention) for size in WINDOWS[:max_k]]
