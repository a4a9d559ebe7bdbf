"""What a benchmark ran on: without it no figure means anything."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from .limits import available_bytes
from .servers import Cores

LIBRARIES: Final = (
    "sanic",
    "uvloop",
    "httptools",
    "numpy",
    "numba",
    "orjson",
    "pysimdjson",
    "fastapi",
    "uvicorn",
    "pydantic",
    "duckdb",
    "polars",
    "pandas",
)
"""Whose versions matter to what is timed."""

GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True)
class Machine:
    """The machine, as far as it says, and who runs where."""

    cpu: str
    cores: int
    governor: str
    memory_gb: float
    load: float
    kernel: str
    python: str
    libraries: dict[str, str]
    placement: str

    @property
    def text(self) -> str:
        """All of it in four lines."""
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return (
            f"{self.cpu}, {self.cores} cores, governor {self.governor}, {self.memory_gb:.0f} GB available, "
            f"load {self.load:.1f} as it began\n{self.kernel}, Python {self.python}\n{libraries}\n{self.placement}"
        )


def describe(cores: Cores) -> Machine:
    """This machine, now."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    apart = f"servers and contenders on core {cores.server}, the client on core {cores.client}"
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        governor=GOVERNOR.read_text().strip() if GOVERNOR.exists() else "unknown",
        memory_gb=available_bytes() / 1e9,
        load=os.getloadavg()[0],
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries={name: number for name in LIBRARIES if (number := _version(name))},
        placement=apart if cores.apart else "everything shares one core: requests/s say little here",
    )


def _version(library: str) -> str:
    """The version that is installed, or nothing."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
