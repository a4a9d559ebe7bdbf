"""Every regular expression in the service costs time linear in what it is applied to, whoever wrote that.

None can be forgotten: those of all modules are collected, together with the methods that are called on them. For each,
random inputs are made out of the characters that it tells apart, the slowest of many are looked for, and these must not
take much more than eight times as long when they are eight times as long.
"""

from __future__ import annotations

import ast
import importlib
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants, _parser
from time import thread_time
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest

import aggregation
import service
from service.commands import Origin

OURS: Final = {
    r"<(\w+)[^>]*>": "the routes of the service",
    "<[^>]*>": "the routes of the service",
    "`([^`]+)`": "the description of the API",
    r"\b10\^(\w+)": "the description of the API",
    r"Option '(.+)' requires an argument\.": "the command line, of whoever starts the service",
    r"Option '(.+)' does not take a value\.": "the command line",
    r"Got unexpected extra arguments? \((.+)\)": "the command line",
    r"No such command '(.+)'\.": "the command line",
    Origin.SYNTAX.pattern: "the command line",
}
"""Patterns that no stranger's text comes to, and what does."""

METHODS: Final = {"match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"}

HUNTED: Final = 3000
WORST: Final = 8
SHORT, LONG = 1024, 8 * 1024
"""Bytes; a head may have as many as the latter."""

Applied = Callable[[Any], object]


class Use(NamedTuple):
    """A method that is called on a pattern somewhere."""

    pattern: re.Pattern[Any]
    method: str

    @property
    def name(self) -> str:
        return f"{self.pattern.pattern!r}.{self.method}"

    def applied(self) -> Applied:
        """What the service does to a text."""
        if self.method in {"sub", "subn"}:
            return lambda text: getattr(self.pattern, self.method)(text[:0], text)
        if self.method == "finditer":
            return lambda text: list(self.pattern.finditer(text))
        function: Applied = getattr(self.pattern, self.method)
        return function


def modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    """Every module of the service and of the library, and what is written in it."""
    for package in (aggregation, service):
        root = Path(package.__file__ or "").parent
        for path in sorted(root.rglob("*.py")):
            if path.name != "__main__.py":
                dotted = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
                yield importlib.import_module(dotted), ast.parse(path.read_text(encoding="utf-8"))


def within(thing: object) -> Iterator[re.Pattern[Any]]:
    """The patterns that something is or holds."""
    if isinstance(thing, re.Pattern):
        yield thing
    elif isinstance(thing, dict | list | tuple):
        for one in thing.values() if isinstance(thing, dict) else thing:
            yield from within(one)


def named(node: ast.expr) -> str:
    """The name that a call is made on, whatever is taken out of what it names."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def uses() -> Iterator[Use]:
    """Each method that is called on a pattern which has a name in its module."""
    for module, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                for pattern in within(vars(module).get(named(node.func.value))):
                    yield Use(pattern, node.func.attr)


def unnamed() -> Iterator[str]:
    """Patterns that are written where they are used, and not at the top of a module."""
    for module, tree in modules():
        for statement in tree.body:
            function = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in ast.walk(statement):
                if isinstance(node, ast.ImportFrom) and node.module == "re":
                    raise AssertionError(f"{module.__name__} imports from re, where no use is seen")
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if named(node.func.value) == "re" and (function or node.func.attr != "compile"):
                    yield ast.literal_eval(node.args[0])


USES: Final = sorted({use for use in uses() if use.pattern.pattern not in OURS}, key=lambda use: use.name)


def test_no_pattern_is_forgotten() -> None:
    """Each pattern has a use that is judged here, or is known to meet our own text only; and none of these is stale."""
    written = {pattern.pattern for module, _ in modules() for pattern in within(list(vars(module).values()))}
    written |= set(unnamed())
    assert written == {use.pattern.pattern for use in USES} | set(OURS)


class Attacks:
    """Random texts for one pattern: the beginning of what it matches, something many times over, and an odd end."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self._random = random.Random(pattern.pattern)
        self._tree = _parser.parse(pattern.pattern, pattern.flags)
        self._sets: list[frozenset[int]] = []
        self._collect(self._tree)
        alike: dict[tuple[bool, ...], int] = {}
        for code in (*range(32, 127), *range(32), *range(127, 256)):
            alike.setdefault(tuple(code in one for one in self._sets), code)
        self._characters = [chr(code) for code in alike.values()]
        self._bytes = isinstance(pattern.pattern, bytes)

    def draw(self) -> Callable[[int], Any]:
        """From a number of bytes to a text of about as many."""
        some = self._random
        example = self._example(self._tree)
        begin = example[: some.randint(0, len(example))]
        if some.random() < 0.5:
            over = "".join(some.choices(self._characters, k=some.randint(1, 3)))
        else:
            over = self._example(self._tree)
            over = over[some.randint(0, len(over)) :][: some.randint(1, 16)] or some.choice(self._characters)
        end = "".join(some.choices(self._characters, k=some.randint(0, 2)))

        def text(size: int) -> Any:
            whole = begin + over * (size // len(over)) + end
            return whole.encode("latin-1") if self._bytes else whole

        return text

    def _collect(self, tree: Any) -> None:
        """Note every set of characters in a pattern."""
        for kind, argument in tree:
            if kind in {_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY}:
                self._sets.append(_characters(kind, argument))
            else:
                for part in _parts(argument):
                    self._collect(part)

    def _example(self, tree: Any) -> str:
        """Something that a pattern matches, but for what it looks ahead or back for."""
        some, found = self._random, ""
        for kind, argument in tree:
            if kind in {_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY}:
                among = _characters(kind, argument)
                found += some.choice(self._characters_of(among))
            elif kind is _constants.BRANCH:
                found += self._example(some.choice(argument[1]))
            elif kind in _REPEATS:
                least, most, part = argument
                for _ in range(some.randint(least, min(most, least + 2))):
                    found += self._example(part)
            elif kind not in {_constants.AT, _constants.ASSERT, _constants.ASSERT_NOT, _constants.GROUPREF}:
                for part in _parts(argument):
                    found += self._example(part)
        return found

    def _characters_of(self, among: frozenset[int]) -> list[str]:
        return [one for one in self._characters if ord(one) in among] or [chr(min(among))]


_REPEATS: Final = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}


