"""The small parts: plans and objectives as they are read, streams, schedules, histograms, HTTP."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path
from time import perf_counter_ns

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.client import ProtocolError, parse
from loadgen.lane import Lane
from loadgen.messages import Bodies
from loadgen.outcome import Exit, Outcome
from loadgen.plan import MAX, MOST_TOKEN, Plan, Rate, Sizes, Target, read_rate, read_sizes, read_target, read_token
from loadgen.prices import Batches, Walk, read_prices
from loadgen.recorder import Histogram, Recorder, sparse
from loadgen.schedule import NEVER, SECOND, Pace, choose
from loadgen.slo import read_slo
from loadgen.wire import batch_body, batch_request, stats_path, stats_request

HERE = Target("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://127.0.0.1:8000", HERE),
        ("http://127.0.0.1:8000/", HERE),
        ("http://localhost", Target("localhost", 80)),
        ("http://[::1]:9000", Target("::1", 9000)),
        ("https://localhost", Target("localhost", 443, tls=True)),
        ("https://[::1]:9000/", Target("::1", 9000, tls=True)),
    ],
)
def test_a_url_is_a_host_and_a_port(text: str, target: Target) -> None:
    """Both parts are read, with the scheme's own port unless another is named; the URL reads as the same again."""
    assert read_target(text) == target
    assert read_target(target.url) == target


@pytest.mark.parametrize(
    "text", ["ftp://a:1", "https://", "a:1", "http://", "http://a/b", "http://a?b", "http://a:b", ""]
)
def test_other_urls_are_refused(text: str) -> None:
    """What this client cannot reach is refused in words."""
    with pytest.raises(ValueError, match=r"."):
        read_target(text)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é" * 16, "a=b", "a" * 513])
def test_what_is_no_token_is_refused_without_repeating_it(token: str) -> None:
    """What would break out of its header, or be refused by every service, is not sent."""
    with pytest.raises(ValueError, match=r"a token has up to 512") as refused:
        read_token(token)
    assert not token or token not in str(refused.value)


def test_a_token_is_sent_and_not_shown() -> None:
    """Every request carries it; no representation of a plan or target does."""
    target = Target("a", 1, token="0123456789abcdef")  # noqa: S106 - nobody's
    line = b"\r\nAuthorization: Bearer 0123456789abcdef\r\n"
    assert line in stats_request(target, "A", 1)
    assert line in batch_request(target, "A", np.ones(1))
    assert b"Authorization" not in stats_request(HERE, "A", 1)
    assert "0123456789abcdef" not in repr(Plan(target, ("A",)))


def test_rates_and_sizes_are_read() -> None:
    """The closed model is max, 0 is nothing, and a range includes both its ends."""
    assert read_rate("max") == MAX
    assert read_rate("200/s") == read_rate("200") == Rate(200.0)
    assert read_rate("0.5/s") == Rate(0.5)
    assert read_sizes("10000") == Sizes(10_000, 10_000)
    assert read_sizes("1-10000") == Sizes(1, 10_000)
    for text in ("", "-1", "200/m", "fast", "1e3"):
        with pytest.raises(ValueError, match="rate"):
            read_rate(text)
    for text in ("", "0", "5-4", "1-", "a", "-3"):
        with pytest.raises(ValueError, match="size"):
            read_sizes(text)


def test_symbols_are_dealt_to_processes() -> None:
    """Every symbol belongs to one process, and no process is idle."""
    plan = Plan(HERE, tuple("ABCDE"), processes=2)
    assert plan.shares() == [[0, 2, 4], [1, 3]]
    assert Plan(HERE, ("A",), processes=4).shares() == [[0]]


@pytest.mark.parametrize("kind", ["walk", "jump", "constant"])
def test_a_stream_is_made_by_its_seed_and_place(kind: str) -> None:
    """The same seed and place give the same batches; another seed or place gives others."""

    def taken(seed: int, place: int) -> list[bytes]:
        stream = Batches(kind, seed, place, Sizes(1, 100))
        return [stream.take().tobytes() for _ in range(20)]

    assert taken(1, 0) == taken(1, 0)
    assert len({tuple(taken(seed, place)) for seed in (1, 2) for place in (0, 1)}) == 4


