"""The process that owns the sockets and the clock: sends what is due, times the answers, and hands them to its clerk.

One loop, no threads. A round reads every socket that has something and notes the time right after each read; only then
are the answers looked at, so that one answer's handling is not in the next one's latency. ``Pool`` has the connections,
``Desk`` the clerk, ``Seen`` what is counted, ``Sleep`` the clock; what is left here is who sends what next.
"""

from __future__ import annotations

import heapq
import math
import select
import time
from collections import deque
from http import HTTPStatus
from itertools import cycle
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from loadgen.plan import Plan
from loadgen.truth.ledger import CUT, GIVEN_UP
from loadgen.wire.client import Connection, ProtocolError
from loadgen.wire.requests import stats_request

from .desk import Desk
from .lane import NEVER, SECOND, Lane, Pace, choose
from .messages import Ended, SenderState, Share
from .pool import READABLE, RETRY_NANOSECONDS, WRITABLE, Pool
from .recorder import BATCH, STATS, Seen

OVERLAPPING: Final = 2
"""Lanes of each kind of request where requests of a symbol overlap: the least that makes both kinds meet their own."""

LONGEST_SLEEP_NANOSECONDS: Final = 50_000_000
"""A look at the clock now and then: for the end, for the parent's stop, for requests that take too long."""

GAP_NANOSECONDS: Final = 5_000_000
"""A sleep or a round that takes so much longer than it should is no scheduler's hiccup: somebody stopped the process,
or the machine is too busy to measure anything on."""

NO_ANSWER: Final = "no answer"
"""How the reason begins for which a request is given up whose connection still stands."""

TIMER_SLACK: Final = Path("/proc/self/timerslack_ns")
"""How late the kernel may wake this process: 50 µs by default, which would be in every open-model latency."""


class Sleep:
    """Waits for answers and moments, and notes how long in all this process stood still though it should have run."""

    def __init__(self, epoll: select.epoll) -> None:
        self.stood_still = 0
        self._epoll = epoll
        self._woke = time.monotonic_ns()

    def begin(self) -> None:
        """What was before does not count."""
        self._woke = time.monotonic_ns()

    def until(self, now: int, due: int, precise: bool) -> list[tuple[int, int]]:
        """What is ready, at ``due`` at the latest.

        ``epoll`` counts in ms, ``select`` in ns: what has a moment of its own is waited for with ``select``, and the
        second call that this takes is spared where answers alone decide.
        """
        self._mind_the_gap(now, self._woke)
        if precise:
            ready = self._epoll.poll(0)
            if not ready and due > now:
                select.select([self._epoll], [], [], (due - now) / SECOND)
                ready = self._epoll.poll(0)
        else:
            ready = self._epoll.poll((due - now) / SECOND)
        self._woke = time.monotonic_ns()
        self._mind_the_gap(self._woke, due)
        return ready

    def _mind_the_gap(self, now: int, expected: int) -> None:
        if now - expected > GAP_NANOSECONDS:
            self.stood_still += now - expected


