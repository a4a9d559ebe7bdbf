"""One connection of a client: its state, the limits that hold in it, and who answers what it asks.

``Connection`` is what the event loop knows. It turns away whoever is one too many, keeps the state, counts the bytes of
unfinished requests against a budget, and is closed when it is past a deadline. What begins with a head that the
``door`` remembers is answered here; everything else is handed to the framework's side of the connection. Deadlines,
budget, counting and the stop are the same for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, cast

from sanic.exceptions import RequestTimeout, SanicException, ServiceUnavailable

from service.api.batch import Body
from service.api.problems import SATURATED
from service.api.resources import Busy, Said, ask
from service.metrics.counters import Cell, Counters

from .answers import status_of, written
from .door import VIEW, Arriving, Door, Ticket
from .framework import Framework
from .handlers import problem_of
from .limits import Sweeper
from .states import FOLLOWED_BY, TABLE, State

IDLE: Final = State.IDLE
REFUSING: Final = State.REFUSING
"""Looked up once, not for every request."""

LINGER_SECONDS: Final = 1.0
LINGER_BYTES: Final = 64 * 1024 * 1024
"""After the last answer, so much is read on and forgotten at most, and for so long nothing need come for the connection
to be closed; the deadline for an answer holds as well. Whoever sends a body of many times the limit still learns why it
is refused."""

FREE_BYTES: Final = 16 * 1024
"""What of a request may arrive before it is counted: all but large batches, and a thousand of these are 16 MiB."""


class Connection(asyncio.BufferedProtocol):
    """A connection as the event loop and the sweep see it. Sweeper, counters and door are in ``app.ctx``.

    Args:
        connections: Sanic's, which goes through them at a stop.
        framework: makes the framework's side.
        wire: the transport beneath, if this one encrypts.
        counters: where it is counted, if not where all others are.
        sweeper: whose limits hold, if not everybody's.
        options: what Sanic gives to its protocols.
    """

    __slots__ = (
        "_app",
        "_arrived",
        "_arriving",
        "_connections",
        "_door",
        "_forgotten",
        "_framework",
        "_made_at",
        "_read_at",
        "_since",
        "_stuck_since",
        "_sweeper",
        "_transport",
        "_wire",
        "counters",
        "pipelined",
        "state",
    )

    def __init__(
        self,
        *,
        connections: set[Connection],
        framework: Callable[..., Framework] = Framework,
        wire: asyncio.Transport | None = None,
        counters: Counters | None = None,
        sweeper: Sweeper | None = None,
        **options: Any,  # noqa: ANN401 - handed on
    ) -> None:
        self._app = options["app"]
        self._sweeper: Sweeper = sweeper or self._app.ctx.sweeper
        self.counters: Counters = counters or self._app.ctx.counters
        self._door: Door = self._app.ctx.door
        self._connections = connections
        self._framework = framework(self, **options)
        self._wire = wire
        self.state = State.IDLE
        self.pipelined = False  # whether the request that has begun came along with the one before
        self._made_at = monotonic()
        self._since = self._made_at  # when the request began, or the connection became idle
        self._read_at = self._since  # when some of the body that is arriving, or is forgotten, was last received
        self._stuck_since: float | None = None  # when the client ceased to take its answers
        self._arrived = 0  # bytes of the request that the framework has been given
        self._arriving: Arriving | None = None  # at the door
        self._forgotten = 0  # bytes that came after all was said

    def become(self, state: State) -> None:
        """Go on to a state that may follow.

        Raises:
            RuntimeError: it may not follow; a defect.
        """
        if state not in FOLLOWED_BY[self.state]:
            raise RuntimeError(f"a connection went from {self.state.name} to {state.name}")
        self.state = state

    @property
    def stuck(self) -> bool:
        """Whether the client does not take its answers."""
        return self._stuck_since is not None

    @property
    def over(self) -> bool:
        """Whether nothing can be said any more."""
        return self.state >= State.LINGERING or self._transport.is_closing()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve the connection; where there are as many as may be, and none of them is idle, refuse it."""
        counts = self.counters.counts
        served = self._sweeper.connections
        self._transport = transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        if len(served) >= self._sweeper.limits.connections and not self._sweeper.make_room():
            self._sweeper.sent_away["refused"] += 1
            counts[Cell.REFUSED] += 1
            transport.write(written(SATURATED, keep_alive=False))
            self.close(whole=False)
            return
        served.add(self)
        self._sweeper.resting[self] = self._since
        self._framework.connection_made(transport)
        counts[Cell.ACCEPTED] += 1
        counts[Cell.CONNECTIONS] = len(served)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self.become(State.CLOSED)
        self._leave()
        self._sweeper.lingering.pop(self, None)
        self._connections.discard(self)
        if self._framework.transport is not None:  # else it was turned away
            self._framework.connection_lost(exc)

    def get_buffer(self, _size_hint: int) -> memoryview:
        """Where what is received next is put, whoever it is for."""
        return VIEW

    def buffer_updated(self, size: int) -> None:
        """Take in some bytes: answer what the door remembers, hand all else to the framework."""
        now = monotonic()
        if self._arriving is not None:
            self._take(self._arriving, VIEW[:size], now)
            return
        if self.state is IDLE and self._stuck_since is None:
            found = self._door.look(size)
            if found is not None:
                ticket, begin, length = found
                if size - begin == length:
                    self._answer(ticket, bytes(VIEW[begin:size]) if length else b"", now)
                    return
                if size - begin < length:
                    self._await_body(ticket, length, VIEW[begin:size], now)
                    return
        self._hand_over(bytes(VIEW[:size]), now)

    def eof_received(self) -> bool:
        """The client sends nothing more. What has come whole is answered, and then the connection is closed.

        Over TLS the event loop closes after this whatever is returned: what the door has answered already is sent.
        """
        if self._arriving is not None or self.state in {State.IDLE, State.LINGERING}:
            self.close()
            return False
        self._framework.end()
        return self._wire is None

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        self._stuck_since = monotonic()
        self._framework.pause_writing()
        self._sweeper.budget.note(self)

    def resume_writing(self) -> None:
        """The client takes it."""
        self._stuck_since = None
        self._sweeper.budget.forget(self)
        self._framework.resume_writing()
        self._sweeper.resting.setdefault(self, self._since)
        if self._framework.rests:
            self._settle(monotonic())

    # At the door.

    def _answer(self, ticket: Ticket, body: Body, now: float) -> None:
        """Ask the resource, count and send what it says. Where that takes waiting, the framework does it."""
        said = ask(ticket.resource, ticket.question, body)
        if type(said) is Busy:  # it costs half of isinstance, for every request
            self._begin(now)
            self._hand_over(ticket.request(body), now)
            return
        self._since = now
        self._send(said, ticket, now, keep_alive=self._door.is_open)

    def _send(self, said: Said, ticket: Ticket, since: float, *, keep_alive: bool) -> None:
        """Count an answer, and send it."""
        self.counters.answered(ticket.cell, status_of(said), monotonic() - since)
        self._transport.write(written(said, keep_alive=keep_alive, lines=ticket.lines))
        if not keep_alive:
            self.close(whole=self._arriving is None)

    def _await_body(self, ticket: Ticket, length: int, begun: memoryview, now: float) -> None:
        """Keep what has come of a body."""
        self.become(State.BODY)
        self._since = now
        self._sweeper.budget.forget(self)  # what came before; this request is as young as any
        self._arriving = Arriving(ticket, length, bytearray())
        self._take(self._arriving, begun, now)

    def _take(self, arriving: Arriving, received: memoryview, now: float) -> None:
        """Take in more of a body, and answer it if it is whole; what came along behind it is the framework's."""
        missing = arriving.length - len(arriving.body)
        arriving.body.extend(received[:missing])
        self._read_at = now
        if len(received) < missing:
            if len(arriving.body) > FREE_BYTES:
                self._sweeper.budget.note(self)
            return
        self._complete(arriving, now)
        if len(received) > missing:
            self.pipelined = True
            self._hand_over(bytes(received[missing:]), now)

    def _complete(self, arriving: Arriving, now: float) -> None:
        """Answer a request whose body is whole now."""
        self._let_go(arriving)
        self.become(State.ANSWERING)
        self._answer(arriving.ticket, arriving.body, now)
        if self._stuck_since is None:
            self._settle(now)

    def _let_go(self, arriving: Arriving) -> None:
        """Nothing is arriving at the door any more."""
        self._arriving = None
        if len(arriving.body) > FREE_BYTES:
            self._sweeper.budget.forget(self)

    # What the framework's side is told, and tells.

    def _hand_over(self, data: bytes, now: float) -> None:
        """Have the framework take in some bytes; note when a request begins, and what it holds if that is much."""
        if self.state >= REFUSING:
            self._forget(len(data), now)
            return
        if self.state is State.IDLE:
            self._begin(now)
        self._framework.take(data, now)
        self._arrived += len(data)
        if self._arrived > FREE_BYTES:
            self._sweeper.budget.note(self)

    def rest(self) -> None:
        """The last request has been dealt with, but for its answer perhaps; the next one may be here already."""
        self.pipelined = bool(self._framework.recv_buffer)
        if self._stuck_since is None:
            self._settle(self._framework.last_active)

    def _settle(self, now: float) -> None:
        """An answer has been taken: the next request begins, if it is here already, or the connection is idle."""
        if self.state not in {State.ANSWERING, State.DRAINING}:
            return
        if self._framework.recv_buffer:
            self._begin(now)
            self._arrived = self._framework.held()
            if self._arrived > FREE_BYTES:  # it came along with the request before it
                self._sweeper.budget.note(self)
        else:
            self.become(State.IDLE)
            self._since = now
            self._sweeper.resting.setdefault(self, now)

    def _begin(self, now: float) -> None:
        """A request has begun that the framework is to answer."""
        self.become(State.HEAD)
        self._since = now
        if self._arrived > FREE_BYTES:
            self._sweeper.budget.forget(self)
        self._arrived = 0

    # What the budget, the sweep and a stop call.

    def held(self) -> int:
        """Bytes of unfinished requests that the connection holds, and of an answer that is not taken."""
        if self._stuck_since is not None:
            return self._framework.held() + self._transport.get_write_buffer_size()
        return self._framework.held() if self._arriving is None else len(self._arriving.body)

    def give_way(self) -> None:
        """Let go of what was received, and answer 503 if no answer was begun."""
        self._sweeper.sent_away["crowded_out"] += 1
        self._refuse(ServiceUnavailable(headers={"retry-after": "1"}))
        self._framework.recv_buffer.clear()

    @property
    def idle_since(self) -> float | None:
        """When it became idle; None if a request is under way, or an answer has not been taken."""
        return self._since if self.state is State.IDLE and self._stuck_since is None else None

    def make_room(self) -> None:
        """Close an idle connection for one that is new."""
        self.counters.counts[Cell.IDLE_TIMEOUT] += 1
        self._leave()
        self.abort()

    def sweep(self, now: float) -> bool:
        """Close the connection if it is past a deadline, or idle at a stop; whether it was."""
        if self.state is State.LINGERING and self._hang_up(now):
            return True
        stuck, limits = self._stuck_since, self._sweeper.limits
        late = TABLE[self.state if stuck is None else State.ANSWERING].late
        since = self._since if stuck is None else stuck
        patience = limits.idle_seconds if late is Cell.IDLE_TIMEOUT else limits.request_seconds
        if self._since == self._made_at:  # nothing was ever asked
            patience = min(patience, limits.request_seconds)
        if since >= now - patience:
            return not self._app.config.KEEP_ALIVE and self.close_if_idle()
        self.counters.counts[late] += 1
        if late is Cell.IDLE_TIMEOUT:
            self.close()
        else:
            self._sweeper.sent_away["late"] += 1
            self._refuse(RequestTimeout())
        return True

    def close_if_idle(self) -> bool:
        """Close if no request is under way; whether that was so."""
        idle = self.state is State.IDLE
        if idle:
            self.close()
        return idle

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _refuse(self, reason: SanicException) -> None:
        """Answer with the reason if no answer was begun, and close."""
        if self._stuck_since is not None or State.REFUSING not in TABLE[self.state].followed_by:
            self.abort()
            return
        self.become(State.REFUSING)
        if self._arriving is None:
            self._framework.refuse(reason)
        else:
            self._send(problem_of(reason), self._arriving.ticket, self._read_at, keep_alive=False)

    # How it ends.

    def close(self, *, whole: bool = True) -> None:
        """Say nothing more, and close; only once what still comes has been read, if something may.

        Args:
            whole: all of the last request has come, and nothing after it.
        """
        if self.state >= State.LINGERING:
            return
        at_once = whole and (self.state is State.IDLE or self._framework.ended)
        self.become(State.LINGERING)
        self._since = self._read_at = monotonic()
        self._leave()
        self._sweeper.linger(self)
        if at_once or (whole and self._wire is not None):  # TLS has its own goodbye, and forgets what comes after it
            self._transport.close()
            return
        self._transport.resume_reading()
        if self._wire is None and not self._transport.is_closing():
            self._transport.write_eof()

    def _leave(self) -> None:
        """Be served no more, and hold nothing."""
        self._arriving = None
        self._sweeper.budget.forget(self)
        self._sweeper.connections.discard(self)
        self._sweeper.resting.pop(self, None)
        self.counters.counts[Cell.CONNECTIONS] = len(self._sweeper.connections)

    def _forget(self, size: int, now: float) -> None:
        """Pass over what comes after all was said, up to an amount."""
        self._read_at = now
        self._forgotten += size
        if self._forgotten > LINGER_BYTES:
            self.abort()

    def _hang_up(self, now: float) -> bool:
        """Close a connection on which all was said and taken and nothing has come for a while; whether it was so."""
        unsent = self._transport.get_write_buffer_size() or (self._wire and self._wire.get_write_buffer_size())
        if unsent or self._read_at >= now - min(LINGER_SECONDS, self._sweeper.limits.request_seconds):
            return False
        if self._transport.is_closing():  # the goodbye of TLS is not answered
            self.abort()
        self._transport.close()
        self._read_at = now
        return True
