"""The grammar of heads, by itself: what strangers send must not cost more than its length."""

from __future__ import annotations

from time import thread_time

import pytest

from service.http.heads import BARE_LINE_FEED, is_last, is_well_formed

SIZE = 4 * 1024
"""Half as much as a head may have; what is compared with it is far more, so that a square shows above all noise."""

NASTY = {
    "spaces in a host": (b"\r\nHost: a", b" ", b"b"),
    "tabs before a host": (b"\r\nHost:", b"\t", b"\x00"),
    "many hosts": (b"", b"\r\nHost: a ", b"\x00"),
    "dots in an address": (b"\r\nHost: [", b":.", b"x"),
    "escapes in a host": (b"\r\nHost: ", b"%20", b"%"),
    "a long token": (b"\r\n", b"a", b" :"),
    "a long value": (b"\r\na:", b"b ", b"\x00"),
    "many headers": (b"", b"\r\na: b", b"\x00"),
    "options of a connection": (b"\r\nConnection: ", b"close ", b"x"),
    "almost a close": (b"\r\nConnection: ", b", clos", b"x"),
    "many connections": (b"", b"\r\nConnection: close x", b"x"),
    "line feeds": (b"", b"\r", b"\n"),
}


def seconds(name: str, size: int) -> float:
    """The least of some CPU times that everything which looks at a head takes."""
    begin, middle, end = NASTY[name]
    head = b"GET / HTTP/1.1" + begin + middle * (size // len(middle)) + end
    times = []
    for _ in range(5):
        started = thread_time()
        is_well_formed(head)
        is_last(head)
        BARE_LINE_FEED.search(head)
        times.append(thread_time() - started)
    return min(times)


@pytest.mark.parametrize("name", NASTY)
def test_a_head_costs_time_linear_in_its_bytes(name: str) -> None:
    """Eight times the bytes take about eight times the CPU time, and never sixty-four times."""
    once, long = seconds(name, SIZE), seconds(name, 8 * SIZE)
    assert long < 24 * once
