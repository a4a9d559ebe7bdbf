"""What a second worker costs and brings: ``python -m loadgen.bench.workers``.

Two services run side by side, one with a single worker and one with two, and take turns under the same load. What is
compared is the CPU time that their workers spend on a request, which a busy machine disturbs far less than the clock.
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
    command += ["--max-symbols", str(CONNECTIONS)]
    process = subprocess.Popen(  # noqa: S603 - our own service
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stderr is not None  # noqa: S101 - for the type checker
        for line in process.stderr:
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


@dataclass
class Samples:
    """What each turn of one service took."""

    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    def take(self, service: Service, make: Callable[[int], bytes], seconds: float) -> None:
        """Load a service over fresh connections: one request on each, then all the answers, again and again."""
        sockets = service.connect(CONNECTIONS)
        requests = [make(number) for number in range(CONNECTIONS)]
        before, begin, done = service.cpu_seconds(), time.perf_counter(), 0
        while (now := time.perf_counter()) < begin + seconds:
            for connection, request in zip(sockets, requests, strict=True):
                connection.sendall(request)
            for connection in sockets:
                answer(connection)
            done += CONNECTIONS
        spent = [after - earlier for after, earlier in zip(service.cpu_seconds(), before, strict=True)]
        for connection in sockets:
            connection.close()
        self.cpu.append(sum(spent) / done * 1e6)
        self.rate.append(done / (now - begin))
        self.share.append(max(spent) / sum(spent) * 100)


def compare(one: Service, two: Service, make: Callable[[int], bytes], seconds: float) -> list[Samples]:
    """Interleaved turns of both services under the same load."""
    samples = [Samples(), Samples()]
    for service in (one, two):
        Samples().take(service, make, seconds)  # warm
    for _ in range(PAIRS):
        for service, taken in ((one, samples[0]), (two, samples[1])):
            taken.take(service, make, seconds)
    return samples


def load_rows(what: str, samples: list[Samples]) -> list[Row]:
    """CPU time a request with one worker and with two, and how evenly two share the work."""
    single, double = median(samples[0].cpu), median(samples[1].cpu)
    ratio = median(b / a for a, b in zip(samples[0].cpu, samples[1].cpu, strict=True))
    rate = median(samples[1].rate) / median(samples[0].rate)
    share = median(samples[1].share)
    worst = f"worst of {len(samples[1].share)}: {max(samples[1].share):.0f} %"
    return [
        Row(f"{what}: one worker", single, "µs", note=f"{median(samples[0].rate):,.0f} requests/s"),
        Row(f"{what}: two workers", double, "µs", note=f"{median(samples[1].rate):,.0f} requests/s, {rate:.2f} ×"),
        Row(f"{what}: two / one, median of pairs", ratio, "×", at_most=1.10),
        Row(f"{what}: share of the busier of two", share, "%", at_most=60, note=worst),
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
        one, two = stack.enter_context(running(1)), stack.enter_context(running(2))
        for service in (one, two):
            (connection,) = service.connect(1)
            for number in range(CONNECTIONS):
                connection.sendall(batch_request(number, 10_000))
                answer(connection)
        rows = load_rows("stats", compare(one, two, stats_request, seconds))
        for size in (100, 10_000):
            make = partial(batch_request, size=size)
            rows += load_rows(f"batches of {size:,}", compare(one, two, make, seconds))
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
