"""A connection by itself, with the event loop and the framework played by the test."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from service.api.resources import Question
from service.http.connection import Connection
from service.http.door import MOST_BODY_BYTES, Door, Ticket
from service.http.limits import Sweeper
from service.metrics.counters import Cell, SharedMetrics
from service.settings import Limits

HEAD = b"POST /add_batch HTTP/1.1\r\nHost: test\r\nContent-Length: %d"
READS_IN_A_ROW = 32
"""As often libuv reads from one connection before it turns to the next, as long as each read fills its buffer."""


class Framework:
    """Sanic's side, which keeps what it is given and does nothing with it."""

    rests = True
    ended = False
    transport = None

    def __init__(self, *_: object, **__: object) -> None:
        self.recv_buffer = bytearray()

    def connection_made(self, transport: object) -> None:
        pass

    def take(self, data: bytes, _now: float) -> None:
        self.recv_buffer += data

    def held(self) -> int:
        return len(self.recv_buffer)


class Served:
    """A connection of a worker that remembers one head, and what has become of its transport, which it is as well."""

    def __init__(self) -> None:
        door = Door(MOST_BODY_BYTES)
        door.remember(HEAD % 1, "POST", ["host", "content-length"], Ticket(lambda *_: b"{}", Question(), 16))
        limits = Limits(connections=10, request_seconds=10.0, idle_seconds=1.0, request_bytes=1 << 30)
        ctx = SimpleNamespace(sweeper=Sweeper(limits), counters=SharedMetrics(1).of_worker(0), door=door)
        self.answers = 0
        self.framework = Framework()
        self.counts = ctx.counters.counts
        self.unsent = 0
        self.closing = self.aborted = False
        app = SimpleNamespace(ctx=ctx, config=SimpleNamespace(KEEP_ALIVE=True))
        options: dict[str, Any] = {"framework": lambda *_, **__: self.framework, "app": app}
        self.connection = Connection(connections=set(), **options)
        self.connection.connection_made(self)  # type: ignore[arg-type]

    def write(self, _data: bytes) -> None:
        self.answers += 1

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def turn(self, waiting: bytearray) -> None:
        """One turn of the event loop for what the kernel has of it: reads go on as long as they fill their buffer."""
        for _ in range(READS_IN_A_ROW):
            buffer = self.connection.get_buffer(-1)
            size = min(len(buffer), len(waiting))
            if not size:
                return
            buffer[:size] = waiting[:size]
            del waiting[:size]
            self.connection.buffer_updated(size)
            if size < len(buffer):
                return


def test_one_large_batch_is_answered_in_a_turn_of_the_loop_where_pipelining() -> None:
    """Large bodies back to back leave the event loop after one of them: those that follow wait for their turns."""
    served = Served()
    served.turn(bytearray(HEAD % MOST_BODY_BYTES + b"\r\n\r\n" + bytes(MOST_BODY_BYTES)) * 10)
    assert served.answers == 1
    assert served.framework.recv_buffer.startswith(HEAD % MOST_BODY_BYTES)
    assert served.connection.pipelined


def test_a_body_is_held_and_counted_as_it_comes_not_as_it_is_announced() -> None:
    """A head that announces much costs nothing; what has come of the body is in the budget, and no more than that."""
    served = Served()
    head = HEAD % MOST_BODY_BYTES + b"\r\n\r\n"
    held = []
    for size in (0, 10_000, 90_000):
        served.turn(bytearray(head + bytes(size)))
        head = b""
        held.append((served.connection.held(), served.connection._sweeper.budget.total))
    assert held == [(0, 0), (10_000, 0), (100_000, 100_000)]


def test_an_idle_connection_that_is_closing_is_counted_once_and_ends_at_its_deadline() -> None:
    """As long as it has not sent all it is swept again and again, and is not past its time to be idle once more."""
    served = Served()
    served.unsent = 10
    now = time.monotonic()
    assert [served.connection.sweep(now + after) for after in (0.5, 1.5, 2.0, 9.0)] == [False, True, False, False]
    assert (served.closing, served.aborted, served.counts[Cell.IDLE_TIMEOUT]) == (True, False, 1)
    assert served.connection.sweep(now + 15.0)
    assert (served.aborted, served.counts[Cell.IDLE_TIMEOUT], served.counts[Cell.ANSWER_TIMEOUT]) == (True, 1, 1)
