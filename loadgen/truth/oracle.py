"""What an answer must be: numpy over what was sent, and nothing of tenfold's.

``History`` keeps the newest prices of one symbol and, to stay quick on windows of millions, numpy's statistics of each
full chunk of 4,096 of them. A chunk has nothing in common with tenfold's blocks: its size is no power of ten, it is
counted from the first price that this run sent, and its mean is measured from its own first price. A window is two
ragged ends of raw prices and the chunks in between, put together by the textbook rule for groups (variance within plus
variance between). Differences are taken before anything is summed, so the result is good to about 14 digits of the
spread; the tests hold it against exact fractions.
"""

from __future__ import annotations

import math
import mmap
from functools import reduce
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from loadgen.prices import TICKS, Prices
from loadgen.wire.requests import Statistics

Kept = npt.NDArray[Any]
"""Prices, or ticks in half the memory."""

CHUNK: Final = 4_096
"""Prices summarised together: the raw ends then cost what the 24,415 chunks of the longest window cost."""

DIRECTLY: Final = 2 * CHUNK
"""A window of so many prices is taken as it is."""

REMEMBERED: Final = 256
"""Groups of full chunks, each a few numbers."""

TOGETHER: Final = 16
"""Chunks summarised at a time: half a megabyte."""

AVG_SPREADS: Final = 1e-12
"""How far an average may be off, in units of the window's spread (max − min)."""

AVG_ULPS: Final = 2
"""And in addition, in units in the last place of the average itself: its rounding, in the answer and in the oracle."""

VAR_RELATIVE: Final = 1e-10
"""How far a variance may be off, relatively. Dividing by N − 1 instead of N shows up to windows of 10^8: 1e-8."""

BYTES_PER_PRICE: Final = {False: 8 + 5 * 8 / CHUNK, True: 4 + 5 * 8 / CHUNK}
"""What the oracle keeps of a price, or of one in ticks: itself, and its share of a chunk's summary."""

_FIELDS: Final = 5
_MIN, _MAX, _REFERENCE, _MEAN, _M2 = range(_FIELDS)


class Piece(NamedTuple):
    """A group of prices: how many, the least, the largest, the mean's distance from ``reference``, Σ(x − mean)²."""

    size: float
    low: float
    high: float
    reference: float
    mean: float
    m2: float


