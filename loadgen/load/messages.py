"""What the processes of a run tell one another, and the memory that a sender shares with its clerk."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from loadgen.plan import Plan
from loadgen.truth.ledger import Ending, Mistake
from loadgen.wire.requests import HEAD_BYTES, PRICE_BYTES

from .recorder import Latencies

SLOTS: Final = 64
"""Bodies made ahead, by all symbols of a sender together: at 1,500 batches a second, 40 ms of them."""

LEAST_SLOTS: Final = 3
"""Bodies made ahead of one symbol: two in flight where requests overlap, and one to follow."""


class Bodies:
    """Memory for requests that were made ahead, so many slots a symbol. Shared with the process that is forked.

    Batch ``seq`` of a symbol stands in slot ``seq % slots``.
    """

    def __init__(self, plan: Plan, symbols: int) -> None:
        self.slots = max(LEAST_SLOTS, SLOTS // symbols)
        self._size = HEAD_BYTES + PRICE_BYTES * plan.sizes.most
        self._memory = memoryview(mmap.mmap(-1, max(1, symbols * self.slots * self._size)))

    def room(self, symbol: int, seq: int) -> memoryview:
        """The memory of a batch, to be written or sent."""
        begin = (symbol * self.slots + seq % self.slots) * self._size
        return self._memory[begin : begin + self._size]


class Share(NamedTuple):
    """What one sender and its clerk are given of a run.

    Args:
        places: of their symbols, in the plan.
        starts: how many prices each of those holds already, nothing if unknown.
        connections: how many to open; ``None`` for one a lane.
        bodies: memory that the two share.
        stop: a byte shared with the parent; not zero means stop now.
    """

    places: Sequence[int]
    starts: Sequence[int | None]
    connections: int | None
    bodies: Bodies
    stop: memoryview


class Made(NamedTuple):
    """Clerk to sender: a body is ready. ``symbol`` is its place among the sender's symbols."""

    symbol: int
    seq: int
    length: int
    prices: int


class Ended(NamedTuple):
    """Sender to clerk: a batch was answered, or lost, as ``Ledger.ended`` has it. Its slot is free."""

    symbol: int
    seq: int
    sent: int
    status: int
    body: bytes


class Polled(NamedTuple):
    """Sender to clerk: a poll was answered. The fields are those of ``ledger.Poll``."""

    symbol: int
    k: int
    ended: int
    sent: int
    status: int
    body: bytes


@dataclass
class SenderState:
    """Sender to parent, at the end: how the sender itself has fared. Times in seconds.

    Args:
        lags: of the open model's requests, how late each was sent for the generator's own reasons; see ``sender``.
        starved: how long producers waited for a body, all of them together.
        lanes: how many requests could be in flight at once.
        cpu: processor time used; ``waited`` for a processor that was busy with others.
        lost: why the run ended early, if it did.
    """

    lags: Latencies
    starved: float
    lanes: int
    elapsed: float
    cpu: float
    waited: float
    failures: dict[str, int] = field(default_factory=dict)
    lost: str | None = None


@dataclass
class ClerkState:
    """Clerk to parent, once a second and at the end: what was judged, and how the clerk has fared."""

    right: int
    unchecked: int
    wrong: int
    backlog: int
    cpu: float
    mistakes: list[tuple[int, Mistake]] = field(default_factory=list)
    endings: list[list[Ending]] = field(default_factory=list)
    final: bool = False
