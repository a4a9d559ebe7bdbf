"""slowhttptest in its three modes: many clients that send or read as slowly as may be, and one that does neither."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.load import Client, assert_answer, exact_at, numbers
from tests.support.process import running, until
from tests.support.programs import ran

CLIENTS = 300
SECONDS = 1.5
PATIENCE = 30
"""Seconds that slowhttptest, and what it asks in between, wait at most."""

MODES = {
    "slow headers": ("-H", "-x", "24", "-u", "stats"),
    "slow body": ("-B", "-s", "8192", "-f", "application/json", "-x", "8", "-u", "add_batch"),
    "slow read": ("-X", "-k", "3", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-u", "docs"),
}


@pytest.mark.parametrize("mode", MODES)
def test_slow_clients_take_nothing_from_others(mode: str) -> None:
    """Beside hundreds of slow clients each request of another is answered, and right; late they are cut off."""
    *options, path = MODES[mode]
    with (
        running(workers=2, max_k=4, request_seconds=SECONDS, idle_seconds=SECONDS) as service,
        ThreadPoolExecutor(1) as pool,
        Client(service.url) as client,
    ):
        often = ("-c", str(CLIENTS), "-r", str(CLIENTS), "-i", "1", "-l", "4", "-p", str(PATIENCE), "-v", "1")
        told = pool.submit(ran, "slowhttptest", *often, *options, f"{service.url}/{path}", seconds=PATIENCE)
        count = 0
        while not told.done():
            assert client.add("A", numbers(0, count, count + 10)).status == 200
            count += 10
            assert_answer(client.stats("A", 2), exact_at(count, 2))
        plain = re.sub(r"\x1b\[[0-9;]*\w", "", told.result())
        assert set(re.findall(r"service available: *(\w+)", plain)) == {"YES"}, plain
        assert client.health().document["symbols"] == 1
        client.close()
        until(lambda: not service.connections(), PATIENCE)
        service.stop_cleanly()
        cut = sum(int(number) for number in re.findall(r"closed (\d+) connections", service.text))
        assert cut >= CLIENTS or mode == "slow read"
