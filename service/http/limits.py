"""Deadlines, caps and turns that the framework does not have: no client may hold on to anything for ever.

Sanic's timeouts are idle timers, which every byte sets back: a client that sends a byte a second is served for as long
as it likes. Here a whole request must arrive before a deadline, its answer must be taken before another, and only so
many connections are served at once. One sweep looks at all connections of a worker twice a second; on the way of a
request there is nothing but a comparison. See ``states`` for the deadlines.

**Who makes room.** Where as many connections are open as may be, the one that has been idle longest is closed for one
that is new. Only where none is idle the new one is refused.

**What unfinished requests hold.** A cap on connections bounds memory badly: a thousand clients may each send most of a
body of 1 MiB and then stop. What they hold together is bounded by a ``Budget``. When it is too much, the request that
began first gives way, not the newest: an honest batch arrives within milliseconds and is among the youngest, while
those that hold on to memory grow old. What a request holds is noted as its bytes arrive and looked at again only when
room is needed, so a request that is answered costs nothing more. The sum is never too small, and where it is too large
a second look puts it right.

**Turns.** A connection whose next request is in the buffer already never lets go of the event loop by itself, and a
hundred such connections, each of which lets go after every request, would still go before a client that waits for its
answer. So all that is pipelined in a worker goes through one gate, which lets one request pass in a turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from operator import itemgetter
from typing import Final, Protocol

from service.logs import OWN, QUIET_SECONDS, REQUESTS, fields, report_left_out
from service.machine import give_back_memory
from service.settings import Limits

log = logging.getLogger(OWN)
failures = logging.getLogger(REQUESTS)

SWEEP_SECONDS: Final = 0.5
"""How late a deadline may be noticed."""

MOST_CUT: Final = 20
BREATH_SECONDS: Final = 0.02
"""A thousand connections that came together are past their deadline together. To cut one off costs some 0.3 ms, so only
so many are cut off in a row, and requests are served in between."""

GIVE_BACK_TIMES: Final = 4
"""A look a sweep: two seconds, and some ms of CPU time each."""

LEAST_IDLE_SECONDS: Final = 0.25
"""Who has been silent for less is not idle: its request may be on the way, or the answer to the last one."""

MOST_LINGERING: Final = 256
"""Connections that wait for their clients to read the last answer. They are not among those served, and cost a socket
each, so there are no more than connections, either; when there is one too many the oldest is closed."""

SENT_AWAY: Final = {
    "refused": "refused %d connections beyond the most that are served",
    "made_room": "closed %d idle connections to make room for others",
    "late": "closed %d connections that were past a deadline",
    "crowded_out": "refused %d unfinished requests for want of room",
}
"""Who was, by reason, and what the log says of it."""


class Client(Protocol):
    """A connection, as limits see it."""

    @property
    def idle_since(self) -> float | None:
        """When it became idle; None if it is not."""

    def make_room(self) -> None:
        """Close it, which is idle, for one that is new."""

    def sweep(self, now: float) -> bool:
        """Close the connection if it is past a deadline; whether it was."""

    def held(self) -> int:
        """Bytes that its unfinished request holds now."""

    def give_way(self) -> None:
        """Refuse the request and let go of what has arrived."""

    def abort(self) -> None:
        """Close at once."""


class Budget:
    """Bytes for the unfinished requests of one worker. One request may always hold what it needs.

    Args:
        most: bytes that they may hold together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self._held: dict[Client, int] = {}  # the request that began first comes first

    def note(self, client: Client) -> None:
        """More of a request has arrived. O(1), or O(requests) where room is needed."""
        held = client.held()
        self.total += held - self._held.get(client, 0)
        self._held[client] = held
        if self.total > self.most:
            self._make_room()

    def forget(self, client: Client) -> None:
        """The request has ended. O(1)."""
        self.total -= self._held.pop(client, 0)

    def recount(self) -> None:
        """Look again what is held, since much of it may have been answered by now. O(requests)."""
        self._held = {client: held for client in self._held if (held := client.held())}
        self.total = sum(self._held.values())

    def _make_room(self) -> None:
        """Have the oldest give way until the rest fits."""
        self.recount()
        while self.total > self.most and len(self._held) > 1:
            oldest = next(iter(self._held))
            self.forget(oldest)
            oldest.give_way()


