"""A writer in another process, readers without a lock, and a kill at any instruction."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from aggregation import Geometry, Series
from tests.aggregation.oracle import Exact, answer, assert_exact
from tests.aggregation.writer import append_next, shared_series

ROOT = Path(__file__).parents[2]


@contextmanager
def writing(path: Path, geometry: Geometry, seed: int) -> Iterator[Series]:
    """The series that another process appends to; the process is killed (SIGKILL) in the end."""
    series = shared_series(path, geometry)
    before = series.count
    numbers = (seed, geometry.max_k, geometry.radix, geometry.max_batch)
    command = [sys.executable, "-m", "tests.aggregation.writer", str(path), *map(str, numbers)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            deadline = time.monotonic() + 60  # the kernels may have to be compiled first
            while series.count < before + 10 * geometry.capacity(0):
                assert process.poll() is None, "the writer ended"
                assert time.monotonic() < deadline, "the writer does not start"
                time.sleep(0.001)
            yield series
        finally:
            process.kill()


def exact_at(count: int, length: int) -> Exact:
    """Statistics of the newest ``length`` of the prices 0.0, 1.0, … count − 1."""
    size = min(length, count)
    first = count - size
    avg = Fraction(first + count - 1, 2)
    return Exact(size, float(first), float(count - 1), float(count - 1), avg, Fraction(size * size - 1, 12))


def assert_of_one_moment(series: Series, k: int) -> int:
    """An answer is, in all its parts, that of one count; returns this count."""
    statistics = answer(series, k)
    count = int(statistics.last) + 1
    assert_exact(statistics, exact_at(count, series.geometry.radix**k))
    return count


GEOMETRIES = [
    Geometry(max_k=1, radix=10, max_batch=10),
    Geometry(max_k=4, radix=2, max_batch=3),
    Geometry(max_k=3, radix=10, max_batch=500),
    Geometry(max_k=4, radix=10, max_batch=10_000),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_readers_never_see_a_mix(tmp_path: Path, geometry: Geometry) -> None:
    """While another process appends and rolls up, every answer is exactly that of one count, and never an old one."""
    with writing(tmp_path / "series", geometry, seed=1) as series:
        counts = set()
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            for k in range(1, geometry.max_k + 1):
                published = series.count
                count = assert_of_one_moment(series, k)
                assert published <= count <= series.count
                counts.add(count)
    assert len(counts) > 20, "the writer was to be at work all the while"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_all_windows_are_of_one_moment(tmp_path: Path, geometry: Geometry) -> None:
    """While another process appends and rolls up, all windows are exactly those of one count, the newest price, too."""
    lengths = [geometry.radix**k for k in range(1, geometry.max_k + 1)]
    with writing(tmp_path / "series", geometry, seed=2) as series:
        counts = set()
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            published = series.count
            windows = series.windows()
            assert windows is not None
            assert published <= windows.appended <= series.count
            counts.add(windows.appended)
            for statistics, length in zip(windows.statistics, lengths, strict=True):
                assert_exact(statistics, exact_at(windows.appended, length))
            newest = series.newest()
            assert newest is not None
            assert newest[1] == newest[0] - 1
    assert len(counts) > 20, "the writer was to be at work all the while"


@pytest.mark.parametrize(
    "geometry", [Geometry(max_k=4, radix=3, max_batch=50), Geometry(max_k=4, max_batch=10_000)], ids=repr
)
def test_a_killed_writer_leaves_a_whole_series(tmp_path: Path, geometry: Geometry) -> None:
    """Whenever its writer is killed, a series is sound, has every published price, and the next writer goes on."""
    published = 0
    for seed in range(3):
        with writing(tmp_path / "series", geometry, seed) as series:
            time.sleep(0.01 * seed)
            published = series.count
        assert series.count >= published
        series.check()
        for _ in range(20):
            for k in range(1, geometry.max_k + 1):
                assert assert_of_one_moment(series, k) == series.count
            append_next(series, 7)
            series.roll_up()
            series.check()
