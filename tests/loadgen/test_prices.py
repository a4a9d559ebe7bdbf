"""Streams of prices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadgen.plan import Sizes
from loadgen.prices import Batches, Walk, read_prices


@pytest.mark.parametrize("kind", ["walk", "jump", "constant"])
def test_a_stream_is_made_by_its_seed_and_place(kind: str) -> None:
    """The same seed and place give the same batches; another seed or place gives others."""

    def taken(seed: int, place: int) -> list[bytes]:
        stream = Batches(kind, seed, place, Sizes(1, 100))
        return [stream.take().prices.tobytes() for _ in range(20)]

    assert taken(1, 0) == taken(1, 0)
    assert len({tuple(taken(seed, place)) for seed in (1, 2) for place in (0, 1)}) == 4


def test_sizes_fill_their_range() -> None:
    """Sizes take every value of the range, both ends included."""
    stream = Batches("constant", 1, 0, Sizes(3, 6))
    assert {len(stream.take().prices) for _ in range(200)} == {3, 4, 5, 6}


def test_a_walk_has_two_decimals_and_small_steps() -> None:
    """Every price is positive and the double nearest to two decimals, at most three ticks from the last."""
    prices = np.concatenate([Batches("walk", 7, 0, Sizes(10_000, 10_000)).take().prices for _ in range(3)])
    assert (prices > 0).all()
    assert all(price == float(f"{price:.2f}") for price in prices.tolist())
    stream = Batches("walk", 7, 0, Sizes(5_000, 5_000))
    joined = np.concatenate([stream.take().prices, stream.take().prices])
    assert np.abs(np.diff(joined)).max() < 0.031
    assert len(set(np.round(np.diff(joined), 2).tolist())) >= 7


@pytest.mark.parametrize("end", [100.0, 999.99])
def test_a_walk_is_reflected_at_its_ends(end: float) -> None:
    """A walk that comes to 100.00 or 999.99 turns back there, in steps as small as everywhere."""
    walk = Walk(np.random.default_rng(3))
    walk._level = round(end * 100)
    prices = np.concatenate([walk.take(10_000).prices for _ in range(10)])
    assert 100.0 <= prices.min() <= prices.max() <= 999.99
    assert (prices == end).sum() > 10
    assert np.abs(np.diff(prices)).max() < 0.031


def test_jumps_span_magnitudes() -> None:
    """Levels differ by many orders of magnitude while neighbours differ by a millionth."""
    stream = Batches("jump", 1, 0, Sizes(10_000, 10_000))
    prices = np.concatenate([stream.take().prices for _ in range(10)])
    assert prices.max() / prices.min() > 1e6
    assert np.median(np.abs(np.diff(prices)) / prices[1:]) < 1e-5


def test_prices_of_a_file_are_repeated_or_end(tmp_path: Path) -> None:
    """A run goes over a file again and again, a replay once; both send exactly its prices."""
    path = tmp_path / "some.csv"
    path.write_text("time,price\n1,1.5\n2,2.5\n3,3.5\n")
    again = Batches(f"file:{path}", 1, 0, Sizes(2, 2))
    assert np.concatenate([again.take().prices, again.take().prices]).tolist() == [1.5, 2.5, 3.5, 1.5]
    once = Batches(f"file:{path}#time", 1, 0, Sizes(2, 2), once=True)
    assert [once.take().prices.tolist(), once.take().prices.tolist()] == [[1.0, 2.0], [3.0]]


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    """The same column is read from either kind of file."""
    prices = [1.1, 2.2, 3.3]
    csv, parquet = tmp_path / "a.csv", tmp_path / "a.parquet"
    csv.write_text("bid,ask\n" + "".join(f"{price!r},0\n" for price in prices))
    pq.write_table(pa.table({"bid": prices, "ask": [0.0] * 3}), parquet)
    assert read_prices(str(csv), "bid").tolist() == read_prices(str(parquet), "bid").tolist() == prices


@pytest.mark.parametrize("text", ["", "price\n", "a,b\n1,2\n", "price\nx\n", "price\nnan\n", "price\n\xff\n"])
def test_a_file_without_prices_is_refused(tmp_path: Path, text: str) -> None:
    """No column, no price, or what is no price, is said in words that name the file."""
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"bad\.csv"):
        read_prices(str(path))
    with pytest.raises(ValueError, match="none of walk"):
        Batches("sine", 1, 0, Sizes(1, 1))
