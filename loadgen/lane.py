"""A chain of requests that wait for one another, and the account of how late the generator itself is.

As callers promise, all requests of a symbol make one lane; where requests overlap, a symbol has several.

How late the generator is, its *send lag*, is told apart from how late the service makes it: beside each lane runs the
account of one that is never late. That one sends at the intended moment or when it has the last answer, whichever is
later, and gets each answer after the same service time, less whatever the real one stood still meanwhile. The lag is
how far the real lane is behind it. So a stalled service adds nothing to the lag, and a stalled generator adds to it
until it has caught up.
"""

from __future__ import annotations

from collections.abc import Sequence

from .client import Connection
from .schedule import Pace


class Lane:
    """Requests that wait for one another, and the one that is on its way. All moments are in ns.

    Args:
        symbol: place among the sender's symbols.
        kinds: names of the endpoints, one for each pace.
        paces: when which is due; lanes that overlap share them.
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

    def __init__(self, symbol: int, kinds: Sequence[str], paces: Sequence[Pace]) -> None:
        self.symbol = symbol
        self.kinds = kinds
        self.paces = paces
        self.last = len(paces) - 1  # the pace that was taken last
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
