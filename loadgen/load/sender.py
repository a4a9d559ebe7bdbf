"""The process that owns the sockets and the clock: sends what is due, times the answers, and hands them to its clerk.

One loop, no threads. A round reads every socket that has something and notes the time right after each read; only then
are the answers looked at, so that one answer's handling is not in the next one's latency.
"""

from __future__ import annotations

import heapq
import math
import select
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from loadgen.plan import Plan
from loadgen.truth.ledger import CUT, GIVEN_UP
from loadgen.wire.client import Connection, ProtocolError, open_connection
from loadgen.wire.requests import stats_request

from .lane import NEVER, SECOND, Lane, Pace, choose
from .messages import Ended, Made, Polled, SenderState, Share
from .recorder import BATCH, STATS, Seen

OVERLAPPING: Final = 2
"""Lanes of each kind of request where requests of a symbol overlap: the least that makes both kinds meet their own."""

MOST_TOLD: Final = 256
"""Events told to the clerk at once: less than a pipe holds, so that telling never waits."""

TELL_NANOSECONDS: Final = 2_000_000
"""Events are gathered this long before they are told: a body's slot is free again soon enough, and a pickle of many
costs a tenth of many pickles."""

LONGEST_SLEEP_NANOSECONDS: Final = 50_000_000
"""A look at the clock now and then: for the end, for the parent's stop, for requests that take too long."""

GAP_NANOSECONDS: Final = 5_000_000
"""A sleep or a round that takes so much longer than it should is no scheduler's hiccup: somebody stopped the process,
or the machine is too busy to measure anything on."""

RETRY_NANOSECONDS: Final = 50_000_000
"""Before a connection that broke is opened again: a service that is gone must not cost a processor."""

NO_ANSWER: Final = "no answer"
"""How the reason begins for which a request is given up whose connection still stands."""

