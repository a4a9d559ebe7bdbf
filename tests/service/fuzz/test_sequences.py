from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.aggregation.oracle import History
from tests.service.fuzz.effort import bounded, done
from tests.support.bodies import BAD_QUERIES, NOT_A_BATCH, NOT_JSON
from tests.support.load import Client, assert_answer, batch
from tests.support.process import Process, running

MAX_SYMBOLS = 3
MAX_K = 3
MAX_BATCH = 400
NAMES = ("A", "EUR/USD", "日経225", "ES 03-26")

REFUSED = {name: body for name, body in NOT_JSON.items() if len(body) < 10_000} | {
    name: body for name, (body, _) in NOT_A_BATCH.items() if len(body) < 10_000
}


class Conversation(RuleBasedStateMachine):
    """Requests of any kind in any order over one connection, beside exact histories of what they should have done."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        done["examples"] += 1
        self.client = Client(self.url)
        self.histories: dict[str, History] = {}

    def teardown(self) -> None:
        for symbol in self.histories:
            assert self.client.delete(symbol).status == 204
        self.client.close()

    @rule(symbol=st.sampled_from(NAMES), prices=st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=9))
    def add_any_prices(self, symbol: str, prices: list[float]) -> None:
        """A batch of anything that is a price."""
        self.add(symbol, prices)

    @rule(symbol=st.sampled_from(NAMES), size=st.integers(1, MAX_BATCH), centre=st.sampled_from([0, 1.1, 1e9]))
    def add_many(self, symbol: str, size: int, centre: float) -> None:
        """A larger batch, so that blocks are completed and rings go around."""
        self.add(symbol, [centre + 0.001 * (number % 17) for number in range(size)])

    def add(self, symbol: str, prices: list[float], target: str = "/add_batch/") -> None:
        done["requests"] += 1
        status, receipt = self.client.request("POST", target, batch(symbol, prices)).told
        if symbol not in self.histories and len(self.histories) == MAX_SYMBOLS:
            assert status == 409
            return
        history = self.histories.setdefault(symbol, History())
        history.append(prices)
        assert (status, receipt) == (200, {"symbol": symbol, "added": len(prices), "count": history.count})

    @rule(symbol=st.sampled_from(NAMES), off=st.sampled_from([0, 0, -1, 1]), size=st.integers(1, 9))
    def add_at_a_position(self, symbol: str, off: int, size: int) -> None:
        """A batch for where the prices end, or beside it."""
        done["requests"] += 1
        count = self.histories[symbol].count if symbol in self.histories else 0
        at = max(0, count + off)
        if at == count:
            self.add(symbol, [1.5] * size, f"/add_batch/?at={at}")
        else:
            answer = self.client.request("POST", f"/add_batch/?at={at}", batch(symbol, [1.5] * size))
            assert (answer.status, answer.document["count"]) == (412, count)

    @rule(symbol=st.sampled_from(NAMES))
    def delete(self, symbol: str) -> None:
        """A symbol is forgotten, if it was there."""
        done["requests"] += 1
        assert self.client.delete(symbol).status == (204 if symbol in self.histories else 404)
        self.histories.pop(symbol, None)

    @rule(body=st.sampled_from(sorted(REFUSED)))
    def send_what_is_refused(self, body: str) -> None:
        """A body that is no batch."""
        done["requests"] += 1
        # Most are of the symbol A, and may be refused because it would be one too many, too.
        too_many = "A" not in self.histories and len(self.histories) == MAX_SYMBOLS
        statuses = {400, 422, 409} if too_many else {400, 422}
        assert self.client.request("POST", "/add_batch/", REFUSED[body] or b" ").status in statuses

    @rule(query=st.sampled_from(sorted(BAD_QUERIES)))
    def ask_what_is_refused(self, query: str) -> None:
        """A query that is none."""
        done["requests"] += 1
        assert self.client.request("GET", f"/stats/?{BAD_QUERIES[query]}").status == 400

    @rule()
    def reconnect(self) -> None:
        """Another connection, perhaps to another worker."""
        self.client.close()
        self.client = Client(self.url)

    @rule(symbol=st.sampled_from(NAMES), k=st.integers(1, MAX_K))
    def ask(self, symbol: str, k: int) -> None:
        """The statistics of a window."""
        done["requests"] += 1
        answer = self.client.stats(symbol, k)
        if symbol in self.histories:
            assert_answer(answer, self.histories[symbol].newest(10**k))
        else:
            assert answer.status == 404

    @invariant()
    def every_symbol_is_as_it_should_be(self) -> None:
        """Each answers over all that is kept as its history does, and there is none besides."""
        done["requests"] += 1 + len(self.histories)
        assert self.client.health().document["symbols"] == len(self.histories)
        for symbol, history in self.histories.items():
            assert_answer(self.client.stats(symbol, MAX_K), history.newest(10**MAX_K))


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    limits = ("--max-symbols", str(MAX_SYMBOLS), "--max-k", str(MAX_K), "--max-batch", str(MAX_BATCH))
    with running("--workers", "2", *limits) as running_process:
        yield running_process


def test_any_sequence_of_requests(process: Process) -> None:
    """After any sequence of requests, refused ones among them, every answer is exactly that of the batches accepted."""

    class Here(Conversation):
        url = process.url

    run_state_machine_as_test(Here, settings=bounded(8, steps=20))
