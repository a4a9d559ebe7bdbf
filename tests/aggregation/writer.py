"""A process that appends the prices 0.0, 1.0, 2.0, … to a series in a shared file for as long as it lives.

The price at a position is the position, so an answer tells of which count it is, and what it must be in every digit.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import numpy as np

from aggregation import Geometry, Series


def shared_series(path: Path, geometry: Geometry) -> Series:
    """The series in the file at ``path``, which is made if there is none."""
    with path.open("a+b") as file:
        file.truncate(geometry.slot_bytes)
        return Series(mmap.mmap(file.fileno(), geometry.slot_bytes), geometry)


def append_next(series: Series, size: int) -> None:
    """Append the ``size`` prices that come next."""
    series.append(np.arange(series.count, series.count + size, dtype=np.float64))


def main(path: str, seed: str, max_k: str, radix: str, max_batch: str) -> None:
    """Append batches of random size until killed, or until the parent is gone; roll up after most of them."""
    parent = os.getppid()
    geometry = Geometry(int(max_k), int(radix), int(max_batch))
    series = shared_series(Path(path), geometry)
    rng = np.random.default_rng(int(seed))
    while os.getppid() == parent:
        for size in rng.integers(1, geometry.max_batch + 1, 200).tolist():
            append_next(series, size)
            if size % 4:
                series.roll_up()


if __name__ == "__main__":
    main(*sys.argv[1:])
