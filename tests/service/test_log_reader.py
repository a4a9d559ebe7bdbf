"""Nobody waits for whoever reads the log: lines that do not fit are dropped and counted."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from service.machine import Grants, MemoryGuard
from service.settings import Settings
from tests.service.conftest import Api
from tests.support.loglines import LINE
from tests.support.process import ROOT, Forked, alive, children, forked, living_members, until

SECONDS = 10.0
"""Within which a stop must be over, whoever reads."""

FLOOD = 1000
"""Symbols: some 2,000 lines of 80 bytes, more than fits on the way to a reader that stands still."""


class Started:
    """A service whose stderr the test has chosen."""

    def __init__(self, stderr: int | IO[bytes], shell: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "service",
            "--port",
            str(port),
            "--workers",
            "2",
            "--max-k",
            "2",
            "--preallocate",
        ]
        if shell:
            command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
        self.url = f"http://127.0.0.1:{port}"
        self.popen = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
        until(self._serves, 60)

    def _serves(self) -> bool:
        assert self.popen.poll() is None, f"it ended with {self.popen.returncode}"
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health/", timeout=5).status_code == 200
        return False

    def workers(self) -> set[int]:
        return {pid for pid in children(self.popen.pid) if alive(pid)}

    def survives_a_kill_and_stops(self) -> None:
        """A worker is killed, which is a line of the supervisor's, and replaced; then all stop in order, in time."""
        before = self.workers()
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(self.workers() - before) == 1, SECONDS)
        come_and_go(self.url, 50)
        self.popen.send_signal(signal.SIGTERM)
        assert self.popen.wait(SECONDS) == 0
        assert living_members(self.popen.pid) == []


@contextmanager
def started(stderr: int | IO[bytes], shell: str = "") -> Iterator[Started]:
    service = Started(stderr, shell)
    try:
        yield service
    finally:
        with suppress(ProcessLookupError):
            os.killpg(service.popen.pid, signal.SIGKILL)
        service.popen.wait()


def come_and_go(url: str, times: int) -> None:
    """Create a symbol and delete it, over and over."""
    with httpx.Client(base_url=url, timeout=SECONDS) as client:
        for _ in range(times):
            assert client.post("/add_batch/", json={"symbol": "A", "values": [1]}).status_code == 200
            assert client.delete("/symbols/A").status_code == 204


def test_a_closed_stderr_harms_nobody() -> None:
    """Without a stderr no socket takes its number, workers are replaced, and the stop is in order."""
    with started(subprocess.DEVNULL, "2>&- >&- <&-") as service:
        for pid in [service.popen.pid, *service.workers()]:
            assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)} == {"/dev/null"}
        service.survives_a_kill_and_stops()


def test_a_log_on_a_full_disk_harms_nobody() -> None:
    """Where every line fails to be written, workers are replaced, and the stop is in order."""
    with Path("/dev/full").open("wb") as full, started(full) as service:
        come_and_go(service.url, 5)
        until(lambda: dropped(service.url) >= 3, SECONDS)
        service.survives_a_kill_and_stops()


