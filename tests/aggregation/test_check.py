"""What ``check`` finds: every kind of damage, wherever it is; and it finds nothing where nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Series
from aggregation.levels import AT, COUNT, COVERED, FIRST_LEVEL, PRICES_AT
from aggregation.summaries import FIELDS, M2, M2_LOW, MAX, MIN, SUM, SUM_LOW

GEOMETRY: Final = Geometry(max_k=6, max_batch=500, least_hot=3_000, box_blocks=40)
"""Levels 3, 4 and 5."""

COUNT_HERE: Final = 1_234_500
BLOCKS: Final = COUNT_HERE // 1000
OLDEST: Final = (COUNT_HERE - GEOMETRY.retention) // 1000

Prices = npt.NDArray[np.float64]

STREAMS: Final = ("walk", "bits", "far", "tiny")


def stream(name: str) -> Iterator[Prices]:
    rng = np.random.default_rng(1)
    while True:
        if name == "walk":
            yield np.round(100.0 + rng.normal(0.0, 0.05, 500).cumsum(), 2)
        elif name == "bits":
            yield rng.normal(0.0, 1.0, 500)
        elif name == "far":  # the spread is the last few bits of each
            yield np.float64(1e15) + rng.integers(-20, 20, 500) * 0.125
        else:
            yield rng.normal(0.0, 1e-90, 500)


@cache
def template(name: str) -> bytes:
    series = Series(bytearray(GEOMETRY.slot_bytes), GEOMETRY)
    batches = stream(name)
    while series.count < COUNT_HERE:
        series.append(next(batches))
        series.roll_up()
    series.check()
    return series._words.tobytes()


def copy(name: str) -> Series:
    return Series(bytearray(template(name)), GEOMETRY)


def row_of(level: int, block: int) -> int:
    """The word at which a summary begins."""
    return int(GEOMETRY.plan()[FIRST_LEVEL + 3 * (level - 3) + AT]) + block % GEOMETRY.capacity(level) * FIELDS


def entry_of(block: int) -> int:
    """The word that says where a block ends."""
    return GEOMETRY.boxes_offset // 8 + block // 40 % GEOMETRY.boxes * GEOMETRY.box_words + block % 40


def place_of(series: Series, block: int) -> tuple[int, int]:
    """The words at which a block begins and ends."""
    box = entry_of(block) - block % 40
    return box + (int(series._words[entry_of(block) - 1]) if block % 40 else 40), box + int(
        series._words[entry_of(block)]
    )


def assert_found(series: Series) -> None:
    with pytest.raises(AssertionError):
        series.check()


RETAINED: Final = [OLDEST, BLOCKS - 500, BLOCKS - 1]
"""Blocks of all ages: the first is half retained, the last is hot."""


@pytest.mark.parametrize("name", STREAMS)
def test_a_flipped_bit_in_a_block_is_found(name: str) -> None:
    """Header, first integer, deltas, patches: whichever bit of a block is wrong."""
    rng = np.random.default_rng(2)
    series = copy(name)
    for block in RETAINED:
        begin, end = place_of(series, block)
        for word in {begin, begin + 1, end - 1, *rng.integers(begin, end, 2).tolist()}:
            for bit in rng.integers(0, 64, 1).tolist():
                if block == OLDEST and word > begin + 1:  # it may be of a price that is not retained
                    continue
                series._words[word] ^= np.int64(-(1 << 63) if bit == 63 else 1 << bit)
                try:
                    assert_found(series)
                finally:
                    series._words[word] ^= np.int64(-(1 << 63) if bit == 63 else 1 << bit)
    series.check()


@pytest.mark.parametrize("name", STREAMS)
def test_a_wrong_end_of_a_block_is_found(name: str) -> None:
    """Off by one or by much, or none."""
    series = copy(name)
    for block in RETAINED:
        right = series._words[entry_of(block)]
        for wrong in (right + 1, right - 1, 0, -1, 1 << 62, right + 500):
            series._words[entry_of(block)] = wrong
            assert_found(series)
        series._words[entry_of(block)] = right
    series.check()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("level", GEOMETRY.levels)
def test_each_wrong_number_of_a_summary_is_found(name: str, level: int) -> None:
    """Any of the six, at any level, if it is wrong by more than a trillionth of the spread."""
    series = copy(name)
    cells, size = series._words.view(np.float64), 10**level
    oldest, newest = -(-(COUNT_HERE - GEOMETRY.retention) // size), COUNT_HERE // size - 1
    for block in (oldest, newest) if name == "far" else (newest,):
        row = row_of(level, block)
        low, high = float(cells[row + MIN]), float(cells[row + MAX])
        sums, m2 = (high - low) * size * 1e-3, float(cells[row + M2])
        changes = {MIN: high - low, MAX: low - high, SUM: sums, SUM_LOW: sums, M2: m2 * 1e-12, M2_LOW: m2 * 1e-12}
        for field, change in changes.items():
            right = float(cells[row + field])
            for wrong in (right + change, right - change, -right if field in {SUM, M2} else right + change, np.nan):
                if wrong == right:
                    continue
                cells[row + field] = wrong
                assert_found(series)
            cells[row + field] = right
        before = cells[row : row + FIELDS].copy()
        cells[row : row + FIELDS] = 0.0
        assert_found(series)
        cells[row : row + FIELDS] = before
    series.check()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("level", GEOMETRY.levels)
def test_zeroed_variances_are_found(name: str, level: int) -> None:
    """All m2 of a level set to 0, which are small beside prices of 1e15, and of all levels."""
    series = copy(name)
    cells = series._words.view(np.float64)
    begin, rows = row_of(level, 0), GEOMETRY.capacity(level)
    cells[begin : begin + rows * FIELDS].reshape(rows, FIELDS)[:, [M2, M2_LOW]] = 0.0
    assert_found(series)
    begin, end = GEOMETRY.summaries_offset // 8, row_of(5, 0) + GEOMETRY.capacity(5) * FIELDS
    cells[begin:end].reshape(-1, FIELDS)[:, [M2, M2_LOW]] = 0.0
    assert_found(series)


def test_a_count_that_runs_ahead_is_found() -> None:
    """A level that covers more than the one below it, part of a block, or less than nothing."""
    series = copy("walk")
    for level in GEOMETRY.levels:
        word = COVERED + level - 3
        right = int(series._words[word])
        for wrong in (right + 10**level, right + 1, right - 1, -(10**level), right + 10 * 10**level):
            series._words[word] = wrong
            assert_found(series)
        series._words[word] = right
    series._words[COUNT] = -1
    assert_found(series)


def test_a_wrong_hot_price_is_found() -> None:
    """It is not what its block says, or no number."""
    series = copy("walk")
    first = int(GEOMETRY.plan()[PRICES_AT])
    cells = series._words.view(np.float64)
    for position in (BLOCKS * 1000 - 1, BLOCKS * 1000 - 2_500):
        at = first + position % GEOMETRY.hot_capacity
        right = float(cells[at])
        for wrong in (right + 0.01, -right, np.nan):
            cells[at] = wrong
            assert_found(series)
        cells[at] = right
    at = first + (COUNT_HERE - 1) % GEOMETRY.hot_capacity  # it has no block yet
    cells[at] = np.inf
    assert_found(series)


HEALTHY: Final = [
    Geometry(max_k=1, max_batch=10),
    Geometry(max_k=3, max_batch=200),
    Geometry(max_k=4, max_batch=500),
    Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=4),
]


@pytest.mark.parametrize("geometry", HEALTHY, ids=repr)
@pytest.mark.parametrize("kind", range(7))
def test_nothing_is_found_where_nothing_is_wrong(geometry: Geometry, kind: int) -> None:
    """Every state is sound, rolled up or not, at any count, whatever the prices are."""
    rng = np.random.default_rng(kind)
    series = Series(bytearray(geometry.slot_bytes), geometry)
    series.check()
    for i in range(2 * (geometry.kept + geometry.hot_capacity) // geometry.max_batch):
        size = int(rng.integers(1, geometry.max_batch + 1))
        batch = [
            np.round(100.0 + rng.normal(0.0, 0.05, size).cumsum(), 2),
            rng.normal(0.0, 1.0, size),
            np.exp(rng.normal(0.0, 40.0, size)) * rng.choice([-1, 1], size),
            np.full(size, -0.0),
            1e15 + rng.integers(-2, 3, size) * 0.125,
            rng.integers(-3, 4, size) * 5e-324,
            rng.choice([1e100, -1e100, 1.0, np.nextafter(1.0, 2.0), 1e-300], size),
        ][kind]
        series.append(batch)
        if rng.random() < 0.7:
            series.roll_up()
        if i % 25 == 0 or i < 10:
            series.check()
    series.roll_up()
    series.check()
