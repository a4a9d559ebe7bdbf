"""Real prices from a file, once through, at a chosen speed: a run of one symbol whose prices end."""

from __future__ import annotations

from .plan import Plan, Rate, Sizes, Target
from .prices import FILE, read_prices

AS_LONG_AS_IT_TAKES = 86_400.0 * 365
"""Seconds: a replay ends with its prices."""


def replay_plan(  # noqa: PLR0913 - each is an option of the command
    *,
    target: Target,
    path: str,
    column: str | None,
    symbol: str,
    size: int,
    wire: str,
    rate: Rate,
    poll_rate: Rate,
    append: bool,
    verify: bool,
) -> Plan:
    """The plan that sends every price of a column once.

    Raises:
        ValueError: the file cannot be read as prices, in words for the user.
    """
    count = len(read_prices(path, column))
    return Plan(
        target=target,
        symbols=(symbol,),
        sizes=Sizes(size, size),
        wire=wire,
        prices=f"{FILE}{path}" + (f"#{column}" if column else ""),
        rate=rate,
        poll_rate=poll_rate,
        seconds=AS_LONG_AS_IT_TAKES,
        batches=-(-count // size),
        append=append,
        verify=verify,
        once=True,
    )