TIMER_SLACK: Final = Path("/proc/self/timerslack_ns")
"""How late the kernel may wake this process: 50 µs by default, which would be in every open-model latency."""


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
        self._places = share.places
        self._bodies = share.bodies
        self._clerk = clerk
        self._parent = parent
        self._stop = share.stop
        self._epoll = select.epoll()
        self._epoll.register(clerk.fileno(), select.EPOLLIN)
        self._requests = [
            {k: stats_request(plan.target, plan.symbols[place], k) for k in plan.windows} for place in share.places
        ]
        self._turns = [0] * symbols  # polls sent, by symbol: takes the windows in turn
        self._sent = [0] * symbols
        self._ended = [0] * symbols
        self._made: list[deque[Made]] = [deque() for _ in share.places]
        self._hungry: list[deque[Lane]] = [deque() for _ in share.places]  # lanes that wait for a body
        self._asleep: list[tuple[int, int, Lane]] = []  # lanes that wait for their time
        self._queue: deque[Lane] = deque()  # lanes that wait for a connection
        self._flying: dict[int, Lane] = {}  # by file number
        self._free: deque[Connection] = deque()
        self._connections: dict[int, Connection] = {}
        self._broken: deque[tuple[Lane, Connection, str]] = deque()  # requests that are to be given up, and why
        self._refused = False  # whether the last that was heard of the service was a broken connection
        self._closed: list[int] = []  # moments at which connections are to be opened again
        self._events: list[Ended | Polled] = []
        self._clerk_listens = True
        self._told = 0
        self._seen = Seen(-math.ceil(plan.warmup))
        self._lost: str | None = None
        self._answered = 0  # the moment of the last answer
        self._wanted = share.connections
        self._lanes: list[Lane] = []
        self._start = self._end = self._measure = 0
        self._woke = 0  # the moment at which the last sleep ended
        self._stood_still = 0  # how long in all this process did not run though it should have
        self._scan = 0  # when to look for requests that have taken too long

    def run(self) -> None:
        """Wait for the parent's word, send until the end, report."""
        if TIMER_SLACK.exists():
            TIMER_SLACK.write_text("1")
        self._prefetch()
        self._parent.send(None)
        self._start = self._answered = self._parent.recv()
        self._measure = self._start + int(self._plan.warmup * SECOND)
        self._end = self._measure + int(self._plan.seconds * SECOND)
        self._lanes = self._make_lanes()
        for _ in range(self._wanted or len(self._lanes)):
            self._open()
        time.sleep(max(0, self._start - time.monotonic_ns()) / SECOND)
        self._woke = time.monotonic_ns()
        for lane in self._lanes:
            self._next(lane)
        cpu, waited = time.process_time(), _waited()
        while self._going():
            self._round()
        self._parent.send(self._seen.take())
        now = time.monotonic_ns()
        for lane in list(self._flying.values()):
            self._failed(lane, f"{NO_ANSWER} before the end", now, GIVEN_UP)
        self._farewell()
        elapsed = (now - self._measure) / SECOND
        self._parent.send(
            SenderState(
                self._seen.lags(),
                self._seen.starved / SECOND,
                len(self._lanes),
                elapsed,
                time.process_time() - cpu,
                _waited() - waited,
                self._seen.failures,
                self._lost,
            )
        )

    # -- before and after

    def _prefetch(self) -> None:
        """Wait until the clerk has filled its slots, so that the run starts with bodies."""
        if not self._plan.produces:
            return
        limit = self._plan.batches
        ahead = self._bodies.slots if limit is None else min(limit, self._bodies.slots)
        while any(len(made) < ahead for made in self._made):
            self._hear()

    def _make_lanes(self) -> list[Lane]:
        plan = self._plan
        lanes = []
        for symbol, place in enumerate(self._places):
            phase = place / len(plan.symbols)
            batches = Pace(plan.rate.per_second, self._start, phase, plan.batches)
            polls = Pace(plan.poll_rate.per_second, self._start, phase)
            if plan.overlap:
                lanes += [Lane(symbol, [BATCH], [batches]) for _ in range(OVERLAPPING)]
                lanes += [Lane(symbol, [STATS], [polls]) for _ in range(OVERLAPPING)]
            else:
                lanes.append(Lane(symbol, [BATCH, STATS], [batches, polls]))
        return [lane for lane in lanes if any(pace.due != NEVER for pace in lane.paces)]

    def _farewell(self) -> None:
        """Tell the clerk all that is left, then that it was all."""
        while self._events:
            while not self._clerk_listens:
                self._hear()
            self._tell()
        while not self._clerk_listens:
            self._hear()
        self._clerk.send(None)
        with suppress(EOFError):
            while True:  # bodies that nobody needs any more, until the clerk has heard
                self._clerk.recv()

    # -- the loop

    def _going(self) -> bool:
        """Whether there is more to do; decides, too, that the service is gone."""
        now = time.monotonic_ns()
        if self._refused and now - self._answered > self._plan.gone * SECOND:
            self._lost = f"the service has not answered for {self._plan.gone:g} s"
            return False
        if now < self._end and not self._stop[0] and not self._exhausted():
            return True
        self._end = min(self._end, now)
        grace = int(self._plan.timeout * SECOND)
        return bool(self._flying) and now < self._end + grace

    def _exhausted(self) -> bool:
        """Whether every batch there was to send has been answered: that ends a run which has a number of them."""
        batches = self._plan.batches
        return batches is not None and self._plan.produces and all(ended >= batches for ended in self._ended)

    def _round(self) -> None:
        """Wait until something can be done, and do it."""
        ready = self._wait()
        arrived: list[tuple[Lane, bytes, int]] = []
        for number, event in ready:
            if number == self._clerk.fileno():
                self._hear()
                continue
            lane = self._flying.get(number)
            if lane is None or lane.connection is None:
                self._drop_idle(number, time.monotonic_ns())
                continue
            try:
                if event & select.EPOLLOUT and lane.connection.send_rest():
                    self._epoll.modify(number, select.EPOLLIN)
                if event & ~select.EPOLLOUT:
                    arrived.append((lane, lane.connection.receive(), time.monotonic_ns()))
            except OSError as error:
                self._broken.append((lane, lane.connection, _reason(error)))
        for lane, received, at in arrived:
            self._received(lane, received, at)
        now = time.monotonic_ns()
        self._keep_time(now)
        while self._broken:
            lane, connection, reason = self._broken.popleft()
            if lane.connection is connection:  # not if it was given up already
                self._failed(lane, reason, now)

    def _wait(self) -> list[tuple[int, int]]:
        """What is ready. Sleeps until the next thing is due.

        ``epoll`` counts in ms, ``select`` in ns: what has a moment of its own is waited for with ``select``, and the
        second call that this takes is spared where answers alone decide.
        """
        now = time.monotonic_ns()
        due = now + LONGEST_SLEEP_NANOSECONDS
        if self._events and self._clerk_listens:
            due = min(due, max(now, self._told + TELL_NANOSECONDS))
        self._mind_the_gap(now, self._woke)
        if self._asleep:
            due = min(due, max(now, self._asleep[0][0]))
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
        """Note that this process stood still, when a round or a sleep took far longer than it could have."""
        if now - expected > GAP_NANOSECONDS:
            self._stood_still += now - expected

    def _keep_time(self, now: int) -> None:
        """Whatever the clock alone brings about."""
        while self._asleep and self._asleep[0][0] <= now:
            self._next(heapq.heappop(self._asleep)[2])
        if self._events and self._clerk_listens and now >= self._told + TELL_NANOSECONDS:
            self._tell()
        if now >= self._scan:
            self._scan = now + SECOND // 10
            oldest = now - int(self._plan.timeout * SECOND)
            for lane in [lane for lane in self._flying.values() if lane.sent < oldest]:
                self._failed(lane, f"{NO_ANSWER} within {self._plan.timeout:g} s", now, GIVEN_UP)
        if self._measure + (self._seen.second + 1) * SECOND <= now < self._end:
            self._parent.send(self._seen.take())  # what comes after the end belongs to the last second
        while self._closed and self._closed[0] <= now:
            self._closed.pop(0)
            self._open()

    # -- lanes

    def _next(self, lane: Lane) -> None:
        """Have a lane do what is due, or sleep until something is."""
        now = time.monotonic_ns()
        if now >= self._end or self._stop[0]:
            return
        place = choose(lane.paces, now, lane.last)
        if place is None:
            due = min(pace.due for pace in lane.paces)
            if due != NEVER:
                heapq.heappush(self._asleep, (due, id(lane), lane))
            return
        lane.last = place
        lane.kind = lane.kinds[place]
        lane.meant = lane.paces[place].take(now)
        if lane.kind == BATCH:
            lane.hungry = now
            self._hungry[lane.symbol].append(lane)
            self._feed(lane.symbol)
        else:
            turn = self._turns[lane.symbol]
            self._turns[lane.symbol] = turn + 1
            lane.seq = self._plan.windows[turn % len(self._plan.windows)]
            self._send(lane, self._requests[lane.symbol][lane.seq])

    def _feed(self, symbol: int) -> None:
        """Give the bodies that are ready to the lanes that wait for them."""
        made, hungry = self._made[symbol], self._hungry[symbol]
        while made and hungry:
            lane, body = hungry.popleft(), made.popleft()
            self._seen.starved += time.monotonic_ns() - lane.hungry
            lane.seq, lane.prices = body.seq, body.prices
            self._send(lane, self._bodies.room(symbol, body.seq)[: body.length])

    def _send(self, lane: Lane, request: bytes | memoryview) -> None:
        """Send a request, or queue it until a connection is free. So batches go out in their order."""
        lane.request = request
        if self._free:
            self._transmit(lane, self._free.popleft())
        else:
            self._queue.append(lane)

    def _transmit(self, lane: Lane, connection: Connection) -> None:
        lane.connection = connection
        lane.ended = self._ended[lane.symbol]
        if lane.kind == BATCH:
            self._sent[lane.symbol] += 1
        self._flying[connection.fileno] = lane
        lag = lane.depart(time.monotonic_ns(), self._stood_still)
        if lag is not None:
            self._seen.lagged(lag)
        try:
            if not connection.send(lane.request):
                self._epoll.modify(connection.fileno, select.EPOLLIN | select.EPOLLOUT)
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
                self._epoll.modify(connection.fileno, select.EPOLLIN | select.EPOLLOUT)
            return
        self._answered = at
        self._refused = False
        if lane.meant >= self._measure:
            self._seen.timed(lane.kind, at - lane.meant, at - lane.sent)
        self._ended_with(lane, response.status, response.body)
        del self._flying[connection.fileno]
        lane.arrive(at, self._stood_still)
        if response.last:
            self._discard(connection, at)
        else:
            self._release(connection)
        self._next(lane)

    def _failed(self, lane: Lane, reason: str, now: int, status: int = CUT) -> None:
        """Give a request up: the connection broke, or the time is over."""
        connection = lane.connection
        if connection is None:
            return
        self._seen.failed(reason)
        self._ended_with(lane, status, b"")
        del self._flying[connection.fileno]
        lane.arrive(now, self._stood_still)
        self._refused = True
        self._discard(connection, now + RETRY_NANOSECONDS)
        self._next(lane)

    def _ended_with(self, lane: Lane, status: int, body: bytes) -> None:
        """Count an answer, or the lack of one, and note it for the clerk."""
        symbol = lane.symbol
        self._seen.ended(lane.kind, max(0, status), lane.prices if lane.kind == BATCH else 0)
        if lane.kind == BATCH:
            self._ended[symbol] += 1
            self._events.append(Ended(symbol, lane.seq, self._sent[symbol], status, body))
        elif self._plan.verify and status > 0:
            self._events.append(Polled(symbol, lane.seq, lane.ended, self._sent[symbol], status, body))

    # -- connections

    def _open(self) -> None:
        connection = open_connection(self._plan.target)
        self._connections[connection.fileno] = connection
        self._epoll.register(connection.fileno, select.EPOLLIN)
        self._release(connection)

    def _release(self, connection: Connection) -> None:
        """Give a connection to the lane that has waited longest, or keep it for the next."""
        if self._queue:
            lane = self._queue.popleft()
            lane.free = max(lane.free, time.monotonic_ns())  # it was not the generator that made it wait
            self._transmit(lane, connection)
        else:
            self._free.append(connection)

    def _discard(self, connection: Connection, reopen: int) -> None:
        del self._connections[connection.fileno]
        connection.close()
        self._closed.append(reopen)

    def _drop_idle(self, number: int, now: int) -> None:
        """An idle connection has something to say: that it was closed."""
        connection = self._connections.get(number)
        if connection is not None and connection in self._free:
            self._free.remove(connection)
            self._discard(connection, now)

    # -- the clerk and the parent

    def _hear(self) -> None:
        """One message of the clerk's: bodies are ready, or it listens again. Waits if there is none."""
        message = self._clerk.recv()
        if message is None:
            self._clerk_listens = True
        else:
            for made in message:
                self._made[made.symbol].append(made)
                self._feed(made.symbol)

    def _tell(self) -> None:
        self._clerk.send(self._events[:MOST_TOLD])
        del self._events[:MOST_TOLD]
        self._clerk_listens = False
        self._told = time.monotonic_ns()


def _reason(error: OSError) -> str:
    """Why a connection broke, in few words, the same for all that broke alike."""
    return error.strerror or str(error)


def _waited() -> float:
    """Seconds that this process was ready to run while the processors were busy with others."""
    path = Path("/proc/self/schedstat")
    return int(path.read_text().split()[1]) / SECOND if path.exists() else 0.0
