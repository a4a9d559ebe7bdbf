"""The parent of the workers: starts them, replaces the dead, stops them all. It waits for events and does nothing else.

A worker is forked from here, with the memory mapped, the sockets bound and the kernels loaded, so a replacement serves
within a fraction of a second. What the supervisor waits for are file descriptors: a worker's end (pidfd), a worker's
word that it serves (pipe), and signals (pipe). What it tells a worker besides SIGTERM goes through a pipe, too.

Twice a second it also looks whether the workers beat, and kills one whose event loop has stood still for too long: its
connections would wait, and so would whoever needs a lock that it holds. Silence is summed up from look to look, and
however long it is between two looks, half a second of it counts. So when the supervisor stood still itself, since the
machine was suspended, or all processes of a terminal or a container were stopped, the workers have their time.

As the first process of a container it is also the parent of all that lost theirs, and buries them.
"""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aggregation import SharedMemory, Symbols
from service.api.access import TokenFileError
from service.logs import OWN, count_as_worker, fields, wait_for_room
from service.machine import Grants, MemoryGuard
from service.metrics.counters import SharedMetrics
from service.settings import Settings

from .allocator import unmap_library_pages
from .entrance import CertificateError, Entrance, open_entrance
from .signals import HEARD, STOPPING, become_worker, hear, stop_hearing
from .warm_up import warm_kernels
from .worker import die_with_parent, work

log = logging.getLogger(OWN)

MOST_FAILED_STARTS: Final = 5
"""Deaths in a row, before it ever served, after which a worker is not tried again: it would not get better."""

KILL_AFTER_SECONDS: Final = 1.5
"""What a worker gets on top of the time for requests in flight, before it is killed. With the last lines of the log,
and giving 8 GB back to the system, which takes a second or two, a stop fits into the ten seconds of a container."""

WATCH_SECONDS: Final = 0.5
"""Between two looks at the workers: at least two beats of theirs. More than this does not count between two looks."""

START_SECONDS: Final = 20.0
"""How long a worker may take until it serves, which is a fraction of a second on a machine that has time, and a few
where ten others want each core."""


@dataclass
class _Worker:
    """One place among the workers and the process that fills it now."""

    number: int
    pid: int = 0
    pidfd: int = -1
    ready: int = -1
    orders: int = -1
    serving: bool = False
    failed_starts: int = 0
    beat: float = 0.0
    silent: float = 0.0