_CATEGORIES: Final = {
    _constants.CATEGORY_DIGIT: r"\d",
    _constants.CATEGORY_NOT_DIGIT: r"\D",
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_WORD: r"\w",
    _constants.CATEGORY_NOT_WORD: r"\W",
}


def _characters(kind: Any, argument: Any) -> frozenset[int]:
    """Which characters up to 255 a piece of a pattern takes."""
    if kind is _constants.LITERAL:
        return frozenset({argument})
    if kind is _constants.NOT_LITERAL:
        return frozenset(range(256)) - {argument}
    if kind is _constants.ANY:
        return frozenset(range(256)) - {10}
    found: set[int] = set()
    for one, what in argument:
        if one is _constants.LITERAL:
            found.add(what)
        elif one is _constants.RANGE:
            found.update(range(what[0], what[1] + 1))
        elif one is _constants.CATEGORY:
            found.update(code for code in range(256) if re.match(_CATEGORIES[what], chr(code)))
    return frozenset(range(256)) - found if argument[0][0] is _constants.NEGATE else frozenset(found)


def _parts(argument: Any) -> Iterator[Any]:
    """The patterns in a piece of a pattern."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for one in argument:
            yield from _parts(one)


def seconds(function: Applied, text: Any, times: int = 1) -> float:
    """CPU time of applying something once."""
    begun = thread_time()
    for _ in range(times):
        function(text)
    return (thread_time() - begun) / times


def slowest(use: Use) -> list[Callable[[int], Any]]:
    """Of many attacks those that take longest."""
    attacks, function = Attacks(use.pattern), use.applied()
    drawn = [attacks.draw() for _ in range(HUNTED)]
    return sorted(drawn, key=lambda attack: -seconds(function, attack(SHORT)))[:WORST]


def growth(use: Use, attack: Callable[[int], Any]) -> float:
    """How many times as long as the short one the long one takes."""
    function, short, long = use.applied(), attack(SHORT), attack(LONG)
    return min(seconds(function, long) for _ in range(3)) / min(seconds(function, short, 20) for _ in range(5))


@pytest.mark.parametrize("use", USES, ids=[use.name for use in USES])
def test_a_pattern_takes_time_linear_in_the_text(use: Use) -> None:
    """Eight times the text takes some eight times the time, and never sixty-four times: nothing is gone over again."""
    for attack in slowest(use):
        assert growth(use, attack) < 24, attack(40)


@pytest.mark.parametrize(
    "use",
    [
        Use(re.compile(rb"\r\nhost:[ \t]*([^\r]*?)[ \t]*(?=\r|$)", re.IGNORECASE), "findall"),
        Use(re.compile(r"<(\w+)[^>]*>"), "sub"),
        Use(re.compile(rb"[a-z]*=[0-9]+;"), "search"),
    ],
    ids=["a host with spaces", "brackets that never close", "letters and no equals sign"],
)
def test_a_pattern_that_goes_over_its_text_again_is_found(use: Use) -> None:
    """What these tests judge with finds patterns that are quadratic, the one that was served among them."""
    assert any(growth(use, attack) > 24 for attack in slowest(use))
