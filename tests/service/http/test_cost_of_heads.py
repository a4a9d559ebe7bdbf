"""What a head costs a worker, all that the framework does with it included."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.process import Process, running
from tests.support.sockets import Wire

SIZE = 8_000
"""Bytes; 8 KiB are the most that a head may have."""

TIMES = 10

GET = b"GET /health HTTP/1.1\r\nHost: a"

ORDINARY = (GET + b"\r\nUser-Agent: ", b"a", b"")

HEADS = {
    "spaces in a host": (GET, b" ", b"b"),
    "digits in a host": (GET, b"1", b":x"),
    "carriage returns": (GET, b"\r", b"\n"),
    "headers without a value": (GET + b"\r\n", b"a:\r\n", b"b:"),
    "headers": (GET + b"\r\n", b"a: b\r\n", b"b:"),
    "hosts": (GET, b"\r\nHost: a", b""),
    "tokens": (GET + b"\r\n", b"Authorization:\r\n", b"b:"),
    "connections": (GET + b"\r\n", b"Connection: a\r\n", b"b:"),
    "options of a connection": (GET + b"\r\nConnection: ", b"close ,", b"x"),
    "cookies": (GET + b"\r\nCookie: ", b"a=b;", b""),
    "escapes in a cookie": (GET + b'\r\nCookie: a="', b"\\1", b'"'),
    "types": (GET + b"\r\nAccept: ", b"a/b;q=1,", b"c/d"),
    "proxies": (GET + b"\r\nForwarded: ", b"for=a;by=b,", b"b"),
    "addresses": (GET + b"\r\nX-Forwarded-For: ", b"a,", b"b"),
    "parameters of a type": (GET + b"\r\nContent-Type: a", b";a=b", b""),
    "encodings": (GET + b"\r\nTransfer-Encoding: ", b"a,", b"chunked"),
    "expectations": (GET + b"\r\nExpect: ", b"100-continue,", b"b"),
    "protocols": (GET + b"\r\nUpgrade: ", b"websocket,", b"b"),
    "slashes": (b"GET /", b"/", b" HTTP/1.1\r\nHost: a"),
    "slashes after a path": (b"GET /stats", b"/", b" HTTP/1.1\r\nHost: a"),
    "parts of a path": (b"GET /", b"a/", b" HTTP/1.1\r\nHost: a"),
    "escapes in a path": (b"DELETE /symbols/", b"%41", b" HTTP/1.1\r\nHost: a"),
    "angles in a path": (b"GET /", b"<a>", b" HTTP/1.1\r\nHost: a"),
    "dots in a path": (b"GET /", b"../", b" HTTP/1.1\r\nHost: a"),
    "fields": (b"GET /stats?symbol=A&k=1&", b"a&", b"a HTTP/1.1\r\nHost: a"),
    "escapes in a query": (b"GET /stats?k=1&symbol=", b"%e6%97%a5", b" HTTP/1.1\r\nHost: a"),
    "digits of k": (b"GET /stats?symbol=A&k=", b"1", b" HTTP/1.1\r\nHost: a"),
}
"""How a head begins, what fills it, and how it ends."""


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    with running(workers=1) as process:
        yield process
        process.stop_cleanly()


def cpu_seconds(service: Process, begin: bytes, piece: bytes, end: bytes) -> float:
    """CPU time of the worker for one head, and that it is answered."""
    head = begin + piece * ((SIZE - len(begin) - len(end)) // len(piece)) + end + b"\r\n\r\n"
    (pid,) = service.workers()
    clock = ~pid << 3 | 2  # as clock_getcpuclockid(3) makes it
    times = []
    for _ in range(3):
        begun = time.clock_gettime(clock)
        for _ in range(TIMES):
            with Wire(service.port) as wire:
                assert wire.ask(head).status < 500
        times.append(time.clock_gettime(clock) - begun)
    return min(times) / TIMES


@pytest.mark.parametrize("name", HEADS)
def test_a_head_costs_little_more_than_an_ordinary_one_of_its_length(service: Process, name: str) -> None:
    """Whatever fills a head of 8 KiB: a few times the CPU time of one with a long value, and never a 500."""
    assert cpu_seconds(service, *HEADS[name]) < 10 * cpu_seconds(service, *ORDINARY)
