"""What good answers are, field by field. Tests compare with these, so that a new field is named here and nowhere else.

Nothing is taken from the service: this is what clients rely on.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def receipt(symbol: str, added: int, count: int) -> Json:
    """The answer of ``/add_batch/``."""
    return {"symbol": symbol, "added": added, "count": count}


def statistics(low: float, high: float, last: float, avg: float, var: float) -> Json:
    """The answer of ``/stats/``."""
    return {"min": low, "max": high, "last": last, "avg": avg, "var": var}


def window(count: int, low: float, high: float, avg: float, var: float) -> Json:
    """One window in the answer of ``/stats/all/``."""
    return {"count": count, "min": low, "max": high, "avg": avg, "var": var}
