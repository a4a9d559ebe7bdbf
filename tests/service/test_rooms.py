"""The rooms of service, and which way imports may run."""

from __future__ import annotations

import pytest

import service
from tests.support.rooms import House

ORDER = (
    "__main__",
    "processes",
    "app",
    "pages",
    "http",
    "api",
    "metrics",
    "machine",
    "settings",
    "commands",
    "logs",
    "relay",
    "__init__",
)
"""From the top down: each may import what comes after it."""

NEVER = {
    "api": {"sanic", "socket", "uvloop"},
    "metrics": {"asyncio", "socket", "uvloop"},
    "pages": {"asyncio", "socket", "uvloop"},
    "processes": {"orjson"},
    "settings": {"sanic"},
    "logs": {"sanic"},
    "relay": {"sanic"},
    "machine": {"sanic"},
}
"""What never enters a room."""


HOUSE = House(service, ORDER)


def test_imports_run_one_way_through_the_rooms() -> None:
    """A room imports itself and those below it; and every room has its place in the order."""
    HOUSE.assert_one_way()


@pytest.mark.parametrize("name", NEVER)
def test_what_never_enters_a_room(name: str) -> None:
    """Api knows no framework and no socket, metrics and pages know no connection, processes know no JSON."""
    assert HOUSE.met(name) & NEVER[name] == set()
