"""Deadlines and caps that the framework does not have: no client may hold on to anything for ever.

Sanic's timeouts are idle timers, which every byte sets back: a client that sends a byte a second is served for as long
as it likes. Here a whole request must arrive before a deadline, its answer must be taken before another, and only so
many connections are served at once. One sweep looks at all connections of a worker twice a second; on the way of a
request there is nothing but a comparison. See ``connection`` for what is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

from service.logs import OWN, QUIET_SECONDS, fields
from service.machine import give_back_memory

from .budget import Budget

log = logging.getLogger(OWN)

SWEEP_SECONDS: Final = 0.5
"""How late a deadline may be noticed."""

MOST_CUT: Final = 20
BREATH_SECONDS: Final = 0.02
"""A thousand connections that came together are past their deadline together. To cut one off costs some 0.3 ms, so only
so many are cut off in a row, and requests are served in between."""


@dataclass(frozen=True)
class Limits:
    """What a client may take of a worker.

    Args:
        connections: served at once; one more is refused.
        request_seconds: from the first byte of a request to its last, and for its answer to be taken.
        idle_seconds: between two requests.
        request_bytes: that all unfinished requests of the worker may hold together.
    """

    connections: int
    request_seconds: float
    idle_seconds: float
    request_bytes: int


class Swept(Protocol):
    """A connection that can be past a deadline."""

    def sweep(self, now: float) -> bool:
        """Close the connection if it is past a deadline; whether it was."""


class Sweeper:
    """Closes the connections of one worker that are past a deadline, and reports who was sent away by number."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.budget = Budget(limits.request_bytes)
        self.connections: AbstractSet[Swept] = frozenset()
        self._swollen = False
        self.refused = self.late = self.crowded_out = 0
        self._report_at = 0.0

    def start(self) -> None:
        """Sweep now and every half second from now on; call it from the event loop."""
        now = time.monotonic()
        cut = 0
        for connection in list(self.connections):
            cut += connection.sweep(now)
            if cut >= MOST_CUT:
                asyncio.get_running_loop().call_later(BREATH_SECONDS, self.start)
                return
        self._give_back()
        if now >= self._report_at and self.report():
            self._report_at = now + QUIET_SECONDS
        asyncio.get_running_loop().call_later(SWEEP_SECONDS, self.start)

    def _give_back(self) -> None:
        """Once a flood of large requests is over, return its memory to the system, which the allocator would keep."""
        if self.budget.total > self.budget.most // 4:
            self.budget.recount()
            self._swollen = True
        elif self._swollen:
            self._swollen = False
            give_back_memory()

    def report(self) -> bool:
        """Log how many were refused and closed since the last report; whether there were any."""
        refused, late, crowded_out = self.refused, self.late, self.crowded_out
        self.refused = self.late = self.crowded_out = 0
        if refused:
            log.warning(
                "refused %d connections beyond the most that are served", refused, extra=fields(refused=refused)
            )
        if late:
            log.warning("closed %d connections that were past a deadline", late, extra=fields(late=late))
        if crowded_out:
            log.warning(
                "refused %d unfinished requests for want of room",
                crowded_out,
                extra=fields(crowded_out=crowded_out),
            )
        return refused + late + crowded_out > 0
