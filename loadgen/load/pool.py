"""The connections of a sender, and the kernel's list of those that have something."""

from __future__ import annotations

import select
from collections import deque
from typing import Final

from loadgen.plan import Target
from loadgen.wire.client import Connection, open_connection

RETRY_NANOSECONDS: Final = 50_000_000
"""Before a connection that broke is opened again: a service that is gone must not cost a processor."""

READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT


class Pool:
    """Connections that are idle, in use, or to be opened again."""

    def __init__(self, target: Target) -> None:
        self.epoll = select.epoll()
        self._target = target
        self._all: dict[int, Connection] = {}  # by file number
        self._free: deque[Connection] = deque()
        self._closed: list[int] = []  # moments at which one is to be opened instead

    def open(self) -> Connection:
        """A new connection."""
        connection = open_connection(self._target)
        self._all[connection.fileno] = connection
        self.epoll.register(connection.fileno, READABLE)
        return connection

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        return self._free.popleft() if self._free else None

    def give(self, connection: Connection) -> None:
        """A connection is idle."""
        self._free.append(connection)

    def watch(self, number: int, blocked: bool) -> None:
        """Wait for room to send, too, or no longer."""
        self.epoll.modify(number, READABLE | WRITABLE if blocked else READABLE)

    def discard(self, connection: Connection, reopen: int) -> None:
        """Close one, and have another opened at a moment."""
        del self._all[connection.fileno]
        connection.close()
        self._closed.append(reopen)

    def drop_idle(self, number: int, now: int) -> None:
        """An idle connection has something to say: that it was closed."""
        connection = self._all.get(number)
        if connection is not None and connection in self._free:
            self._free.remove(connection)
            self.discard(connection, now)

    def reopened(self, now: int) -> list[Connection]:
        """Connections in the place of those that were closed, as far as it is time."""
        if not self._closed:
            return []
        due = [moment for moment in self._closed if moment <= now]
        self._closed = [moment for moment in self._closed if moment > now]
        return [self.open() for _ in due]
