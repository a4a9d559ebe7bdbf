"""What a benchmark ran on: without it no figure means anything."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from loadgen.launch import Cores

LIBRARIES: Final = ("sanic", "uvloop", "numpy", "numba", "pysimdjson", "fastapi", "duckdb", "polars", "pandas")
"""Whose versions matter to what is timed."""


@dataclass(frozen=True)
class Machine:
    """The machine, as far as it says."""

    cpu: str
    cores: int
    memory_gb: float
    load: float
    python: str
    libraries: dict[str, str]
    placement: str

    @property
    def text(self) -> str:
        """All of it in three lines."""
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gb:.0f} GB available, load {self.load:.1f} as it began\n"
            f"Python {self.python}, {libraries}\n{self.placement}"
        )


def describe(cores: Cores) -> Machine:
    """This machine, now."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    apart = f"servers and contenders on core {cores.server}, the client on core {cores.client}"
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=available_bytes() / 1e9,
        load=os.getloadavg()[0],
        python=platform.python_version(),
        libraries={name: number for name in LIBRARIES if (number := _version(name))},
        placement=apart if cores.server != cores.client else "everything shares one core: requests/s say little here",
    )


def available_bytes() -> int:
    """Memory that the system could give without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def _version(library: str) -> str:
    """The version that is installed, or nothing."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
