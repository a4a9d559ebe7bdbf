"""What is answered, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from aggregation import Holding, Layout, Statistics, Windows


def write_statistics(statistics: Statistics) -> bytes:
    """The answer of ``/stats/``: five JSON numbers in their shortest form that reads back the same."""
    return orjson.dumps(
        {
            "min": statistics.min,
            "max": statistics.max,
            "last": statistics.last,
            "avg": statistics.avg,
            "var": statistics.var,
        }
    )


def write_windows(symbol: str, windows: Windows) -> bytes:
    """The answer of ``/stats/all/``: prices ever appended and the last of them, then each window under its k."""
    return orjson.dumps(
        {
            "symbol": symbol,
            "count": windows.appended,
            "last": windows.statistics[0].last,
            "windows": {
                str(k): {
                    "count": window.size,
                    "min": window.min,
                    "max": window.max,
                    "avg": window.avg,
                    "var": window.var,
                }
                for k, window in enumerate(windows.statistics, start=1)
            },
        }
    )


def write_overview(holdings: Sequence[Holding], layout: Layout) -> bytes:
    """The answer of ``GET /symbols/``: each symbol in the order given, and what there may be."""
    geometry = layout.geometry
    return orjson.dumps(
        {
            "symbols": [
                {"symbol": one.symbol, "count": one.appended, "last": one.last, "bytes": one.held_bytes}
                for one in holdings
            ],
            "limits": {
                "max_symbols": layout.max_symbols,
                "max_k": geometry.max_k,
                "retention": geometry.retention,
                "max_batch": geometry.max_batch,
            },
        }
    )


def write_receipt(symbol: str, added: int, count: int) -> bytes:
    """The answer of ``/add_batch/``: what was added, and the prices ever appended to the symbol."""
    return orjson.dumps({"symbol": symbol, "added": added, "count": count})


def write_health(symbols: int, max_symbols: int) -> bytes:
    """The answer of ``/health/``: it serves, with so many symbols of so many."""
    return orjson.dumps({"status": "ok", "symbols": symbols, "max_symbols": max_symbols})
