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
Ticks = npt.NDArray[np.int64]

KINDS: Final = ("walk", "jump", "constant")
FILE: Final = "file:"
TICKS: Final = 100
"""Ticks in one unit of price: two decimals, as most quotes have, and short bodies, as most clients send."""

LEAST_TICK: Final = 100 * TICKS
MOST_TICK: Final = 1_000 * TICKS - 1
"""A walk stays between these, so that every price has three digits before the point: see ``requests.write_batch``."""

JUMPS_PER_PRICE: Final = 1 / 3_000
"""A few jumps in every largest batch, none in most windows of a hundred."""


_PATH_STEPS: Final = 1 << 18
_PIECE: Final = 1 << 14
_DRAWN: Final = 256
"""Steps of one walk that all walks take their own from, how many at most at a time, and draws made together."""


class Batch:
    """Prices, oldest first, or the whole numbers of ticks that they are, which are written and kept at less cost."""

    def __init__(self, prices: Prices | None = None, ticks: Ticks | None = None) -> None:
        self._prices = prices
        self.ticks = ticks
        self.begin = 0  # its position in the stream

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def kept(self) -> Prices | Ticks:
        """Ticks if they are known, else prices: what the oracle keeps."""
        return self.prices if self.ticks is None else self.ticks

    @property
    def prices(self) -> Prices:
        """As float64, computed when they are asked for."""
        if self._prices is None:
            self._prices = np.zeros(0) if self.ticks is None else self.ticks / TICKS
        return self._prices


class Source(Protocol):
    """Something that prices can be taken from."""

    def take(self, size: int) -> Batch:
        """The next ``size`` prices, float64, shape (size,). O(size)."""


class Walk:
    """A random walk of at most three ticks a price, reflected at 100.00 and 999.99: what a quote looks like.

    Steps are drawn by the piece: a stretch of one long path, from anywhere and up or down by a coin, so there is no
    drift. That takes a quarter of the time of drawing each step.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._level = int(rng.integers(LEAST_TICK, MOST_TICK + 1))
        self._drawn: list[int] = []

    def _draw(self) -> int:
        """A place on the path, and a coin; drawn many at a time, for one alone takes 3 µs."""
        if not self._drawn:
            self._drawn = self._rng.integers(2 * (_PATH_STEPS - _PIECE), size=_DRAWN).tolist()
        return self._drawn.pop()

    def take(self, size: int) -> Batch:
        """The next ``size`` prices. Ticks are whole numbers, so a price is the double nearest to its decimals."""
        path, level, ticks = _path(), self._level, np.empty(size, np.int64)
        for begin in range(0, size, _PIECE):
            part = ticks[begin : begin + _PIECE]
            place, coin = divmod(self._draw(), 2)
            stretch = path[place + 1 : place + 1 + len(part)]
            if coin:
                np.add(stretch, level - int(path[place]), out=part)
            else:
                np.subtract(level + int(path[place]), stretch, out=part)
            level = int(part[-1])
        room = 3 * size
        if not LEAST_TICK + room <= self._level <= MOST_TICK - room and not (
            LEAST_TICK <= ticks.min() <= ticks.max() <= MOST_TICK
        ):
            span = MOST_TICK - LEAST_TICK + 1
            beyond = (ticks - LEAST_TICK) % (2 * span)
            ticks = LEAST_TICK + np.minimum(beyond, 2 * span - 1 - beyond)
        self._level = int(ticks[-1])
        return Batch(ticks=ticks)


@cache
def _path() -> Ticks:
    """Where a walk of steps of −3 … 3 ticks has come to, after each step; the same in every process."""
    return np.cumsum(np.random.default_rng(11).integers(-3, 4, _PATH_STEPS + 1))


class Jump:
    """Noise of a millionth around a level that now and then jumps anywhere between 0.001 and 10^9, at full precision.

    What rolling sums and single precision cannot stand: small spreads on large levels, after larger ones have left.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._level = 100.0

    def take(self, size: int) -> Batch:
        """The next ``size`` prices."""
        jumped = np.cumsum(self._rng.random(size) < JUMPS_PER_PRICE)
        levels = np.concatenate([[self._level], 10.0 ** self._rng.uniform(-3, 9, int(jumped[-1]))])
        self._level = float(levels[-1])
        prices: Prices = levels[jumped] * (1 + 1e-6 * self._rng.standard_normal(size))
        return Batch(prices)


class Constant:
    """One price for ever, with no exact binary form: its variance is 0 and its average the price itself."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._price = int(rng.integers(1, 1_000)) + 0.1

    def take(self, size: int) -> Batch:
        """The same price ``size`` times."""
        return Batch(np.full(size, self._price))


class Recorded:
    """The prices of a file: from the start again after the last, or ``once`` through."""

    def __init__(self, prices: Prices, once: bool) -> None:
        self._prices = prices
        self._once = once
        self._next = 0

    def take(self, size: int) -> Batch:
        """The next ``size`` prices; fewer at the end if it is once through."""
        begin, end = self._next, self._next + size
        self._next = end % len(self._prices)
        if self._once or end <= len(self._prices):
            return Batch(self._prices[begin:end])
        return Batch(self._prices.take(np.arange(begin, end), mode="wrap"))


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
        self._taken = 0

    def take(self) -> Batch:
        """The next batch, oldest price first. O(its size)."""
        least, most = self._sizes
        batch = self._source.take(least if least == most else int(self._rng.integers(least, most + 1)))
        batch.begin = self._taken
        self._taken += len(batch)
        return batch


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
