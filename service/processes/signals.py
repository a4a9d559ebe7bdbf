"""What each signal means, from the first moment on.

==========================  ===========================================================================================
SIGTERM, SIGINT, SIGQUIT    stop in order; another one, later: at once
SIGHUP                      read tokens and certificate again
SIGUSR1, SIGUSR2, SIGALRM   nothing
==========================  ===========================================================================================

They are sent to the supervisor. A terminal and some service managers send them to all processes at once; a worker takes
SIGTERM, which the supervisor passes on, and ignores the others.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

STOPPING: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
HEARD: Final = STOPPING | {signal.SIGHUP, signal.SIGCHLD}
IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def until_supervised(goodbye: Callable[[], None]) -> None:
    """Until there is a supervisor: end at once, with exit code 0, when told to; other signals do nothing.

    Not by an exception, which whatever is being imported or compiled might catch; there is nothing to tidy up.
    """

    def end(_number: int, _frame: object) -> None:
        goodbye()
        os._exit(0)

    for number in STOPPING:
        signal.signal(number, end)
    for number in (signal.SIGHUP, *IGNORED):
        signal.signal(number, signal.SIG_IGN)


def hear() -> int:
    """In the supervisor: have signals written, each as a byte that is its number, to the pipe that is returned."""
    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in HEARD:
        signal.signal(number, _leave_it_to_the_wakeup)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return woken


def stop_hearing(woken: int) -> None:
    """At the end: whatever comes now is too late to change how it ends. Handlers would not last until the exit."""
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)
    os.close(signal.set_wakeup_fd(-1))
    os.close(woken)


def become_worker() -> None:
    """In a process that was just forked, while signals are blocked: have none of them reach the supervisor's pipe."""
    signal.set_wakeup_fd(-1)
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _leave_it_to_the_wakeup(_number: int, _frame: object) -> None:
    """Python writes the signal to the pipe; a handler must exist for that, and need not do anything."""
