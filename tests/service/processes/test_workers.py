from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections import Counter
from functools import partial
from operator import gt

import numpy as np
import pytest

from aggregation import BLOCK, Series
from aggregation.atomics import publish
from service.settings import Settings
from tests.aggregation.oracle import History, assert_all_windows
from tests.support.load import (
    Client,
    Recording,
    assert_answer,
    connected_to_each,
    count_of,
    exact_at,
    meanwhile,
    numbers,
    seconds_until_replaced,
    together,
)
from tests.support.process import Forked, forked, until
from tests.support.small import SmallSettings

MAX_K = 4
RETENTION = 10**MAX_K
BATCH = 300


@pytest.fixture
def settings() -> Settings:
    """Two workers; small rings, so that they go around soon."""
    return SmallSettings(workers=2, max_k=MAX_K, max_batch=BATCH)


def is_rolled_up(series: Series) -> bool:
    """Whether every block that is complete has its summary."""
    return series.lag < BLOCK


def test_every_worker_gives_the_same_answers() -> None:
    """Whatever was added through any worker, each answers all windows at once and alike, rolled up or not."""
    rng = np.random.default_rng(11)
    history = History()
    with (
        forked(SmallSettings(workers=3, max_k=MAX_K, max_batch=BATCH)) as service,
        connected_to_each(service) as clients,
    ):
        assert len(clients) == 3
        for writer in list(clients.values()) * 10:
            prices = rng.normal(100.0, 1.0, int(rng.integers(1, BATCH + 1)))
            history.append(prices)
            assert writer.add("EUR/USD", prices).document["count"] == history.count
            for k in range(1, MAX_K + 1):
                answers = [client.stats("EUR/USD", k) for client in clients.values()]
                assert_answer(answers[0], history.newest(10**k))
                assert answers[1:] == answers[:-1]


def test_fresh_connections_reach_every_worker(shared_service: Forked) -> None:
    """New connections are spread over the workers, and each is answered, by whichever worker it meets."""
    reached: Counter[int | None] = Counter()
    for _ in range(100):
        with Client(shared_service.url) as client:
            assert client.health().status == 200
            reached[shared_service.worker_of(client.port)] += 1
    assert sorted(reached, key=str) == sorted(shared_service.workers(), key=str)
    # Of 100 fair coins, fewer than 20 fall on one side once in 10^9 times.
    assert min(reached.values()) >= 20


def test_interleaved_symbols(shared_service: Forked) -> None:
    """Ten producers on many connections do not touch each other: at the end every window of each symbol is exact."""
    names = [f"S{number}" for number in range(10)]

    def produce(name: str) -> History:
        rng = np.random.default_rng(names.index(name))
        history = History()
        clients = [Client(shared_service.url) for _ in range(4)]
        for turn in range(60):
            prices = rng.normal(1000.0, 5.0, int(rng.integers(1, BATCH + 1)))
            history.append(prices)
            client = clients[int(rng.integers(len(clients)))]
            assert client.add(name, prices).told == (
                200,
                {"symbol": name, "added": len(prices), "count": history.count},
            )
            if turn % 5 == 0:
                k = int(rng.integers(1, MAX_K + 1))
                assert_answer(client.stats(name, k), history.newest(10**k))
        for client in clients:
            client.close()
        return history

    histories = together(*[partial(produce, name) for name in names])
    for name, history in zip(names, histories, strict=True):
        with Client(shared_service.url) as client:
            for k in range(1, MAX_K + 1):
                assert_answer(client.stats(name, k), history.newest(10**k))
    assert shared_service.stop() == 0
    for name, history in zip(names, histories, strict=True):
        shared_service.symbols.series(name).check()
        assert_all_windows(shared_service.symbols.series(name), history)


def test_overlapping_requests_of_one_symbol_while_rings_wrap(shared_service: Forked) -> None:
    """However requests of one symbol overlap, every answer is exactly that of one moment between it and its request."""
    recording = Recording("A")

    def write(seed: int) -> None:
        generator = random.Random(seed)
        with Client(shared_service.url) as client:
            for _ in range(60):
                recording.add(client, generator.randint(1, BATCH))

    def ask(generator: random.Random, client: Client) -> None:
        recording.ask(client, generator.randint(1, MAX_K))

    with meanwhile(shared_service.url, *(partial(ask, random.Random(seed)) for seed in range(4))):
        together(*[partial(write, seed) for seed in range(6)])
    assert len(recording.added) == 360
    assert len(recording.asked) > 100
    recording.check()
    assert shared_service.stop() == 0
    shared_service.symbols.series("A").check()


def test_workers_that_meet_a_new_symbol_at_once_share_one_slot(shared_service: Forked) -> None:
    """First batches of one symbol, sent to different workers at the same time, all end up in one series."""
    names = iter(f"new {number}" for number in range(1000))
    with connected_to_each(shared_service) as clients, Client(shared_service.url) as other:
        for _ in range(30):
            name = next(names)
            jobs = [partial(client.add, name, [float(number)] * 2) for number, client in enumerate(clients.values())]
            assert sorted(receipt.document["count"] for receipt in together(*jobs)) == [2, 4]
            assert other.health().document["symbols"] == 1
            assert other.stats(name, 1).document["avg"] == 0.5
            assert other.delete(name).status == 204


def test_the_limit_of_symbols_is_409_across_workers(shared_service: Forked) -> None:
    """Of thirty new symbols at once exactly ten are accepted; the others get 409 and stay unknown."""

    def first_batch(number: int) -> int:
        with Client(shared_service.url) as client:
            return client.add(f"S{number}", numbers(1000 * number, 0, 100)).status

    statuses = together(*[partial(first_batch, number) for number in range(30)])
    assert Counter(statuses) == {200: 10, 409: 20}
    with Client(shared_service.url) as client:
        assert client.health().document["symbols"] == 10
        for number, status in enumerate(statuses):
            answer = client.stats(f"S{number}", 2)
            if status == 200:
                assert_answer(answer, exact_at(100, 2, base=1000 * number))
            else:
                assert answer.status == 404


