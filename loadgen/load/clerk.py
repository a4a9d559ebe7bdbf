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
from loadgen.wire.requests import write_batch

from .messages import ClerkState, Ended, Polled, Share, hear

MOST_PILED: Final = 5_000
"""Answers that may wait to be judged: at most a second's work, and a megabyte."""

TOGETHER: Final = 8
"""Bodies for which a sender that waits is woken, as long as more are being made."""

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
        ticks = plan.prices == "walk"
        capacity = int(plan.oracle_bytes / len(plan.symbols) / BYTES_PER_PRICE[ticks])
        if not (plan.verify and (plan.polls or plan.endings)):
            capacity = 0  # receipts tell of counts alone
        self._ledgers = [
            Ledger(name, capacity, start, ticks) for name, start in zip(self._names, share.starts, strict=True)
        ]
        self._places = share.places
        self._bodies = share.bodies
        self._sender = sender
        self._parent = parent
        self._inbox = select.poll()  # a Connection's own poll() costs 50 µs, this one 1 µs
        self._inbox.register(sender.fileno(), select.POLLIN)
        self._made = 0  # bodies since the sender was woken
        self._turn = 0  # the symbol to make a body of next
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
            if listening and self._spoken_to():
                listening = self._hear()
            elif len(self._events) < MOST_PILED and self._make():
                self._wake(TOGETHER)
            else:
                self._wake(1)
                self._judge_one()
            self._report_now_and_then()
        for ledger in self._ledgers:
            ledger.close()
        self._report(final=True)

    def _spoken_to(self) -> bool:
        """Whether the sender has told something; waits for it, for a while, if there is nothing else to do."""
        if self._bodies.told > self._bodies.heard:
            return True
        idle = not self._events and self._due() is None
        return idle and bool(self._inbox.poll(REPORT_SECONDS * 1_000))

    def _hear(self) -> bool:
        """Take in what the sender tells; whether there will be more."""
        heard = hear(self._sender)
        self._bodies.heard += 1
        if not heard:
            self._open = False
            self._sender.close()
            return False
        events = [Polled(*one) if len(one) == len(Polled._fields) else Ended(*one) for one in heard]
        for event in events:
            if isinstance(event, Ended):
                self._in_use[event.symbol].discard(event.seq)
        if self._plan.verify:
            self._events.extend(events)
        return True

    def _due(self) -> int | None:
        """The next symbol in turn with a free slot for its next body. O(1) as long as there are any."""
        symbols, slots = len(self._next), self._bodies.slots
        for step in range(symbols if self._open else 0):
            symbol = (self._turn + step) % symbols
            seq = self._next[symbol]
            if seq != self._plan.batches and seq - slots not in self._in_use[symbol]:
                return symbol
        return None

    def _make(self) -> bool:
        """Make one body, if there is room for any; whether there was."""
        symbol = self._due()
        if symbol is None:
            return False
        seq = self._next[symbol]
        batch = self._streams[symbol].take()
        room = self._bodies.room(symbol, seq)
        begin, end = write_batch(room, self._plan, self._names[symbol], batch)
        if self._plan.verify:
            self._ledgers[symbol].prepared(seq, batch.kept)
        self._turn = symbol + 1
        self._next[symbol] += 1
        self._in_use[symbol].add(seq)
        self._bodies.publish(symbol, seq, begin, end, len(batch))
        self._made += 1
        return True

    def _wake(self, least: int) -> None:
        """Wake the sender, if it waits for bodies and at least so many are new."""
        if self._made >= least and self._bodies.hungry and self._open:
            self._bodies.hungry = False
            self._made = 0
            self._sender.send_bytes(b"")

    def _judge_one(self) -> None:
        if not self._events:
            return
        event = self._events.popleft()
        ledger = self._ledgers[event.symbol]
        if isinstance(event, Ended):
            ledger.ended(event.seq, event.sent, event.status, event.body)
        else:
            ledger.answered(Poll(event.k, event.ended, event.sent, event.status, event.body, event.times))
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
