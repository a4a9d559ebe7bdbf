"""Numbers are read to the nearest double, and what is not plainly one is left alone."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api import batch as reading
from service.api.batch import Batch, read_json
from service.api.numbers import MOST_DIGITS, MOST_POWER, read_numbers

MAX_BATCH = 100


def read(array: bytes, room: int = MAX_BATCH) -> list[float] | None:
    """The numbers of an array, or None."""
    prices = np.empty(room)
    count, begin, end = read_numbers(np.frombuffer(array, np.uint8), prices)
    if count == 0:
        assert (begin, end) == (0, 0)
        return None
    assert (array[:begin], array[end:]) == (b"[", b"]")
    return prices[:count].tolist()  # type: ignore[no-any-return]  # numpy knows no depth


def bits(numbers: list[float]) -> bytes:
    """The numbers so that equal means identical."""
    return np.array(numbers).tobytes()


def plain(digits: str, point: int, exponent: int | None) -> str:
    """A number of these digits, with a point so many of them from the right and an exponent."""
    whole, fraction = digits[: len(digits) - point], digits[len(digits) - point :]
    number = (whole.lstrip("0") or "0") + ("." + fraction if fraction else "")
    return number if exponent is None else f"{number}e{exponent}"


NUMBERS = st.builds(
    plain,
    st.text("0123456789", min_size=1, max_size=MOST_DIGITS),
    st.integers(0, MOST_DIGITS),
    st.none() | st.integers(-MOST_POWER + MOST_DIGITS, MOST_POWER),
)


@given(st.lists(NUMBERS, min_size=1, max_size=10), st.sampled_from([",", ", ", " ,\n\t\r "]))
@example(["9007199254740993", "9007199254740991", "9007199254740992.5", "0.000123456789012345678"], ",")
@example(
    ["1e22", "1e23", "8.5e22", "9007199254740993e1", "123456789012345678e-23", "0e0", "0.0", "0.1000000000000000000"],
    ",",
)
def test_plain_numbers_are_read_to_the_nearest_double(numbers: list[str], comma: str) -> None:
    """Up to 19 digits, with or without an exponent: each is what Python's float() makes of it, which rounds rightly."""
    signed = [sign + number for number in numbers for sign in ("", "-")]
    expected = [float(number) + (0.0 if number.strip("-").isdigit() else -0.0) for number in signed]  # -0 is 0
    found = read(f"[{comma.join(signed)}]".encode())
    assert found is not None
    assert bits(found) == bits(expected)


def test_halfway_between_two_doubles_is_even_and_beside_it_is_not() -> None:
    """Exactly half way the even one is taken; a last digit more or less decides otherwise. Judged in fractions."""
    rng = random.Random(1)
    seen = 0
    while seen < 2000:
        power = rng.randrange(-4, 12)
        middle = Fraction((rng.getrandbits(53) | 1 << 52) * 2 + 1) * Fraction(2) ** (rng.randrange(-4, 12) - 1)
        digits = middle / Fraction(10) ** power
        if digits.denominator != 1 or not 1 < digits < 10**MOST_DIGITS - 1:
            continue
        seen += 1
        for number in (digits.numerator - 1, digits.numerator, digits.numerator + 1):
            exact = number * Fraction(10) ** power
            assert read(b"[%de%d]" % (number, power)) == [exact.numerator / exact.denominator]


