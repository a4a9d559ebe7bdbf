"""How much memory the machine has left, or the control group that we were put in, whichever is less."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from aggregation import RecordLock

UNLIMITED: Final = 1 << 62
"""More than any machine has: cgroup v1 writes 2^63 rounded down to a page where there is no limit, v2 writes max."""


def available_bytes(root: Path = Path("/")) -> int:
    """Bytes that can be had without the kernel having to kill anybody. Some 50 µs.

    Args:
        root: where proc and sys are.
    """
    return min(_available_in_machine(root), *_available_in_groups(root), UNLIMITED)


def _available_in_machine(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return UNLIMITED


def _available_in_groups(root: Path) -> list[int]:
    """What each control group above us leaves, in either version of the interface."""
    left = [UNLIMITED]
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        for place in [group, *group.parents]:
            left.append(_available_in_group(place, limit, usage))
            if place == base:
                break
    return left


def _available_in_group(group: Path, limit: str, usage: str) -> int:
    """The limit less what is used, not counting file pages that the kernel can drop."""
    try:
        most = (group / limit).read_text().strip()
        if most == "max":
            return UNLIMITED
        used = int((group / usage).read_text())
        droppable = [
            int(line.split()[1])
            for line in (group / "memory.stat").read_text().splitlines()
            if line.split()[0] in ("inactive_file", "total_inactive_file")
        ]
        return int(most) - used + max(droppable, default=0)
    except (OSError, ValueError):  # the root group has no such files; a container may not show the path at all
        return UNLIMITED


def anonymous_bytes(pid: int) -> int:
    """Bytes of a process's memory that are no file's and not mapped as shared; 0 if there is no such process.

    Some 10 µs. Pages that it has not written to since it was forked count, though it still shares them.
    """
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * mmap.PAGESIZE


def give_back_memory() -> None:
    """Return to the system what the allocator keeps of memory that was freed. Some ms; not every C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


CREDIT_BYTES: Final = 16 * 1024 * 1024
"""What may be taken between two looks at the machine: a hundred batches of 10,000 at least."""

CREDIT_SECONDS: Final = 0.1
"""How long a look is believed, because others take memory too."""


class Grants:
    """What workers have been granted and may not have taken yet, for this process and all that it forks.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.lock = RecordLock(os.memfd_create("tenfold-grants"), 0)
        cells = np.frombuffer(mmap.mmap(-1, workers * 16), np.float64).reshape(workers, 2)
        self._bytes, self._until = cells[:, 0], cells[:, 1]

    def to_others(self, worker: int, now: float) -> int:
        """Bytes that other workers may still take at a moment."""
        granted = self._bytes[self._until > now].sum()
        return int(granted - (self._bytes[worker] if self._until[worker] > now else 0))

    def note(self, worker: int, granted: int, until: float) -> None:
        """Take note of what a worker may take until a moment."""
        self._bytes[worker], self._until[worker] = granted, until


class MemoryGuard:
    """Says whether memory may grow, leaving a reserve; looks at the machine only every so often.

    All workers together are never granted more than is left: whoever looks leaves out what others were granted lately,
    taken or not, and where little is left takes no more than its share.

    Args:
        reserve: bytes that must be left.
        grants: what all workers know of each other.
        worker: which of them this is.
        available: tells what is left.
        clock: seconds.
    """

    def __init__(
        self,
        reserve: int,
        grants: Grants,
        worker: int,
        available: Callable[[], int] = available_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reserve = reserve
        self._grants = grants
        self._worker = worker
        self._available = available
        self._clock = clock
        self._credit = 0
        self._believed_until = 0.0

    def may_grow(self, growth: int) -> bool:
        """Whether ``growth`` bytes more may be touched; if so they are taken for granted. Called under a lock.

        Raises:
            BlockingIOError: another worker is looking.
        """
        if growth > self._credit or self._clock() >= self._believed_until:
            self._look(growth)
        if growth > self._credit:
            return False
        self._credit -= growth
        return True

    def _look(self, growth: int) -> None:
        """See how much there is, and take note of what is granted of it."""
        with self._grants.lock:
            now = self._clock()
            left = self._available() - self._reserve - self._grants.to_others(self._worker, now)
            self._credit = min(CREDIT_BYTES, left, max(growth, left // self._grants.workers))
            self._believed_until = now + CREDIT_SECONDS
            self._grants.note(self._worker, self._credit, self._believed_until)