class Sender:
    """The sender of one share of the symbols.

    Args:
        plan: the run's.
        share: this sender's part of it.
        clerk, parent: ends of pipes.
    """

    def __init__(self, plan: Plan, share: Share, clerk: Pipe, parent: Pipe) -> None:
        symbols = len(share.places)
        self._plan = plan
        self._share = share
        self._parent = parent
        self._pool = Pool(plan.target)
        self._desk = Desk(clerk, share.bodies, symbols)
        self._seen = Seen(-math.ceil(plan.warmup))
        self._sleep = Sleep(self._pool.epoll)
        self._pool.epoll.register(self._desk.fileno, READABLE)
        self._polls = [
            cycle([(k, stats_request(plan.target, plan.symbols[place], k)) for k in plan.windows])
            for place in share.places
        ]
        self._sent = [0] * symbols
        self._ended = [0] * symbols
        self._asleep: list[tuple[int, int, Lane]] = []  # lanes that wait for their time
        self._queue: deque[Lane] = deque()  # lanes that wait for a connection
        self._flying: dict[int, Lane] = {}  # by file number
        self._broken: deque[tuple[Lane, Connection, str]] = deque()  # requests that are to be given up, and why
        self._refused = False  # whether the last that was heard of the service was a broken connection
        self._resends = plan.exactly_once  # whether a batch is sent again that may not be in
        self._answered = 0  # the moment of the last answer
        self._start = self._end = self._measure = 0
        self._scan = 0  # when to look for requests that have taken too long

    def run(self) -> None:
        """Wait for the parent's word, send until the end, report."""
        if TIMER_SLACK.exists():
            TIMER_SLACK.write_text("1")
        plan, bodies = self._plan, self._share.bodies
        if plan.produces:
            self._desk.await_bodies(bodies.slots if plan.batches is None else min(plan.batches, bodies.slots))
        self._parent.send(None)
        self._start = self._answered = self._parent.recv()
        self._measure = self._start + int(plan.warmup * SECOND)
        self._end = self._measure + int(plan.seconds * SECOND)
        lanes = self._make_lanes()
        for _ in range(self._share.connections or len(lanes)):
            self._pool.give(self._pool.open())
        time.sleep(max(0, self._start - time.monotonic_ns()) / SECOND)
        self._sleep.begin()
        for lane in lanes:
            self._next(lane)
        cpu, waited = time.process_time(), _waited()
        while (lost := self._lost()) is None and self._going():
            self._round()
        self._parent.send(self._seen.take())
        now = time.monotonic_ns()
        self._resends = False
        for lane in self._queue:
            if lane.kind == BATCH and lane.seq < self._sent[lane.symbol]:  # to be sent again
                self._desk.ended(Ended(lane.symbol, lane.seq, self._sent[lane.symbol], GIVEN_UP, b""))
        for lane in list(self._flying.values()):
            self._failed(lane, f"{NO_ANSWER} before the end", now, GIVEN_UP)
        self._desk.farewell()
        self._parent.send(
            SenderState(
                self._seen.lags(),
                self._desk.starved / SECOND,
                len(lanes),
                (now - self._measure) / SECOND,
                time.process_time() - cpu,
                _waited() - waited,
                self._seen.requests,
                self._seen.failures,
                lost,
            )
        )

    def _make_lanes(self) -> list[Lane]:
        plan = self._plan
        lanes = []
        for symbol, place in enumerate(self._share.places):
            phase = place / len(plan.symbols)
            batches = Pace(plan.rate.per_second, self._start, phase, plan.batches)
            polls = Pace(plan.poll_rate.per_second, self._start, phase)
            due = [(kind, pace) for kind, pace in ((BATCH, batches), (STATS, polls)) if pace.due != NEVER]
            if plan.overlap:
                lanes += [Lane(symbol, [one]) for one in due for _ in range(OVERLAPPING)]
            elif due:
                lanes.append(Lane(symbol, due))
        return lanes

    # -- the loop

    def _lost(self) -> str | None:
        """Why the service counts as gone, if it does."""
        if self._refused and time.monotonic_ns() - self._answered > self._plan.gone * SECOND:
            return f"the service has not answered for {self._plan.gone:g} s"
        return None

    def _going(self) -> bool:
        """Whether there is more to do."""
        now = time.monotonic_ns()
        if now < self._end and not self._share.stop[0] and not self._exhausted():
            return True
        self._end = min(self._end, now)
        grace = int(self._plan.timeout * SECOND)
        return bool(self._flying or self._queue) and now < self._end + grace

    def _exhausted(self) -> bool:
        """Whether every batch there was to send has been answered: that ends a run which has a number of them."""
        batches = self._plan.batches
        return batches is not None and self._plan.produces and all(ended >= batches for ended in self._ended)

    def _round(self) -> None:
        """Wait until something can be done, and do it."""
        now = time.monotonic_ns()
        due = min(now + LONGEST_SLEEP_NANOSECONDS, self._desk.due(now))
        if self._asleep and self._asleep[0][0] < due:
            due = max(now, self._asleep[0][0])
        arrived: list[tuple[Lane, bytes, int]] = []
        for number, event in self._sleep.until(now, due, bool(self._asleep)):
            lane = self._flying.get(number)
            if lane is None or lane.connection is None:
                self._other(number)
                continue
            try:
                if event & WRITABLE and lane.connection.send_rest():
                    self._pool.watch(number, False)
                if event & ~WRITABLE:
                    arrived.append((lane, lane.connection.receive(), time.monotonic_ns()))
            except OSError as error:
                self._broken.append((lane, lane.connection, _reason(error)))
        for lane, received, at in arrived:
            self._received(lane, received, at)
        self._keep_time(time.monotonic_ns())

    def _other(self, number: int) -> None:
        """The clerk has something to say, or an idle connection was closed."""
        if number == self._desk.fileno:
            self._desk.woken()
        else:
            self._pool.drop_idle(number, time.monotonic_ns())

    def _keep_time(self, now: int) -> None:
        """Whatever the clock alone brings about."""
        while self._asleep and self._asleep[0][0] <= now:
            self._next(heapq.heappop(self._asleep)[2])
        for symbol in [*self._desk.hungry]:
            self._feed(symbol)
        self._desk.tell_if_due(now)
        if now >= self._scan:
            self._scan = now + SECOND // 10
            oldest = now - int(self._plan.timeout * SECOND)
            for lane in [lane for lane in self._flying.values() if lane.sent < oldest]:
                self._failed(lane, f"{NO_ANSWER} within {self._plan.timeout:g} s", now, GIVEN_UP)
        if self._measure + (self._seen.second + 1) * SECOND <= now < self._end:
            self._parent.send(self._seen.take())  # what comes after the end belongs to the last second
        while self._broken:
            lane, connection, reason = self._broken.popleft()
            if lane.connection is connection:  # not if it was given up already
                self._failed(lane, reason, now)
        for connection in self._pool.reopened(now):
            self._release(connection)

    # -- lanes

    def _next(self, lane: Lane) -> None:
        """Have a lane do what is due, or sleep until something is."""
        now = time.monotonic_ns()
        if now >= self._end or self._share.stop[0]:
            return
        place = choose(lane.paces, now, lane.last)
        if place is None:
            due = min(pace.due for pace in lane.paces)
            if due != NEVER:
                heapq.heappush(self._asleep, (due, id(lane), lane))
            return
        lane.begin(place, now)
        if lane.kind == STATS:
            lane.seq, request = next(self._polls[lane.symbol])
            self._send(lane, request)
        else:
            self._desk.want(lane, now)
            self._feed(lane.symbol)

    def _feed(self, symbol: int) -> None:
        """Give the bodies that are ready to the lanes that wait for them."""
        while fed := self._desk.feed(symbol, time.monotonic_ns()):
            lane, made = fed
            lane.prices = made.prices
            self._send(lane, made.request)

    def _send(self, lane: Lane, request: bytes | memoryview) -> None:
        """Send a request, or queue it until a connection is free. So batches go out in their order."""
        lane.request = request
        connection = self._pool.take()
        if connection is not None:
            self._transmit(lane, connection)
        else:
            self._queue.append(lane)

    def _transmit(self, lane: Lane, connection: Connection) -> None:
        lane.connection = connection
        lane.ended = self._ended[lane.symbol]
        if lane.kind == BATCH:
            self._sent[lane.symbol] = lane.seq + 1  # as before, if it is sent again
        self._flying[connection.fileno] = lane
        lag = lane.depart(time.monotonic_ns(), self._sleep.stood_still)
        if lag is not None:
            self._seen.lagged(lag)
        try:
            if not connection.send(lane.request):
                self._pool.watch(connection.fileno, True)
        except OSError as error:
            self._broken.append((lane, connection, _reason(error)))

    def _received(self, lane: Lane, received: bytes, at: int) -> None:
        """Take in a part of an answer; if it is the last part, go on with the lane's next request."""
        connection = lane.connection
        if connection is None:
            return
        try:
            response = connection.answer(received)
        except ProtocolError as error:
            self._broken.append((lane, connection, str(error)))
            return
        if response is None:
            if connection.blocked:  # what came was the end of a handshake, and let the request go
                self._pool.watch(connection.fileno, True)
            return
        self._answered = at
        self._refused = False
        if lane.meant >= self._measure:
            self._seen.timed(lane.kind, at - lane.meant, at - lane.sent)
        again = self._finish(lane, connection, response.status, response.body, at)
        if response.last or again:
            self._pool.discard(connection, at + RETRY_NANOSECONDS * again)
        else:
            self._release(connection)
        self._go_on(lane, again)

    def _failed(self, lane: Lane, reason: str, now: int, status: int = CUT) -> None:
        """Give a request up: the connection broke, or the time is over."""
        connection = lane.connection
        if connection is None:
            return
        self._seen.failed(reason)
        again = self._finish(lane, connection, status, b"", now)
        self._refused = True
        self._pool.discard(connection, now + RETRY_NANOSECONDS)
        self._go_on(lane, again)

    def _go_on(self, lane: Lane, again: bool) -> None:
        """Send a lane's request again, or have it do what is next."""
        if again:
            self._send(lane, lane.request)
        else:
            self._next(lane)

    def _finish(self, lane: Lane, connection: Connection, status: int, body: bytes, at: int) -> bool:
        """Count an answer, or the lack of one, and note it for the clerk, unless it is to be sent again: whether it is.

        What lacks an answer, or failed on the service's side, is sent again if it is a batch that is in only once.
        """
        symbol = lane.symbol
        again = self._resends and lane.kind == BATCH and not 0 < status < HTTPStatus.INTERNAL_SERVER_ERROR
        del self._flying[connection.fileno]
        if lane.kind == STATS:
            self._seen.ended(STATS, max(0, status), 0)
            if self._plan.verify and status > 0:
                self._desk.polled(lane, self._sent[symbol], status, body)
        else:
            self._seen.ended(BATCH, max(0, status), lane.prices)
            if not again:
                self._ended[symbol] += 1
                self._desk.ended(Ended(symbol, lane.seq, self._sent[symbol], status, body))
        lane.arrive(at, self._sleep.stood_still)
        return again

    def _release(self, connection: Connection) -> None:
        """Give a connection to the lane that has waited longest, or keep it for the next."""
        if self._queue:
            lane = self._queue.popleft()
            lane.free = max(lane.free, time.monotonic_ns())  # it was not the generator that made it wait
            self._transmit(lane, connection)
        else:
            self._pool.give(connection)


def _reason(error: OSError) -> str:
    """Why a connection broke, in few words, the same for all that broke alike."""
    return error.strerror or str(error)


def _waited() -> float:
    """Seconds that this process was ready to run while the processors were busy with others."""
    path = Path("/proc/self/schedstat")
    return int(path.read_text().split()[1]) / SECOND if path.exists() else 0.0
