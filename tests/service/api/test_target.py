"""What the query of a batch says: its symbol, in JSON as in binary."""

from __future__ import annotations

import json
from typing import Any

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