class Supervisor:
    """Runs ``settings.workers`` workers, one for each listener.

    Args:
        settings: handed to the workers.
        listeners: one bound and listening socket for each worker.
        memory: what the workers share.
        announce: called once, when all workers serve.
        entrance: handed to the workers.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        memory: SharedMemory,
        announce: Callable[[], None],
        entrance: Entrance | None = None,
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._memory = memory
        self._entrance = entrance or Entrance()
        self._metrics = SharedMetrics(len(listeners))
        self._grants = Grants(len(listeners))
        self._announce: Callable[[], None] | None = announce
        self._workers = [_Worker(number) for number in range(len(listeners))]
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._exit_code = 0
        self._kill_at: float | None = None
        self._watched_at = 0.0

    def run(self) -> int:
        """Run until a signal says otherwise, then stop all workers; returns the exit code."""
        woken = hear()
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._on_signal(woken))
        warm_kernels()
        gc.collect()
        gc.freeze()  # what exists by now is shared by all workers; a collector that writes to it would unshare it
        for worker in self._workers:
            self._start(worker)
        unmap_library_pages()
        while any(worker.pid for worker in self._workers):
            timeout = WATCH_SECONDS if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())
            for key, _ in self._selector.select(timeout):
                key.data()
            if not self._stopping:
                self._watch()
            self._bury_orphans()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                log.warning("killing workers that would not stop")
                self._signal_all(signal.SIGKILL)
                self._kill_at = None
        stop_hearing(woken)
        wait_for_room()
        log.info("stopped", extra=fields(exit_code=self._exit_code))
        return self._exit_code

    def _start(self, worker: _Worker) -> None:
        """Fork the process of a worker."""
        supervisor = os.getpid()
        worker.ready, ready = os.pipe()
        orders, worker.orders = os.pipe()
        os.set_blocking(worker.orders, False)
        self._metrics.begin(worker.number)
        # A signal to the child must not reach our pipe of signals, which it shares until it has its own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        with warnings.catch_warnings():  # newer Pythons warn of threads; the one that writes the log holds nothing
            warnings.simplefilter("ignore", DeprecationWarning)
            worker.pid = os.fork()
        if worker.pid == 0:
            self._become(worker, supervisor, ready, orders)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        os.close(ready)
        os.close(orders)
        self._metrics.began(worker.number, worker.pid)
        worker.serving = False
        worker.pidfd = os.pidfd_open(worker.pid)
        pid = worker.pid
        self._selector.register(worker.ready, selectors.EVENT_READ, lambda: self._on_ready(worker, pid))
        self._selector.register(worker.pidfd, selectors.EVENT_READ, lambda: self._on_end(worker))

    def _become(self, worker: _Worker, supervisor: int, ready: int, orders: int) -> None:
        """In the child: be the worker, and never return."""
        code = 1
        try:
            die_with_parent(supervisor)
            count_as_worker(worker.number)
            become_worker()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            self._selector.close()
            for listener in self._listeners:
                if listener is not self._listeners[worker.number]:
                    listener.close()
            listener = self._listeners[worker.number]
            counters = self._metrics.of_worker(worker.number)
            guard = MemoryGuard(self._settings.reserve_bytes, self._grants, worker.number)
            symbols = Symbols(self._memory, guard.may_grow)
            work(self._settings, symbols, counters, listener, lambda: _say(ready), self._entrance, orders)
            code = 0
        except BaseException:  # nothing may unwind into the supervisor
            log.exception("worker %d failed", worker.number, extra=fields(worker=worker.number))
        finally:
            os._exit(code)

    def _watch(self) -> None:
        """Kill the workers that have been silent for too long; their ends are events like any other."""
        now = time.monotonic()
        passed = min(now - self._watched_at, WATCH_SECONDS)
        self._watched_at = now
        for worker, beat in zip(self._workers, self._metrics.beats(), strict=True):
            worker.silent = 0.0 if beat != worker.beat else worker.silent + passed
            worker.beat = beat
            if worker.silent > (self._settings.hang_seconds if worker.serving else START_SECONDS):
                what = fields(worker=worker.number, pid=worker.pid)
                log.warning("worker %d (process %d) stands still: killing it", worker.number, worker.pid, extra=what)
                os.kill(worker.pid, signal.SIGKILL)
                worker.silent = 0.0

    def _on_ready(self, worker: _Worker, pid: int) -> None:
        """The worker said that it serves; or its end was closed in silence: it is dying, as its pidfd will tell."""
        if worker.pid != pid:  # both were told at once, and it has been replaced already
            return
        serves = os.read(worker.ready, 1)
        self._selector.unregister(worker.ready)
        os.close(worker.ready)
        worker.ready = -1
        if not serves:
            return
        worker.serving = True
        worker.silent = 0.0  # its start took as long as it took
        worker.failed_starts = 0
        if self._stopping:  # a signal that came before it was ready has been lost on it
            os.kill(worker.pid, signal.SIGTERM)
        elif self._announce is not None and all(one.serving for one in self._workers):
            self._announce()
            self._announce = None

    def _on_end(self, worker: _Worker) -> None:
        """The process is dead: replace it, unless all is to end."""
        if worker.ready >= 0:
            self._selector.unregister(worker.ready)
            os.close(worker.ready)
            worker.ready = -1
        self._selector.unregister(worker.pidfd)
        os.close(worker.pidfd)
        os.close(worker.orders)
        pid, worker.pid = worker.pid, 0
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if self._stopping:
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        what = fields(worker=worker.number, pid=pid, **({"signal": -code} if code < 0 else {"exit_code": code}))
        log.warning("worker %d (process %d) %s", worker.number, pid, how, extra=what)
        if not worker.serving:
            worker.failed_starts += 1
            if worker.failed_starts >= MOST_FAILED_STARTS:
                log.error("worker %d failed to start %d times in a row: giving up", worker.number, MOST_FAILED_STARTS)
                self._exit_code = 1
                self._stop()
                return
        self._start(worker)
        replaced = fields(worker=worker.number, pid=worker.pid)
        log.info("worker %d is replaced by process %d", worker.number, worker.pid, extra=replaced)

    def _on_signal(self, woken: int) -> None:
        """Stop, or at another time at once; or read again who may come in. Signals that come together are one."""
        numbers = os.read(woken, 64)
        if STOPPING.isdisjoint(numbers):
            if signal.SIGHUP in numbers and not self._stopping:
                self._read_again()
        elif self._stopping:
            self._kill_at = time.monotonic()
        else:
            log.info("stopping")
            self._stop()

    def _read_again(self) -> None:
        """Have all workers, those to come too, go by the files of tokens and certificate as they are now."""
        if self._entrance == Entrance():
            log.info("SIGHUP: there is neither a token file nor a certificate to read again")
            return
        try:
            self._entrance = open_entrance(self._settings)
        except (TokenFileError, CertificateError) as error:
            log.error("%s; what was read before stays in force", error)  # noqa: TRY400 - it says all there is to say
            return
        for worker in self._workers:
            if worker.pid:
                with suppress(BlockingIOError, BrokenPipeError):  # it has orders enough, or is dying
                    os.write(worker.orders, b"!")
        log.info("tokens and certificate were read again")

    def _bury_orphans(self) -> None:
        """Take note of the end of children that are no workers."""
        workers = {worker.pid for worker in self._workers}
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in workers:  # as its pidfd will tell; the next look sees further
                    break
                os.waitpid(ended.si_pid, 0)

    def _stop(self) -> None:
        """Refuse new connections, let the workers finish what they accepted, and see that they do."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        self._kill_at = time.monotonic() + self._settings.stop_seconds + KILL_AFTER_SECONDS
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


def _say(ready: int) -> None:
    """Tell the supervisor that this worker serves; a pipe that is closed in silence says that it never did."""
    os.write(ready, b"!")
    os.close(ready)
