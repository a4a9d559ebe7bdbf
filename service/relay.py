"""The way to stderr, for which nobody waits.

Whoever reads stderr may stand still, and a pipe or a terminal then holds up all that write to it. So only one thread
of the first process writes to it: it takes records from a socket that all processes have inherited, and into which they
put them only where there is room. What does not fit is dropped and counted.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

STDERR: Final = 2

LAST_SECONDS: Final = 0.5
"""How long the last lines may wait for room, and then take to be written. A reader that is there takes some ms."""

MOST_RECORD_BYTES: Final = 256 * 1024
"""More than a record has: a traceback of 40 lines of 300 characters, each of which JSON may write with 12 bytes."""

MOST_PROCESSES: Final = 2 + 1024
"""That count what they drop: the first one, its thread, and as many workers as there may be."""


class Relay:
    """The way of every record to stderr, for this process and all that it forks.

    Args:
        say: writes the record about so many lines that were dropped.
    """

    def __init__(self, say: Callable[[int], bytes]) -> None:
        self._say = say
        self._in, self._out = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a record stays in one piece
        self._dropped = memoryview(mmap.mmap(-1, MOST_PROCESSES * 8)).cast("Q")  # each process adds to its own alone
        self.place = 0
        self._thread = threading.Thread(target=self._carry, name="log", daemon=True)
        self._thread.start()

    def put(self, record: bytes) -> None:
        """Have a record written, or drop it where there is no room; nobody waits."""
        try:
            self._in.send(record, socket.MSG_DONTWAIT)
        except OSError:
            self._dropped[self.place] += record.count(b"\n")

    def dropped(self) -> int:
        """Lines that were dropped, by all processes."""
        return sum(self._dropped)

    def wait_for_room(self) -> None:
        """Wait until there is room, but not long."""
        room = select.poll()
        room.register(self._in, select.POLLOUT)
        room.poll(LAST_SECONDS * 1000)

    def finish(self) -> None:
        """Wait for what is on its way, but not long; nothing more is written afterwards."""
        self._in.close()
        self._thread.join(LAST_SECONDS)

    def _carry(self) -> None:
        """In the thread: write what comes, and how much was dropped as soon as there is room again."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the other thread's
        said = 0
        while record := self._out.recv(MOST_RECORD_BYTES):
            if not _write(record):
                self._dropped[1] += record.count(b"\n")
            elif (dropped := self.dropped()) > said and _write(self._say(dropped - said)):
                said = dropped


def _write(data: bytes) -> bool:
    """Write to stderr, however long that takes; whether it was possible."""
    try:
        while data:
            try:
                data = data[os.write(STDERR, data) :]
            except BlockingIOError:  # another program that has this terminal, too, made it so
                select.select([], [STDERR], [])
    except OSError:  # the disk is full, or nobody is there any more
        return False
    return True


def open_standard_files() -> None:
    """Open stdin, stdout and stderr if they were closed, or a socket would get the number of one and be written to."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(file)
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - there was none
