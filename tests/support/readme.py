"""The README and what it leads to, read as what they promise: their tables and their blocks of code."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

from tests.support.process import ROOT

ADDRESS = "http://127.0.0.1:8000"
README = "\n".join((ROOT / name).read_text() for name in ("README.md", "docs/API.md", "docs/OPERATING.md"))


class Block(NamedTuple):
    """A fenced block: its language, and what is in it."""

    language: str
    text: str


def table(head: str) -> list[str]:
    """The first cells of the rows of the longest table whose first head is this one."""
    lines = README.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith(f"| {head} |")]
    tables = [
        [line.split("|")[1].strip() for line in takewhile(lambda line: line.startswith("|"), lines[start + 2 :])]
        for start in starts
    ]
    return max(tables, key=len)


def blocks() -> list[Block]:
    """All fenced blocks, in their order."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]


def commands() -> list[tuple[str, Block]]:
    """Every block that calls curl, each with the block that follows it."""
    return [
        (block.text, following) for block, following in pairwise([*blocks(), Block("", "")]) if "curl " in block.text
    ]


def paste(command: str, url: str, folder: Path) -> str:
    """What a command prints in a shell, pasted as it is but for the address of the service."""
    pasted = "set -euo pipefail\n" + command.replace(ADDRESS, url)
    done = subprocess.run(
        ["/bin/bash", "-c", pasted], cwd=folder, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout
