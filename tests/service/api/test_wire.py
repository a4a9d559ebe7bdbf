from __future__ import annotations

import tracemalloc
from http import HTTPStatus

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import batch as reading
from service.api.batch import Batch, read_json
from service.api.problems import Problem
from service.api.query import Window, read_query

MAX_BATCH = 10_000

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)


@given(st.lists(numbers, min_size=1, max_size=20))
def test_prices_are_the_nearest_doubles(values: list[float]) -> None:
    """Every number is read as the double nearest to it: the correctly rounded one that Python's float() gives."""
    body = b'{"symbol":"A","values":[' + ",".join(str(value) for value in values).encode() + b"]}"
    batch = read_json(body, None, MAX_BATCH)
    assert isinstance(batch, Batch)
    assert batch.prices.tobytes() == np.array([float(str(value)) for value in values]).tobytes()


def test_an_ordinary_batch_takes_the_fast_way() -> None:
    """Ten thousand prices as a producer writes them do not fall back to the careful reader."""
    body = orjson.dumps({"symbol": "EURUSD", "values": [1.25] * MAX_BATCH})
    assert reading._read_fast(body, None, MAX_BATCH) is not None


def test_prices_outlive_the_next_parse() -> None:
    """A batch's memory is its own: reading another one with the same parser leaves it alone."""
    first = read_json(b'{"symbol":"A","values":[1,2,3]}', None, MAX_BATCH)
    second = read_json(b'{"symbol":"B","values":[4,5,6]}', None, MAX_BATCH)
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    assert (first.symbol, first.prices.tolist()) == ("A", [1.0, 2.0, 3.0])
    assert (second.symbol, second.prices.tolist()) == ("B", [4.0, 5.0, 6.0])


@pytest.mark.parametrize("depth", [900, 980, 1000, 1010, 1020, 1030])
def test_nesting_that_not_every_parser_follows_is_200_or_400(depth: int) -> None:
    """Where one parser gives up on nesting and another does not, depending on the Python, the answer is one of two."""
    answer = read_json(b'{"symbol":"A","values":[1],"x":' + b"[" * depth + b"]" * depth + b"}", None, MAX_BATCH)
    if isinstance(answer, Batch):
        assert (answer.symbol, answer.prices.tolist()) == ("A", [1.0])
    else:
        assert answer.status == HTTPStatus.BAD_REQUEST


def test_a_refused_symbol_is_not_remembered_at_length() -> None:
    """A thousand refused batches with symbols of 100 KB each leave nothing behind; remembered, they would be 26 MB."""
    tracemalloc.start()
    try:
        for number in range(1000):
            body = b'{"symbol":"%06d%b","values":[1]}' % (number, b"x" * 100_000)
            assert isinstance(read_json(body, None, MAX_BATCH), Problem)
        del body
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@given(st.text())
def test_any_query_is_a_window_or_a_400(query: str) -> None:
    """No query makes the reader raise; it is a window with k in bounds, or a problem."""
    answer = read_query(query, 8)
    if isinstance(answer, Window):
        assert answer.symbol
        assert 1 <= answer.k <= 8
    else:
        assert answer.status == HTTPStatus.BAD_REQUEST


@given(st.text(min_size=1), st.integers(-5, 15))
def test_k_is_bounded_by_the_retention(symbol: str, k: int) -> None:
    """Exactly k = 1 … max_k is accepted, whatever the symbol."""
    try:
        query = httpx_query(symbol, k)
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return
    for max_k in range(1, 9):
        answer = read_query(query, max_k)
        assert (answer == Window(symbol, k)) == (1 <= k <= max_k)


def httpx_query(symbol: str, k: int) -> str:
    """The query string that a well-known client makes."""
    import httpx  # noqa: PLC0415 - only here

    return str(httpx.QueryParams({"symbol": symbol, "k": str(k)}))
