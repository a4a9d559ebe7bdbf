"""What a worker has done before it says that it serves."""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from service.api.access import Guard, Scope, Token
from service.api.problems import Problem
from service.api.resources import Resources
from service.settings import Settings
from tests.support.process import forked
from tests.support.sockets import HEALTH, Wire

RESOURCES = {name: resource for name, resource in vars(Resources).items() if not name.startswith("_")}


def test_every_route_is_warm_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every resource has been asked on every worker, and none was changed; none of it is counted as a request."""
    for name, resource in RESOURCES.items():

        def told(*arguments: Any, name: str = name, resource: Any = resource) -> bytes | Problem:
            logging.getLogger("tenfold").info("asked %s", name)
            answer: bytes | Problem = resource(*arguments)
            return answer

        monkeypatch.setattr(Resources, name, told)
    with forked(Settings(workers=2, max_k=2)) as service:
        listens = next(number for number, line in enumerate(service.log) if "listens on" in line)
        asked = [line.split()[-1] for line in service.log[:listens] if " asked " in line]
        assert set(asked) == set(RESOURCES)
        assert all(asked.count(name) % 2 == 0 for name in RESOURCES), "both workers"
        assert list(service.symbols) == []
        metrics = httpx.get(f"{service.url}/metrics").text
        assert "tenfold_connections_accepted_total 1\n" in metrics
        assert not re.search(r"^tenfold_http_requests_total{.*} [1-9]", metrics, re.MULTILINE)


def test_a_replacement_warms_up_beside_more_clients_than_may_be() -> None:
    """Clients that wait while a worker starts, however many, do not keep it from starting."""
    with forked(Settings(workers=1, max_k=2, max_connections=4)) as service, ExitStack() as stack:
        victim = service.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        wires = [stack.enter_context(Wire(service.port)) for _ in range(12)]
        for wire in wires:
            wire.send(HEALTH)
        os.kill(victim, signal.SIGKILL)
        assert {wire.answer().status for wire in wires} <= {200, 503}
        time.sleep(0.5)  # by then it would have failed; that it is enough is only likely
        service.stop_cleanly()


def test_whoever_warms_up_has_the_strongest_token() -> None:
    """Where tokens are asked for, warming up goes past the guard with one that may write, if there is any."""
    reader, writer = Token(b"r" * 16, Scope.READ), Token(b"w" * 16, Scope.WRITE)
    assert Guard([reader, writer, reader]).strongest() == writer.secret
    assert Guard([reader]).strongest() == reader.secret