def test_sizes_fill_their_range() -> None:
    """Sizes take every value of the range, both ends included."""
    stream = Batches("constant", 1, 0, Sizes(3, 6))
    assert {len(stream.take()) for _ in range(200)} == {3, 4, 5, 6}


def test_a_walk_has_two_decimals_and_small_steps() -> None:
    """Every price is positive and the double nearest to two decimals, at most three ticks from the last."""
    prices = np.concatenate([Batches("walk", 7, 0, Sizes(10_000, 10_000)).take() for _ in range(3)])
    assert (prices > 0).all()
    assert all(price == float(f"{price:.2f}") for price in prices.tolist())
    stream = Batches("walk", 7, 0, Sizes(5_000, 5_000))
    joined = np.concatenate([stream.take(), stream.take()])
    assert np.abs(np.diff(joined)).max() < 0.031
    assert len(set(np.round(np.diff(joined), 2).tolist())) >= 7


@pytest.mark.parametrize("end", [100.0, 999.99])
def test_a_walk_is_reflected_at_its_ends(end: float) -> None:
    """A walk that comes to 100.00 or 999.99 turns back there, in steps as small as everywhere."""
    walk = Walk(np.random.default_rng(3))
    walk._level = round(end * 100)
    prices = np.concatenate([walk.take(10_000) for _ in range(10)])
    assert 100.0 <= prices.min() <= prices.max() <= 999.99
    assert (prices == end).sum() > 10
    assert np.abs(np.diff(prices)).max() < 0.031


@pytest.mark.parametrize(
    "prices",
    [
        [100.0, 999.99, 123.4, 500.05],
        [99.99, 100.0],
        [999.99, 1000.0],
        [123.456],
        [math.nextafter(123.45, 0)],
        [5e-324, 1e100, -123.45, -0.0],
    ],
)
def test_a_body_reads_back_as_its_prices(prices: list[float]) -> None:
    """Whichever way prices are written, JSON gives them back to the bit."""
    body = json.loads(batch_body('quote " and 日', np.array(prices)))
    assert body["symbol"] == 'quote " and 日'
    assert [value.hex() for value in body["values"]] == [price.hex() for price in prices]


def test_jumps_span_magnitudes() -> None:
    """Levels differ by many orders of magnitude while neighbours differ by a millionth."""
    stream = Batches("jump", 1, 0, Sizes(10_000, 10_000))
    prices = np.concatenate([stream.take() for _ in range(10)])
    assert prices.max() / prices.min() > 1e6
    assert np.median(np.abs(np.diff(prices)) / prices[1:]) < 1e-5


def test_prices_of_a_file_are_repeated_or_end(tmp_path: Path) -> None:
    """A run goes over a file again and again, a replay once; both send exactly its prices."""
    path = tmp_path / "some.csv"
    path.write_text("time,price\n1,1.5\n2,2.5\n3,3.5\n")
    again = Batches(f"file:{path}", 1, 0, Sizes(2, 2))
    assert np.concatenate([again.take(), again.take()]).tolist() == [1.5, 2.5, 3.5, 1.5]
    once = Batches(f"file:{path}#time", 1, 0, Sizes(2, 2), once=True)
    assert [once.take().tolist(), once.take().tolist()] == [[1.0, 2.0], [3.0]]


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


