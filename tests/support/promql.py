"""Which metrics and labels an expression of PromQL names: as much of its grammar as that takes, and no more.

What is not known here is an error, so an expression cannot name anything unseen.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

TOKEN: Final = re.compile(
    r"""\s+
    | (?P<string> "(?:[^"\\]|\\.)*")
    | \[ (?P<range> \d+(?:ms|[smhdwy]) | \$__range | \$__rate_interval ) \]
    | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? (?![A-Za-z_0-9:]) )
    | (?P<word> [A-Za-z_:][A-Za-z0-9_:]* )
    | (?P<operator> =~ | !~ | != | == | <= | >= | [-+*/%^<>=(){},] )""",
    re.VERBOSE,
)

FUNCTIONS: Final = frozenset({"changes", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"})
LABEL_LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
SET_OPERATORS: Final = frozenset({"and", "or", "unless"})
MATCHERS: Final = frozenset({"=", "!=", "=~", "!~"})


class Named(NamedTuple):
    """What an expression names: metrics, each with the labels that it is selected by; labels that it is grouped by."""

    metrics: dict[str, set[str]]
    labels: set[str]


def tokens(expression: str) -> list[tuple[str, str]]:
    """Kind and text of each token.

    Raises:
        ValueError: there is something that is no token.
    """
    found, position = [], 0
    while position < len(expression):
        token = TOKEN.match(expression, position)
        if token is None:
            raise ValueError(f"no token at {expression[position:]!r}")
        if token.lastgroup is not None:
            found.append((token.lastgroup, token[token.lastgroup]))
        position = token.end()
    return found


def named(expression: str) -> Named:
    """Read an expression.

    Raises:
        ValueError: it is not closed, or not of what is known here.
    """
    result = Named({}, set())
    rest = [*tokens(expression), ("end", "")]
    depth = 0
    while rest:
        kind, text = rest.pop(0)
        if kind == "operator":
            depth += (text == "(") - (text == ")")
            if text in {"{", "}", "="} or depth < 0:
                raise ValueError(f"unexpected {text!r} in {expression!r}")
        if kind != "word" or text in SET_OPERATORS:
            continue
        if text in LABEL_LISTS:
            result.labels.update(_labels(rest))
        elif rest[0][1] == "(" or (text in FUNCTIONS and rest[0][1] in LABEL_LISTS):
            if text not in FUNCTIONS:
                raise ValueError(f"unknown function {text!r}")
        else:
            result.metrics.setdefault(text, set()).update(_matchers(rest))
    if depth:
        raise ValueError(f"not closed: {expression!r}")
    return result


def _labels(rest: list[tuple[str, str]]) -> set[str]:
    """Take a list of labels in parentheses."""
    if rest.pop(0)[1] != "(":
        raise ValueError("a list of labels begins with a parenthesis")
    found = set()
    while (token := rest.pop(0))[1] != ")":
        if token[0] == "word":
            found.add(token[1])
        elif token[1] != ",":
            raise ValueError(f"{token[1]!r} among labels")
    return found


def _matchers(rest: list[tuple[str, str]]) -> set[str]:
    """Take what stands in braces, if anything does."""
    found = set()
    if rest[0][1] == "{":
        rest.pop(0)
        while True:
            (kind, label), (_, matcher), (value, _), (_, end) = (rest.pop(0) for _ in range(4))
            if (kind, value) != ("word", "string") or matcher not in MATCHERS or end not in {",", "}"}:
                raise ValueError(f"{label!r} is not matched as labels are")
            found.add(label)
            if end == "}":
                break
    return found
