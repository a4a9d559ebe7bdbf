"""The memory that all processes of one tenfold share, and the locks that a killed holder releases.

One anonymous shared mapping, made before the processes are forked: there is no file, no name and no size limit to run
into, and nothing to clean up, because the kernel drops it with the last process. It is reserved whole and takes memory
page by page, as prices come.

The locks are POSIX record locks, one byte of a memory file each. The kernel releases them when their holder ends,
however it ends; a semaphore or a mutex in the shared memory would stay locked for ever behind a ``kill -9``. Two things
follow from what record locks are: they exclude processes, not threads of one process; and no process may close the
file while it holds one, or it loses them all. Nobody waits for one: the holder may have been stopped, and who waited
would stand still with it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import weakref
import zlib
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from .levels import WORD_BYTES, Layout
from .series import Series

MAP_NORESERVE: Final = 0x4000
"""Linux: reserve no memory for the mapping. The mmap module does not name it in every version of Python."""

MADV_POPULATE_WRITE: Final = 23
"""Linux 5.14: touch pages in one call, in half the time of a page fault each."""

NAME_LOCKS: Final = 1 << 32
"""Where the locks of names begin in the file, a byte for each checksum: far behind those of the slots."""


class RecordLock:
    """``with lock:`` excludes other processes, about 1 µs; BlockingIOError at once where one of them has it.

    Where every fraction of that counts, ``lock.acquire()`` and ``lock.release()`` are the bare system calls.
    """

    __slots__ = ("acquire", "release")

    def __init__(self, file: int, byte: int) -> None:
        self.acquire = partial(fcntl.lockf, file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        self.release = partial(fcntl.lockf, file, fcntl.LOCK_UN, 1, byte)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SharedMemory:
    """An empty directory and ``max_symbols`` empty slots, for this process and all that it forks.

    Args:
        layout: what lies where.

    Raises:
        OSError: the system will not reserve that much address space.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self._mapping = mmap.mmap(-1, layout.total_bytes, flags=flags)
        self.view = memoryview(self._mapping)
        self.words: npt.NDArray[np.int64] = np.frombuffer(self.view, np.int64, layout.directory_bytes // WORD_BYTES)
        file = os.memfd_create("tenfold-locks")
        weakref.finalize(self, os.close, file).atexit = False
        self._lock_file = file
        self.slot_locks = [RecordLock(file, slot) for slot in range(layout.max_symbols)]

    def name_lock(self, name: bytes) -> RecordLock:
        """The lock of whoever creates a symbol of this name. A few names may share one, which does no harm."""
        return RecordLock(self._lock_file, NAME_LOCKS + zlib.crc32(name))

    def slot(self, slot: int) -> memoryview:
        """One slot's bytes."""
        begin = self.layout.slot_offset(slot)
        return self.view[begin : begin + self.layout.geometry.slot_bytes]

    def series(self, slot: int) -> Series:
        """A slot's series, whoever's it is."""
        return Series(self.slot(slot), self.layout.geometry, partial(self.give_back, slot))

    def give_back(self, slot: int, begin: int, size: int) -> None:
        """Make bytes [begin, begin + size) of a slot zero by giving their pages back; O(pages that are there)."""
        self._mapping.madvise(mmap.MADV_REMOVE, self.layout.slot_offset(slot) + begin, size)

    def touch(self, begin: int, size: int) -> None:
        """Have the system provide the pages of bytes [begin, begin + size) now; what they hold stays.

        Raises:
            OSError: there is not enough memory.
        """
        self._mapping.madvise(MADV_POPULATE_WRITE, begin, size)
