"""Batches that say their position, while workers are killed and connections cut: each is in, and in once.

``TENFOLD_STORM_SECONDS=60`` makes it a long storm; ``--log-cli-level=INFO`` shows the figures.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from service.settings import Settings
from tests.support.load import CUT, seconds_until_replaced, together
from tests.support.process import Forked, forked
from tests.support.sockets import Answer, Wire, request

log = logging.getLogger(__name__)

SECONDS: Final = float(os.environ.get("TENFOLD_STORM_SECONDS", "6"))

SETTINGS: Final = Settings(workers=2, max_k=6)
MOST: Final = SETTINGS.max_batch

OCTETS: Final = "application/octet-stream"


class Producer:
    """One symbol's stream. Whatever becomes of a batch, the same is sent until it is known to be in.

    Args:
        service: where it goes.
        number: of the symbol.
        over: when to begin with no other batch.
    """

    def __init__(self, service: Forked, number: int, over: float) -> None:
        self._port = service.port
        self._over = over
        self._random = random.Random(number)
        self._bits = np.random.default_rng(number)
        self._wire: Wire | None = None
        self.symbol = f"S{number}"
        self.sent = np.empty(0)
        self._read = 0
        self.told = Counter[int | str]()

    def run(self) -> None:
        """Send, and read back what was sent, until it is over."""
        while time.monotonic() < self._over or not len(self.sent):
            for _ in range(self._random.randint(1, 20)):
                size = self._random.choice([1, 9, 100, 2_345, MOST])
                prices = self._bits.normal(0.0, 1.0, size) * 10.0 ** self._bits.integers(-30, 30, size)
                self._deliver(prices)
                self.sent = np.concatenate([self.sent, prices])
            self._read_back()
        if self._wire is not None:
            self._wire.close()

    def _deliver(self, prices: npt.NDArray[np.float64]) -> None:
        """Have a batch added behind what was sent before."""
        at = len(self.sent)
        whole = self._random.choice(self._ways(at, prices))
        while True:
            if self._random.random() < 0.1:  # all of it or a part, and then nobody listens
                with suppress(*CUT), Wire(self._port) as wire:
                    wire.send(whole[: self._random.choice([len(whole), self._random.randrange(len(whole))])])
                self.told["cut"] += 1
            answer = self._ask(whole)
            self.told[answer.status] += 1
            if answer.status != 503:
                assert answer.status in (200, 412), answer
                assert answer.document["count"] == at + len(prices), answer
                return

    def _ways(self, at: int, prices: npt.NDArray[np.float64]) -> list[bytes]:
        """A batch on either wire."""
        in_query, in_body = f"/add_batch/?symbol={self.symbol}&at={at}", f"/add_batch/?at={at}"
        values = prices.tolist()
        return [
            request("POST", in_query, f"Content-Type: {OCTETS}", body=prices.tobytes()),
            request("POST", in_query, body=orjson.dumps({"values": values})),
            request("POST", in_body, body=orjson.dumps({"symbol": self.symbol, "values": values})),
        ]

    def _ask(self, whole: bytes) -> Answer:
        """Send the same until there is an answer."""
        while True:
            try:
                self._wire = self._wire or Wire(self._port)
                answer = self._wire.ask(whole)
            except CUT:
                self.told["lost"] += 1
                if self._wire is not None:
                    self._wire.close()
                self._wire = None
                continue
            if answer.closes:
                self._wire.close()
                self._wire = None
            return answer

    def _read_back(self) -> None:
        """Compare what was added since the last time, bit by bit."""
        while self._read < len(self.sent):
            expected = self.sent[self._read : self._read + MOST]
            target = f"/prices/?symbol={self.symbol}&from={self._read}&size={len(expected)}"
            in_json = self._random.random() < 0.5
            answer = self._ask(request("GET", target, f"Accept: {'application/json' if in_json else OCTETS}"))
            assert answer.status == 200, answer
            held = np.array(answer.document["prices"]).tobytes() if in_json else answer.content
            assert held == expected.tobytes(), f"{self.symbol} from {self._read} on"
            assert int(answer.headers["tenfold-count"]) == len(self.sent)
            self._read += len(expected)


def test_every_batch_is_in_once_through_sigkill_and_cut_connections() -> None:
    """Ten symbols, both wires: what is read back is what was sent, to the bit, and nothing twice."""
    with forked(SETTINGS) as service:
        over = time.monotonic() + SECONDS
        producers = [Producer(service, number, over) for number in range(10)]
        generator, took = random.Random(1), list[float]()

        def kill() -> None:
            while time.monotonic() < over:
                time.sleep(generator.uniform(0.25, 0.75))
                took.append(seconds_until_replaced(service, generator.choice(service.workers()), 10.0, *CUT))

        together(kill, *(producer.run for producer in producers))
        told = sum((producer.told for producer in producers), Counter[int | str]())
        log.info("%d kills; %s; %d prices", len(took), dict(told), sum(len(producer.sent) for producer in producers))
        assert service.stop() == 0
        for producer in producers:
            series = service.symbols.series(producer.symbol)
            assert series.count == len(producer.sent)
            kept = producer.sent[-SETTINGS.geometry.retention :]
            assert series.prices(series.count - len(kept), len(kept)).tobytes() == kept.tobytes()
            series.check()
        assert len(took) >= 2
        assert min(told["cut"], told[200], told[412]) > 0, told
