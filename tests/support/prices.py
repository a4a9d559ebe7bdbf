"""The real prices in tests/data/prices; its README says where they come from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

_FOLDER: Final = Path(__file__).parents[1] / "data" / "prices"

NAMES: Final = tuple(sorted(path.stem for path in _FOLDER.glob("*.csv")))


@cache
def load(name: str) -> npt.NDArray[np.float64]:
    """The prices of ``name``.csv, oldest first: float64, shape (n,), read-only."""
    prices = np.loadtxt(_FOLDER / f"{name}.csv", dtype=np.float64, skiprows=1)
    prices.flags.writeable = False
    return prices
