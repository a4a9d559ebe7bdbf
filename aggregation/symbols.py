"""The set of symbols: which series belongs to which name, and how many there may be."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy.typing as npt

from .levels import Geometry
from .series import Series


class TooManySymbolsError(Exception):
    """Another symbol would be one more than the limit."""

    def __init__(self, max_symbols: int) -> None:
        super().__init__(f"there are {max_symbols} symbols already, which is the limit")


class Symbols:
    """At most ``max_symbols`` series by name, each in anonymous memory, reserved whole and touched as prices come.

    Args:
        geometry: the shape of every series.
        max_symbols: how many symbols there may be.
    """

    def __init__(self, geometry: Geometry, max_symbols: int = 10) -> None:
        self.geometry = geometry
        self.max_symbols = max_symbols
        self._series: dict[str, Series] = {}

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    @property
    def full_bytes(self) -> int:
        """Bytes that all symbols take at full retention."""
        return self.max_symbols * self.geometry.slot_bytes

    def get(self, symbol: str) -> Series | None:
        """The series of a symbol, or None if it has no price. O(1)."""
        return self._series.get(symbol)

    def append(self, symbol: str, prices: npt.ArrayLike) -> tuple[Series, int]:
        """Append a batch to a symbol, which its first batch creates; O(len(prices)).

        Returns:
            The series and its new count.

        Raises:
            TooManySymbolsError: the symbol is new, and the limit is reached.
            PriceError, ValueError: as ``Series.append``. A batch that is refused creates no symbol either.
        """
        series = self._series.get(symbol)
        if series is not None:
            return series, series.append(prices)
        if len(self._series) >= self.max_symbols:
            raise TooManySymbolsError(self.max_symbols)
        series = Series(mmap.mmap(-1, self.geometry.slot_bytes), self.geometry)
        count = series.append(prices)
        self._series[symbol] = series
        return series, count
