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
from typing import Any, Final

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


class History:
    """The prices of one symbol from position ``start`` on, as many of the newest as the capacity holds.

    Args:
        start: position of the first price; what lies before it was sent by somebody else.
        capacity: prices to keep; rounded up to whole chunks.
        ticks: whether all prices are whole numbers of ticks, which are kept in half the memory.
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
        self._summarised = 0  # full chunks whose summary has been asked for

    @property
    def oldest(self) -> int:
        """Position of the oldest price that is still kept."""
        full = (self.count - self.start) // CHUNK
        return self.start + max(0, full + 1 - len(self._chunks)) * CHUNK

    def append(self, prices: Prices) -> None:
        """Append prices, oldest first. O(len(prices)), a copy: summaries are made when they are needed."""
        done = 0
        kept = np.rint(prices * TICKS) if self._raw.dtype == np.int32 else prices
        while done < len(prices):
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
        begin, end = begin - self.start, count - self.start
        last = self._at(end - 1)
        if end - begin <= DIRECTLY and begin // len(self._raw) == (end - 1) // len(self._raw):
            low = begin % len(self._raw)
            return _statistics(_prices(self._raw[low : low + end - begin]), last)
        return _combine(*self._pieces(begin, end), last)

    def newest(self, count: int, size: int) -> list[float]:
        """Up to ``size`` prices before position ``count``, oldest first, of those that are kept."""
        begin = max(self.oldest, count - size)
        return [self._at(place) for place in range(begin - self.start, count - self.start)]

    def _at(self, place: int) -> float:
        return float(_prices(self._raw[place % len(self._raw)]))

    def _pieces(self, begin: int, end: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Summaries and weights of what tiles places [begin, end): a ragged end, full chunks, a ragged end."""
        first, last = -(-begin // CHUNK), end // CHUNK
        if last <= first:
            ragged = self._runs(self._raw, begin, end)
            first = last
        else:
            self._summarise()
            ragged = [*self._runs(self._raw, begin, first * CHUNK), *self._runs(self._raw, last * CHUNK, end)]
        rows = [_summaries(_prices(part.reshape(1, -1))) for part in ragged]
        summaries = np.concatenate([*self._runs(self._chunks, first, last), *rows])
        weights = np.full(len(summaries), float(CHUNK))
        weights[last - first :] = [len(part) for part in ragged]
        return summaries, weights

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


def _statistics(prices: Prices, last: float) -> Statistics:
    """Of a few prices, measured from the newest of them."""
    size = len(prices)
    distance = prices - last
    mean = float(np.add.reduce(distance)) / size
    distance -= mean
    var = float(np.add.reduce(distance * distance)) / size
    return Statistics(float(np.minimum.reduce(prices)), float(np.maximum.reduce(prices)), last, last + mean, var)


def _combine(summaries: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], last: float) -> Statistics:
    """The statistics of all pieces together, measured from the window's newest price."""
    size = weights.sum()
    distance = (summaries[:, _REFERENCE] - last) + summaries[:, _MEAN]
    mean = weights @ distance / size
    distance -= mean
    within, between = summaries[:, _M2].sum(), weights @ (distance * distance)
    low, high = summaries[:, _MIN].min(), summaries[:, _MAX].max()
    return Statistics(float(low), float(high), last, float(last + mean), float((within + between) / size))
