from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tests.service.conftest import Api
from tests.support.answers import receipt, statistics


def test_a_batch_is_confirmed_with_the_new_count(api: Api) -> None:
    """The receipt names the symbol, the prices added and the prices ever appended."""
    assert api.add("EURUSD", [1.0, 2.0, 3.0]).json() == receipt("EURUSD", 3, 3)
    assert api.add("EURUSD", [4.0]).json() == receipt("EURUSD", 1, 4)


def test_statistics_are_of_the_newest_window(api: Api) -> None:
    """The answer has exactly these fields in this order, over exactly the last 10^k prices."""
    api.add("EURUSD", [float(n) for n in range(25)])
    response = api.get("/stats/", symbol="EURUSD", k="1")
    assert response.headers["content-type"] == "application/json"
    # 15 … 24: the variance of ten consecutive whole numbers is (10² − 1) / 12.
    expected = statistics(15.0, 24.0, 24.0, 19.5, 8.25)
    assert response.json() == expected
    assert list(response.json()) == list(expected)


def test_fewer_prices_than_the_window_are_all_there_are(api: Api) -> None:
    """A window longer than the stream is answered over all prices."""
    api.add("A", [1.0, 3.0])
    for k in "1234":
        assert api.get("/stats/", symbol="A", k=k).json() == statistics(1.0, 3.0, 3.0, 2.0, 1.0)


def test_numbers_come_back_bit_for_bit(api: Api) -> None:
    """A price survives the way in and out to the last bit, in the shortest form that reads back the same."""
    generator = random.Random(5)
    for _ in range(300):
        price = struct.unpack("<d", generator.randbytes(8))[0]
        if not math.isfinite(price) or abs(price) > 1e100:
            continue
        api.add("A", [price])
        text = api.get("/stats/", symbol="A", k="1").text
        last = text.split('"last":')[1].split(",")[0]
        assert struct.pack("<d", float(last)) == struct.pack("<d", price)
        assert len(last) <= len(repr(price)) + 1  # orjson writes 1e16 where repr writes 1e+16, and the like


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_work_with_and_without_the_slash(api: Api, slash: str) -> None:
    """Both spellings of a path are served, without a redirect."""
    for response in (
        api.post(b'{"symbol": "A", "values": [1]}', path=f"/add_batch{slash}"),
        api.get(f"/stats{slash}", symbol="A", k="1"),
        api.get(f"/stats/all{slash}", symbol="A"),
        api.get(f"/symbols{slash}"),
        api.get(f"/health{slash}"),
    ):
        assert response.status_code == 200
        assert response.history == []


def test_head_answers_as_get_without_a_body_but_with_its_content_length(api: Api) -> None:
    """HEAD works wherever GET does, with the same headers."""
    api.add("A", [1.0])
    for path in ("/stats/?symbol=A&k=1", "/symbols/", "/health/"):
        get, head = api.request("GET", path), api.request("HEAD", path)
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == get.headers["content-length"]


def test_health_says_ok(api: Api) -> None:
    """Health is ok as soon as it answers, with the number of symbols and its limit."""
    assert api.get("/health/").json() == {"status": "ok", "symbols": 0, "max_symbols": 2}
    api.add("A", [1.0])
    assert api.get("/health/").json() == {"status": "ok", "symbols": 1, "max_symbols": 2}


def test_the_list_of_symbols_says_what_each_holds_and_what_there_may_be(api: Api) -> None:
    """The list has each symbol by name with its count, last price and memory, and the limits."""
    limits = {"max_symbols": 2, "max_k": 4, "retention": 10_000, "max_batch": 10_000}
    assert api.get("/symbols/").json() == {"symbols": [], "limits": limits}
    api.add("EUR/USD", [1.0, 2.0])
    for _ in range(3):
        api.add("A", [0.1] * 9999 + [-0.0])
    # 30,000 prices, none of which is ever cold if 10,000 are kept; 30 summaries of 48 bytes; the counts.
    full = 4096 + 59 * 4096 + 4096
    answer = api.get("/symbols/")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "symbols": [
            {"symbol": "A", "count": 30_000, "last": 0.0, "bytes": full},
            {"symbol": "EUR/USD", "count": 2, "last": 2.0, "bytes": 8192},
        ],
        "limits": limits,
    }
    assert '"last":-0.0' in answer.text
    assert list(answer.json()) == ["symbols", "limits"]
    api.request("DELETE", "/symbols/A")
    assert [one["symbol"] for one in api.get("/symbols/", symbol="A", k="9").json()["symbols"]] == ["EUR/USD"]


