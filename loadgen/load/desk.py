"""The sender's side of its clerk: requests that are ready, lanes that wait for one, and answers to be told."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final

from .lane import NEVER, Lane
from .messages import Bodies, Ended, Made, Polled, tell

MOST_TOLD: Final = 256
"""Events told at once: less than a pipe holds, so that telling never waits."""

LOOK_NANOSECONDS: Final = 2_000_000
"""A sender that waits for a body looks again after so long, should the clerk have missed that it waits."""

AT_ONCE: Final = 128
TELL_NANOSECONDS: Final = 5_000_000
"""Events are gathered until there are so many, or for this long: a body's slot is free again soon enough, and to wake a
process on another processor costs up to 80 µs, as much as making a body does."""

_TIMES: Final = Polled._fields.index("times")


class Desk:
    """What goes to and fro between a sender and its clerk.

    Args:
        clerk: this end of the pipe.
        bodies: memory that the two share.
        symbols: how many they have.
    """

    def __init__(self, clerk: Pipe, bodies: Bodies, symbols: int) -> None:
        self.fileno = clerk.fileno()
        self.starved = 0  # ns that lanes have waited for bodies
        self.hungry: dict[int, deque[Lane]] = {}  # lanes that wait for bodies, by symbol
        self._clerk = clerk
        self._bodies = bodies
        self._taken = [0] * symbols
        self._events: list[list[Any] | Ended] = []
        self._newest: dict[tuple[int, int], list[Any]] = {}  # of the events that may repeat, by symbol and window
        self._told = 0

    def await_bodies(self, ahead: int) -> None:
        """Wait until so many are ready for each symbol."""
        while any(self._bodies.ready(symbol) < ahead for symbol in range(len(self._taken))):
            time.sleep(LOOK_NANOSECONDS / 1e9)

    def woken(self) -> None:
        """The clerk has made what was waited for; ``feed`` finds it.

        Raises:
            EOFError: it has gone.
        """
        self._clerk.recv_bytes()

    def want(self, lane: Lane, now: int) -> None:
        """A lane waits for its symbol's next body."""
        lane.hungry = now
        self.hungry.setdefault(lane.symbol, deque()).append(lane)

    def feed(self, symbol: int, now: int) -> tuple[Lane, Made] | None:
        """The lane that has waited longest, and its body, if there are both; otherwise the clerk is asked to hurry."""
        if symbol not in self.hungry:
            return None
        seq = self._taken[symbol]
        if self._bodies.ready(symbol) <= seq:
            self._bodies.hungry = True  # if it has been made just now, the sender looks again soon
            return None
        lanes = self.hungry[symbol]
        lane = lanes.popleft()
        if not lanes:
            del self.hungry[symbol]
        lane.seq = seq
        self._taken[symbol] = seq + 1
        self.starved += now - lane.hungry
        return lane, self._bodies.made(symbol, seq)

    def ended(self, event: Ended) -> None:
        """Note the end of a batch. O(1)."""
        self._events.append(event)

    def polled(self, lane: Lane, sent: int, status: int, body: bytes) -> None:
        """Note the answer to a poll; one that repeats the last to its question, in the same state, is counted. O(1)."""
        key = lane.symbol, lane.seq
        event = [*key, lane.ended, sent, status, body]
        newest = self._newest.get(key)
        if newest is not None and newest[:_TIMES] == event:
            newest[_TIMES] += 1
        else:
            event.append(1)
            self._newest[key] = event
            self._events.append(event)

    def due(self, now: int) -> int:
        """When to look at the clock for the clerk's sake."""
        if self.hungry:
            return now + LOOK_NANOSECONDS
        if not self._events or self._bodies.told != self._bodies.heard:
            return NEVER
        return now if len(self._events) >= AT_ONCE else max(now, self._told + TELL_NANOSECONDS)

    def tell_if_due(self, now: int) -> None:
        """Tell the clerk what has gathered, if it is time and it has read what it was told."""
        due = len(self._events) >= AT_ONCE or now >= self._told + TELL_NANOSECONDS
        if due and self._events and self._bodies.told == self._bodies.heard:
            self._tell(now)

    def _tell(self, now: int) -> None:
        told = self._events[:MOST_TOLD]
        del self._events[:MOST_TOLD]
        self._newest.clear()
        tell(self._clerk, [tuple(event) for event in told])
        self._bodies.told += 1
        self._told = now

    def farewell(self) -> None:
        """Tell all that is left, then that it was all, and wait until the clerk has heard."""
        while self._events:
            self._tell(0)
        tell(self._clerk, [])
        self._bodies.told += 1
        with suppress(EOFError):
            while True:  # it may have been about to wake this process
                self._clerk.recv_bytes()
