"""The rooms of loadgen, and which way imports may run."""

from __future__ import annotations

import pytest

import loadgen
from tests.support.rooms import House

ORDER = (
    "__main__",
    "bench",
    "soak",
    "report",
    "commands",
    "load",
    "truth",
    "wire",
    "launch",
    "prices",
    "plan",
    "__init__",
)
"""From the top down: each may import what comes after it."""

NEVER = {
    "wire": {"multiprocessing"},
    "truth": {"socket", "multiprocessing", "time"},
    "load": {"rich", "click", "csv"},
    "report": {"socket", "multiprocessing", "time"},
    "commands": {"multiprocessing"},
    "plan": {"numpy", "socket", "time"},
}
"""What never enters a room."""

HOUSE = House(loadgen, ORDER)


def test_imports_run_one_way_through_the_rooms() -> None:
    """A room imports itself and those below it; and every room has its place in the order."""
    HOUSE.assert_one_way()


@pytest.mark.parametrize("name", NEVER)
def test_what_never_enters_a_room(name: str) -> None:
    """Bytes know no processes, truth no socket and no clock, load nothing of how it is shown."""
    assert HOUSE.met(name) & NEVER[name] == set()


def test_who_shares_code_with_what_is_measured() -> None:
    """Only the command line speaks as the service's does; only benchmarks of the library import it."""
    shared = {"aggregation", "service"}
    met = {(module, package) for module, one in HOUSE.imports() if (package := one.partition(".")[0]) in shared}
    assert met == {
        ("loadgen.__main__", "service"),
        ("loadgen.bench.core", "aggregation"),
        ("loadgen.bench.beside.ours", "aggregation"),
    }
