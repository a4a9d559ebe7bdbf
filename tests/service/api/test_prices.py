"""Prices as they are held: read back to the bit, in JSON and in binary, or refused with what is held."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pytest

from service.api.query import prefers_octets
from service.settings import Settings
from tests.service.api.test_binary import ODD_PRICES
from tests.service.conftest import Api
from tests.support.load import Client, meanwhile, numbers
from tests.support.process import Forked
from tests.support.small import SmallSettings

OCTETS = "application/octet-stream"
RETENTION, MOST = 10_000, 300


@pytest.fixture
def settings() -> Settings:
    """Prices are cold soon, and most of them are; at most 300 at a time."""
    return SmallSettings(workers=1, max_symbols=2, max_k=4, max_batch=MOST)


def filled(api: Api, count: int) -> npt.NDArray[np.float64]:
    """Prices of A: doubles of all sizes, most of them of many digits."""
    rng = np.random.default_rng(3)
    prices = rng.normal(0.0, 1.0, count) * 10.0 ** rng.integers(-20, 20, count)
    for begin in range(0, count, MOST):
        api.symbols.append("A", prices[begin : begin + MOST])
        api.symbols.roll_up("A")
    return prices


def test_the_newest_prices_to_the_bit(api: Api) -> None:
    """The document has exactly these fields in this order, and each price as it was sent."""
    assert api.add_binary(struct.pack(f"<{len(ODD_PRICES)}d", *ODD_PRICES)).status_code == 200
    response = api.get("/prices/", symbol="A", last="3")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    document = response.json()
    assert list(document) == ["symbol", "from", "count", "prices"]
    assert (document["symbol"], document["from"], document["count"]) == ("A", len(ODD_PRICES) - 3, len(ODD_PRICES))
    for last in (len(ODD_PRICES), MOST):  # all there are, if fewer
        document = api.get("/prices/", symbol="A", last=str(last)).json()
        assert (document["from"], repr(document["prices"])) == (0, repr(ODD_PRICES))


@pytest.mark.parametrize("count", [1, 999, 1_000, 10_000, 10_001, 27_345])
def test_every_price_that_is_held_comes_back_cold_or_hot(api: Api, count: int) -> None:
    """From the oldest to the newest, in pieces of any size, in either form."""
    prices = filled(api, count)
    oldest, rng = max(0, count - RETENTION), np.random.default_rng(count)
    begin = oldest
    while begin < count:
        size = int(min(rng.choice([1, 7, MOST]), count - begin))
        target = f"/prices/?symbol=A&from={begin}&size={size}"
        answer = api.request("GET", target).json()
        assert (answer["from"], answer["count"]) == (begin, count)
        assert np.array(answer["prices"]).tobytes() == prices[begin : begin + size].tobytes()
        octets = api.request("GET", target, headers={"accept": OCTETS})
        assert octets.content == prices[begin : begin + size].tobytes()
        begin += size * 11  # the pieces between are as those
    octets = api.request("GET", f"/prices?symbol=A&last={MOST}", headers={"accept": OCTETS})
    assert octets.content == prices[-MOST:].tobytes()
    assert octets.headers["content-type"] == OCTETS
    assert octets.headers["vary"] == "accept"
    assert int(octets.headers["tenfold-from"]) == max(0, count - MOST)
    assert int(octets.headers["tenfold-count"]) == count


def test_prices_that_are_not_held_are_404_with_those_that_are(api: Api) -> None:
    """Prices that are no more or not yet, be it one of them: the problem names the oldest position and the count."""
    filled(api, 25_000)
    for begin, size in ((0, 1), (14_999, 1), (14_999, 2), (24_999, 2), (25_000, 1), (2**63 - 1, MOST)):
        response = api.request("GET", f"/prices/?symbol=A&from={begin}&size={size}")
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
        assert response.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": f"Prices {begin} to {begin + size - 1} are not held: 15000 to 24999 are.",
            "count": 25_000,
            "oldest": 15_000,
        }
    for begin in (15_000, 24_999):
        assert api.request("GET", f"/prices/?symbol=A&from={begin}&size=1").status_code == 200


def test_an_unknown_symbol_is_404_and_so_is_one_that_was_deleted(api: Api) -> None:
    """The problem is that of all other requests, and names no position."""
    for query in ("last=1", "from=0&size=1"):
        response = api.request("GET", f"/prices/?symbol=A&{query}")
        assert (response.status_code, response.content) == (404, api.get("/stats/all/", symbol="A").content)
        api.add("A", [1.0])
        assert api.request("GET", f"/prices/?symbol=A&{query}").json()["prices"] == [1.0]
        api.request("DELETE", "/symbols/A")
        assert api.request("GET", f"/prices/?symbol=A&{query}").content == response.content


@pytest.mark.parametrize(
    "query",
    [
        *("", "symbol=A", "last=1", "symbol=&last=1", "symbol=A&symbol=A&last=1", "symbol=%FF&last=1"),
        *(f"symbol=A&last={n}" for n in ("", "0", "-1", "01", "%2B1", "1.0", "1e0", "301", "x", "1_0", "%EF%BC%91")),
        *(f"symbol=A&from={n}&size=1" for n in ("", "-1", "00", "+1", "1.0", "x", str(2**63), "1" * 4000)),
        *(f"symbol=A&from=0&size={n}" for n in ("", "0", "01", "301", "x")),
        *("symbol=A&from=0", "symbol=A&size=1", "symbol=A&last=1&from=0&size=1", "symbol=A&last=1&size=1"),
        *("symbol=A&last=1&last=1", "symbol=A&from=0&from=0&size=1", "symbol=A&from=0&size=1&size=1"),
        *("symbol=A&Last=1", "symbol=A&last=1&from=0"),
    ],
)
def test_a_bad_query_for_prices_is_400(api: Api, query: str) -> None:
    """Neither or both of the two ways to ask, or what is no number, no position, or more than a batch may have."""
    api.add("A", [1.0, 2.0])
    response = api.request("GET", f"/prices/?{query}")
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert len(response.content) < 1000
    assert api.request("GET", "/prices/?symbol=A&from=%30&size=2&k=ignored").json()["prices"] == [1.0, 2.0]


def test_paths_and_methods_of_prices(api: Api) -> None:
    """Both spellings of the path, HEAD as GET without a body in either form, 405 with Allow for what is not served."""
    api.add("A", [1.0, 2.5])
    for accept in ({}, {"accept": OCTETS}):
        for path in ("/prices?symbol=A&last=2", "/prices/?symbol=A&last=2"):
            get, head = (api.request(method, path, headers=accept) for method in ("GET", "HEAD"))
            assert get.status_code == head.status_code == 200
            assert head.content == b""
            assert {**head.headers} == {**get.headers}
            assert int(head.headers["content-length"]) == len(get.content)
    assert "GET" in api.request("POST", "/prices/?symbol=A&last=1").headers["allow"]


ACCEPTS = {
    OCTETS: True,
    "Application/Octet-Stream": True,
    f"{OCTETS}, */*": True,
    f"text/html, {OCTETS};q=0.5 , */*;q=0.1": True,
    f"{OCTETS};q=1.000, application/json;q=0.9": True,
    f"{OCTETS}, application/json": True,
    f"application/json;q=0.5, {OCTETS} ; q=0.6": True,
    f"{OCTETS};q=0": False,
    f"{OCTETS};q=0.000, */*": False,
    f"{OCTETS};q=0.4, application/json;q=0.5": False,
    f"{OCTETS};q=0.9, application/json": False,
    "*/*": False,
    "": False,
    "application/*": False,
    "application/octet-streams": False,
    "x application/octet-stream": False,
    ",,;,": False,
}


@pytest.mark.parametrize("accept", ACCEPTS)
def test_which_form_an_accept_header_gets(accept: str) -> None:
    """Binary where it is named and JSON is not liked better, JSON else."""
    assert prefers_octets(accept) == ACCEPTS[accept]


def test_accept_in_two_headers_is_one_list(api: Api) -> None:
    """As RFC 9110 has it; what was remembered of one form is not taken for the other."""
    api.add("A", [1.0])
    for accept, kind in (
        (["text/html", OCTETS], OCTETS),
        ([f"{OCTETS};q=0.1", "application/json"], "application/json"),
    ):
        response = api.request("GET", "/prices/?symbol=A&last=1", headers=[("accept", one) for one in accept])
        assert response.headers["content-type"] == kind


def test_prices_are_of_one_moment_while_rings_wrap(shared_service: Forked) -> None:
    """Whatever is added meanwhile, neighbouring prices are neighbours of the stream, and the count is theirs."""
    sent, asked = [0], [0]

    def add(client: Client) -> None:
        assert client.add("A", numbers(0, sent[0], sent[0] + MOST)).status == 200
        sent[0] += MOST

    def read(client: Client) -> None:
        before = sent[0]
        for query in (f"last={MOST}", f"from={max(0, before - RETENTION + 3 * MOST)}&size={MOST}"):
            answer = client.request("GET", f"/prices/?symbol=A&{query}")
            if answer.status == 404:
                assert before < 4 * MOST or answer.document["oldest"] > before - RETENTION
                continue
            begin, count, prices = (answer.document[name] for name in ("from", "count", "prices"))
            assert prices == [float(position) for position in range(begin, begin + len(prices))]
            assert before <= count
            assert begin + len(prices) <= count
            if query.startswith("last"):
                assert begin + len(prices) == count
            asked[0] += 1

    with Client(shared_service.url) as client, meanwhile(shared_service.url, read, read):
        while sent[0] < 3 * RETENTION or asked[0] < 100:
            add(client)
