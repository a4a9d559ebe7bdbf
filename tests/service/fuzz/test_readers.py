from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api import batch as reading
from service.api.problems import Problem
from service.api.query import read_query
from tests.service.fuzz import reader
from tests.service.fuzz.documents import BODIES, KNOWN, MAX_BATCH
from tests.service.fuzz.effort import bounded, done


def bits(batch: reading.Batch) -> tuple[str, bytes]:
    """A batch so that equal means identical."""
    return batch.symbol, batch.prices.tobytes()


@pytest.mark.parametrize("body", KNOWN)
def test_every_reader_reads_the_known_bodies(body: bytes) -> None:
    """Bodies of every kind that is refused, and of every kind that is fine, are read alike by all readers."""
    assert_read_alike(body)


NAMED = st.none() | st.sampled_from(["A", "B", "x" * 65])
"""The symbol in the query; most bodies are of A."""


@bounded(1000)
@given(body=BODIES, named=NAMED)
@example(b'{"symbol":"s","values":[1e5]}', None)
@example(b'{"symbol":"s","values":[-0]}', None)
@example(b'{"symbol":"s","values":[1%b.0]}' % (b"0" * 64), None)
@example(b'{"symbol":"s","values":[9.9e-7000000000000000000]}', None)
@example(b'{"symbol":"s","values":[9.9E+7000000000000000000]}', None)
@example(b'{"symbol":"s","values":[-0e7000000000000000000,1e000000000000000001]}', None)
@example(b'{"symbol":"s","values":[1 ,2]}', None)
@example(b'{"values":[1,2]}', "s")
@example(b'{"values":[1,2],"s\\u0079mbol":"t"}', "s")
def test_every_reader_reads_what_is_written(body: bytes, named: str | None) -> None:
    """The fast reader, the careful one and both in turn read any body as an exact and slow one does, to the bit."""
    done["examples"] += 1
    assert_read_alike(body, named)


def assert_read_alike(body: bytes, named: str | None = None) -> None:
    fast, careful = reading._read_fast(body, named, 10_000), reading._read_carefully(body, named, 10_000)
    parsed = reader.parse(body, 10_000, named)
    if isinstance(parsed, reader.Refusal):
        assert fast is None
        assert isinstance(careful, Problem)
        assert careful.status == parsed.status
    else:
        assert isinstance(careful, reading.Batch)
        for batch in (careful, fast or careful):
            assert bits(batch) == (parsed.symbol, parsed.bits)
    both, expected = reading.read_json(body, named, MAX_BATCH), reader.read(body, MAX_BATCH, named)
    if isinstance(both, Problem):
        assert isinstance(expected, reader.Refusal)
        assert both.status == expected.status
        assert both.pointer is None or f"#{both.pointer}" in expected.pointers
    elif isinstance(expected, reader.Refusal):  # the bounds of a price are for the series to say
        assert all(pointer.startswith("#/values/") for pointer in expected.pointers)
    else:
        assert bits(both) == (expected.symbol, expected.bits)


QUERIES = st.lists(
    st.tuples(
        st.sampled_from(["symbol", "k", "k", "x", "", "%6B", "s%79mbol", "K", "+k"]),
        st.sampled_from(["=", "=", "=", "=", "", "==", "%3D"]),
        st.sampled_from(
            ["A", "1", "8", "9", "01", "%31", "%EF%BC%91", "+1", "%2B1", "1%00", "", "%", "%zz", "%FF", "a+b"]
        )
        | st.integers(-2, 12).map(str)
        | st.text("%0123456789abcdefABCDEF+&=;#/?", max_size=8),
    ).map("".join),
    max_size=4,
)


@bounded(400)
@given(fields=QUERIES, max_k=st.integers(1, 8))
@example(["symbol=A", "k=1", ""], 8)
@example(["symbol=A;k=1"], 8)
def test_a_query_is_read_by_the_rules(fields: list[str], max_k: int) -> None:
    """A query is the window that an independent reading of the rules finds in it, or a problem if it finds none."""
    done["examples"] += 1
    query = "&".join(fields)
    answer = read_query(query, max_k)
    expected = reader.read_query(query, max_k)
    assert (None if isinstance(answer, Problem) else tuple(answer)) == expected