class Turns:
    """One of those who wait may go on in each turn of the event loop, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def mine(self) -> None:
        """Wait until it is the caller's turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its connection has gone
                turn.set_result(None)
                break
        self._turning = bool(self._waiting)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)


class Sweeper:
    """Closes the connections of one worker that are past a deadline, and reports who was sent away by number."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.budget = Budget(limits.request_bytes)
        self.connections: set[Client] = set()
        self.resting: dict[Client, float] = {}  # all that are idle, and since when, and some that were
        self.lingering: dict[Client, None] = {}  # the one that was answered first comes first
        self.sent_away = Counter[str]()  # since the last report, by reason
        self._to_give_back = 0  # times
        self._report_at = 0.0

    def start(self) -> None:
        """Sweep now and every half second from now on, whatever goes wrong; call it from the event loop."""
        pause = SWEEP_SECONDS
        try:
            pause = self._sweep(time.monotonic())
        except Exception:  # noqa: BLE001 - the next one is made all the same
            failures.exception("a sweep failed")
        finally:
            asyncio.get_running_loop().call_later(pause, self.start)

    def _sweep(self, now: float) -> float:
        """Look at all connections, as far as may be in a row; in how many seconds to go on."""
        cut = 0
        for connection in [*self.connections, *self.lingering]:
            try:
                cut += connection.sweep(now)
            except Exception:  # noqa: BLE001 - the others are looked at all the same
                failures.exception("a connection failed")
                connection.abort()
            if cut >= MOST_CUT:
                return BREATH_SECONDS
        self._put_in_order()
        self._give_back()
        report_left_out()
        if now >= self._report_at and self.report():
            self._report_at = now + QUIET_SECONDS
        return SWEEP_SECONDS

    def make_room(self) -> bool:
        """Close the connection that has been idle longest, to half a second; whether there was one.

        O(1) amortised: those that were busy in the meantime are passed over once for each time that they were.
        """
        latest = time.monotonic() - LEAST_IDLE_SECONDS
        while self.resting:
            client, since = next(iter(self.resting.items()))
            idle_since = client.idle_since
            if idle_since == since > latest:
                return False
            del self.resting[client]
            if idle_since == since:
                self.sent_away["made_room"] += 1
                client.make_room()
                return True
            if idle_since is not None:
                self.resting[client] = idle_since
        return False

    def _put_in_order(self) -> None:
        """Have the connection that has been idle longest come first. O(n log n)."""
        idle = [(since, client) for client in self.resting if (since := client.idle_since) is not None]
        self.resting = {client: since for since, client in sorted(idle, key=itemgetter(0))}

    def linger(self, client: Client) -> None:
        """Look after a connection until its client has taken the last answer; the oldest such one makes room. O(1)."""
        self.lingering[client] = None
        if len(self.lingering) > min(MOST_LINGERING, self.limits.connections):
            oldest = next(iter(self.lingering))
            del self.lingering[oldest]
            oldest.abort()

    def _give_back(self) -> None:
        """Once a flood of large requests is over, return its memory to the system, which the allocator would keep.

        More than once, since some of it is let go of only when its clients have gone.
        """
        if self.budget.total > self.budget.most // 4:
            self.budget.recount()
            self._to_give_back = GIVE_BACK_TIMES
        elif self._to_give_back:
            self._to_give_back -= 1
            give_back_memory()

    def report(self) -> bool:
        """Log how many were refused and closed since the last report; whether there were any."""
        for reason, number in self.sent_away.items():
            log.warning(SENT_AWAY[reason], number, extra=fields(**{reason: number}))
        reported = bool(self.sent_away)
        self.sent_away.clear()
        return reported
