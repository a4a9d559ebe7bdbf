from __future__ import annotations

import random

import pytest

from tests.service.conftest import Api
from tests.support.bodies import BAD_QUERIES


def test_every_window_beside_its_size(api: Api) -> None:
    """The answer names the symbol, all prices ever appended, the last one, and each window with the prices in it."""
    api.add("EUR/USD", [float(n) for n in range(120)])
    response = api.get("/stats/all/", symbol="EUR/USD")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    # Of n whole numbers in a row the variance is (n² − 1) / 12.
    all_prices = {"count": 120, "min": 0.0, "max": 119.0, "avg": 59.5, "var": 14399 / 12}
    expected = {
        "symbol": "EUR/USD",
        "count": 120,
        "last": 119.0,
        "windows": {
            "1": {"count": 10, "min": 110.0, "max": 119.0, "avg": 114.5, "var": 8.25},
            "2": {"count": 100, "min": 20.0, "max": 119.0, "avg": 69.5, "var": 833.25},
            "3": all_prices,
            "4": all_prices,
        },
    }
    assert response.json() == expected
    assert list(response.json()) == list(expected)
    assert list(response.json()["windows"]) == ["1", "2", "3", "4"]


def test_each_window_is_that_of_stats(api: Api) -> None:
    """At any count, rolled up or not, the numbers are those of /stats/ for each k to the last bit, as they stand there.

    Nothing is added over HTTP here: its roll-up might come between two requests, and round differently.
    """
    generator = random.Random(6)
    for _ in range(40):
        api.symbols.append("A", [generator.gauss(100.0, 0.01) for _ in range(generator.randint(1, 900))])
        assert_windows_are_those_of_stats(api)
        api.symbols.roll_up("A")
        count = assert_windows_are_those_of_stats(api)
    assert count > 10_000, "the ring was to go around"


def assert_windows_are_those_of_stats(api: Api) -> int:
    """Compare the windows of A, which nobody changes meanwhile, and return how many prices there are."""
    answer = api.get("/stats/all/", symbol="A").json()
    for k, window in answer["windows"].items():
        single = {"min": window["min"], "max": window["max"], "last": answer["last"]}
        single |= {"avg": window["avg"], "var": window["var"]}
        assert repr(api.get("/stats/", symbol="A", k=k).json()) == repr(single)
        assert window["count"] == min(answer["count"], 10 ** int(k))
    return int(answer["count"])


@pytest.mark.parametrize("name", [name for name in BAD_QUERIES if "symbol" in name or "utf-8" in name])
def test_a_bad_query_is_400_in_the_words_of_stats(api: Api, name: str) -> None:
    """A query that does not name one symbol is refused exactly as /stats/ refuses it."""
    api.add("A", [7.0])
    response = api.request("GET", f"/stats/all/?{BAD_QUERIES[name]}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.content == api.request("GET", f"/stats/?{BAD_QUERIES[name]}").content
    assert api.get("/stats/all/", symbol="A").status_code == 200


def test_no_query_names_the_symbol_as_missing(api: Api) -> None:
    """Without a query, or with a blank one, the problem says what is missing."""
    for path in ("/stats/all", "/stats/all/?", "/stats/all/?k=1", "/stats/all/?Symbol=A"):
        response = api.request("GET", path)
        assert (response.status_code, response.json()["detail"]) == (400, "symbol is missing from the query.")


@pytest.mark.parametrize("k", ["k=1", "k=99", "k=", "k=1&k=2", "_=1763"])
def test_other_fields_are_ignored(api: Api, k: str) -> None:
    """All windows have no k: it is a field like any other, and whatever it says, the answer is the same."""
    api.add("A", [1.0, 2.0])
    response = api.request("GET", f"/stats/all/?symbol=A&{k}")
    assert response.status_code == 200
    assert response.content == api.get("/stats/all/", symbol="A").content


def test_an_unknown_symbol_is_404(api: Api) -> None:
    """All windows of a symbol without a price are 404, also once it has been deleted."""
    assert api.get("/stats/all/", symbol="A").status_code == 404
    api.add("A", [1.0])
    assert api.get("/stats/all/", symbol="A").status_code == 200
    api.request("DELETE", "/symbols/A")
    response = api.get("/stats/all/", symbol="A")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_paths_and_methods(api: Api) -> None:
    """Both spellings of the path, HEAD as GET without a body, 405 with Allow for what is not served."""
    api.add("A", [1.0])
    for path in ("/stats/all?symbol=A", "/stats/all/?symbol=A"):
        get, head = api.request("GET", path), api.request("HEAD", path)
        assert get.status_code == head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    refusal = api.request("POST", "/stats/all/?symbol=A")
    assert refusal.status_code == 405
    assert "GET" in refusal.headers["allow"]
