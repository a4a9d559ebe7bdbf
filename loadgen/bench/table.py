"""Rows with a measurement, a target and the word "reached" or "missed", as aligned plain text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import Final

_HEADINGS: Final = ("", "tenfold", "numpy", "numpy/tenfold", "target", "", "")
_RIGHT_ALIGNED: Final = (False, True, True, True, True, False, False)
_HUNDRED: Final = 100
"""From here on decimals tell nothing."""


@dataclass(frozen=True)
class Row:
    """One measurement of tenfold, with numpy's beside it where numpy has one, in the same unit.

    A target is met at its bound or better; without ``at_most`` and ``at_least`` the row is for information.
    """

    what: str
    value: float
    unit: str
    numpy: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """The bound in words, or nothing."""
        if self.at_most is not None:
            return f"≤ {self.at_most:,g} {self.unit}"
        if self.at_least is not None:
            return f"≥ {self.at_least:,g} {self.unit}"
        return ""

    @property
    def verdict(self) -> str:
        """The word "reached" or "missed", or nothing where there is no target."""
        if self.at_most is not None:
            return "reached" if self.value <= self.at_most else "missed"
        if self.at_least is not None:
            return "reached" if self.value >= self.at_least else "missed"
        return ""

    def cells(self) -> tuple[str, ...]:
        """The row as text, one cell a heading."""
        beside = ratio = ""
        if self.numpy is not None:
            beside = f"{_digits(self.numpy)} {self.unit}"
            ratio = f"{_digits(self.numpy / self.value)} ×"
        return (
            self.what,
            f"{_digits(self.value)} {self.unit}",
            beside,
            ratio,
            self.target,
            self.verdict,
            self.note,
        )


@dataclass(frozen=True)
class Section:
    """Rows that belong together, with what a reader must know about how they were taken."""

    title: str
    method: str
    rows: list[Row]


def render(sections: list[Section]) -> str:
    """All sections as one text, with columns that line up across them and none that is empty throughout."""
    cells = [row.cells() for section in sections for row in section.rows]
    kept = [any(column) for column in zip(*cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    parts = []
    for section in sections:
        lines = [_line(row.cells(), widths, kept) for row in section.rows]
        parts.append("\n".join([section.title, *_indented(section.method), _line(_HEADINGS, widths, kept), *lines]))
    return "\n\n".join(parts)


def _line(cells: tuple[str, ...], widths: list[int], kept: list[bool]) -> str:
    aligned = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, _RIGHT_ALIGNED, strict=True)
    ]
    return ("  " + "  ".join(compress(aligned, kept))).rstrip()


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _digits(number: float) -> str:
    """Three significant digits or more, with thousands apart."""
    return f"{number:,.0f}" if number >= _HUNDRED else f"{number:,.2f}"