def test_an_open_pace_keeps_to_the_clock() -> None:
    """Due times are the start, the phase and whole intervals, however late each is taken."""
    pace = Pace(4, start=1_000 * SECOND, phase=0.5, limit=3)
    due = [pace.take(now=10_000 * SECOND) for _ in range(3)]
    assert due == [1_000 * SECOND + SECOND // 8 + i * SECOND // 4 for i in range(3)]
    assert pace.due == NEVER


def test_a_closed_pace_is_due_at_once() -> None:
    """The closed model's next request is meant for now, until its limit."""
    pace = Pace(None, start=5, phase=0.0, limit=2)
    assert (pace.take(7), pace.take(9), pace.due) == (7, 9, NEVER)
    assert Pace(0, start=5, phase=0.0).due == NEVER


def test_what_has_been_due_longest_comes_first() -> None:
    """Among open paces the earliest is next; closed ones take turns when no open one is due."""
    early, late, closed, other = Pace(1, 10, 0), Pace(1, 20, 0), Pace(None, 0, 0), Pace(None, 0, 0)
    assert choose([late, early, closed], now=30, last=0) == 1
    assert choose([late, early, closed], now=5, last=0) == 2
    assert choose([late, early], now=5, last=0) is None
    assert choose([closed, other], now=5, last=0) == 1
    assert choose([closed, other], now=5, last=1) == 0


def lags(*requests: tuple[int, int, int]) -> list[int | None]:
    """Send lags of one lane; each request is (sent, answered, stood still meanwhile), meant for 0, 10, 20 and so on."""
    lane = Lane(0, ["stats"], [Pace(SECOND / 10, 0, 0.0)])
    found = []
    total = 0
    for sent, answered, gap in requests:
        lane.meant = lane.paces[0].take(sent)
        found.append(lane.depart(sent, total))
        total += gap
        lane.arrive(answered, total)
    return found


def test_a_stalled_service_is_not_the_generators_lag() -> None:
    """One slow answer makes the next requests late, but each is sent as soon as it can be: no lag."""
    assert lags((0, 35, 0), (35, 36, 0), (36, 37, 0), (37, 38, 0), (40, 41, 0)) == [0, 0, 0, 0, 0]


def test_a_stalled_generator_lags_until_it_has_caught_up() -> None:
    """A late start is in the lag of all requests that it delays, also when an answer was waited for meanwhile."""
    assert lags((33, 35, 0), (35, 37, 0), (37, 39, 0), (39, 41, 0), (41, 42, 0)) == [33, 25, 17, 9, 1]
    assert lags((0, 35, 34), (35, 36, 0), (36, 37, 0), (40, 41, 0)) == [0, 25, 16, 10]


def test_the_closed_model_has_no_lag() -> None:
    """What is meant for now is never late."""
    lane = Lane(0, ["stats"], [Pace(None, 0, 0.0)])
    assert lane.depart(7, 0) is None
    assert lane.meant == 7


@given(
    st.lists(st.integers(1_000, 60 * SECOND), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0])
)
def test_a_quantile_has_three_digits(nanoseconds: list[int], share: float) -> None:
    """From 1 µs to a minute a quantile is that of the sorted latencies, to 0.1 %, also after a merge of parts."""
    whole = Histogram()
    for part in (nanoseconds[::2], nanoseconds[1::2]):
        whole.add(sparse(array("q", part)))
    ranked = sorted(nanoseconds)[max(0, math.ceil(share * len(nanoseconds)) - 1)] / 1e3
    assert whole.quantile(share) == pytest.approx(ranked, rel=1e-3)
    assert (whole.count, whole.most) == (len(nanoseconds), max(nanoseconds) / 1e3)


def test_latencies_out_of_range_are_counted() -> None:
    """Nothing is lost below a microsecond or beyond a minute; the maximum is exact."""
    histogram = Histogram()
    histogram.add(sparse(array("q", [0, 1, 999, 100 * SECOND])))
    assert (histogram.count, histogram.most) == (4, 100e6)
    assert math.isnan(Histogram().quantile(0.5))


def test_a_recorder_begins_anew() -> None:
    """Each take holds what was recorded since the last one, response and service time apart."""
    recorder = Recorder()
    started = perf_counter_ns()
    for latency in range(2_000, 12_000):
        recorder.record(2 * latency, latency)
    assert perf_counter_ns() > started
    taken = recorder.take()
    assert (int(taken.response.counts.sum()), taken.response.most, taken.service.most) == (10_000, 23.998, 11.999)
    assert len(recorder.take().response.counts) == 0


