"""Servers to be measured: started on a core of their own, their CPU time read from the kernel, stopped in the end.

Server and client get a core each where there are two, so that neither is moved about nor takes the other's time.
Contenders in process are pinned to the server's core, too: all that is compared runs on the same one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from loadgen.plan import Target

ROOT: Final = Path(__file__).parents[3]


class Cores(NamedTuple):
    """Who runs where."""

    server: int
    client: int

    @property
    def apart(self) -> bool:
        """Whether there are two cores to use."""
        return self.server != self.client


def choose_cores() -> Cores:
    """The first two that this process may use; where there is one, both share it."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[min(1, len(usable) - 1)])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Have this process, and what it starts meanwhile, run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A server that listens, and the processes that answer."""

    target: Target
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """CPU time that all threads of the answering processes, also ended ones, have spent so far."""
        return sum(time.clock_gettime_ns(_cpu_clock(pid)) for pid in self.pids) / 1e9


def _cpu_clock(pid: int) -> int:
    """The clock of another process's CPU time, as clock_getcpuclockid(3) makes it: which Python does not offer."""
    return ~pid << 3 | 2


@contextmanager
def running(module: str, *arguments: str, core: int) -> Iterator[Server]:
    """Start ``python -m module arguments`` on a core; it says where it listens, and is stopped in the end.

    Raises:
        RuntimeError: it ended instead.
    """
    with on_core(core):
        process = subprocess.Popen(  # our own interpreter  # nosec B603
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    said = []
    try:
        for line in process.stdout or ():
            said.append(line)
            if listening := re.search(r"http://([\d.]+):(\d+)", line):
                yield Server(Target(listening[1], int(listening[2])), _answering(process.pid))
                break
        else:
            raise RuntimeError(f"{module} did not start:\n{''.join(said)}")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _answering(pid: int) -> tuple[int, ...]:
    """The workers of a supervisor, or the process itself where it has no children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return tuple(map(int, children)) or (pid,)
