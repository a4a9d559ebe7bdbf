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
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.prices import Prices
from loadgen.wire.requests import Statistics

CHUNK: Final = 4_096
"""Prices summarised together: the raw ends then cost what the 24,415 chunks of the longest window cost."""

AVG_SPREADS: Final = 1e-12
"""How far an average may be off, in units of the window's spread (max − min)."""

AVG_ULPS: Final = 2
"""And in addition, in units in the last place of the average itself: its rounding, in the answer and in the oracle."""

VAR_RELATIVE: Final = 1e-10
"""How far a variance may be off, relatively. Dividing by N − 1 instead of N shows up to windows of 10^8: 1e-8."""

BYTES_PER_PRICE: Final = 8 + 5 * 8 / CHUNK
"""What the oracle keeps of a price: itself, and its share of a chunk's summary."""

_FIELDS: Final = 5
_MIN, _MAX, _REFERENCE, _MEAN, _M2 = range(_FIELDS)


class History:
    """The prices of one symbol from position ``start`` on, as many of the newest as the capacity holds.

    Args:
        start: position of the first price; what lies before it was sent by somebody else.
        capacity: prices to keep; rounded up to whole chunks.
    """

    def __init__(self, start: int, capacity: int) -> None:
        chunks = max(2, -(-capacity // CHUNK) + 1)  # one more, since the oldest chunk is being overwritten
        self.start = start
        self.count = start
        self._raw = np.empty((chunks, CHUNK))
        self._chunks = np.empty((chunks, _FIELDS))

    @property
    def oldest(self) -> int:
        """Position of the oldest price that is still kept."""
        full = (self.count - self.start) // CHUNK
        return self.start + max(0, full + 1 - len(self._raw)) * CHUNK

    def append(self, prices: Prices) -> None:
        """Append prices, oldest first. O(len(prices))."""
        done = 0
        while done < len(prices):
            row, column = divmod(self.count - self.start, CHUNK)
            row %= len(self._raw)
            part = prices[done : done + CHUNK - column]
            self._raw[row, column : column + len(part)] = part
            if column + len(part) == CHUNK:
                self._chunks[row] = _summary(self._raw[row])
            self.count += len(part)
            done += len(part)

    def statistics(self, count: int, k: int) -> Statistics | None:
        """What the newest 10^k prices looked like when there were ``count``; nothing if not all of them are kept.

        O(CHUNK + 10^k / CHUNK).

        Args:
            count: prices ever appended at that moment, at least 1 and no more than there are now.
            k: the window, from 1 on.
        """
        begin = max(0, count - 10**k)
        if begin < self.oldest or not begin < count <= self.count:
            return None
        return _combine(*self._pieces(begin - self.start, count - self.start), last=self._at(count - self.start - 1))

    def newest(self, count: int, size: int) -> list[float]:
        """Up to ``size`` prices before position ``count``, oldest first, of those that are kept."""
        begin = max(self.oldest, count - size)
        return [self._at(place) for place in range(begin - self.start, count - self.start)]

    def _at(self, place: int) -> float:
        row, column = divmod(place, CHUNK)
        return float(self._raw[row % len(self._raw), column])

    def _pieces(self, begin: int, end: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Summaries and weights of what tiles places [begin, end): a ragged end, full chunks, a ragged end."""
        first, last = -(-begin // CHUNK), end // CHUNK
        if first > last or first * CHUNK >= end:
            ragged = [(begin, end)]
            first = last
        else:
            ragged = [(begin, first * CHUNK), (last * CHUNK, end)]
        ends = [(left, right) for left, right in ragged if left < right]
        rows = [
            _summary(self._raw[left // CHUNK % len(self._raw), left % CHUNK :][: right - left]) for left, right in ends
        ]
        weights = [float(right - left) for left, right in ends]
        blocks = [self._chunks[part] for part in self._rows(first, last)]
        summaries = np.concatenate([*blocks, np.array(rows).reshape(-1, _FIELDS)])
        return summaries, np.concatenate([np.full(last - first, float(CHUNK)), weights])

    def _rows(self, first: int, last: int) -> list[slice]:
        """Where the chunks [first, last) stand: one run of rows, or two if they go past the end."""
        size = len(self._raw)
        if first == last:
            return []
        begin, end = first % size, (last - 1) % size + 1
        return [slice(begin, end)] if begin < end else [slice(begin, size), slice(0, end)]


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


def _summary(prices: Prices) -> tuple[float, float, float, float, float]:
    """(min, max, reference, mean − reference, Σ(x − mean)²) of a few prices; the reference is the first of them."""
    reference = prices[0]
    distance = prices - reference
    mean = distance.mean()
    distance -= mean
    return prices.min(), prices.max(), reference, mean, np.square(distance, out=distance).sum()


def _combine(summaries: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], last: float) -> Statistics:
    """The statistics of all pieces together, measured from the window's newest price."""
    size = weights.sum()
    distance = (summaries[:, _REFERENCE] - last) + summaries[:, _MEAN]
    mean = (weights * distance).sum() / size
    distance -= mean
    within, between = summaries[:, _M2].sum(), (weights * distance * distance).sum()
    low, high = summaries[:, _MIN].min(), summaries[:, _MAX].max()
    return Statistics(float(low), float(high), last, float(last + mean), float((within + between) / size))
