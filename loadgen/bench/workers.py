"""What a second worker costs and brings: ``python -m loadgen.bench.workers``.

Three set-ups take turns under the same load: a service with one worker, a service with two, and, as a control, two
services apart with one worker each, which share nothing. What is compared is the CPU time that the workers spend on a
request. Where client and two workers have to share two cores, a request costs more than with one worker for that
alone; the control tells how much of it is the sharing of memory.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import click
import orjson

from .table import Row, Section, render

ROOT: Final = Path(__file__).parents[2]
CONNECTIONS: Final = 64
"""Each with a symbol of its own, so that requests of one symbol never overlap; enough to keep two workers busy."""

PAIRS: Final = 15
RESTARTS: Final = 9


@dataclass
class Service:
    """A running tenfold: its address and its processes."""

    pid: int
    port: int

    @property
    def workers(self) -> list[int]:
        """Process numbers of the workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def cpu_seconds(self) -> list[float]:
        """CPU time that each worker has spent so far."""
        return [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 for pid in self.workers]

    def connect(self, count: int) -> list[socket.socket]:
        """So many new connections."""
        return [socket.create_connection(("127.0.0.1", self.port), timeout=10) for _ in range(count)]


@contextmanager
def running(workers: int) -> Iterator[Service]:
    """A service with so many workers, stopped in the end."""
    command = [sys.executable, "-m", "service", "--port", "0", "--workers", str(workers), "--max-k", "6"]
    command += ["--max-symbols", str(CONNECTIONS)]  # our own interpreter and service, so bandit need not worry
    process = subprocess.Popen(  # our own interpreter  # nosec B603
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in process.stderr or ():
            if listening := re.search(r"http://127.0.0.1:(\d+)", line):
                yield Service(process.pid, int(listening[1]))
                break
    finally:
        process.terminate()
        process.communicate(timeout=30)


def stats_request(number: int) -> bytes:
    """A poll of the symbol and the window that the number picks."""
    return f"GET /stats/?symbol=S{number % CONNECTIONS}&k={number % 6 + 1} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def batch_request(number: int, size: int) -> bytes:
    """A batch of so many prices for the symbol that the number picks."""
    body = orjson.dumps({"symbol": f"S{number % CONNECTIONS}", "values": [100 + n % 977 / 100 for n in range(size)]})
    return f"POST /add_batch/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def answer(connection: socket.socket) -> None:
    """Read one answer, which must be a 200."""
    received = connection.recv(65536)
    if not received.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(received[:200].decode(errors="replace") or "closed by the service")


def cpu_seconds(services: list[Service]) -> list[float]:
    """CPU time that each of their workers has spent so far."""
    return [seconds for service in services for seconds in service.cpu_seconds()]


@dataclass
class Samples:
    """What each turn of one service took."""

    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def take(self, services: list[Service], make: Callable[[int], bytes], seconds: float) -> None:
        """Load services over fresh connections: one request on each, then all the answers, again and again."""
        sockets = [one for service in services for one in service.connect(CONNECTIONS // len(services))]
        requests = [make(number) for number in range(CONNECTIONS)]
        before, begin, done = cpu_seconds(services), time.perf_counter(), 0
        while (now := time.perf_counter()) < begin + seconds:
            for connection, request in zip(sockets, requests, strict=True):
                connection.sendall(request)
            for connection in sockets:
                answer(connection)
            done += CONNECTIONS
        spent = [after - earlier for after, earlier in zip(cpu_seconds(services), before, strict=True)]
        for connection in sockets:
            connection.close()
        self.cpu.append(sum(spent) / done * 1e6)
        self.rate.append(done / (now - begin))
        self.share.append(max(spent) / sum(spent) * 100)


def compare(setups: list[list[Service]], make: Callable[[int], bytes], seconds: float) -> list[Samples]:
    """Interleaved turns of all set-ups under the same load."""
    samples = [Samples() for _ in setups]
    for services in setups:
        Samples().take(services, make, seconds)  # warm
    for _ in range(PAIRS):
        for services, taken in zip(setups, samples, strict=True):
            taken.take(services, make, seconds)
    return samples


def ratio(one: Samples, other: Samples) -> float:
    """CPU time a request of one set-up by that of another: the median over turns next to each other."""
    return median(a / b for a, b in zip(one.cpu, other.cpu, strict=True))


def load_rows(what: str, samples: list[Samples]) -> list[Row]:
    """CPU time a request with one worker, with two, and with two that share nothing; how evenly two share the work."""
    single, double, apart = samples
    rate = median(double.rate) / median(single.rate)
    worst = f"worst of {len(double.share)}: {max(double.share):.0f} %"
    return [
        Row(f"{what}: one worker", median(single.cpu), "µs", note=f"{median(single.rate):,.0f} requests/s"),
        Row(
            f"{what}: two workers",
            median(double.cpu),
            "µs",
            note=f"{median(double.rate):,.0f} requests/s, {rate:.2f} ×",
        ),
        Row(f"{what}: two / one, median of pairs", ratio(double, single), "×", at_most=1.10),
        Row(f"{what}: two / two services apart, likewise", ratio(double, apart), "×", note="what sharing costs"),
        Row(f"{what}: share of the busier of two", median(double.share), "%", at_most=60, note=worst),
    ]


def restart_seconds(service: Service) -> float:
    """Kill one worker while the other is stopped; the time until somebody answers, which is the replacement."""
    victim, other = service.workers
    os.kill(other, signal.SIGSTOP)
    try:
        os.kill(victim, signal.SIGKILL)
        begin = time.perf_counter()
        waiting = service.connect(16)  # some of them come to the victim's socket
        for connection in waiting:
            connection.sendall(b"GET /health/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.setblocking(False)
        while not any(_has_answer(connection) for connection in waiting):
            time.sleep(0.0005)
        return time.perf_counter() - begin
    finally:
        os.kill(other, signal.SIGCONT)


def _has_answer(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK) == b"H"
    except BlockingIOError:
        return False


def measure(seconds: float) -> list[Section]:
    """Everything, in the order of the table."""
    with ExitStack() as stack:
        one, two, left, right = (stack.enter_context(running(workers)) for workers in (1, 2, 1, 1))
        for service in (one, two, left, right):
            (connection,) = service.connect(1)
            for number in range(CONNECTIONS):
                connection.sendall(batch_request(number, 10_000))
                answer(connection)
        setups = [[one], [two], [left, right]]
        rows = load_rows("stats", compare(setups, stats_request, seconds))
        for size in (100, 10_000):
            rows += load_rows(f"batches of {size:,}", compare(setups, partial(batch_request, size=size), seconds))
        restarts = [restart_seconds(two) for _ in range(RESTARTS)]
    note = f"slowest of {RESTARTS}: {max(restarts):.2f} s"
    return [
        Section(
            "CPU time a request",
            f"{CONNECTIONS} connections. Medians of {PAIRS} interleaved turns of {seconds} s, over fresh connections.",
            rows,
        ),
        Section(
            "a killed worker",
            "From the kill to the first answer of its replacement, the other worker being stopped.",
            [Row("is replaced and serves after", median(restarts), "s", at_most=2, note=note)],
        ),
    ]


@click.command()
@click.option("--seconds", default=1.0, show_default=True, help="How long each turn takes.")
def main(seconds: float) -> None:
    """Compare one worker with two, and time the replacement of a killed one."""
    print(render(measure(seconds)))


if __name__ == "__main__":
    main()
