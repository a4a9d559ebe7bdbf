"""The README, read as what it promises: its tables and its blocks of code."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.support.process import ROOT

ADDRESS = "http://127.0.0.1:8000"
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
