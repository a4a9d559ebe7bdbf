"""What a service is given by whoever starts it: descriptors, orphans, ten seconds to stop."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from service.processes.descriptors import provide_descriptors
from service.settings import Settings
from tests.support.process import Process, children, forked, running, until
from tests.support.scrape import Scrape
from tests.support.sockets import HEALTH, Wire, post

CONTAINER_SECONDS = 10.0
"""Between SIGTERM and SIGKILL, with Docker and its like."""


def crowd(service: Process, size: int) -> Counter[int | str]:
    """How many of the connections that come at once get which status; none may be left without an answer."""
    statuses: Counter[int | str] = Counter()
    (worker,) = service.workers()
    with ExitStack() as stack:
        os.kill(worker, signal.SIGSTOP)
        wires = [stack.enter_context(Wire(service.port)) for _ in range(size)]
        os.kill(worker, signal.SIGCONT)
        for wire in wires:
            try:
                statuses[wire.ask(HEALTH).status] += 1
            except ConnectionError as error:
                statuses[type(error).__name__] += 1
        before = cpu_seconds(worker)
        time.sleep(1)
        assert cpu_seconds(worker) - before < 0.5, "it is busy with nothing"
    return statuses


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_soft_limit_on_descriptors_is_raised() -> None:
    """Where the hard limit allows it, as many connections are served as may be, without a word."""
    with running(workers=1, max_k=2, before="ulimit -Sn 100") as service:
        assert crowd(service, 300) == {200: 300}
        assert "descriptors" not in service.text


@pytest.mark.parametrize("limit", [200, 500])
def test_a_hard_limit_on_descriptors_lowers_the_cap_on_connections_503(limit: int) -> None:
    """Where it does not, one line says so, and whoever comes beyond the lower cap gets 503: nobody is left alone."""
    with running(workers=1, max_k=2, before=f"ulimit -n {limit}") as service:
        assert service.text.count("descriptors may be had") == 1
        cap = int(Scrape.of(service.url)["tenfold_connections_limit"])
        assert limit / 5 < cap < limit
        assert crowd(service, 2 * limit) == {200: cap, 503: 2 * limit - cap}
        service.stop_cleanly()


def test_too_few_descriptors_for_the_workers_is_one_line_and_exit_code_2() -> None:
    """What cannot work at all is said at once."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 80; exec "$@"', "sh", sys.executable, "-m", "service", "--workers", "64"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "tenfold: 64 workers need more file descriptors than 80 (ulimit -Hn)\n"


ORPHANED = textwrap.dedent("""
    import ctypes, os, sys
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what PID 1 is to everybody
    if os.fork() == 0:
        for lives_on in (False, True, True):
            if os.fork() == 0:
                lives_on and os.read(int(sys.argv[1]), 1)
                os._exit(0)
        os._exit(0)
    os.execv(sys.executable, [sys.executable, "-m", "service", *sys.argv[2:]])
""")


def test_orphans_are_reaped_as_pid_1_has_to() -> None:
    """Processes whose parents have ended become the supervisor's, and leave no zombie, nor do those of its workers."""
    until_told, tell = os.pipe()
    command = [sys.executable, "-c", ORPHANED, str(until_told), "--port", "0", "--workers", "2", "--max-k", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, pass_fds=[until_told])
    os.close(until_told)
    try:
        assert process.stderr is not None
        assert b"listens on" in process.stderr.readline()
        until(lambda: len(children(process.pid)) == 4, 20)
        os.close(tell)
        until(lambda: len(children(process.pid)) == 2, 20)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert b"was killed" in process.stderr.readline()
        assert b"is replaced" in process.stderr.readline()
        assert len(children(process.pid)) == 2
        process.terminate()
        assert process.wait(CONTAINER_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_stop_is_over_within_the_ten_seconds_of_a_container() -> None:
    """By default, with a client that never finishes its request and a worker that hangs."""
    with forked(Settings(workers=2, max_k=2)) as service, Wire(service.port) as wire:
        wire.send(post(b'{"symbol": "A", "values": [1]}')[:-5])
        os.kill(service.workers()[0], signal.SIGSTOP)
        begin = time.monotonic()
        os.kill(service.pid, signal.SIGTERM)
        assert service.wait(2 * CONTAINER_SECONDS) == 0
        assert time.monotonic() - begin < CONTAINER_SECONDS


def test_a_descriptor_for_each_connection_is_provided() -> None:
    """What is asked for is had where it may be, and TLS needs a second one for handshakes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        for cert, least in ((None, 600), ("cert.pem", 1200)):
            settings = Settings(workers=1, max_connections=600, cert=cert)
            assert provide_descriptors(settings) == settings
            assert least < resource.getrlimit(resource.RLIMIT_NOFILE)[0] < least + 600
    finally:
        with suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
