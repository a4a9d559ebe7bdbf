"""A server of our own: started on a free port, on a core of its own if need be, looked at through /proc, stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from .plan import Target, read_target

ROOT: Final = Path(__file__).parents[1]
PROC: Final = Path("/proc")
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_PROCESS_CLOCK: Final = 2
"""clock_getcpuclockid(3), which Python does not offer: another process's CPU time."""

_URL: Final = re.compile(r"http://[^\s:]+:\d+")


class Footprint(NamedTuple):
    """What one worker has taken of the machine.

    Args:
        files: open descriptors.
        sockets: those of them that are sockets.
        own_bytes: resident memory, without what the workers share.
        cpu_seconds: spent so far.
    """

    files: int
    sockets: int
    own_bytes: int
    cpu_seconds: float


class Launched:
    """A service that runs.

    Args:
        process: its first process, the parent of the workers; without children it is the only worker.
        log: what it has written.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = Path(log.name)
        self.target = self._await_target()

    def _await_target(self) -> Target:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if listening := _URL.search(self._log.read_text(errors="replace")):
                return read_target(listening[0])
            time.sleep(0.01)
        raise RuntimeError(f"the service did not start: {self.log()}")

    def log(self) -> list[str]:
        """The lines that it has written so far."""
        return self._log.read_text(errors="replace").splitlines()

    def workers(self) -> list[int]:
        """The children that run; a service without children serves itself."""
        pid = self._process.pid
        try:
            children = (PROC / f"{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return []
        return [int(child) for child in children if _state(int(child)) not in "ZX"]

    def cpu_seconds(self) -> float:
        """CPU time that all threads of those who answer, also ended ones, have spent so far."""
        answering = self.workers() or [self._process.pid]
        return sum(time.clock_gettime_ns(~pid << 3 | _PROCESS_CLOCK) for pid in answering) / 1e9

    def footprints(self) -> list[Footprint]:
        """What each worker has taken; a worker that ends meanwhile is left out."""
        found = []
        for worker in self.workers() or [self._process.pid]:
            with suppress(OSError):
                found.append(footprint(worker))
        return found

    def stop(self) -> int | None:
        """End it as a service manager does; its exit code, or nothing if it had to be killed."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None


class Cores(NamedTuple):
    """Server and client have a core each where there are two, so that neither is moved about nor takes the other's."""

    server: int
    client: int


def choose_cores() -> Cores:
    """The first two that this process may use; where there is one, both share it."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[min(1, len(usable) - 1)])


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Have this process, and what it starts meanwhile, run on one core, if one is named."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def launched(module: str, arguments: Sequence[str] = (), core: int | None = None) -> Iterator[Launched]:
    """A server that is gone in the end, whatever happens.

    Raises:
        RuntimeError: it did not start.
    """
    with tempfile.NamedTemporaryFile() as log:
        command = [sys.executable, "-m", module, *arguments]
        with on_core(core):
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own servers # nosec B603
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield Launched(process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _state(pid: int) -> str:
    """The state of a process; X if there is none."""
    try:
        return (PROC / f"{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


def footprint(pid: int) -> Footprint:
    """What a process has taken.

    Raises:
        OSError: there is no such process.
    """
    names = []
    for entry in (PROC / f"{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(entry.readlink()))
    status = (PROC / f"{pid}/status").read_text()
    own = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    cpu = int((PROC / f"{pid}/schedstat").read_text().split()[0]) / 1e9
    sockets = sum(name.startswith("socket:") for name in names)
    return Footprint(len(names), sockets, int(own[1]) * 1024 if own else 0, cpu)
