"""A writer in another process, readers without a lock, and a kill at any instruction.

``READERS_SECONDS=60 python -m pytest tests/aggregation/test_readers.py`` reads for so long in each test.
"""

from __future__ import annotations

import os
import time
from typing import Final

import numpy as np
import pytest

from aggregation import Geometry, Layout, Series, SharedMemory, fold
from aggregation.levels import COUNT, COVERED
from tests.aggregation.oracle import answer
from tests.aggregation.writer import SMALL_BOXES, append_next, exact_at, fill, writing

SECONDS: Final = float(os.environ.get("READERS_SECONDS", "1.5"))

GEOMETRIES = [
    Geometry(max_k=1, max_batch=10),
    Geometry(max_k=3, max_batch=500),
    SMALL_BOXES,
    Geometry(max_k=7),
]


def filled(geometry: Geometry) -> Series:
    """A series whose rings have all gone around, and whose memory is shared."""
    series = SharedMemory(Layout(geometry, max_symbols=1)).series(0)
    fill(series, geometry.retention + geometry.hot_capacity + geometry.kept)
    return series


def assert_of_one_moment(series: Series, k: int) -> int:
    """An answer is, in all its parts and digits, that of one count; returns this count."""
    statistics = answer(series, k)
    count = int(statistics.last) + 1
    assert statistics == exact_at(count, 10**k), (k, count)
    return count


@pytest.mark.timeout(120 + 2 * SECONDS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_readers_never_see_a_mix(geometry: Geometry) -> None:
    """While another process appends and rolls up, every answer is that of one count to the bit, and never an old one.

    So are all windows at once, and the newest price. Answers keep coming, those of the longest window, too.
    """
    series = filled(geometry)
    counts, answers = set(), 0
    with writing(series, seed=1):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for k in range(1, geometry.max_k + 1):
                published = series.count
                count = assert_of_one_moment(series, k)
                assert published <= count <= series.count
                counts.add(count)
            published = series.count
            windows = series.windows()
            assert windows is not None
            assert published <= windows.appended <= series.count
            for k, statistics in enumerate(windows.statistics, start=1):
                assert statistics == exact_at(windows.appended, 10**k)
            newest = series.newest()
            assert newest is not None
            assert int(newest[1]) == newest[0] - 1
            answers += geometry.max_k + 2
    assert len(counts) > 20, "the writer was to be at work all the while"
    series.check()


@pytest.mark.parametrize("geometry", [SMALL_BOXES, Geometry(max_k=4, max_batch=10_000)], ids=repr)
def test_a_killed_writer_leaves_a_whole_series(geometry: Geometry) -> None:
    """Whenever its writer is killed, a series is sound, has every published price, and the next writer goes on."""
    series = filled(geometry)
    for seed in range(5):
        before = series.count
        with writing(series, seed):
            while series.count < before + 10 * geometry.max_batch:
                time.sleep(0.001)
            time.sleep(0.003 * seed)
            published = series.count
        assert series.count >= published
        series.check()
        for _ in range(20):
            for k in range(1, geometry.max_k + 1):
                assert assert_of_one_moment(series, k) == series.count
            append_next(series, 7)
            series.roll_up()
        series.check()


@pytest.mark.parametrize("geometry", GEOMETRIES[1:3], ids=repr)
def test_what_a_reader_takes_for_intact_is_intact(geometry: Geometry) -> None:
    """A reader that is overtaken by any number of prices has the same answer as before, or sees that it has not.

    It sees the memory of later, and the count that it began with; how far the roll-up was it may have seen at any time
    between. The longest window stands an overtaking by as many prices as are hot: then a reader hardly ever begins
    again.
    """
    series = filled(geometry)
    rng = np.random.default_rng(5)
    overtaken = refused = 0
    for _ in range(12):
        append_next(series, int(rng.integers(1, geometry.max_batch + 1)))
        count, covered = series.count, series._words[COVERED : COVERED + len(geometry.levels)].copy()
        while series.count < count + 2 * geometry.kept:
            append_next(series, int(rng.integers(1, geometry.max_batch + 1)))
            if rng.random() < 0.7:
                series.roll_up()
            now = series.count
            for k in range(1, geometry.max_k + 1):
                start, is_hot = count - 10**k, 10**k <= geometry.hot
                oldest_hot = min(int(covered[0]), count - 1, start if is_hot else count)
                if not fold._is_intact(series._words, geometry.plan(), start, oldest_hot):
                    refused += 1
                    assert now - count > geometry.hot_capacity - geometry.hot - geometry.max_batch
                    continue
                for seen in (covered, series._words[COVERED : COVERED + len(geometry.levels)]):
                    memory = bytearray(series._words.tobytes())
                    late = Series(memory, geometry)
                    late._words[COVERED : COVERED + len(geometry.levels)] = seen
                    late._words[COUNT] = count
                    assert answer(late, k) == exact_at(count, 10**k), (k, count, now)
                    overtaken += 1
            if now > count + geometry.hot_capacity:
                break
    assert overtaken > 100
    assert refused > 10
