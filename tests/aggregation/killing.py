"""Processes that die or stand still at a chosen point: at any line of the library, or at the first write to a page."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aggregation

LIBRARY: Final = str(Path(aggregation.__file__).parent)
PROT_READ: Final = 1


def begin_in_child(action: Callable[[], object]) -> int:
    """Have a forked process run an action; returns its process id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            faulthandler.disable()  # dying is what it is here for
            action()
            code = 0
        finally:
            os._exit(code)
    return pid


def in_child(action: Callable[[], object]) -> int:
    """Run an action in a forked process; returns its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(begin_in_child(action), 0)[1])


def killed_at_line(number: int, action: Callable[[], object]) -> bool:
    """Run an action in a process that is killed before the ``number``-th line that it executes in the library.

    Returns whether there were that many lines.
    """
    code = in_child(lambda: _signalled_at_line(signal.SIGKILL, number, action))
    assert code in (0, -signal.SIGKILL)
    return code != 0


@contextmanager
def stopped_at_line(number: int, action: Callable[[], object]) -> Iterator[bool]:
    """Inside, a process stands still before the ``number``-th line of the action; whether there were that many lines.

    It is killed afterwards.
    """
    pid = begin_in_child(lambda: _signalled_at_line(signal.SIGSTOP, number, action))
    stopped = os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    try:
        yield stopped
    finally:
        if stopped:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _signalled_at_line(signal_number: signal.Signals, number: int, action: Callable[[], object]) -> None:
    """Run an action, and send this process a signal before the ``number``-th line that it executes in the library."""
    lines = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            lines += 1
            if lines == number:
                os.kill(os.getpid(), signal_number)
        return trace

    sys.settrace(trace)
    action()


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
