"""The README, read as what it promises: its tables and its blocks of code."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.process import ROOT

README = (ROOT / "README.md").read_text()


class Block(NamedTuple):
    """A fenced block: its language, and what is in it."""

    language: str
    text: str


def table(head: str) -> list[str]:
    """The first cells of the rows of the table whose first head is this one."""
    lines = README.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"| {head} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(line.split("|")[1].strip())
    return rows


def blocks() -> list[Block]:
    """All fenced blocks, in their order."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]
