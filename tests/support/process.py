"""A tenfold of its own processes on a port that it chose: started as the README says, or forked from the test.

Both are watched through /proc, so that a test can say which worker answered, kill one, and see that none is left.
"""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, TypeVar

from aggregation import SharedMemory, Symbols
from service.logs import configure, finish
from service.processes.entrance import open_entrance
from service.processes.listeners import listen, url
from service.processes.supervisor import Supervisor
from service.settings import Settings

ROOT = Path(__file__).parents[2]
PROC = Path("/proc")

Started = TypeVar("Started", bound="Tenfold")


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition and return how long that took; after ``seconds`` it fails."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - started


def _stat(pid: int) -> tuple[str, int, int]:
    """State, parent and session of a process; ("X", 0, 0) if there is none."""
    try:
        state, parent, _group, session = (PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return "X", 0, 0
    return state, int(parent), int(session)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    return _stat(pid)[0] not in "ZX"


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def children(parent: int) -> list[int]:
    """All children of a process, zombies included."""
    return [pid for pid in _pids() if _stat(pid)[1] == parent]


def living_members(session: int) -> list[int]:
    """Processes that run in a session."""
    return [pid for pid in _pids() if _stat(pid)[2] == session and alive(pid)]


class Tenfold:
    """A running service; what it has logged so far is in ``log``."""

    def __init__(self, pid: int, log: IO[str]) -> None:
        self.pid = pid
        self.log: list[str] = []
        self.url = ""
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()
        assert self._started.wait(60), "it neither starts nor ends"

    def _read(self, log: IO[str]) -> None:
        """Take the log as it comes, so that the pipe never fills; it ends with the last process that could write."""
        with log:
            for line in log:
                self.log.append(line)
                if not self.url and (listening := re.search(r"https?://\S+:\d+", line)):
                    self.url = listening[0]
                    self._started.set()
        self._started.set()

    def wait(self, seconds: float) -> int:
        """Wait for the end of the parent process and return its exit code."""
        raise NotImplementedError

    def ended(self, seconds: float = 20.0) -> int:
        """Wait for the end and the last line of the log; return the exit code."""
        code = self.wait(seconds)
        self._reader.join(5)
        return code

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        os.killpg(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the parent process and return its exit code."""
        os.kill(self.pid, number)
        return self.ended()

    def stop_cleanly(self) -> None:
        """Stop it, and see that nothing has gone wrong with it all the while."""
        assert self.stop() == 0
        self.assert_no_defect("ERROR")

    def assert_no_defect(self, *signs: str) -> None:
        """No traceback, and nothing else of these, is in the log."""
        for sign in ("Traceback", *signs):
            assert sign not in self.text, self.text

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        with suppress(ProcessLookupError):
            self.signal_all(signal.SIGKILL)
        self.ended()

    @property
    def text(self) -> str:
        """The log in one piece."""
        return "".join(self.log)

    def wait_for_log(self, text: str) -> None:
        """See something in the log; a line may come a moment after what it tells of."""
        until(lambda: text in self.text, 20)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def workers(self) -> list[int]:
        """The workers that run."""
        return [pid for pid in children(self.pid) if alive(pid)]

    def worker_of(self, client_port: int) -> int | None:
        """The worker that holds the other end of a client's connection, if one has accepted it and still lives."""
        for _ in range(20):  # the kernel's table is read in pieces; while others connect and close, one may be missed
            held = {f"socket:[{end.inode}]" for end in _server_ends(self.port) if end.client == client_port}
            for pid in self.workers():
                if held & _open_files(pid):
                    return pid
            time.sleep(0.01)
        return None

    def connections(self) -> int:
        """Connections that its workers hold."""
        opened = set().union(*map(_open_files, self.workers()))
        return sum(f"socket:[{end.inode}]" in opened for end in _server_ends(self.port) if end.client)

    def has_read(self, client_port: int) -> bool:
        """Whether a worker has read all that a client has sent so far."""
        ends = [end for end in _server_ends(self.port) if end.client == client_port]
        return any(end.inode != "0" and not end.unread for end in ends)

    def listens(self) -> bool:
        """Whether any process still takes new connections."""
        return any(not end.client for end in _server_ends(self.port))

    def memory(self) -> int:
        """Bytes of memory of all its processes, what they share counted once."""
        return sum(_pss(pid) for pid in [self.pid, *self.workers()])


def _open_files(pid: int) -> set[str]:
    """What a process has open; files that it closes meanwhile, or all if it ends, are left out."""
    names = set()
    with suppress(OSError):
        for entry in (PROC / f"{pid}/fd").iterdir():
            with suppress(OSError):
                names.add(str(entry.readlink()))
    return names


class _End(NamedTuple):
    """The service's end of a connection over loopback; of the socket that listens, if ``client`` is 0."""

    client: int
    unread: int
    inode: str
    """ "0" as long as nobody has accepted it."""


def _server_ends(server_port: int) -> Iterator[_End]:
    for line in (PROC / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote, unread = (int(field.rpartition(":")[2], 16) for field in (*fields[1:3], fields[4]))
        if local == server_port:
            yield _End(remote, unread, fields[9])


def _pss(pid: int) -> int:
    for line in (PROC / f"{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


class Process(Tenfold):
    """The command of the README, or another module that says on stderr where it listens."""

    def __init__(
        self, *arguments: str, module: str = "service", env: dict[str, str] | None = None, before: str = ":"
    ) -> None:
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.popen.stderr is not None
        super().__init__(self.popen.pid, self.popen.stderr)

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)


class Forked(Tenfold):
    """A supervisor forked from the test, with its workers: the test looks into the very memory that they serve."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shared = SharedMemory(settings.layout)
        self._code: int | None = None
        listeners = listen("127.0.0.1", 0, settings.workers)
        read, write = os.pipe()
        with warnings.catch_warnings():  # newer Pythons warn of threads, which the child does not care for
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            os.close(read)
            self._supervise(listeners, write)
        os.close(write)
        for listener in listeners:
            listener.close()
        super().__init__(pid, os.fdopen(read))

    def _supervise(self, listeners: list[socket.socket], write: int) -> NoReturn:
        """In the child: leave the test behind, and be the parent of the workers."""
        code = 70
        try:
            os.setsid()
            os.dup2(write, 2)
            os.close(write)
            configure(self.settings.log_format)
            log = logging.getLogger("tenfold")
            address = url(listeners[0])
            ready, entrance = partial(log.info, "listens on %s", address), open_entrance(self.settings)
            code = Supervisor(self.settings, listeners, self.shared, ready, entrance).run()
        finally:
            finish()
            os._exit(code)

    def wait(self, seconds: float) -> int:
        if self._code is None:
            pidfd = os.pidfd_open(self.pid)
            try:
                end = select.poll()  # select() itself knows no descriptor from 1024 on
                end.register(pidfd, select.POLLIN)
                assert end.poll(seconds * 1000), "it does not end"
            finally:
                os.close(pidfd)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    @property
    def symbols(self) -> Symbols:
        """The symbols as one more process sees them."""
        return Symbols(self.shared)


@contextmanager
def running(
    *arguments: str, env: dict[str, str] | None = None, before: str = ":", **options: object
) -> Iterator[Process]:
    """A service on a free port, with options as given or by their names, gone at the end whatever happens.

    The shell that is replaced by it runs the command ``before``.
    """
    named = [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    with until_done(Process("--port", "0", *arguments, *named, env=env, before=before)) as process:
        yield process


@contextmanager
def forked(settings: Settings) -> Iterator[Forked]:
    """A service over memory of this process, gone at the end whatever happens."""
    with until_done(Forked(settings)) as process:
        yield process


@contextmanager
def until_done(process: Started) -> Iterator[Started]:
    """Something that has started, gone at the end whatever happens."""
    try:
        assert process.url, process.log
        yield process
    finally:
        process.end()


def command(*arguments: str, module: str = "service", seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    ran = [sys.executable, "-m", module, *arguments]
    return subprocess.run(ran, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
