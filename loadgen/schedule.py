"""When what is due. Pure: the caller brings the time, in nanoseconds of a clock of its own.

In the open model the schedule alone says when a request ought to be sent, and a latency counts from there: whatever
the service makes wait is in the figure, though the request itself could not be sent while an earlier one was
outstanding. In the closed model the next request is due when the last is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NEVER: Final = 2**63 - 1
SECOND: Final = 10**9


class Pace:
    """The due times of one kind of request to one symbol.

    Args:
        per_second: the open model's rate; ``None`` for the closed model, 0 for nothing ever.
        start: the moment from which the open model counts.
        phase: from 0 to 1, how far into its interval the first one is due; so that symbols do not march in step.
        limit: how many in all; ``None`` for no end.
    """

    __slots__ = ("_interval", "_left", "_origin", "_taken", "closed", "due")

    def __init__(self, per_second: float | None, start: int, phase: float, limit: int | None = None) -> None:
        self.closed = per_second is None
        self._interval = SECOND / per_second if per_second else 0.0
        self._origin = start + phase * self._interval
        self._left = limit
        self._taken = 0
        self.due = NEVER if per_second == 0 or limit == 0 else int(self._origin)

    def take(self, now: int) -> int:
        """Take the request that is due; the moment it was meant for. O(1)."""
        meant = now if self.closed else self.due
        self._taken += 1
        if self._taken == self._left:
            self.due = NEVER
        elif not self.closed:
            self.due = int(self._origin + self._taken * self._interval)
        return meant


def choose(paces: Sequence[Pace], now: int, last: int) -> int | None:
    """Which of the paces comes next: its place, or nothing if none is due. O(len(paces)).

    What has been due longest comes first; what follows the closed model takes the room that is left, in turn.

    Args:
        paces: of the kinds of request that wait for one another.
        now: the time.
        last: the place that was taken last.
    """
    best = None
    for step in range(1, len(paces) + 1):
        place = (last + step) % len(paces)
        pace = paces[place]
        if pace.due > now:
            continue
        if best is None or (not pace.closed and (paces[best].closed or pace.due < paces[best].due)):
            best = place
    return best
