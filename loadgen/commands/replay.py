"""Real prices from a file, once through, at a chosen speed: a run of one symbol whose prices end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from loadgen.plan import Plan, Sizes, Target
from loadgen.prices import FILE, read_prices

MOST_SYMBOL: Final = 16
"""Characters of a file's name that make a symbol, which has 64 bytes at most."""

AS_LONG_AS_IT_TAKES = 86_400.0 * 365
"""Seconds: a replay ends with its prices."""


def replay_plan(
    path: str,
    target: Target,
    column: str | None,
    symbol: str | None,
    size: int,
    **options: Any,  # noqa: ANN401 - each with its own type
) -> Plan:
    """The plan that sends every price of a column once; the rest are fields of ``Plan``.

    Raises:
        ValueError: the file cannot be read as prices, in words for the user.
    """
    count = len(read_prices(path, column))
    return Plan(
        target=target,
        symbols=(symbol or Path(path).stem[:MOST_SYMBOL],),
        sizes=Sizes(size, size),
        prices=f"{FILE}{path}" + (f"#{column}" if column else ""),
        seconds=AS_LONG_AS_IT_TAKES,
        batches=-(-count // size),
        once=True,
        **options,
    )
