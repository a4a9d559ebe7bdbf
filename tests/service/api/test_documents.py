"""Documents: to the byte what orjson writes of the plain dictionary."""

from __future__ import annotations

import math
import struct

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from aggregation import Statistics, Windows
from service.api.documents import write_statistics, write_windows

ADVERSARIAL = (
    *(-0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740993.0, 0.1 + 0.2, 1e23, 2.0**-1074),
    *(10.0**power for power in range(-8, 24)),  # where digits give way to an exponent
    *(math.nextafter(10.0**power, direction) for power in range(-8, 24) for direction in (-math.inf, math.inf)),
    *(2.0**power for power in range(-40, 80, 7)),  # the double below is nearer than the one above
)

BITS = st.integers(0, 2**64 - 1).map(lambda bits: float(struct.unpack("<d", struct.pack("<Q", bits))[0]))
DOUBLES = st.sampled_from(ADVERSARIAL) | st.floats(allow_nan=False, allow_infinity=False) | BITS.filter(math.isfinite)

ROW = st.lists(DOUBLES, min_size=5, max_size=5)
COUNT = st.integers(1, 2**53)
SYMBOL = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@st.composite
def all_windows(draw: st.DrawFn) -> Windows:
    rows = draw(st.lists(ROW, min_size=1, max_size=8))
    return Windows(draw(COUNT), draw(st.lists(COUNT, min_size=len(rows), max_size=len(rows))), rows)


@given(st.lists(st.tuples(SYMBOL, all_windows()), min_size=1, max_size=3))
@example(
    [("A", Windows(1, [1] * 8, [list(ADVERSARIAL[at : at + 5]) for at in range(at, at + 40, 5)])) for at in (0, 40)]
)
def test_all_windows_are_written_to_the_byte_as_the_plain_dictionary_whatever_was_written_before(
    asked: list[tuple[str, Windows]],
) -> None:
    """Of any doubles and symbols, and of each as if it were the first."""
    for symbol, windows in asked:
        plain = {
            "symbol": symbol,
            "count": windows.appended,
            "last": windows.rows[0][2],
            "windows": {
                str(k): {"count": size, "min": row[0], "max": row[1], "avg": row[3], "var": row[4]}
                for k, (size, row) in enumerate(zip(windows.sizes, windows.rows, strict=True), 1)
            },
        }
        assert write_windows(symbol, windows) == orjson.dumps(plain)


@given(COUNT, ROW)
def test_a_window_is_written_to_the_byte_as_the_plain_dictionary(size: int, row: list[float]) -> None:
    """Of any doubles."""
    plain = dict(zip(("min", "max", "last", "avg", "var"), row, strict=True))
    assert write_statistics(Statistics(size, *row)) == orjson.dumps(plain)
