"""What the query of a batch says, in JSON as in binary: its symbol, and at which position it begins."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from tests.service.conftest import Api
from tests.support.answers import receipt


def add(api: Api, query: str, **body: Any) -> httpx.Response:
    """Send a batch in JSON with a query."""
    return api.post(json.dumps(body).encode(), f"/add_batch/?{query}")


def test_the_symbol_of_a_json_batch_may_stand_in_the_query_instead(api: Api) -> None:
    """Without a symbol in the body the query names it; where both do, it is the same one, however it is written."""
    for number, (query, body) in enumerate(
        (
            ("symbol=EUR%2FUSD", b'{"values": [1.5]}'),
            ("symbol=EUR/USD", b'{"values": [1.5], "note": {"symbol": "B"}}'),
            ("symbol=EUR/USD&note=ignored", b'{"symbol": "EUR\\/USD", "values": [1.5]}'),
            ("symbol=EUR/USD", b'{"values": [1.5], "symbol": "EUR/USD"}'),
            ("symbol=EUR/USD", b'{"v\\u0061lues": [1.5]}'),
        ),
        1,
    ):
        answer = api.post(body, f"/add_batch/?{query}")
        assert (answer.status_code, answer.json()) == (200, receipt("EUR/USD", 1, number))


def test_another_symbol_in_the_query_than_in_the_body_is_400(api: Api) -> None:
    """Nothing is appended, neither to the one nor to the other."""
    api.add("A", [7.0])
    for named, symbol in (("B", "A"), ("A", "B"), ("A", "a"), ("A", "A ")):
        answer = add(api, f"symbol={named}", symbol=symbol, values=[1.0])
        assert (answer.status_code, answer.json()["detail"]) == (
            400,
            "The query names another symbol than the body.",
        )
    assert api.state() == {"A": 1}
    assert add(api, "symbol=A", symbol="A", values=[1.0]).json() == receipt("A", 1, 2)


@pytest.mark.parametrize("query", ["symbol=", "symbol", "symbol=A&symbol=A", "symbol=A&s%79mbol=B", "symbol=%FF"])
def test_a_bad_symbol_in_the_query_of_a_json_batch_is_400(api: Api, query: str) -> None:
    """A symbol that is blank, given twice or not UTF-8 is refused as it is in binary, whatever the body says."""
    answer = add(api, query, symbol="A", values=[1.0])
    assert answer.status_code == 400
    assert answer.content == api.add_binary(b"\0" * 8, query).content
    assert api.state() == {}


@pytest.mark.parametrize("query", ["symbol=" + "x" * 65, "symbol=A%0AB", "symbol=+A", "symbol=A%E2%80%AEB"])
def test_what_may_be_no_symbol_is_422_in_the_query_of_a_json_batch(api: Api, query: str) -> None:
    """A name is judged by the same rules wherever it stands."""
    answer = add(api, query, values=[1.0])
    assert answer.status_code == 422
    assert answer.content == api.add_binary(b"\0" * 8, query).content
    assert api.state() == {}


def test_a_body_without_a_symbol_needs_one_in_the_query(api: Api) -> None:
    """Other fields of the query are ignored."""
    answer = add(api, "Symbol=A&note=symbol", values=[1.0])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/symbol")


@pytest.mark.parametrize("body", [{"symbol": None, "values": [1]}, {"symbol": 5, "values": [1]}, {"symbol": "A"}])
def test_what_is_no_batch_stays_422_beside_a_symbol_in_the_query(api: Api, body: dict[str, Any]) -> None:
    """The query takes nothing back that is wrong in the body."""
    assert add(api, "symbol=A", **body).status_code == 422
    assert api.state() == {}


Send = Callable[[Api, str, list[float]], httpx.Response]

WIRES: Final[dict[str, Send]] = {
    "JSON, its symbol in the query": lambda api, at, prices: add(api, f"symbol=A&at={at}", values=prices),
    "JSON, its symbol in the body": lambda api, at, prices: add(api, f"at={at}", symbol="A", values=prices),
    "binary": lambda api, at, prices: api.add_binary(struct.pack(f"<{len(prices)}d", *prices), f"at={at}&symbol=A"),
}


@pytest.fixture(params=WIRES)
def send(request: pytest.FixtureRequest) -> Send:
    """Each way to send a batch with its position."""
    return WIRES[request.param]


def held(api: Api) -> list[float]:
    """All prices of A."""
    series = api.symbols.series("A")
    return list(map(float, series.prices(0, series.count)))


def test_a_batch_that_is_sent_again_with_its_position_is_412_and_in_once(api: Api, send: Send) -> None:
    """Whoever lost an answer sends the same again: 200 if it is not in, 412 with the count behind it if it is."""
    begin = 0
    for prices in ([1.0, 2.0, 3.0], [4.0], [5.0, 6.0]):
        end = begin + len(prices)
        assert send(api, str(begin), prices).json() == receipt("A", len(prices), end)
        for _ in range(2):
            again = send(api, str(begin), prices)
            assert (again.status_code, again.json()["count"]) == (412, end)
        begin = end
    assert held(api) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_batch_before_its_turn_is_412_with_the_count(api: Api, send: Send) -> None:
    """Nothing is appended where there would be a gap, and no symbol is created; the problem says where to go on."""
    answer = send(api, "2", [3.0])
    assert (answer.status_code, answer.headers["content-type"]) == (412, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Precondition Failed",
        "status": 412,
        "detail": "The batch is to begin at position 2, but 0 prices were added before.",
        "count": 0,
    }
    assert api.state() == {}
    assert send(api, "0", [1.0, 2.0]).status_code == 200
    assert send(api, str(2**63 - 1), [3.0]).json()["count"] == 2
    assert send(api, "2", [3.0]).status_code == 200
    assert api.add("A", [4.0]).json() == receipt("A", 1, 4)  # who says no position takes whichever it is
    assert held(api) == [1.0, 2.0, 3.0, 4.0]


def test_after_a_deletion_positions_begin_at_0_again(api: Api, send: Send) -> None:
    """A producer that does not know of the deletion is told."""
    assert send(api, "0", [1.0, 2.0]).status_code == 200
    assert api.request("DELETE", "/symbols/A").status_code == 204
    assert send(api, "2", [3.0]).json()["count"] == 0
    assert send(api, "0", [3.0]).json() == receipt("A", 1, 1)


def test_a_refused_batch_leaves_its_position_to_the_next(api: Api, send: Send) -> None:
    """What is 422 was not appended, and the same position is free; where it is not, that is said first."""
    assert send(api, "0", [1.0]).status_code == 200
    assert send(api, "1", [2.0, 1e101]).status_code == 422
    assert send(api, "0", [2.0, 1e101]).status_code == 412
    assert send(api, "1", [2.0]).status_code == 200
    assert held(api) == [1.0, 2.0]


BAD_POSITIONS = {
    **{at: at for at in ("", "-0", "-1", "00", "01", "1.0", "1e0", "0x1", "1_0", "x", "1%00", "%FF", "0%0A")},
    "plus": "%2B1",
    "space": "+1",
    "space behind": "1+",
    "full-width": "%EF%BC%91",
    "arabic": "%D9%A1",
    "2^63": str(2**63),
    "2^64": str(2**64),
    "many digits": "1" * 4000,
    "twice": "0&at=0",
    "twice, one escaped": "0&%61t=1",
    "twice, one blank": "&at=0",
}


@pytest.mark.parametrize("name", BAD_POSITIONS)
def test_what_is_no_position_is_400(api: Api, send: Send, name: str) -> None:
    """A sign, leading zeros, anything but digits, too large a number, or two of them: nothing is appended."""
    answer = send(api, BAD_POSITIONS[name], [1.0])
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert len(answer.content) < 1000
    assert api.state() == {}
    assert send(api, "%30", [1.0]).status_code == 200
