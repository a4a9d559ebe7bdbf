"""A chain of requests that wait for one another, and the account of how late the generator itself is.

As callers promise, all requests of a symbol make one lane; where requests overlap, a symbol has several.

How late the generator is, its *send lag*, is told apart from how late the service makes it: beside each lane runs the
account of one that is never late. That one sends at the intended moment or when it has the last answer, whichever is
later, and gets each answer after the same service time, less whatever the real one stood still meanwhile. The lag is
how far the real lane is behind it. So a stalled service adds nothing to the lag, and a stalled generator adds to it
until it has caught up.

When what is due is decided here, too, purely: the caller brings the time, in nanoseconds of a clock of its own. In the
open model the schedule alone says when a request ought to be sent, and a latency counts from there: whatever the
service makes wait is in the figure, though the request itself could not be sent while an earlier one was outstanding.
In the closed model the next request is due when the last is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadgen.wire.client import Connection

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
    if len(paces) == 1:
        return 0 if paces[0].due <= now else None
    best = None
    for step in range(1, len(paces) + 1):
        place = (last + step) % len(paces)
        pace = paces[place]
        if pace.due > now:
            continue
        if best is None or (not pace.closed and (paces[best].closed or pace.due < paces[best].due)):
            best = place
    return best


class Lane:
    """Requests that wait for one another, and the one that is on its way. All moments are in ns.

    Args:
        symbol: place among the sender's symbols.
        due: the endpoints by name, and when each is due; lanes that overlap share the paces.
    """

    __slots__ = (
        "_gaps",
        "_ideal",
        "connection",
        "ended",
        "free",
        "hungry",
        "kind",
        "kinds",
        "last",
        "meant",
        "paces",
        "prices",
        "request",
        "sent",
        "seq",
        "symbol",
    )

    def __init__(self, symbol: int, due: Sequence[tuple[str, Pace]]) -> None:
        self.symbol = symbol
        self.kinds = [kind for kind, _ in due]
        self.paces = [pace for _, pace in due]
        self.last = len(due) - 1  # the pace that was taken last
        self.kind = ""
        self.meant = 0  # the intended moment of the request
        self.hungry = 0  # since when it waits for a body
        self.sent = 0  # the moment it was sent
        self.request: bytes | memoryview = b""
        self.seq = 0  # the batch, or the window of a poll
        self.prices = 0  # in the batch
        self.ended = 0  # batches of the symbol that had ended when it was sent
        self.connection: Connection | None = None
        self.free = 0  # the moment at which a generator that is never late would have had the last answer
        self._ideal = 0  # the moment at which it would have sent the request
        self._gaps = 0  # how long the sender had stood still when the request was sent

    def begin(self, place: int, now: int) -> None:
        """Take the request that is due by the pace at this place. O(1)."""
        self.last = place
        self.kind = self.kinds[place]
        self.meant = self.paces[place].take(now)

    def depart(self, now: int, stood_still: int) -> int | None:
        """The request is sent; its send lag, or nothing in the closed model, where now is when it is meant for. O(1).

        Args:
            now: the time.
            stood_still: how long in all the sender has not run though it should have.
        """
        self.sent = now
        self._gaps = stood_still
        if self.paces[self.last].closed:
            self.meant = self._ideal = now
            return None
        self._ideal = max(self.meant, self.free)
        return now - self._ideal

    def arrive(self, now: int, stood_still: int) -> None:
        """The request was answered, or given up. O(1)."""
        self.free = self._ideal + now - self.sent - (stood_still - self._gaps)
        self.connection = None
