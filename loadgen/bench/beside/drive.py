"""The clients of all servers: closed loop for cost and rate, open loop for latency.

What a request costs the server is read from the kernel. wrk, in C, can keep even the quickest servers busy, so that
requests a second say the same. Where it is not installed there are raw sockets and ready-made requests, at some 8 µs
of the client's core for one: the client is what is waited for, and only the CPU time says something about a server.
"""

from __future__ import annotations

import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from loadgen.plan import Target
from loadgen.wire.client import READ_BYTES, Response, parse

from .servers import Server

CONNECTIONS: Final = 8
"""Enough that the server always has a request to go on with, as under load; few enough to stay in the caches."""

SETTLE_SECONDS: Final = 0.002
"""From the last answer to reading the server's CPU time: what it leaves for after the answer is its cost too."""

SEED: Final = 12
"""Of the moments of the open loop: the same ones for everybody who is compared."""

TIMEOUT_SECONDS: Final = 30.0


class Cost(NamedTuple):
    """What requests cost: CPU time of the server for one, in µs, and how many were answered in a second.

    ``client_share`` is the part of the time that the client was busy: near 1 it holds the server up, and only the CPU
    time says something about the server.
    """

    cpu_us: float
    per_second: float
    client_share: float


class RefusedError(Exception):
    """A server did not answer 200."""


def call(target: Target, request: bytes) -> Response:
    """Send one request over a connection of its own; its answer, whatever it is."""
    with _connected(target, 1) as (connection,):
        connection.sendall(request)
        return _receive(connection)


def post_all(target: Target, requests: Iterable[bytes]) -> None:
    """Send requests one after the other over one connection; each must be answered 200.

    Raises:
        RefusedError: one is not.
    """
    with _connected(target, 1) as (connection,):
        for request in requests:
            connection.sendall(request)
            _expect_success(_receive(connection))


def closed_loop(server: Server, requests: Sequence[bytes], seconds: float, number: int = CONNECTIONS) -> Cost:
    """Send the next request on a connection as soon as its last one is answered; the requests go around.

    Connections are served in turn, so each is read when its answer is there already or about to be.

    Raises:
        RefusedError: an answer is not 200.
    """
    upcoming = cycle(requests)
    with _connected(server.target, number) as connections:
        for connection in connections:  # the first request on a connection pays for making it
            connection.sendall(next(upcoming))
            _expect_success(_receive(connection))
        time.sleep(SETTLE_SECONDS)
        cpu, own, begin, done = server.cpu_seconds(), time.process_time(), time.perf_counter(), 0
        end = begin + seconds
        for connection in connections:
            connection.sendall(next(upcoming))
        while time.perf_counter() < end:
            for connection in connections:
                _expect_success(_receive(connection))
                connection.sendall(next(upcoming))
            done += number
        for connection in connections:
            _expect_success(_receive(connection))
        done += number
        elapsed = time.perf_counter() - begin
        busy = (time.process_time() - own) / elapsed
        time.sleep(SETTLE_SECONDS)
        return Cost((server.cpu_seconds() - cpu) / done * 1e6, done / elapsed, busy)


WRK: Final = shutil.which("wrk")
"""Where it is."""

WRK_SECONDS: Final = 0.5
"""It knows only whole ones, so it is interrupted."""

CONNECT_SECONDS: Final = 0.0005
"""So much longer is a sample for each connection, so that making it weighs little."""


def saturated(server: Server, request: bytes, number: int = CONNECTIONS, *, counted: bool = False) -> Cost:
    """Have wrk ask the same over and over, from the core that this process runs on.

    Args:
        server: who is asked.
        request: what, without anything in its head that wrk does not send: method, target, type and body.
        number: of connections.
        counted: add a field to each query that counts up, so that no head comes twice.

    Raises:
        RefusedError: an answer is not a success.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    (method, path, _), *lines = (line.split(b" ") for line in head.split(b"\r\n"))
    kind = next((line[1] for line in lines if line[0].lower() == b"content-type:"), b"application/json")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = f'wrk.method, wrk.path = "{method.decode()}", "{path.decode()}"\n'
        if body:  # an empty one would be announced, too, and that is another head
            script += f"""
                wrk.body = io.open("{folder}/body", "rb"):read("*a")
                wrk.headers["Content-Type"] = "{kind.decode()}"
            """
        if counted:
            script += f"""
                local number = 0
                request = function()
                    number = number + 1
                    return wrk.format(nil, wrk.path .. "&n={time.time_ns()}." .. number)
                end
            """
        (Path(folder) / "script.lua").write_text(script)
        url = f"http://{server.target.host}:{server.target.port}"
        command = [str(WRK), "-t1", f"-c{number}", "-d1m", "-s", f"{folder}/script.lua", url]
        cpu, own = server.cpu_seconds(), _children_seconds()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:  # wrk, and our own arguments  # nosec B603
            time.sleep(WRK_SECONDS + number * CONNECT_SECONDS)
            client.send_signal(signal.SIGINT)
            said = client.communicate()[0]
        cpu, own = server.cpu_seconds() - cpu, _children_seconds() - own
    found = re.search(r"([1-9]\d*) requests in .*Requests/sec: *([\d.]+)", said, re.DOTALL)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise RefusedError(said)
    done, rate = int(found[1]), float(found[2])
    return Cost(cpu / done * 1e6, rate, own * rate / done)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def open_loop(server: Server, request: bytes, rate: float, seconds: float, spin: bool) -> list[float]:
    """Send at random moments, ``rate`` a second on average, whatever the answers do; latencies in µs.

    A latency counts from the moment at which the request was to be sent: if all connections wait for answers, it waits
    with them, and that shows (open model, no coordinated omission).

    Args:
        server: which.
        request: what is sent.
        rate: requests a second, exponentially distributed intervals.
        seconds: how long.
        spin: never sleep, so that the client is on time to the microsecond; it needs a core of its own.

    Raises:
        RefusedError: an answer is not 200.
    """
    intervals = np.random.default_rng(SEED).exponential(1 / rate, max(1, int(rate * seconds)))
    latencies: list[float] = []
    with _connected(server.target, CONNECTIONS) as connections:
        poll = select.epoll()
        by_number = {connection.fileno(): connection for connection in connections}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        idle, intended = list(connections), dict.fromkeys(by_number, 0.0)
        moments = (time.perf_counter() + 0.01 + np.cumsum(intervals)).tolist()
        upcoming = 0
        while len(latencies) < len(moments):
            while idle and upcoming < len(moments) and moments[upcoming] <= time.perf_counter():
                connection = idle.pop()
                intended[connection.fileno()] = moments[upcoming]
                connection.sendall(request)
                upcoming += 1
            for number, _ in poll.poll(0 if spin else 0.0005):
                _expect_success(_receive(by_number[number]))
                latencies.append((time.perf_counter() - intended[number]) * 1e6)
                idle.append(by_number[number])
        poll.close()
    return latencies


@contextmanager
def _connected(target: Target, count: int) -> Iterator[list[socket.socket]]:
    connections = [socket.create_connection((target.host, target.port), TIMEOUT_SECONDS) for _ in range(count)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def _receive(connection: socket.socket) -> Response:
    received = b""
    while True:
        part = connection.recv(READ_BYTES)
        if not part:
            raise ConnectionResetError("closed by the server")
        received = received + part if received else part
        response = parse(received)
        if response is not None:
            return response


def _expect_success(response: Response) -> None:
    if response.status != HTTPStatus.OK:
        raise RefusedError(f"{response.status}: {response.body[:200].decode(errors='replace')}")
