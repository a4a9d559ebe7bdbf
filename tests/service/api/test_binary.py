"""Batches of float64: the same rules and the same answers as in JSON."""

from __future__ import annotations

import json
import math
import struct
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.batch import Batch, read_binary, read_json
from service.api.problems import Problem
from tests.service.conftest import Api
from tests.support.answers import receipt
from tests.support.bodies import GOOD, expected_document

ODD_PRICES = [1.5, -0.0, 5e-324, 2.0**53 + 2, 1e100, -1e100, 0.1, math.pi]


def binary(*prices: float) -> bytes:
    return struct.pack(f"<{len(prices)}d", *prices)


REFUSED: dict[str, tuple[bytes, str, int, str | None]] = {
    "no symbol": (binary(1.0), "", 400, None),
    "symbol blank": (binary(1.0), "symbol=", 400, None),
    "symbol twice": (binary(1.0), "symbol=A&symbol=A", 400, None),
    "symbol not utf-8": (binary(1.0), "symbol=%FF", 400, None),
    "symbol under another name": (binary(1.0), "Symbol=A", 400, None),
    "a byte too many": (binary(1.0) + b"\x00", "symbol=A", 400, None),
    "a byte too few": (binary(1.0, 2.0)[:-1], "symbol=A", 400, None),
    "JSON": (GOOD[:-1] + b" " * (-len(GOOD) % 8) + b"x", "symbol=A", 422, "/values/0"),
    "no price": (b"", "symbol=A", 422, "/values"),
    "10,001 prices": (binary(*[1.0] * 10_001), "symbol=A", 422, "/values"),
    "NaN": (binary(1.0, math.nan), "symbol=A", 422, "/values/1"),
    "signalling NaN": (bytes.fromhex("010000000000f07f"), "symbol=A", 422, "/values/0"),
    "infinity": (binary(math.inf), "symbol=A", 422, "/values/0"),
    "minus infinity": (binary(1.0, 2.0, -math.inf), "symbol=A", 422, "/values/2"),
    "1.1e100": (binary(1.0, 1.1e100), "symbol=A", 422, "/values/1"),
    "symbol of 65 bytes": (binary(1.0), "symbol=" + "x" * 65, 422, "/symbol"),
    "symbol with newline": (binary(1.0), "symbol=A%0AB", 422, "/symbol"),
    "symbol with leading space": (binary(1.0), "symbol=+A", 422, "/symbol"),
    "symbol with bidirectional override": (binary(1.0), "symbol=A%E2%80%AEB", 422, "/symbol"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_batch_is_400_or_422_and_changes_nothing(api: Api, name: str) -> None:
    """A body or a query that is wrong is refused with a problem, nothing is appended, the next batch is served."""
    body, query, status, pointer = REFUSED[name]
    api.add("A", [7.0])
    response = api.add_binary(body, query)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert [error["pointer"] for error in problem.get("errors", [])] == ([] if pointer is None else [f"#{pointer}"])
    assert api.state() == {"A": 1}
    assert api.add_binary(binary(8.0)).json() == receipt("A", 1, 2)


def test_prices_are_kept_to_the_bit(api: Api) -> None:
    """Every price comes back as it was sent, the sign of zero and subnormal ones included."""
    for number, price in enumerate(ODD_PRICES, 1):
        assert api.add_binary(binary(price)).json()["count"] == number
        assert repr(api.get("/stats/", symbol="A", k="1").json()["last"]) == repr(price)
    stats = api.get("/stats/", symbol="A", k="1").json()
    assert {name: stats[name] for name in ("min", "max", "last")} == expected_document(ODD_PRICES)


def test_ten_thousand_prices_fit(api: Api) -> None:
    """The largest batch is taken, and both wires add to one symbol, here one with a slash and letters of its own."""
    prices = [price / 7 for price in range(10_000)]
    symbol = "日経/225"
    assert api.add(symbol, [-1.0]).status_code == 200
    answer = api.add_binary(binary(*prices), f"symbol={quote(symbol, safe='')}&note=ignored")
    assert answer.json() == receipt(symbol, 10_000, 10_001)
    stats = api.get("/stats/", symbol=symbol, k="4").json()
    assert {name: stats[name] for name in ("min", "max", "last")} == expected_document(prices)


def test_an_eleventh_symbol_is_409(api: Api) -> None:
    """A symbol beyond the limit is refused in binary, too."""
    assert api.add_binary(binary(1.0), "symbol=A").status_code == 200
    assert api.add_binary(binary(1.0), "symbol=B").status_code == 200
    assert api.add_binary(binary(1.0), "symbol=C").status_code == 409
    assert api.state() == {"A": 1, "B": 1}


@given(st.lists(st.floats(width=64), max_size=30))
def test_any_float64_is_read_as_it_is(prices: list[float]) -> None:
    """What was packed is what is read, to the bit; only the number of prices and the symbol are judged here."""
    batch = read_binary(binary(*prices), "A", 20)
    if 1 <= len(prices) <= 20:
        assert isinstance(batch, Batch)
        assert batch.prices.tobytes() == binary(*prices)
    else:
        assert isinstance(batch, Problem)
        assert batch.pointer == "/values"


@pytest.mark.parametrize(
    "symbol", ["x" * 65, "日" * 22, "A\0", "A\nB", "A\x7fB", "A\u2028B", " A", "A\u00a0", "A\u202eB", "A\u2066B"]
)
def test_a_symbol_is_judged_alike_on_both_wires(symbol: str) -> None:
    """A name that is refused in JSON is refused in a query, with the same words."""
    refusal = read_json(json.dumps({"symbol": symbol, "values": [1.0]}).encode(), None, 10_000)
    assert isinstance(refusal, Problem)
    assert refusal.pointer == "/symbol"
    assert read_binary(binary(1.0), symbol, 10_000) == refusal