def test_a_log_whose_reader_has_gone_harms_nobody() -> None:
    """Where the other end of the pipe is closed, workers are replaced, and the stop is in order."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as end, started(end) as service:
        service.survives_a_kill_and_stops()


def test_a_reader_that_stalls_from_the_start_holds_nobody_up() -> None:
    """With a stderr that is full before its first line, it starts, replaces workers, and stops in time."""
    read, write = os.pipe()
    fill(write)
    with os.fdopen(write, "wb") as end, started(end) as service:
        service.survives_a_kill_and_stops()
    os.close(read)


def fill(pipe: int) -> None:
    """Leave no room in a pipe."""
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while os.write(pipe, b"\n" * 4096):
            pass
    os.set_blocking(pipe, True)


def dropped(url: str) -> int:
    """Lines that were dropped, as /metrics counts them."""
    (value,) = re.findall(r"^tenfold_log_lines_dropped_total (\d+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    return int(value)


class Stalled(Forked):
    """A service whose log is read when the test says so."""

    reads = True

    def _read(self, log: IO[str]) -> None:
        self.file = log
        while not self.url:
            if listening := re.search(r"http://\S+:\d+", log.readline()):
                self.url = listening[0]
                self._started.set()

    def read(self) -> None:
        """Read to the end."""
        self.log += self.file.readlines()


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stalled]:
    """Two workers that log every symbol that comes or goes."""
    monkeypatch.setattr("service.logs.AT_ONCE", {"tenfold.symbols": 1 << 60}, raising=False)
    service = Stalled(Settings(workers=2, max_k=1))
    try:
        assert service.url
        yield service
    finally:
        with suppress(ProcessLookupError):
            service.signal_all(signal.SIGKILL)
        service.wait(5)
        service.file.close()


def test_a_reader_that_stalls_holds_nobody_up(stalled: Stalled) -> None:
    """While nobody reads, clients are served and a worker is replaced; what is dropped is counted, and the stop ends.

    What the pipe holds is whole lines all the same.
    """
    come_and_go(stalled.url, FLOOD)
    os.kill(stalled.workers()[0], signal.SIGKILL)
    until(lambda: len(stalled.workers()) == 2, SECONDS)
    come_and_go(stalled.url, 10)
    assert dropped(stalled.url) > 0
    os.kill(stalled.pid, signal.SIGTERM)
    assert stalled.wait(SECONDS) == 0
    stalled.read()
    assert [line for line in stalled.log[:-1] if not LINE.fullmatch(line[:-1])] == []


def test_a_reader_that_reads_again_is_told_what_it_missed(stalled: Stalled) -> None:
    """Every line is read or counted: those that were dropped are in /metrics, and in a line once there is room."""
    come_and_go(stalled.url, FLOOD)
    missed = dropped(stalled.url)
    assert missed > 0
    while stalled.file.readable() and "dropped" not in (line := stalled.file.readline()):
        stalled.log.append(line)
    stalled.log.append(line)
    os.kill(stalled.pid, signal.SIGTERM)
    stalled.read()
    assert stalled.wait(SECONDS) == 0
    told = sum(int(number) for number in re.findall(r"dropped (\d+) lines", stalled.text))
    changes = [line for line in stalled.log if " symbol A " in line]
    assert told == missed
    assert len(changes) + missed == 2 * FLOOD
    assert [line for line in stalled.log if not LINE.fullmatch(line[:-1])] == []
    assert stalled.log[-1].endswith(" stopped\n")


def test_the_last_lines_reach_a_reader_that_is_slow(stalled: Stalled) -> None:
    """At a stop what waits is written, if it is read within a moment."""
    come_and_go(stalled.url, FLOOD)
    os.kill(stalled.pid, signal.SIGTERM)
    until(lambda: not stalled.workers(), SECONDS)
    stalled.read()
    assert stalled.log[-1].endswith(" stopped\n")
    assert stalled.wait(SECONDS) == 0


def test_symbols_that_come_and_go_by_the_thousand_are_some_lines_a_second() -> None:
    """Two clients create and delete as fast as they can: the log grows slowly, and the rest is a number."""
    with forked(Settings(workers=1, max_k=1)) as service:
        begin = time.monotonic()
        come_and_go(service.url, FLOOD)
        seconds = time.monotonic() - begin
        assert service.stop() == 0
    lines = [line for line in service.log if " symbol " in line]
    assert len(lines) <= 2 * 20 * (seconds // 5 + 2)
    left_out = sum(map(int, re.findall(r"(?:left out|and) (\d+) (?:lines|more)", service.text)))
    written = len([line for line in lines if re.search(r" symbol A (created|deleted)( |$)", line)])
    assert written + left_out == 2 * FLOOD


def test_no_line_is_logged_under_a_lock(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is said about a batch is said when its locks are released: creation, deletion, 507."""
    caplog.set_level(logging.INFO, "tenfold")
    memory: Any = api.symbols._memory
    held: list[object] = []
    seen: list[str] = []

    class Lock:
        def acquire(self, *_: object) -> None:
            held.append(self)

        def release(self) -> None:
            held.remove(self)

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, *_: object) -> None:
            self.release()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())
            assert held == [], record.getMessage()

    monkeypatch.setattr(memory, "name_lock", lambda _name: Lock())
    monkeypatch.setattr(memory, "slot_locks", [Lock() for _ in memory.slot_locks])
    listener = Listener()
    log = logging.getLogger("tenfold")
    log.addHandler(listener)
    try:
        assert api.add("A", [1.0]).status_code == 200
        api.symbols._may_grow = MemoryGuard(1 << 60, Grants(1), 0).may_grow
        assert api.add("B", [1.0]).status_code == 507
        assert api.request("DELETE", "/symbols/A").status_code == 204
    finally:
        log.removeHandler(listener)
    assert held == []
    assert len(seen) == 3, seen
