"""What the C library is told about memory, and what is handed back to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

MADV_DONTNEED: Final = 4


def unmap_library_pages() -> None:
    """Unmap the code of libraries that this process has run: some 60 MB, the compiler's mostly.

    Code is never written, unlike what else a library maps. Its pages stay in the page cache and come back one by one
    if they are needed again. The supervisor, which only waits, then takes no more memory than it has a use for.
    """
    libc = ctypes.CDLL(None)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, permissions, _, _, inode, *_ = line.split()
        if inode != "0" and permissions == "r-xp":
            begin, end = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_DONTNEED)


M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
KEPT_BYTES: Final = 16 * 1024 * 1024


def keep_memory() -> None:
    """Have the allocator keep some MiB of memory that was freed, instead of giving it back after every large body.

    A batch of 10,000 prices passes through buffers of 80 KB. glibc returns so much to the system as soon as it is free,
    and the next batch pays for some forty page faults: a fifth of its CPU time. Not every C library has this.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
