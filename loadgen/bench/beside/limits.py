"""Who is not tried at a size, since the machine lacks the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .rivals.rival import MOST_BYTES_A_PRICE

MEMORY_SHARE: Final = 0.6
"""Of the available memory: who needs more is not tried."""


def too_much(name: str, held: int) -> str:
    """Why a contender is not tried with so many prices, or nothing."""
    usable = available_bytes() * MEMORY_SHARE
    return f"> {usable / 1e9:.1f} GB" if MOST_BYTES_A_PRICE[name] * held > usable else ""


def available_bytes() -> int:
    """Memory that the system could give without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
