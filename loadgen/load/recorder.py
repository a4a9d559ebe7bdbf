"""What a sender has seen, and histograms of latencies, to three digits from 1 µs to a minute, mergeable over processes.

The classic shape of such a histogram, octaves of equal buckets, is what the top bits of a float are: the exponent,
then the mantissa. So a bucket's number is a latency's float64, in µs, shifted right until ten bits of mantissa are
left: 1,024 buckets an octave, each at most 0.1 % wide, and numpy finds ten thousand of them at once. On the timed
path a latency is only appended to an array (0.1 µs; HdrHistogram's Python port takes 2 µs to record one).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

BATCH: Final = "add_batch"
STATS: Final = "stats"
ENDPOINTS: Final = (BATCH, STATS)
"""The two kinds of request, by the names that the report gives them."""

_SHIFT: Final = 52 - 10
_FIRST: Final = int(np.float64(1.0).view(np.int64)) >> _SHIFT
_OCTAVES: Final = 26
"""1 µs to 67 s."""

BUCKETS: Final = _OCTAVES << 10
NANOSECONDS: Final = 1_000
"""In a microsecond."""


class Sparse(NamedTuple):
    """The buckets that hold something: what is sent from process to process.

    Args:
        places: numbers of the buckets, shape (n,).
        counts: what is in them, shape (n,).
        most: the largest latency in µs, exactly.
    """

    places: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    most: float


class Histogram:
    """Counts of latencies in µs. Below 1 µs counts as 1 µs; beyond 67 s only the maximum is exact."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.most = 0.0

    @property
    def count(self) -> int:
        """Latencies recorded. O(BUCKETS)."""
        return int(self.counts.sum())

    def add(self, part: Sparse) -> None:
        """Merge what another process or an earlier second recorded. O(len(part))."""
        self.counts[part.places] += part.counts
        self.most = max(self.most, part.most)

    def quantile(self, share: float) -> float:
        """The latency in µs that ``share`` of all did not exceed, to 0.1 %; nan if there are none. O(BUCKETS)."""
        cumulative = np.cumsum(self.counts)
        if not cumulative[-1]:
            return float("nan")
        rank = max(1, int(np.ceil(share * cumulative[-1])))
        place = int(np.searchsorted(cumulative, rank))
        return min(middle(place), self.most)


def middle(place: int) -> float:
    """The latency in µs in the middle of a bucket."""
    edges = (np.array([place, place + 1]) + _FIRST << _SHIFT).view(np.float64)
    return float(edges.mean())


def sparse(nanoseconds: array[int]) -> Sparse:
    """Sort latencies into buckets. O(n log n), 50 ns each."""
    microseconds = np.frombuffer(nanoseconds, np.int64) / NANOSECONDS if nanoseconds else np.zeros(0)
    places = np.clip((microseconds.view(np.int64) >> _SHIFT) - _FIRST, 0, BUCKETS - 1)
    places, counts = np.unique(places, return_counts=True)
    return Sparse(places, counts, float(microseconds.max(initial=0.0)))


class Latencies(NamedTuple):
    """What was recorded of one endpoint: from the intended moment, and from the moment of sending."""

    response: Sparse
    service: Sparse


class Recorder:
    """Latencies of one endpoint since the last ``take``."""

    def __init__(self) -> None:
        self._response = array("q")
        self._service = array("q")

    def record(self, response: int, service: int) -> None:
        """Note the two latencies of one answer, in ns. O(1), 0.1 µs."""
        self._response.append(response)
        self._service.append(service)

    def take(self) -> Latencies:
        """What was recorded, and begin anew. O(n log n) in what was."""
        taken = Latencies(sparse(self._response), sparse(self._service))
        self._response, self._service = array("q"), array("q")
        return taken


@dataclass
class Second:
    """Sender to parent: what happened within one second of the run; the warm-up's are numbered below zero."""

    number: int
    latencies: dict[str, Latencies]
    statuses: dict[str, dict[int, int]]
    prices: int


class Seen:
    """Counts by endpoint since the last ``take``, and counts of the run.

    Args:
        second: number of the first second; 0 is the first that is measured.
    """

    def __init__(self, second: int) -> None:
        self.second = second
        self.requests = 0  # answered or given up
        self.failures: dict[str, int] = {}  # requests given up, by reason
        self._lags = array("q")
        self._recorders = {endpoint: Recorder() for endpoint in ENDPOINTS}
        self._statuses: dict[str, dict[int, int]] = {endpoint: {} for endpoint in ENDPOINTS}
        self._prices = 0

    def timed(self, endpoint: str, response: int, service: int) -> None:
        """Note the latencies of an answer, in ns. O(1)."""
        self._recorders[endpoint].record(response, service)

    def lagged(self, lag: int) -> None:
        """Note how late, in ns, a request was sent. O(1)."""
        self._lags.append(lag)

    def ended(self, endpoint: str, status: int, prices: int) -> None:
        """Count an answer, or with status 0 the lack of one, and the prices that it says are in. O(1)."""
        self.requests += 1
        statuses = self._statuses[endpoint]
        statuses[status] = statuses.get(status, 0) + 1
        self._prices += prices if status in {HTTPStatus.OK, HTTPStatus.PRECONDITION_FAILED} else 0

    def failed(self, reason: str) -> None:
        """Count a request that was given up. O(1)."""
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def take(self) -> Second:
        """What happened since the last time, and begin a new second. O(n log n) in the answers of it."""
        latencies = {endpoint: recorder.take() for endpoint, recorder in self._recorders.items()}
        taken = Second(self.second, latencies, self._statuses, self._prices)
        self._statuses = {endpoint: {} for endpoint in ENDPOINTS}
        self._prices = 0
        self.second += 1
        return taken

    def lags(self) -> Latencies:
        """The send lags of the run, which have no service time. O(n log n)."""
        return Latencies(sparse(self._lags), sparse(array("q")))
