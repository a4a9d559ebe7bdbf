"""The rooms of service, and which way imports may run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import service

SERVICE = Path(service.__file__).parent
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


def imports() -> Iterator[tuple[str, str]]:
    """Every import in the package: the module that has it, and what it imports, both from the root."""
    for path in sorted(SERVICE.rglob("*.py")):
        parts = path.relative_to(SERVICE.parent).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((".".join(parts), one.name) for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = parts[: len(parts) - node.level] if node.level else ()
                yield ".".join(parts), ".".join((*base, *(node.module or "").split("."))).rstrip(".")


def room(module: str) -> str:
    """The room of a module of the service."""
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or "__init__"


def test_imports_run_one_way_through_the_rooms() -> None:
    """A room imports itself and those below it; and every room has its place in the order."""
    up = {
        (module, imported)
        for module, imported in imports()
        if imported.partition(".")[0] == "service" and ORDER.index(room(module)) > ORDER.index(room(imported))
    }
    assert up == set()
    assert {room(module) for module, _ in imports()} - set(ORDER) == set()


@pytest.mark.parametrize("name", NEVER)
def test_what_never_enters_a_room(name: str) -> None:
    """Api knows no framework and no socket, metrics and pages know no connection, processes know no JSON."""
    met = {imported.partition(".")[0] for module, imported in imports() if room(module) == name}
    assert met & NEVER[name] == set()
