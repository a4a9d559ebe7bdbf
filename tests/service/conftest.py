from __future__ import annotations

import asyncio
import inspect
import itertools
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sanic import Sanic
from sanic_testing.reusable import ReusableClient

from aggregation import SharedMemory, Symbols
from service.api.access import Guard
from service.app import create_app
from service.http.connection import Connection
from service.settings import Settings
from tests.support.process import Forked, forked

_names = (f"tenfold-{number}" for number in itertools.count())


class Api:
    """A tenfold on a real socket in this process, and a client that it answers.

    Args:
        symbols: what it serves.
        announces: whether each head is sent once before, with a body that changes nothing, so that the door knows it.
    """

    def __init__(self, client: ReusableClient, symbols: Symbols, *, announces: bool = False) -> None:
        self._client = client
        self._announces = announces
        self.symbols = symbols

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        if self._announces and method == "GET":
            self._request(method, path, **options)
        elif self._announces and method == "POST":
            empty = {name: {} if name == "json" else b"" for name in options if name in {"json", "content"}}
            assert self._request(method, path, **options | empty).status_code >= 400
        return self._request(method, path, **options)

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        _, response = self._client.request(path, http_method=method, gather_request=False, **options)
        response.__class__ = httpx.Response  # as it came: sanic-testing's class makes json a property
        assert isinstance(response, httpx.Response)
        return response

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.request("GET", path, params=params or None)

    def post(self, body: bytes, path: str = "/add_batch/") -> httpx.Response:
        return self.request("POST", path, content=body, headers={"content-type": "application/json"})

    def add(self, symbol: str, values: list[float]) -> httpx.Response:
        return self.request("POST", "/add_batch/", json={"symbol": symbol, "values": values})

    def add_binary(self, body: bytes, query: str = "symbol=A") -> httpx.Response:
        headers = {"content-type": "application/octet-stream"}
        return self.request("POST", f"/add_batch/?{query}", content=body, headers=headers)

    def state(self) -> dict[str, int]:
        """Every symbol and its count: what a refusal must leave as it is."""
        return {symbol: self.symbols.count(symbol) for symbol in self.symbols}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def settings() -> Settings:
    """Two symbols at most, so that the limit is near; windows up to 10^4, so that rings wrap soon."""
    return Settings(max_symbols=2, max_k=4, max_body=1 << 20)


@pytest.fixture
def shared_service(settings: Settings) -> Iterator[Forked]:
    """Workers over memory of this process, with the settings of the module."""
    with forked(settings) as service:
        yield service


@pytest.fixture
def guard() -> Guard | None:
    """Nobody needs a token, unless a module says otherwise."""
    return None


@pytest.fixture(params=["through the framework", "at the door"])
def api(request: pytest.FixtureRequest, settings: Settings, guard: Guard | None) -> Iterator[Api]:
    """A tenfold whose door is shut, and one that answers what it remembers: each test runs with both."""
    at_the_door = request.param == "at the door"
    settings = replace(settings, no_door=not at_the_door)
    symbols = Symbols(SharedMemory(settings.layout))
    loop = asyncio.new_event_loop()
    app = create_app(settings, symbols, next(_names), guard)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # a port that is free, not one that the client draws
        port = listener.getsockname()[1]
        served = {"sock": listener, "protocol": Connection}
        with ReusableClient(app, port=port, loop=loop, server_kwargs=served) as client:
            yield Api(client, symbols, announces=at_the_door)
    loop.close()
    Sanic.unregister_app(app)  # a service that is forked from this process must not serve it, too