def test_a_worker_that_stands_still_after_sigstop(shared_service: Forked) -> None:
    """A worker that is stopped for five seconds under load answers late, but what it answers is right."""
    counts = [0] * 8
    bases = [1_000_000 * number for number in range(8)]
    worker = shared_service.workers()[0]

    def produce(number: int, client: Client) -> None:
        begin, end = counts[number], counts[number] + BATCH
        k = 1 + begin % MAX_K
        assert client.add(f"S{number}", numbers(bases[number], begin, end)).document["count"] == end
        assert count_of(client.stats(f"S{number}", k), k, bases[number]) == end
        counts[number] = end

    with meanwhile(shared_service.url, *(partial(produce, number) for number in range(8))):
        until(lambda: min(counts) > 0, 20)
        os.kill(worker, signal.SIGSTOP)
        time.sleep(5.0)
        os.kill(worker, signal.SIGCONT)
        before = list(counts)
        until(lambda: all(map(gt, counts, before)), 20)
    assert worker in shared_service.workers(), "it was replaced"
    with connected_to_each(shared_service) as clients:
        for number, k in itertools.product(range(8), range(1, MAX_K + 1)):
            for client in clients.values():
                assert count_of(client.stats(f"S{number}", k), k, bases[number]) == counts[number]
    assert shared_service.stop() == 0
    for number, count in enumerate(counts):
        assert shared_service.symbols.count(f"S{number}") == count
        shared_service.symbols.series(f"S{number}").check()


def test_a_deletion_gives_the_memory_back_404() -> None:
    """What a symbol held belongs to the system again soon after its deletion is answered, whoever had touched it."""
    with forked(Settings(workers=2, max_k=7)) as service, connected_to_each(service) as clients:
        anyone, *_ = clients.values()
        incompressible = np.random.default_rng(4)

        def fill() -> int:
            """Have every worker write to the symbol and read it; returns the memory that the service takes then."""
            for client in clients.values():
                for _ in range(100):
                    assert client.add("goes", incompressible.normal(0.0, 1.0, 10_000).tolist()).status == 200
            for client in clients.values():
                client.stats("goes", 6)
            return service.memory()

        def is_clean() -> bool:
            """Whether the symbol's place is, as the directory says."""
            return service.symbols.used_bytes(1) == 0

        anyone.add("stays", [1.0])
        fill()  # once before it is measured: what a worker takes for itself on the way is no matter of this
        assert anyone.delete("goes").status == 204
        until(is_clean, 20)
        before = service.memory()
        held = fill() - before
        assert held > 2_000_000 * 8
        assert anyone.delete("goes").status == 204
        until(is_clean, 20)
        kept = service.memory() - before
        assert kept < held / 10, f"{kept} of {held} bytes are still there"
        for client in clients.values():
            assert client.stats("goes", 1).status == 404
            assert client.delete("goes").status == 404
            assert client.stats("stays", 1).document["last"] == 1.0
            assert client.health().document["symbols"] == 1
        assert anyone.add("goes", [7.0, 9.0]).document["count"] == 2
        for client in clients.values():
            assert_answer(client.stats("goes", 6), History([7.0, 9.0]).newest(10**6))


def test_what_a_killed_worker_left_undone_is_done_by_its_replacement(shared_service: Forked) -> None:
    """Prices that nobody rolled up, and memory that nobody gave back, are seen to at the start of a worker."""
    symbols = shared_service.symbols  # a process that appends, creates and deletes, and then does nothing more
    for name in ("A", "half made"):
        for begin in range(0, 2 * RETENTION, BATCH):
            symbols.append(name, numbers(0, begin, begin + BATCH))
    publish(symbols._words, symbols._serial_word(1), 0)
    assert not is_rolled_up(symbols.series("A"))
    assert symbols.used_bytes(1) > 0
    time.sleep(0.5)  # the longer, the more could go wrong
    assert not is_rolled_up(symbols.series("A")), "the workers that there are know nothing of it"
    seconds_until_replaced(shared_service, shared_service.workers()[0], 5.0)
    until(partial(is_rolled_up, symbols.series("A")), 5)
    until(lambda: symbols.used_bytes(1) == 0, 5)


def test_deletions_under_load_are_never_a_5xx(shared_service: Forked) -> None:
    """While a symbol is deleted again and again under its readers and its writer, no answer is wrong and none a 5xx."""
    recording = Recording("A")
    generator = random.Random(3)
    symbols = shared_service.symbols

    def write(client: Client) -> None:
        recording.add(client, 1 + len(recording.added) * 7 % BATCH)

    def remove(client: Client) -> None:
        recording.remove(client)
        time.sleep(generator.random() * 0.02)

    def ask(client: Client) -> None:
        recording.ask(client, generator.randint(1, MAX_K))

    def look(_client: Client) -> None:
        recording.look(symbols, MAX_K)

    with Client(shared_service.url) as client:
        for name in ("before", "beside"):
            client.add(name, numbers(0, 0, BATCH))
        with meanwhile(shared_service.url, write, remove, ask, ask, look):
            time.sleep(2.0)
            until(lambda: len(recording.removed) >= 5, 20)
        recording.check()
        for name in ("before", "beside"):
            assert count_of(client.stats(name, MAX_K), MAX_K) == BATCH
    assert shared_service.stop() == 0
    for name in shared_service.symbols:
        shared_service.symbols.series(name).check()
