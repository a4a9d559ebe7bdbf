"""Seeded streams of prices and batches: the same seed and place give the same batches, in any process."""

from __future__ import annotations

import csv
import importlib
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from .plan import Sizes

Prices = npt.NDArray[np.float64]

KINDS: Final = ("walk", "jump", "constant")
FILE: Final = "file:"
TICKS: Final = 100
"""Ticks in one unit of price: two decimals, as most quotes have, and short bodies, as most clients send."""

LEAST_TICK: Final = 100 * TICKS
MOST_TICK: Final = 1_000 * TICKS - 1
"""A walk stays between these, so that every price has three digits before the point: see ``wire.write_prices``."""

JUMPS_PER_PRICE: Final = 1 / 3_000
"""A few jumps in every largest batch, none in most windows of a hundred."""


_STEPS: Final = np.concatenate([np.arange(252, dtype=np.int64) % 7 - 3, np.zeros(4, np.int64)])
"""From a random byte to a step of −3 … 3 ticks, 0 on average: twice as fast as drawing whole numbers from a range."""


class Source(Protocol):
    """Something that prices can be taken from."""

    def take(self, size: int) -> Prices:
        """The next ``size`` prices, float64, shape (size,). O(size)."""


class Walk:
    """A random walk of at most three ticks a price, reflected at 100.00 and 999.99: what a quote looks like."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._level = int(rng.integers(LEAST_TICK, MOST_TICK + 1))

    def take(self, size: int) -> Prices:
        """The next ``size`` prices. Ticks are whole numbers, so a price is the double nearest to its decimals."""
        levels = np.cumsum(_STEPS.take(np.frombuffer(self._rng.bytes(size), np.uint8)))
        levels += self._level
        if levels.min() < LEAST_TICK or levels.max() > MOST_TICK:
            span = MOST_TICK - LEAST_TICK + 1
            beyond = (levels - LEAST_TICK) % (2 * span)
            levels = LEAST_TICK + np.minimum(beyond, 2 * span - 1 - beyond)
        self._level = int(levels[-1])
        return levels / TICKS


class Jump:
    """Noise of a millionth around a level that now and then jumps anywhere between 0.001 and 10^9, at full precision.

    What rolling sums and single precision cannot stand: small spreads on large levels, after larger ones have left.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._level = 100.0

    def take(self, size: int) -> Prices:
        """The next ``size`` prices."""
        jumped = np.cumsum(self._rng.random(size) < JUMPS_PER_PRICE)
        levels = np.concatenate([[self._level], 10.0 ** self._rng.uniform(-3, 9, int(jumped[-1]))])
        self._level = float(levels[-1])
        prices: Prices = levels[jumped] * (1 + 1e-6 * self._rng.standard_normal(size))
        return prices


class Constant:
    """One price for ever, with no exact binary form: its variance is 0 and its average the price itself."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._price = int(rng.integers(1, 1_000)) + 0.1

    def take(self, size: int) -> Prices:
        """The same price ``size`` times."""
        return np.full(size, self._price)


class Recorded:
    """The prices of a file: from the start again after the last, or ``once`` through."""

    def __init__(self, prices: Prices, once: bool) -> None:
        self._prices = prices
        self._once = once
        self._next = 0

    def take(self, size: int) -> Prices:
        """The next ``size`` prices; fewer at the end if it is once through."""
        if self._once:
            size = min(size, len(self._prices) - self._next)
        places = np.arange(self._next, self._next + size) % len(self._prices)
        self._next = (self._next + size) % len(self._prices)
        return self._prices[places]


class Batches:
    """The batches of one symbol, one after the other.

    Args:
        kind: a name of ``KINDS`` or ``file:PATH#COLUMN``.
        seed: the run's.
        place: the symbol's place among the run's symbols.
        sizes: prices in a batch, drawn evenly.
        once: end with the last price of the file instead of starting over.

    Raises:
        ValueError: there is no such kind, or the file cannot be read as prices, in words for the user.
    """

    def __init__(self, kind: str, seed: int, place: int, sizes: Sizes, once: bool = False) -> None:
        of_sizes, of_prices = np.random.SeedSequence([seed, place]).spawn(2)
        self._sizes = sizes
        self._rng = np.random.Generator(np.random.PCG64(of_sizes))
        self._source = source(kind, np.random.Generator(np.random.PCG64(of_prices)), once)

    def take(self) -> Prices:
        """The next batch, oldest price first. O(its size)."""
        return self._source.take(int(self._rng.integers(self._sizes.least, self._sizes.most + 1)))


def source(kind: str, rng: np.random.Generator, once: bool = False) -> Source:
    """The stream that ``kind`` names.

    Raises:
        ValueError: there is no such kind, or the file cannot be read as prices, in words for the user.
    """
    if kind.startswith(FILE):
        path, _, column = kind.removeprefix(FILE).partition("#")
        return Recorded(read_prices(path, column or None), once)
    if kind == "walk":
        return Walk(rng)
    if kind == "jump":
        return Jump(rng)
    if kind == "constant":
        return Constant(rng)
    raise ValueError(f"{kind!r} is none of {', '.join(KINDS)} or {FILE}PATH[#COLUMN]")


@cache
def read_prices(path: str, column: str | None = None) -> Prices:
    """One column of a CSV or Parquet file. O(rows).

    Args:
        path: a file that ends in ``.parquet``, or else CSV with a header line.
        column: its name; by default ``price``, or else the only column.

    Raises:
        ValueError: the file, the column or a price in it cannot be read, in words for the user.
    """
    try:
        texts = _parquet_column(path, column) if path.endswith(".parquet") else _csv_column(path, column)
        prices = np.asarray(texts, dtype=np.float64)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ValueError(f"cannot read prices from {path}: {error}") from error
    if not len(prices) or not np.isfinite(prices).all():
        raise ValueError(f"cannot read prices from {path}: it has none, or some are not finite")
    prices.flags.writeable = False
    return prices


def choose_column(names: list[str], wanted: str | None) -> str:
    """The column to read.

    Raises:
        ValueError: there is no such column, or it is not plain which one is meant.
    """
    if wanted is None:
        wanted = names[0] if len(names) == 1 else "price"
    if wanted not in names:
        raise ValueError(f"there is no column {wanted!r} among {', '.join(names)}")
    return wanted


def _csv_column(path: str, column: str | None) -> list[str]:
    with Path(path).open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        name = choose_column(list(rows.fieldnames or []), column)
        return [row[name] or "" for row in rows]


def _parquet_column(path: str, column: str | None) -> npt.NDArray[np.float64]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError("reading Parquet needs pyarrow, which is not installed: pip install pyarrow") from error
    file = parquet.ParquetFile(path)
    name = choose_column(list(file.schema_arrow.names), column)
    values: npt.NDArray[np.float64] = file.read(columns=[name]).column(0).to_numpy()
    return values
