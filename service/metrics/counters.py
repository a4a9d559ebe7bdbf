"""What is counted, and the memory in which all workers count it.

Any worker may be asked for the metrics of all of them, and any may be killed at any moment. So the counters lie in
shared anonymous memory that the supervisor maps before it forks: a block of 8-byte cells for each place among the
workers. Only the worker in that place writes to it, a cell at a time, and whoever is asked adds the blocks up; an
aligned store of 8 bytes is never seen half done. A replacement counts on in its predecessor's block, so no counter
ever falls. Answers are counted just before they are sent: what a client has got has been counted.

=====================  ===============================================================================================
cells 0 … 15           those of ``Cell``
then, a row for each   of the answers with this status on this route: a count for each bucket of ``BOUNDS``, one for
route and status       what is slower, and the sum of their seconds, float64. The number of answers is the sum of the
                       buckets, so a count and its histogram cannot disagree.
=====================  ===============================================================================================
"""

from __future__ import annotations

import mmap
import time
from bisect import bisect_left
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt


class Cell(IntEnum):
    """The single cells of a block, by what is in them."""

    PID = 0
    STARTS = 1
    CONNECTIONS = 2
    ACCEPTED = 3
    REFUSED = 4
    IDLE_TIMEOUT = 5
    REQUEST_TIMEOUT = 6
    ANSWER_TIMEOUT = 7
    ROLL_UPS = 8
    ROLL_UP_SECONDS = 9
    ROLL_UP_FAILURES = 10
    BEAT = 11


ROWS_CELL: Final = 16
"""Where the rows begin: there is room for more single cells."""

BOUNDS: Final = (
    *(25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of the buckets, seconds: from a cached answer to the default deadline, two or three a decade."""

BUCKETS: Final = len(BOUNDS) + 1
ROW_CELLS: Final = BUCKETS + 1

STATUSES: Final = (200, 204, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 417, 422, 500, 503, 507)
"""What is counted by its number; whatever else there may be is counted together, as ``OTHER_STATUS``."""

OTHER_STATUS: Final = "other"

STATUS_OFFSET: Final = tuple(
    (STATUSES.index(status) if status in STATUSES else len(STATUSES)) * ROW_CELLS for status in range(600)
)
"""By status: how many cells after a route's first its row begins."""

ROUTE_CELLS: Final = (len(STATUSES) + 1) * ROW_CELLS

MOST_ROUTES: Final = 32
"""Room for the routes that there are and as many again. What is never written to takes no memory until it is read."""

WORD_BYTES: Final = 8

BLOCK_BYTES: Final = -(-(ROWS_CELL + MOST_ROUTES * ROUTE_CELLS) * WORD_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
"""Whole pages, so that no two workers write to one cache line."""


def first_cell(route: int) -> int:
    """Where the rows of a route begin. Route 0 is that of requests which match none.

    Raises:
        ValueError: there is no room for so many routes.
    """
    if not 0 <= route < MOST_ROUTES:
        raise ValueError(f"there is room to count {MOST_ROUTES} routes, not {route + 1}")
    return ROWS_CELL + route * ROUTE_CELLS


class SharedMetrics:
    """The counters of all workers, for this process and all that it forks; all zero at first."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.started_at = time.time()
        self._view = memoryview(mmap.mmap(-1, workers * BLOCK_BYTES))
        self._counts = np.frombuffer(self._view, np.uint64).reshape(workers, -1)
        self._seconds = np.frombuffer(self._view, np.float64).reshape(workers, -1)
        self._seconds[:, Cell.BEAT] = time.monotonic()

    def of_worker(self, number: int) -> Counters:
        """What a worker counts with."""
        return Counters(self, self._view[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])

    def begin(self, number: int) -> None:
        """Take note that a worker is about to be started in a place that is empty; its predecessor's gauges end."""
        self._counts[number, Cell.STARTS] += 1
        self._counts[number, Cell.CONNECTIONS] = 0
        self._seconds[number, Cell.BEAT] = time.monotonic()

    def began(self, number: int, pid: int) -> None:
        """Take note of which process it is."""
        self._counts[number, Cell.PID] = pid

    def by_worker(self, cell: int) -> list[int]:
        """A cell of every worker."""
        return [int(count) for count in self._counts[:, cell]]

    def beats(self) -> list[float]:
        """When each worker's event loop last turned, by the clock that all processes of the machine share."""
        beats: list[float] = self._seconds[:, Cell.BEAT].tolist()
        return beats

    def total(self, cell: int) -> int:
        """A cell, over all workers."""
        return int(self._counts[:, cell].sum())

    def total_seconds(self, cell: int) -> float:
        """A cell that holds seconds, over all workers."""
        return float(self._seconds[:, cell].sum())

    def answers(self, route: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
        """A route's answers over all workers: counts, shape (statuses + 1, buckets); seconds, shape (statuses + 1,)."""
        cells = slice(first_cell(route), first_cell(route) + ROUTE_CELLS)
        counts = self._counts[:, cells].sum(axis=0).reshape(-1, ROW_CELLS)
        seconds = self._seconds[:, cells].reshape(self.workers, -1, ROW_CELLS)[:, :, BUCKETS].sum(axis=0)
        return counts[:, :BUCKETS], seconds


class Counters:
    """One worker's block, to be written by it alone: ``counts`` and ``seconds`` are the same cells.

    Whoever counts adds to a cell; a memoryview is what does that fastest, in about a tenth of a microsecond.
    """

    __slots__ = ("counts", "seconds", "shared")

    def __init__(self, shared: SharedMetrics, block: memoryview) -> None:
        self.shared = shared
        self.counts = block.cast("Q")
        self.seconds = block.cast("d")

    def beat(self) -> None:
        """Say that this worker's event loop turns."""
        self.seconds[Cell.BEAT] = time.monotonic()

    def answered(self, cell: int, status: int, seconds: float) -> None:
        """Count an answer on the route whose rows begin at a cell. O(log(buckets))."""
        row = cell + STATUS_OFFSET[status]
        self.counts[row + bisect_left(BOUNDS, seconds)] += 1
        self.seconds[row + BUCKETS] += seconds
