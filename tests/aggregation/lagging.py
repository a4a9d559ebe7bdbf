"""A series whose roll-up lags behind, as a writer leaves it that is slow, or was killed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aggregation import Series
from aggregation.codec import BLOCK
from aggregation.levels import AT, BOXES_AT, COVERED, FIRST_LEVEL
from aggregation.summaries import FIELDS

SPOILT = -1
"""As a number of 64 bits it is no count and no place, as a double it is no number."""


def covered(series: Series) -> npt.NDArray[np.int64]:
    """How many prices each level covers, to be changed as well."""
    return series._words[COVERED : COVERED + len(series.geometry.levels)]


def summaries(series: Series, level: int) -> npt.NDArray[np.float64]:
    """The ring of a level: a row for each block, to be changed as well."""
    geometry = series.geometry
    at = geometry.plan()[FIRST_LEVEL + 3 * (level - geometry.levels[0]) + AT]
    cells = series._words.view(np.float64)[at : at + geometry.capacity(level) * FIELDS]
    return cells.reshape(-1, FIELDS)


def let_lag(series: Series, behind: Sequence[int]) -> None:
    """Of a series that is rolled up, let each level cover so many blocks less, and spoil what no longer counts."""
    geometry = series.geometry
    most = series.count
    for i, level in enumerate(geometry.levels):
        size = geometry.block_size(level)
        end = covered(series)[i] // size
        begin = max(0, min(end - behind[i], most // size))
        summaries(series, level)[np.arange(begin, end) % geometry.capacity(level)] = np.int64(SPOILT).view(np.float64)
        if i == 0 and geometry.boxes:
            _spoil_boxes(series, range(begin, end))
        covered(series)[i] = most = begin * size


def _spoil_boxes(series: Series, blocks: range) -> None:
    geometry = series.geometry
    for block in reversed(blocks):
        number, i = divmod(block, geometry.box_blocks)
        box = series._words[geometry.plan()[BOXES_AT] + number % geometry.boxes * geometry.box_words :]
        box[box[i - 1] if i else geometry.box_blocks : box[i]] = SPOILT
        box[i] = SPOILT


def most_behind(series: Series) -> int:
    """Blocks of 1,000 that the roll-up may be behind after an append."""
    return (series.geometry.max_tail + series.geometry.max_batch) // BLOCK
