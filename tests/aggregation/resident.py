"""How much memory there really is behind a mapping: the kernel is asked."""

from __future__ import annotations

import ctypes

import numpy as np

from aggregation.levels import PAGE_BYTES


def resident_pages(memory: memoryview) -> int:
    """Pages of a shared mapping that exist, touched by whichever process; ``memory`` begins on one."""
    pages = np.zeros(-(-memory.nbytes // PAGE_BYTES), dtype=np.uint8)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    arguments = (ctypes.c_void_p(address), ctypes.c_size_t(memory.nbytes), ctypes.c_void_p(pages.ctypes.data))
    assert ctypes.CDLL(None, use_errno=True).mincore(*arguments) == 0, ctypes.get_errno()
    return int((pages & 1).sum())


def resident_bytes(memory: memoryview) -> int:
    """The same in bytes."""
    return resident_pages(memory) * PAGE_BYTES