@pytest.mark.parametrize(
    "array",
    [
        *(b"[]", b"[ ]", b"[,1]", b"[1,]", b"[1 2]", b"[1;2]", b"[1,,2]", b"[[1]]", b"[1,[2]]", b"[-]", b"[+1]"),
        *(b"[.5]", b"[1.]", b"[-.5]", b"[1.e5]", b"[00]", b"[01]", b"[-01]", b"[00.5]", b"[1e]", b"[1e+]", b"[1e-]"),
        *(b"[e5]", b"[1e5.5]", b"[1.5.5]", b"[0x10]", b"[NaN]", b"[Infinity]", b"[null]", b"[true]", b'["1"]', b"[{}]"),
        *(b"[1\x0b]", b"[\x0c1]", b"[1\x00]", b"[\xa01]", b"[1-2]", b"[--1]", b"[1_0]", "[１]".encode()),
        *(
            b"[18446744073709551616.0]",
            b"[1" + b"0" * 64 + b".0]",
            b"[-1" + b"0" * 64 + b".5e-60]",
            b"[1" + b"0" * 64 + b"]",
        ),
        *(b"[12345678901234567890]", b"[1e151]", b"[1e-151]", b"[1e99999999999999999999]", b"[0e151]", b"[1", b"[1,"),
    ],
)
def test_what_is_not_plainly_a_row_of_numbers_is_left_alone(array: bytes) -> None:
    """No guess and no number that would need another method, wherever in the row it stands."""
    assert read(array) is None
    assert read(b"[1.5, " + array[1:]) is None


def test_more_numbers_than_there_is_room_for_are_left_alone() -> None:
    """Nothing is written beyond the room."""
    assert read(b"[1,2,3]", room=3) == [1, 2, 3]
    prices = np.array([7.0, 7.0, 7.0])
    assert read_numbers(np.frombuffer(b"[1,2,3]", np.uint8), prices[:2]) == (0, 0, 0)
    assert prices[2] == 7


@given(st.binary(max_size=30))
@example(b"1" * 30)
@example(b" " * 30)
def test_nothing_is_read_beyond_the_end(text: bytes) -> None:
    """What follows the text in memory is never looked at: the same is found whatever that is."""
    found = []
    for behind in (b"5", b" ", b",", b"]"):
        memory = np.frombuffer(b"[" + text + behind * 8, np.uint8)
        prices = np.zeros(MAX_BATCH)
        found.append((read_numbers(memory[: len(text) + 1], prices), prices.tobytes()))
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"symbol":"A","values":[1,2]}', ("A", [1, 2])),
        (b' {"values" : [1,2] , "symbol":"A"}\n', ("A", [1, 2])),
        (b'{"at":12.5,"symbol":"A","source":{"name":"x"},"values":[1,2],"last":true}', ("A", [1, 2])),
        (b'{"symbol":"EUR\\/USD","values":[1,2]}', ("EUR/USD", [1, 2])),
        (b'{"symbol":"\\u65e5\\u7d4c225","values":[1,2]}', ("日経225", [1, 2])),
        (b'{"symbol":"A[1,2]","values":[1]}', None),
        (b'{"symbol":"A[1,2]","values":[2]}', None),
        (b'{"more":[1,2],"symbol":"A","values":[3]}', None),
        (b'{"more":"[1]","values":[2],"symbol":"A"}', None),
        (b'{"symbol":"A","values":[1,2],"values":[1]}', None),
        (b'{"symbol":"A","symbol":"A","values":[1,2]}', None),
        (b'{"symbol":"A","values":{"x":[1,2]}}', None),
        (b'{"symbol":[1,2],"values":[1]}', None),
        (b"[1,2]", None),
        (b'{"symbol":"A","values":[1,2]}}', None),
        (b'{"symbol":"A","values":[1,2]]', None),
        (b'\xef\xbb\xbf{"symbol":"A","values":[1,2]}', None),
        (b'{"symbol":"' + b"x" * 2000 + b'","values":[1,2]}', None),
    ],
)
def test_the_fast_way_is_for_the_values_of_a_batch(body: bytes, expected: tuple[str, list[float]] | None) -> None:
    """Escapes and other keys are no hindrance, and a row of numbers that is not the values is never taken for them."""
    fast, both = reading._read_fast(body, None, MAX_BATCH), read_json(body, None, MAX_BATCH)
    assert (None if fast is None else (fast.symbol, fast.prices.tolist())) == expected
    if fast is not None:
        assert isinstance(both, Batch)
        assert (both.symbol, both.prices.tolist()) == expected
