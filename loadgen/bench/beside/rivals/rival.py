"""What every contender can do, and where to find it by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

Prices = npt.NDArray[np.float64]

Window = tuple[int, float, float, float, float, float]
"""(size, min, max, last, avg, var): what ``GET /stats/`` answers, and over how many prices; a population's variance."""

WINDOWS: Final = tuple(10**k for k in range(1, 9))
"""Prices in each of the eight windows."""


class Rival(Protocol):
    """The newest ``retention`` prices of one symbol, and statistics of them."""

    def load(self, prices: Prices) -> None:
        """Hold these, at most ``retention``, as if they had been appended; called once, first, and not timed."""

    def append(self, batch: Prices) -> None:
        """Append 1 to 10,000 prices, oldest first; what ``retention`` does not reach may be forgotten."""

    def windows(self) -> list[Window]:
        """The newest 10, 100, … 10^8 prices, each window cut to what is held."""


_PLACES: Final = {
    "tenfold": ("loadgen.bench.beside.ours", "Tenfold"),
    "numpy": (f"{__package__}.raw_numpy", "RawNumpy"),
    "pure Python": (f"{__package__}.running", "Running"),
    "segment tree": (f"{__package__}.tree", "SegmentTree"),
    "DuckDB": (f"{__package__}.duck", "Duck"),
    "polars": (f"{__package__}.polars_tail", "PolarsTail"),
    "pandas": (f"{__package__}.pandas_tail", "PandasTail"),
}

TENFOLD: Final = "tenfold"
RIVALS: Final = tuple(name for name in _PLACES if name != TENFOLD)

MOST_BYTES_A_PRICE: Final = {
    "tenfold": 9,
    "numpy": 18,
    "pure Python": 8,
    "segment tree": 64,
    "DuckDB": 32,
    "polars": 16,
    "pandas": 24,
}
"""Memory at its highest, temporary arrays included: what decides whether a contender is tried at a size at all."""


def retained(name: str, retention: int) -> int:
    """How many prices a contender's windows reach back to if it was made with ``retention``; see ``ours``."""
    return WINDOWS[-1] if name == TENFOLD else retention


def make(name: str, retention: int) -> Rival:
    """An empty contender.

    Raises:
        KeyError: there is no such contender.
    """
    return find(name)(retention)


def find(name: str) -> Callable[[int], Rival]:
    """A contender's class. Its module is imported here, so that nobody needs what only another one does.

    Raises:
        KeyError: there is no such contender.
    """
    module, kind = _PLACES[name]
    found: Callable[[int], Rival] = getattr(import_module(module), kind)
    return found