def test_the_list_of_symbols_cannot_be_deleted_nor_posted_to_405(api: Api) -> None:
    """A path without a symbol serves GET and HEAD only, one with a symbol DELETE only."""
    api.add("A", [1.0])
    for method, path, allow in (
        ("DELETE", "/symbols/", "GET"),
        ("POST", "/symbols", "GET"),
        ("GET", "/symbols/A", "DEL"),
    ):
        response = api.request(method, path)
        assert response.status_code == 405
        assert allow in response.headers["allow"]
    assert api.state() == {"A": 1}


@pytest.mark.parametrize("query", ["ES+03-26", "ES%2003-26"])
def test_both_spellings_of_a_space_are_one_symbol(api: Api, query: str) -> None:
    """A space in the query may be written + or %20, as clients do."""
    api.add("ES 03-26", [1.0])
    assert api.request("GET", f"/stats/?symbol={query}&k=1").status_code == 200


def test_symbols_are_opaque(api: Api) -> None:
    """Symbols that differ in case or in Unicode form are different symbols."""
    api.add("é", [1.0])
    api.add("e\u0301", [2.0])
    assert api.get("/stats/", symbol="é", k="1").json()["last"] == 1.0
    assert api.get("/stats/", symbol="e\u0301", k="1").json()["last"] == 2.0


def test_an_unknown_query_field_is_ignored(api: Api) -> None:
    """A field that nobody asked for does no harm, as in the body."""
    api.add("A", [1.0])
    assert api.request("GET", "/stats/?symbol=A&k=1&_=1763").status_code == 200


def test_roll_up_follows_the_answer(api: Api) -> None:
    """Soon after a batch is confirmed every completed block is summarised, without anybody asking."""
    api.add("A", [float(n % 7) for n in range(5000)])
    api.get("/health/")
    series = api.symbols.series("A")
    assert series.lag == 0
    series.check()


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


def test_a_body_may_come_chunked(api: Api) -> None:
    """A chunked body within the limit is a body."""
    body = json.dumps({"symbol": "A", "values": [1.5] * 1000}).encode()
    response = api.request("POST", "/add_batch/", content=chunks(body))
    assert response.json()["added"] == 1000


@pytest.mark.parametrize("symbol", ["EURUSD", "EUR/USD", "ES 03-26", "日経225", "100%", "a.b", ".."])
def test_a_deleted_symbol_is_gone_404_and_can_come_back(api: Api, symbol: str) -> None:
    """DELETE frees the slot of any symbol: 204, then it is unknown, and its name starts at 0 again."""
    path = f"/symbols/{quote(symbol, safe='')}".replace("..", "%2E%2E")
    assert api.request("DELETE", path).status_code == 404
    api.add(symbol, [1.0, 2.0])
    api.add("other", [5.0])
    assert api.add("third", [1.0]).status_code == 409
    response = api.request("DELETE", path)
    assert response.status_code == 204
    assert response.content == b""
    assert api.get("/stats/", symbol=symbol, k="1").status_code == 404
    assert api.request("DELETE", path).status_code == 404
    assert api.state() == {"other": 1}
    assert api.add(symbol, [3.0]).json() == receipt(symbol, 1, 1)
    assert api.get("/stats/", symbol=symbol, k="4").json()["min"] == 3.0
    assert api.state() == {symbol: 1, "other": 1}
