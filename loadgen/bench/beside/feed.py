"""The prices that every contender is given: the same ones, at the cost of a copy.

Drawn evenly from 100.00 to 199.99, two decimals as most quotes have. Their spread is as large as they are, so running
sums and sums of squares hold on them, and contenders can be compared that would not survive harder prices (what becomes
of those is what ``truth`` measures). A million or so are drawn and then repeated: their number is a prime, so no
block, window or batch meets its own copy at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Final

import numpy as np
import numpy.typing as npt

Prices = npt.NDArray[np.float64]

PERIOD: Final = 999_983
BATCHES: Final = 20
"""Different batches that are appended in turn: few enough to stay in the cache, where a parsed batch would be."""


@cache
def _period() -> Prices:
    prices: Prices = np.random.default_rng(10).integers(10_000, 20_000, PERIOD) / 100
    return prices


def feed(size: int, start: int = 0) -> Prices:
    """So many prices from position ``start`` of the stream on. O(size)."""
    period = np.roll(_period(), -start)
    return period[:size].copy() if size <= PERIOD else np.resize(period, size)


def ragged(held: int) -> int:
    """How many prices are appended where ``held`` shall be retained: a few more, so that rings have gone around.

    No window then starts or ends with a block of tenfold's, which would flatter it.
    """
    return held + (12_345 if held > 12_345 else 5)  # noqa: PLR2004 - an odd number either way


def batches(size: int) -> Iterator[Prices]:
    """Batches of ``size`` prices, for ever."""
    return cycle([feed(size, start) for start in range(0, BATCHES * size, size)])
