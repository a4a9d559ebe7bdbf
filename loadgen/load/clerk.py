"""The process behind a sender: makes its bodies before they are due, and judges the answers when there is time.

The sender waits for nothing but bodies, so those come first, unless so many answers have piled up that memory would go:
then they come first, and the producers get to wait. That shows as starvation in the sender's report.
"""

from __future__ import annotations

import select
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Final

from loadgen.plan import Plan
from loadgen.prices import Batches
from loadgen.truth.ledger import Ledger, Mistake, Poll
from loadgen.truth.oracle import BYTES_PER_PRICE
from loadgen.wire.requests import batch_request

from .messages import ClerkState, Ended, Made, Polled, Share

MOST_PILED: Final = 5_000
"""Answers that may wait to be judged: at most a second's work, and a megabyte."""

TOGETHER: Final = 4
"""Bodies told to the sender at once, as long as more are being made: each message wakes it, which costs as much as
making a third of a body."""

REPORT_SECONDS: Final = 0.5
MOST_MISTAKES: Final = 20
"""Wrong answers that are described; the rest are counted."""


class Clerk:
    """The clerk of one sender.

    Args:
        plan: the run's.
        share: this clerk's part of it.
        sender, parent: ends of pipes.
    """

    def __init__(self, plan: Plan, share: Share, sender: Connection, parent: Connection) -> None:
        symbols = len(share.places)
        self._plan = plan
        self._names = [plan.symbols[place] for place in share.places]
        self._streams = [Batches(plan.prices, plan.seed, place, plan.sizes, plan.once) for place in share.places]
        capacity = int(plan.oracle_bytes / len(plan.symbols) / BYTES_PER_PRICE) if plan.verify else 0
        self._ledgers = [Ledger(name, capacity, start) for name, start in zip(self._names, share.starts, strict=True)]
        self._places = share.places
        self._bodies = share.bodies
        self._sender = sender
        self._parent = parent
        self._inbox = select.poll()  # a Connection's own poll() costs 50 µs, this one 1 µs
        self._inbox.register(sender.fileno(), select.POLLIN)
        self._made: list[Made] = []  # not yet told to the sender
        self._next = [0] * symbols  # the batch to make next, by symbol
        self._in_use: list[set[int]] = [set() for _ in share.places]  # batches that are made and not answered
        self._events: deque[Ended | Polled] = deque()
        self._described: list[tuple[int, Mistake]] = []
        self._open = plan.produces
        self._reported = 0.0

    def run(self) -> None:
        """Work until the sender says that no more will come, and what has come is judged."""
        listening = True
        while listening or self._events:
            if listening and self._inbox.poll(0 if self._busy() else REPORT_SECONDS * 1_000):
                listening = self._hear()
            elif len(self._events) < MOST_PILED and self._make():
                self._hand_over(TOGETHER)
            else:
                self._hand_over(1)
                self._judge_one()
            self._report_now_and_then()
        for ledger in self._ledgers:
            ledger.close()
        self._report(final=True)

    def _busy(self) -> bool:
        return bool(self._events) or self._due() is not None

    def _hear(self) -> bool:
        """Take in what the sender tells, and tell it to go on; whether there will be more."""
        events = self._sender.recv()
        if events is None:
            self._open = False
            self._sender.close()
            return False
        self._sender.send(None)
        for event in events:
            if isinstance(event, Ended):
                self._in_use[event.symbol].discard(event.seq)
        if self._plan.verify:
            self._events.extend(events)
        return True

    def _due(self) -> int | None:
        """The symbol that has the fewest bodies ready, of those with a free slot for the next one."""
        if not self._open:
            return None
        slots = self._bodies.slots
        free = [
            symbol
            for symbol, (seq, in_use) in enumerate(zip(self._next, self._in_use, strict=True))
            if seq != self._plan.batches and seq - slots not in in_use
        ]
        return min(free, key=lambda symbol: len(self._in_use[symbol]), default=None)

    def _make(self) -> bool:
        """Make one body, if there is room for any; whether there was."""
        symbol = self._due()
        if symbol is None:
            return False
        seq = self._next[symbol]
        prices = self._streams[symbol].take()
        request = batch_request(self._plan.target, self._names[symbol], prices, self._plan.wire)
        self._bodies.room(symbol, seq)[: len(request)] = request
        if self._plan.verify:
            self._ledgers[symbol].prepared(seq, prices)
        self._next[symbol] += 1
        self._in_use[symbol].add(seq)
        self._made.append(Made(symbol, seq, len(request), len(prices)))
        return True

    def _hand_over(self, least: int) -> None:
        """Tell the sender which bodies are ready, if they are at least so many."""
        if self._open and len(self._made) >= least:
            self._sender.send(self._made)
            self._made = []

    def _judge_one(self) -> None:
        if not self._events:
            return
        event = self._events.popleft()
        ledger = self._ledgers[event.symbol]
        if isinstance(event, Ended):
            ledger.ended(*event[1:])
        else:
            ledger.answered(Poll(*event[1:]))
        for mistake in ledger.mistakes:
            if len(self._described) < MOST_MISTAKES:
                self._described.append((self._places[event.symbol], mistake))
        ledger.mistakes.clear()

    def _report_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._reported > REPORT_SECONDS:
            self._reported = now
            self._report(final=False)

    def _report(self, final: bool) -> None:
        plan = self._plan
        tallies = [ledger.tally for ledger in self._ledgers]
        self._parent.send(
            ClerkState(
                right=sum(tally.right for tally in tallies),
                unchecked=sum(tally.unchecked for tally in tallies),
                wrong=sum(tally.wrong for tally in tallies),
                backlog=len(self._events),
                cpu=time.process_time(),
                mistakes=self._described if final else [],
                endings=[ledger.endings(plan.windows) for ledger in self._ledgers] if final and plan.endings else [],
                final=final,
            )
        )
