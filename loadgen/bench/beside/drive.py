"""The client of all servers: wrk, in C, can keep all but the quickest busy. CPU time is read from the kernel."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

from loadgen.launch import Launched
from loadgen.plan import Target
from loadgen.wire.client import Caller, Response

CONNECTIONS: Final = 8
"""Enough that the server always has a request to go on with, as under load; few enough to stay in the caches."""

WRK: Final = shutil.which("wrk")
"""Where it is."""

STARTED_SECONDS: Final = 10.0
"""By then wrk runs, however busy the machine is."""

CONNECT_SECONDS: Final = 0.0005
"""So much longer is a sample for each connection, so that making it weighs little."""


class Cost(NamedTuple):
    """What requests cost: CPU time of the server for one, in µs, and how many were answered in a second.

    ``client_share`` is the part of the time that the client was busy: near 1 it holds the server up, and only the CPU
    time says something about the server.
    """

    cpu_us: float
    per_second: float
    client_share: float


class RefusedError(Exception):
    """A server did not answer 200, or there is no client."""


def call(target: Target, request: bytes) -> Response:
    """Send one request over a connection of its own; its answer, whatever it is."""
    with closing(Caller(target)) as caller:
        return caller.call(request)


def post_all(target: Target, requests: Iterable[bytes]) -> None:
    """Send requests one after the other over one connection; each must be answered 200.

    Raises:
        RefusedError: one is not.
    """
    with closing(Caller(target)) as caller:
        for request in requests:
            response = caller.call(request)
            if response.status != HTTPStatus.OK:
                raise RefusedError(f"{response.status}: {response.body[:200]!r}")


def saturated(
    server: Launched, request: bytes, seconds: float, number: int = CONNECTIONS, *, counted: bool = False
) -> Cost:
    """Have wrk ask the same over and over, from the core that this process runs on.

    Args:
        server: who is asked.
        request: what, without anything in its head that wrk does not send: method, target, type and body.
        seconds: how long; wrk knows only whole ones, so it is interrupted.
        number: of connections.
        counted: add a field to each query that counts up, so that no head comes twice.

    Raises:
        RefusedError: an answer is not a success, or there is no wrk.
    """
    if WRK is None:
        raise RefusedError("there is no wrk to ask with: apt-get install wrk")
    head, _, body = request.partition(b"\r\n\r\n")
    (method, path, _), *lines = (line.split(b" ") for line in head.split(b"\r\n"))
    kind = next((line[1] for line in lines if line[0].lower() == b"content-type:"), b"")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = f'wrk.method, wrk.path = "{method.decode()}", "{path.decode()}"\n'
        if body:  # an empty one would be announced, too, and that is another head
            script += f'wrk.body = io.open("{folder}/body", "rb"):read("*a")\n'
            script += f'wrk.headers["Content-Type"] = "{kind.decode()}"\n'
        if counted:
            script += f"""
                local number = 0
                request = function()
                    number = number + 1
                    return wrk.format(nil, wrk.path .. "&n={time.time_ns()}." .. number)
                end
            """
        (Path(folder) / "script.lua").write_text(script)
        command = [WRK, "-t1", f"-c{number}", "-d1m", "-s", f"{folder}/script.lua", server.target.url]
        cpu, own = server.cpu_seconds(), _children_seconds()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:  # wrk, and our own arguments  # nosec B603
            time.sleep(seconds + number * CONNECT_SECONDS)
            client.send_signal(signal.SIGINT)
            said = client.communicate()[0]
        cpu, own = server.cpu_seconds() - cpu, _children_seconds() - own
    if not said and seconds < STARTED_SECONDS:  # interrupted before it was up
        return saturated(server, request, 2 * seconds, number, counted=counted)
    found = re.search(r"([1-9]\d*) requests in .*Requests/sec: *([\d.]+)", said, re.DOTALL)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise RefusedError(said)
    done, rate = int(found[1]), float(found[2])
    return Cost(cpu / done * 1e6, rate, own * rate / done)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
