"""How much memory the machine has left, or the control group that we were put in, whichever is less."""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

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
"""What may be taken between two looks at the machine: some 140 batches of 10,000, so a look costs a batch < 1 µs."""

CREDIT_SECONDS: Final = 0.1
"""How long a look is believed, because others take memory too."""


class MemoryGuard:
    """Says whether memory may grow, leaving a reserve; looks at the machine only every so often.

    Args:
        reserve: bytes that must be left.
        available: tells what is left.
        clock: seconds.
    """

    def __init__(
        self,
        reserve: int,
        available: Callable[[], int] = available_bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reserve = reserve
        self._available = available
        self._clock = clock
        self._credit = 0
        self._believed_until = 0.0

    def may_grow(self, growth: int) -> bool:
        """Whether ``growth`` bytes more may be touched; if so they are taken for granted. Called under a lock."""
        if growth > self._credit or self._clock() >= self._believed_until:
            self._credit = min(CREDIT_BYTES, self._available() - self._reserve)
            self._believed_until = self._clock() + CREDIT_SECONDS
        if growth > self._credit:
            return False
        self._credit -= growth
        return True
