"""What a sender has seen: latencies and statuses of the current second, lags and failures of the whole run."""

from __future__ import annotations

from array import array
from http import HTTPStatus

from .messages import ENDPOINTS, Second
from .recorder import Latencies, Recorder, sparse


class Tally:
    """Counts by endpoint since the last ``take``, and counts of the run.

    Args:
        second: number of the first second; 0 is the first that is measured.
    """

    def __init__(self, second: int) -> None:
        self.second = second
        self.starved = 0  # ns that lanes have waited for bodies
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
        """Count an answer, or with status 0 the lack of one, and the prices that it says were added. O(1)."""
        statuses = self._statuses[endpoint]
        statuses[status] = statuses.get(status, 0) + 1
        self._prices += prices if status == HTTPStatus.OK else 0

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
