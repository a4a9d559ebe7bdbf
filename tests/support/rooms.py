"""The rooms of a package, and which way imports run through them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType


class House:
    """A package and its rooms.

    Args:
        package: whose folders and modules are rooms.
        order: of them, from the top down: each may import what comes after it.
    """

    def __init__(self, package: ModuleType, order: Sequence[str]) -> None:
        assert package.__file__ is not None
        self._path = Path(package.__file__).parent
        self._order = order

    def imports(self) -> Iterator[tuple[str, str]]:
        """Every import in the package: the module that has it, and what it imports, both from the root."""
        for path in sorted(self._path.rglob("*.py")):
            parts = path.relative_to(self._path.parent).with_suffix("").parts
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((".".join(parts), one.name) for one in node.names)
                elif isinstance(node, ast.ImportFrom):
                    base = parts[: len(parts) - node.level] if node.level else ()
                    yield ".".join(parts), ".".join((*base, *(node.module or "").split("."))).rstrip(".")

    def room(self, module: str) -> str:
        """The room of a module."""
        _, _, rest = module.partition(".")
        return rest.partition(".")[0] or "__init__"

    def assert_one_way(self) -> None:
        """A room imports itself and those below it; and every room has its place in the order."""
        assert {self.room(module) for module, _ in self.imports()} - set(self._order) == set()
        up = {
            (module, imported)
            for module, imported in self.imports()
            if imported.partition(".")[0] == self._path.name
            and self._order.index(self.room(module)) > self._order.index(self.room(imported))
        }
        assert up == set()

    def met(self, room: str) -> set[str]:
        """The packages that a room imports."""
        return {imported.partition(".")[0] for module, imported in self.imports() if self.room(module) == room}
