from __future__ import annotations

import pytest

from tests.service.conftest import Api
from tests.support.answers import receipt
from tests.support.bodies import BAD_QUERIES, FINE, GOOD, NOT_A_BATCH, NOT_JSON, expected_document


def refused(api: Api, body: bytes, status: int) -> dict[str, object]:
    """Post a body that is refused; check all that is common to refusals and return the problem."""
    assert api.add("A", [7.0]).status_code == 200
    before = api.state()
    response = api.post(body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = response.json()
    assert problem["status"] == status
    assert set(problem) <= {"type", "title", "status", "detail", "errors"}
    assert problem["detail"]
    assert len(response.content) < 1000
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    assert api.state() == before
    assert api.post(GOOD).status_code == 200
    assert api.state() == {"A": before["A"] + 2}
    return problem


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_400_and_changes_nothing(api: Api, name: str) -> None:
    """What is not JSON is refused with 400, nothing is appended, and the next batch is served."""
    problem = refused(api, NOT_JSON[name], 400)
    assert "errors" not in problem


@pytest.mark.parametrize("name", NOT_A_BATCH)
def test_what_is_not_a_batch_is_422_and_says_where(api: Api, name: str) -> None:
    """JSON that is no batch is refused with 422, and the problem points to the place that is wrong."""
    body, pointer = NOT_A_BATCH[name]
    problem = refused(api, body, 422)
    assert problem["errors"] == [{"pointer": f"#{pointer}", "detail": problem["detail"]}]


def test_a_batch_that_is_422_creates_no_symbol(api: Api) -> None:
    """A batch that is refused for a price creates no symbol either."""
    assert api.post(b'{"symbol": "NEW", "values": [1, 1e101]}').status_code == 422
    assert api.state() == {}
    assert api.get("/stats/", symbol="NEW", k="1").status_code == 404


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_is_kept_exactly(api: Api, name: str) -> None:
    """Every legitimate spelling of a batch is accepted, and its prices are kept to the bit."""
    body, symbol, values = FINE[name]
    answer = api.post(body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == receipt(symbol, len(values), len(values))
    stats = api.get("/stats/", symbol=symbol, k="4").json()
    assert repr({name: stats[name] for name in ("min", "max", "last")}) == repr(expected_document(values))


@pytest.mark.parametrize("name", BAD_QUERIES)
def test_a_bad_query_is_400(api: Api, name: str) -> None:
    """A query that does not name one symbol and one k from 1 to the largest is refused with 400."""
    api.add("A", [7.0])
    before = api.state()
    response = api.request("GET", f"/stats/?{BAD_QUERIES[name]}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 1000
    assert api.state() == before
    assert api.get("/stats/", symbol="A", k="1").status_code == 200


@pytest.mark.parametrize("segment", ["%FF", "A%C3%28", "%ED%A0%80"])
def test_a_symbol_in_a_path_that_is_not_utf_8_is_400(api: Api, segment: str) -> None:
    """Escapes in a path that are not UTF-8 are refused with 400, and delete no symbol that replacements would spell."""
    for symbol in ("\ufffd", "A\ufffd("):
        assert api.add(symbol, [1.0]).status_code == 200
    before = api.state()
    response = api.request("DELETE", f"/symbols/{segment}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert api.state() == before
    assert api.request("DELETE", "/symbols/%EF%BF%BD").status_code == 204


def test_a_body_beyond_the_limit_is_413(api: Api) -> None:
    """A body larger than the limit is refused with 413 and changes nothing; one just below it is read."""
    assert api.post(GOOD + b" " * ((1 << 20) - len(GOOD))).status_code == 200
    before = api.state()
    response = api.post(GOOD + b" " * (1 << 20))
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert api.state() == before
    assert api.post(GOOD).status_code == 200


def test_an_eleventh_symbol_is_409(api: Api) -> None:
    """A symbol beyond the limit is refused with 409; the others go on."""
    assert api.add("A", [1.0]).status_code == 200
    assert api.add("B", [1.0]).status_code == 200
    response = api.add("C", [1.0])
    assert response.status_code == 409
    assert response.json()["status"] == 409
    assert api.state() == {"A": 1, "B": 1}
    assert api.add("B", [2.0]).json() == receipt("B", 1, 2)


def test_an_unknown_symbol_is_404(api: Api) -> None:
    """Statistics of a symbol without a price are 404."""
    response = api.get("/stats/", symbol="A", k="1")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_path_is_404(api: Api) -> None:
    """A path that does not exist is 404, as a problem document."""
    for path in ("/stat", "/stats/x", "/add_batch/x"):
        response = api.get(path)
        assert response.status_code == 404
        assert response.json()["status"] == 404


@pytest.mark.parametrize(("method", "path", "allow"), [("POST", "/stats/", "GET"), ("GET", "/add_batch/", "POST")])
def test_a_wrong_method_is_405_with_allow(api: Api, method: str, path: str, allow: str) -> None:
    """A method that a path does not serve is 405, with the ones it does serve in Allow."""
    response = api.request(method, path)
    assert response.status_code == 405
    assert allow in response.headers["allow"]
    assert response.json()["status"] == 405