def test_an_answer_is_read_when_it_is_whole() -> None:
    """Whatever the pieces, the answer is there with its last byte and not before."""
    whole = b"HTTP/1.1 404 Not Found\r\nContent-type: x\r\ncontent-LENGTH: 5\r\nConnection: close\r\n\r\nhello"
    assert all(parse(whole[:cut]) is None for cut in range(len(whole)))
    response = parse(whole)
    assert response is not None
    assert (response.status, response.body, response.last) == (404, b"hello", True)
    head = parse(whole.removesuffix(b"hello"), head_only=True)
    assert head is not None
    assert head.body == b""
    gone = parse(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert gone is not None
    assert (gone.status, gone.body) == (204, b"")


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ],
)
def test_what_is_no_answer_is_said(bad: bytes) -> None:
    """Without a length, or with more bytes than it says, nothing is guessed."""
    with pytest.raises(ProtocolError):
        parse(bad)


def test_the_largest_batch_has_room() -> None:
    """The longest symbol and the longest prices fit into the memory for one request."""
    target = Target("a" * 253, 65535, token="a" * MOST_TOKEN)
    plan = Plan(target, ("\U0001f4b0" * 16,), sizes=Sizes(100, 100))
    request = batch_request(target, plan.symbols[0], np.full(100, -1.2345678901234567e-100))
    assert len(request) <= len(Bodies(plan, 1).room(0, 0))


def test_symbols_are_escaped_in_a_query() -> None:
    """Letters with a meaning in a URL are escaped."""
    assert stats_path("EUR/USD &+日", 3) == "/stats/?symbol=EUR%2FUSD%20%26%2B%E6%97%A5&k=3"


def outcome(*latencies: int, lag: int = 0) -> Outcome:
    """With these response times on stats, in µs, and service times of 1 µs."""
    made = Outcome(Plan(HERE, ("A",)))
    made.endpoints["stats"].response.add(sparse(array("q", [latency * 1_000 for latency in latencies])))
    made.endpoints["stats"].service.add(sparse(array("q", [1_000 for _ in latencies])))
    made.lag.add(sparse(array("q", [lag])))
    return made


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("stats.p99<5ms", True),
        ("stats.p99<4ms", False),
        ("stats.p99 <= 4.1ms", True),
        ("stats.p50<2100us", True),
        ("stats.max>=4000µs", True),
        ("stats.max<0.001s", False),
        ("stats.service.max<=1us", True),
        ("add_batch.p99<1s", False),
        ("add_batch.rate>0/s", False),
    ],
)
def test_an_objective_is_held_against_what_was_found(text: str, met: bool) -> None:
    """Latencies of 1, 2 and 4 ms: the objective is met or missed as arithmetic says; no answers meet none."""
    assert read_slo(text).judge(outcome(1_000, 2_000, 4_000)).met is met


@pytest.mark.parametrize(
    "text", ["", "stats.p99", "stats.p99<5", "get.p99<5ms", "stats.rate<5ms", "stats.p50<5/s", "p99<5ms"]
)
def test_what_is_no_objective_is_refused(text: str) -> None:
    """An objective without endpoint, metric, comparison, value or the right unit is refused in words."""
    with pytest.raises(ValueError, match=r"objective|compared"):
        read_slo(text)


def test_the_worst_decides_how_a_run_ended() -> None:
    """Wrong before failed before saturated before missed."""
    made = outcome(1_000)
    assert made.exit() is Exit.WELL
    made.objectives = [read_slo("stats.max<1us").judge(made)]
    assert made.exit() is Exit.MISSED
    made.lag.add(sparse(array("q", [SECOND] * 10)))
    assert made.exit() is Exit.SATURATED
    made.endpoints["stats"].statuses[0] = 1
    assert made.exit() is Exit.FAILED
