"""What reading costs: of any body of 1 MiB not much more than of the largest batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import thread_time

import pytest

from service.api.batch import read_json
from tests.support.load import batch

MAX_BATCH = 10_000
MAX_BODY = 1 << 20
LARGEST = batch("A", [random.Random(1).uniform(1, 100) for _ in range(MAX_BATCH)])
"""A batch at full precision. Where it is read in 0.13 ms, no body may take more than 15 ms."""

MOST = 15 / 0.13

BEGIN = b'{"symbol":"A","values":['
EXTRA = b'{"symbol":"A","values":[1],"extra":['
TWICE = b'{"symbol":"A","symbol":"B","values":[1],"extra":['
END = b"]}"


def filled(begin: bytes, piece: bytes, end: bytes, size: int = MAX_BODY, most: int = MAX_BODY) -> bytes:
    """A body of a piece over and over, but so many times at most."""
    times = min(most, (size - len(begin) - len(end)) // len(piece))
    return begin + (piece * times).removesuffix(b",") + end


PIECES = {
    "objects": b"{},",
    "arrays": b"[],",
    "arrays in arrays": b"[" * 500 + b"]" * 500 + b",",
    "objects in arrays in objects": b'{"a":[{}]},',
    "members": b'{"":0},',
    "strings": b'"",',
    "names in strings": b'"symbol",',
    "escaped names in strings": b'"\\u0073ymbol",',
    "escapes": b'"\\n\\\\\\u0041",',
    "surrogates": b'"\\ud83d\\ude80",',
    "characters of four bytes": '"🚀",'.encode(),
    "nulls": b"null,",
    "true": b"true,",
    "digits": b"1,",
    "minus zeros": b"-0,",
    "white space": b"1" + b" \n\r\t" * 5 + b",",
    "integers from 2^64 on": b"18446744073709551616,",
    "decimals": b"0.1,",
    "long integers": b"1" + b"0" * 84 + b",",
    "long decimals": b"1" + b"0" * 84 + b".5,",
    "small decimals": b"0." + b"0" * 30 + b"1" * 40 + b",",
    "between two doubles": b"9007199254740992.99999999999999999999999999,",
    "between two doubles, small": b"8.647136656450127495e-308,",
    "between two doubles, smallest": b"4.368775473351222567E-320,",
    "between two doubles, long": b"2.2250738585072011360574097967091319759348195463516456e-308,",
    "small, and hundreds of digits": b"1." + b"7" * 700 + b"e-300,",
}

BODIES = {
    **{f"{name} among values": filled(BEGIN, piece, END) for name, piece in PIECES.items()},
    **{f"{name}, as many as prices": filled(BEGIN, piece, END, most=MAX_BATCH) for name, piece in PIECES.items()},
    **{f"{name} in 16 KiB": filled(BEGIN, piece, END, size=16 * 1024) for name, piece in PIECES.items()},
    **{f"{name} in 256 KiB": filled(BEGIN, piece, END, size=256 * 1024) for name, piece in PIECES.items()},
    **{f"{name} in an extra key": filled(EXTRA, piece, END) for name, piece in PIECES.items()},
    **{f"{name} beside two symbols": filled(TWICE, piece, END, most=MAX_BATCH) for name, piece in PIECES.items()},
    **{f"{name} without end": filled(BEGIN, piece, b"") for name, piece in PIECES.items()},
    **{f"{name} at the top": filled(b"[", piece, b"]") for name, piece in PIECES.items()},
    "equal keys": filled(b"{", b'"":0,', b"}"),
    "keys": b"{" + b",".join(b'"%d":0' % number for number in range(90_000)) + b"}",
    "names": filled(b"{", b'"symbol":0,', b"}"),
    "nested": b"[" * MAX_BODY,
    "nested in objects": filled(b"", b'{"":', b""),
    "one integer": filled(BEGIN, b"1", END),
    "one decimal": filled(BEGIN + b"0.", b"1", END),
    "one small number": filled(BEGIN + b"0.", b"0", b"1e1000000]}"),
    "one exponent": filled(BEGIN + b"1e", b"0", b"1]}"),
    "one string": filled(b'{"symbol":"', b"x", b'","values":[1]}'),
    "one string of escapes": filled(b'{"symbol":"', b"\\n", b'","values":[1]}'),
    "one string of pairs of surrogates": filled(b'{"symbol":"', b"\\ud83d\\ude80", b'","values":[1]}'),
    "a lone surrogate at last": filled(b'{"symbol":"', b"\\u0041", b'\\ud800","values":[1]}'),
    "one string of commas": filled(b'{"symbol":"A","values":[1],"extra":"', b",", b'"}'),
    "one key": filled(b'{"', b"x", b'":1,"symbol":"A","values":[1]}'),
    "white space at last": filled(BEGIN + b"1]", b" ", b"}"),
    "backslashes": filled(b'{"symbol":"A","values":[1],"extra":"', b"\\\\", b'"}'),
}


def least(job: Callable[[], object]) -> float:
    """The least CPU time of some runs."""
    times = []
    for _ in range(3):
        begun = thread_time()
        job()
        times.append(thread_time() - begun)
    return min(times)


def test_the_yardstick_is_a_batch() -> None:
    """What all else is compared with is read as prices, the fast way."""
    assert len(read_json(LARGEST, None, MAX_BATCH).prices) == MAX_BATCH  # type: ignore[union-attr]


@pytest.mark.parametrize("name", BODIES)
def test_reading_any_body_costs_little_more_than_the_largest_batch(name: str) -> None:
    """Whatever fills 1 MiB, and wherever it stands: the CPU time is bounded by that of an ordinary batch."""
    body = BODIES[name]
    assert len(body) <= MAX_BODY
    cost = least(lambda: read_json(body, None, MAX_BATCH))
    assert cost < MOST * least(lambda: read_json(LARGEST, None, MAX_BATCH))
