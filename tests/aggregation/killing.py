"""Processes that die at a chosen point: at any line of the library, or at the first write to a chosen page."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aggregation

LIBRARY: Final = str(Path(aggregation.__file__).parent)
PROT_READ: Final = 1


def in_child(action: Callable[[], object]) -> int:
    """Run an action in a forked process; returns its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            faulthandler.disable()  # dying is what it is here for
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at_line(number: int, action: Callable[[], object]) -> bool:
    """Run an action in a process that is killed before the ``number``-th line that it executes in the library.

    Returns whether there were that many lines.
    """
    lines = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            lines += 1
            if lines == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def traced() -> None:
        sys.settrace(trace)
        action()

    code = in_child(traced)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def killed_writing(address: int, size: int, action: Callable[[], object]) -> bool:
    """Run an action in a process for which the bytes [address, address + size), whole pages, are read-only.

    So its first write there is its last instruction: a kill in the middle of a compiled loop. Returns whether it wrote.
    """

    def confined() -> None:
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), PROT_READ) == 0
        action()

    code = in_child(confined)
    assert code in (0, -signal.SIGSEGV)
    return code != 0
