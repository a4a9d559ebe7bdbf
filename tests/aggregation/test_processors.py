"""Other processors: without AVX and fused operations all is slower, and right; the same bits come out everywhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Series
from tests.aggregation.writer import SMALL_BOXES, prices

ROOT: Final = Path(__file__).parents[2]

PROCESSORS: Final = {"generic": "", "haswell": "+avx2,+fma,+popcnt"}
"""What they can do: no AVX, no fused operations; AVX2 and fused operations, no AVX-512."""

pytestmark = pytest.mark.timeout(900)  # all kernels are compiled, and nobody knows how busy the machine is


@pytest.fixture(scope="module")
def machine_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is kept; numba tells processors apart."""
    return tmp_path_factory.mktemp("machine-code")


def run(processor: str, machine_code: Path, *arguments: str) -> str:
    """What a process prints for which another processor is compiled for."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CPU_FEATURES": PROCESSORS[processor],
            "NUMBA_CACHE_DIR": str(machine_code),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def batches() -> list[npt.NDArray[np.float64]]:
    """All kinds of prices, each for longer than the rings that it lies in: near and far, large and tiny, outliers."""
    rng = np.random.default_rng(21)
    found = []
    for i in range(700):
        size = int(rng.integers(1, 501))
        normal = rng.normal(0.0, 1.0, size)
        found.append(
            [
                np.round(100.0 + 0.05 * normal.cumsum(), 2),
                normal,
                prices(i * 500, i * 500 + size),
                np.exp(40.0 * normal) * rng.choice([-1.0, 1.0], size),
                1e15 + np.round(normal),
                np.where(rng.random(size) < 0.01, -1e9, np.round(78.0 + normal, 2)),
                1e100 * rng.choice([-1.0, 1.0, 1e-60, 0.3], size),
                1e-300 * normal,
                rng.integers(-3, 4, size) * 5e-324,
                np.full(size, -0.0 if i % 2 else 1.1),
            ][i // 7 % 10 if i < 350 else i % 3]
        )
    return found


def digest() -> str:
    """All answers that are given while these are appended, and all bytes that are left, in short."""
    series = Series(bytearray(SMALL_BOXES.slot_bytes), SMALL_BOXES)
    total = hashlib.sha256()
    for i, batch in enumerate(batches()):
        series.append(batch)
        if i % 5:
            series.roll_up()
        windows = series.windows()
        assert windows is not None
        total.update(np.array(windows.rows).tobytes())
        for k in range(1, SMALL_BOXES.max_k + 1):
            total.update(np.array(series.statistics(k)).tobytes())
    series.roll_up()
    series.check()
    total.update(series._words.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_other_processors_give_the_same_bits(processor: str, machine_code: Path) -> None:
    """Every answer and every byte of a symbol is the same, whatever the processor can do."""
    program = (
        "from aggregation.pairs import HAS_FUSED; from tests.aggregation.test_processors import digest; "
        "print(HAS_FUSED, digest())"
    )
    assert run(processor, machine_code, "-c", program).split() == [str(processor == "haswell"), digest()]
