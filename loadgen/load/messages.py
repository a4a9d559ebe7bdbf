"""What the processes of a run tell one another, and the memory that a sender shares with its clerk.

To wake a process on another processor costs up to 100 µs, more than making a body does. So the clerk puts what is ready
into shared memory, where the sender looks for it, and wakes the sender only where that says that it waits. The sender
tells of answers many at a time, as plain tuples, which ``marshal`` writes and reads several times quicker than pickle
does objects.
"""

from __future__ import annotations

import marshal
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from loadgen.plan import Plan
from loadgen.truth.ledger import Ending, Mistake
from loadgen.wire.requests import HEAD_BYTES, PRICE_BYTES

from .recorder import Latencies

SLOTS_BYTES: Final = 16 << 20
LEAST_AHEAD: Final = 64
MOST_AHEAD: Final = 1_024
"""Bodies made ahead, by all symbols of a sender together: what goes into so much memory, within these bounds."""

LEAST_SLOTS: Final = 3
"""Bodies made ahead of one symbol: two in flight where requests overlap, and one to follow."""

WORD: Final = 8
"""Slots begin at multiples of it, as numpy likes its memory."""

_TOLD, _HEARD, _HUNGRY, _READY = range(4)


class Made(NamedTuple):
    """A request that is ready, and how many prices are in it."""

    request: memoryview
    prices: int


class Bodies:
    """Memory for requests that were made ahead, so many slots a symbol, shared by a sender and its clerk.

    Batch ``seq`` of a symbol stands in slot ``seq % slots``. Each word is written by one of the two: what a slot holds
    first, and then how many batches are ready, by the clerk.
    """

    def __init__(self, plan: Plan, symbols: int) -> None:
        self._size = (HEAD_BYTES + PRICE_BYTES * plan.sizes.most) // WORD * WORD + WORD
        ahead = min(MOST_AHEAD, max(LEAST_AHEAD, SLOTS_BYTES // self._size))
        self.slots = max(LEAST_SLOTS, ahead // symbols)
        self._memory = memoryview(mmap.mmap(-1, max(1, symbols * self.slots * self._size)))
        words = _READY + symbols + 3 * symbols * self.slots
        self._board = memoryview(mmap.mmap(-1, words * WORD)).cast("q")
        self._slots = _READY + symbols  # where the board says what is in the slots

    def room(self, symbol: int, seq: int) -> memoryview:
        """The memory of a batch."""
        begin = (symbol * self.slots + seq % self.slots) * self._size
        return self._memory[begin : begin + self._size]

    def publish(self, symbol: int, seq: int, begin: int, end: int, prices: int) -> None:
        """The clerk: a request is ready in its room, from ``begin`` to ``end``."""
        place = self._slots + 3 * (symbol * self.slots + seq % self.slots)
        self._board[place], self._board[place + 1], self._board[place + 2] = begin, end, prices
        self._board[_READY + symbol] = seq + 1

    def ready(self, symbol: int) -> int:
        """How many batches of a symbol have been made so far."""
        return self._board[_READY + symbol]

    def made(self, symbol: int, seq: int) -> Made:
        """The sender: a batch that is ready."""
        place = self._slots + 3 * (symbol * self.slots + seq % self.slots)
        return Made(self.room(symbol, seq)[self._board[place] : self._board[place + 1]], self._board[place + 2])

    @property
    def hungry(self) -> bool:
        """Whether the sender waits for bodies, and is to be woken."""
        return bool(self._board[_HUNGRY])

    @hungry.setter
    def hungry(self, waits: bool) -> None:
        self._board[_HUNGRY] = waits

    @property
    def told(self) -> int:
        """How many messages the sender has sent to the clerk."""
        return self._board[_TOLD]

    @told.setter
    def told(self, messages: int) -> None:
        self._board[_TOLD] = messages

    @property
    def heard(self) -> int:
        """How many of the sender's messages the clerk has read."""
        return self._board[_HEARD]

    @heard.setter
    def heard(self, messages: int) -> None:
        self._board[_HEARD] = messages


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


class Ended(NamedTuple):
    """Sender to clerk: a batch was answered, or lost, as ``Ledger.ended`` has it. Its slot is free."""

    symbol: int
    seq: int
    sent: int
    status: int
    body: bytes


class Polled(NamedTuple):
    """Sender to clerk: polls were answered, all with the same bytes. From ``k`` on the fields of ``ledger.Poll``."""

    symbol: int
    k: int
    ended: int
    sent: int
    status: int
    body: bytes
    times: int


def tell(pipe: Connection, messages: list[Any]) -> None:
    """Send tuples of numbers and bytes; an empty list is a message, too."""
    pipe.send_bytes(marshal.dumps(messages))


def hear(pipe: Connection) -> list[Any]:
    """What ``tell`` has sent; waits for it. The other end is a process of ours.

    Raises:
        EOFError: it has gone.
    """
    heard: list[Any] = marshal.loads(pipe.recv_bytes())  # noqa: S302 - from a process that was forked from ours # nosec B302
    return heard


@dataclass
class SenderState:
    """Sender to parent, at the end: how the sender itself has fared. Times in seconds.

    Args:
        lags: of the open model's requests, how late each was sent for the generator's own reasons; see ``lane``.
        starved: how long producers waited for a body, all of them together.
        lanes: how many requests could be in flight at once.
        cpu: processor time used; ``waited`` for a processor that was busy with others.
        requests: that were answered or given up.
        lost: why the run ended early, if it did.
    """

    lags: Latencies
    starved: float
    lanes: int
    elapsed: float
    cpu: float
    waited: float
    requests: int = 0
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