class History:
    """The prices of one symbol from position ``start`` on, as many of the newest as the capacity holds.

    Args:
        start: position of the first price; what lies before it was sent by somebody else.
        capacity: prices to keep; rounded up to whole chunks.
        ticks: whether it is given ticks instead of prices, which it keeps in half the memory.
    """

    def __init__(self, start: int, capacity: int, ticks: bool = False) -> None:
        chunks = max(2, -(-capacity // CHUNK) + 1)  # one more, since the oldest chunk is being overwritten
        self.start = start
        self.count = start
        kind = np.dtype(np.int32 if ticks else np.float64)
        memory = mmap.mmap(-1, chunks * CHUNK * kind.itemsize, mmap.MAP_PRIVATE)
        memory.madvise(mmap.MADV_HUGEPAGE)  # the first touch of ten thousand prices then costs 25 µs instead of 200
        self._raw: Kept = np.frombuffer(memory, kind)
        self._chunks = np.empty((chunks, _FIELDS))
        self._blocks: dict[tuple[int, int], Piece] = {}
        self._summarised = 0  # full chunks whose summary has been asked for

    @property
    def oldest(self) -> int:
        """Position of the oldest price that is still kept."""
        full = (self.count - self.start) // CHUNK
        return self.start + max(0, full + 1 - len(self._chunks)) * CHUNK

    def append(self, kept: Kept) -> None:
        """Append prices, or ticks, oldest first. O(len(kept)), a copy: summaries are made when they are needed."""
        done = 0
        while done < len(kept):
            place = (self.count - self.start) % len(self._raw)
            part = kept[done : done + len(self._raw) - place]
            self._raw[place : place + len(part)] = part
            self.count += len(part)
            done += len(part)

    def statistics(self, count: int, k: int) -> Statistics | None:
        """What the newest 10^k prices looked like when there were ``count``; nothing if not all of them are kept.

        O(CHUNK + 10^k / CHUNK), and once O(CHUNK) for each chunk.

        Args:
            count: prices ever appended at that moment, at least 1 and no more than there are now.
            k: the window, from 1 on.
        """
        begin = max(0, count - 10**k)
        if begin < self.oldest or not begin < count <= self.count:
            return None
        found = reduce(_together, self._pieces(begin - self.start, count - self.start))
        last = self._at(count - self.start - 1)
        return Statistics(found.low, found.high, last, found.reference + found.mean, found.m2 / found.size)

    def newest(self, count: int, size: int) -> list[float]:
        """Up to ``size`` prices before position ``count``, oldest first, of those that are kept."""
        begin = max(self.oldest, count - size)
        return [self._at(place) for place in range(begin - self.start, count - self.start)]

    def _at(self, place: int) -> float:
        return float(_prices(self._raw[place % len(self._raw)]))

    def _pieces(self, begin: int, end: int) -> list[Piece]:
        """What tiles places [begin, end), the newest first: a ragged end, full chunks, a ragged end."""
        first, last = -(-begin // CHUNK), end // CHUNK
        if end - begin <= DIRECTLY or last <= first:
            return self._ragged(begin, end)
        return [*self._ragged(last * CHUNK, end), self._full(first, last), *self._ragged(begin, first * CHUNK)]

    def _ragged(self, begin: int, end: int) -> list[Piece]:
        return [_piece(_prices(run)) for run in reversed(self._runs(self._raw, begin, end))]

    def _full(self, first: int, last: int) -> Piece:
        """Chunks [first, last) together. They do not change, so what was put together once is remembered."""
        found = self._blocks.get((first, last))
        if found is None:
            self._summarise()
            if len(self._blocks) >= REMEMBERED:
                self._blocks.clear()
            self._blocks[first, last] = found = _block(np.concatenate(self._runs(self._chunks, first, last)))
        return found

    def _summarise(self) -> None:
        """Summarise the full chunks that are not yet, a few at a time, so that they stay in the cache meanwhile."""
        full = (self.count - self.start) // CHUNK
        rows = self._raw.reshape(-1, CHUNK)
        done = max(self._summarised, full + 1 - len(rows))
        while done < full:
            row = done % len(rows)
            size = min(TOGETHER, full - done, len(rows) - row)
            self._chunks[row : row + size] = _summaries(_prices(rows[row : row + size]))
            done += size
        self._summarised = full

    @staticmethod
    def _runs(ring: Kept, begin: int, end: int) -> list[Kept]:
        """Places [begin, end) of a ring: nothing, one run, or two if they go past its end."""
        if begin == end:
            return []
        low, high = begin % len(ring), (end - 1) % len(ring) + 1
        return [ring[low:high]] if low < high else [ring[low:], ring[:high]]


def mismatches(found: Statistics, wanted: Statistics) -> list[str]:
    """The names of the numbers that are wrong: min, max, last by a single bit, avg and var beyond their tolerance.

    Only the sign of a zero may differ. NaN is wrong everywhere.
    """
    spread = wanted.max - wanted.min
    avg_room = AVG_SPREADS * spread + AVG_ULPS * math.ulp(wanted.avg)
    wrong = [name for name in ("min", "max", "last") if getattr(found, name) != getattr(wanted, name)]
    if not abs(found.avg - wanted.avg) <= avg_room:
        wrong.append("avg")
    if not abs(found.var - wanted.var) <= VAR_RELATIVE * wanted.var:
        wrong.append("var")
    return wrong


def _prices(kept: Kept) -> Prices:
    """What is kept, as it was sent. O(len(kept)) for ticks."""
    prices: Prices = kept / TICKS if kept.dtype == np.int32 else kept
    return prices


def _summaries(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(min, max, reference, mean − reference, Σ(x − mean)²) of each row; the reference is its first price."""
    reference = rows[:, 0]
    distance = rows - reference[:, None]
    mean = np.add.reduce(distance, axis=1)
    mean /= rows.shape[1]
    distance -= mean[:, None]
    np.multiply(distance, distance, out=distance)
    found = np.empty((len(rows), _FIELDS))
    np.minimum.reduce(rows, axis=1, out=found[:, _MIN])
    np.maximum.reduce(rows, axis=1, out=found[:, _MAX])
    found[:, _REFERENCE] = reference
    found[:, _MEAN] = mean
    np.add.reduce(distance, axis=1, out=found[:, _M2])
    return found


def _piece(prices: Prices) -> Piece:
    """A few prices, measured from the newest of them."""
    size, reference = float(len(prices)), float(prices[-1])
    distance = prices - reference
    mean = float(np.add.reduce(distance)) / size
    distance -= mean
    m2 = float(np.add.reduce(distance * distance))
    return Piece(size, float(np.minimum.reduce(prices)), float(np.maximum.reduce(prices)), reference, mean, m2)


def _block(summaries: npt.NDArray[np.float64]) -> Piece:
    """Full chunks, measured from the reference of the newest of them."""
    size, reference = float(len(summaries) * CHUNK), float(summaries[-1, _REFERENCE])
    distance = (summaries[:, _REFERENCE] - reference) + summaries[:, _MEAN]
    mean = float(distance.mean())
    distance -= mean
    m2 = float(summaries[:, _M2].sum() + CHUNK * np.square(distance).sum())
    return Piece(size, float(summaries[:, _MIN].min()), float(summaries[:, _MAX].max()), reference, mean, m2)


def _together(newer: Piece, older: Piece) -> Piece:
    """Two groups as one, by the textbook rule: variance within plus variance between."""
    size = newer.size + older.size
    apart = (older.reference - newer.reference) + older.mean - newer.mean
    mean = newer.mean + apart * older.size / size
    m2 = newer.m2 + older.m2 + apart * apart * newer.size * older.size / size
    return Piece(size, min(newer.low, older.low), max(newer.high, older.high), newer.reference, mean, m2)
