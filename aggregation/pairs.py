"""Arithmetic with pairs of doubles (high, low) whose exact sum is the value: some thirty digits.

Two operations are free of error: what rounding takes from a sum or a product is a double itself, and is computed from
the result. The sum's is due to Møller ("Quasi double-precision in floating point addition", 1965) and Knuth ("The art
of computer programming", vol. 2, 1969), the product's by splitting to Dekker ("A floating-point technique for extending
the available precision", 1971), who also gave the pairs. A sum of many is kept as Ogita, Rump and Oishi do ("Accurate
sum and dot product", 2005): the errors are summed beside it.

Numbers may be floats or lanes of them. All results are the same bits on every processor, fused multiply-add or not.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.core.typing import signature
from numba.extending import intrinsic

from .compiled import compiled
from .lanes import LANES

_MACHINE, _PROCESSOR, _ABILITIES = cpu_target.target_context.codegen().magic_tuple()

HAS_FUSED: Final = "+fma" in _ABILITIES.split(",") or _MACHINE.startswith("aarch64")
"""Whether the processor that is compiled for multiplies and adds with one rounding; if not, all is slower."""

SPLITTER: Final = float(2**27 + 1)
"""What a double is multiplied with to cut it in two halves of 26 bits, whose products are exact."""


@intrinsic
def _fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """The product of the first two less the third, rounded once."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = "llvm.fma.f64" if a == types.float64 else f"llvm.fma.v{LANES}f64"
        fused = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(fused, [args[0], args[1], builder.fneg(args[2])])

    return signature(a, a, a, a), generate


def _of_two(name: str) -> Any:
    """An intrinsic of LLVM's that takes two floats, none of which is NaN."""

    def intrinsic_of_two(_typing_context: Any, a: Any, b: Any) -> Any:
        def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()] * 2)
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args, fastmath=("nnan",))

        return signature(types.float64, a, b), generate

    return intrinsic(intrinsic_of_two)


least = _of_two("llvm.minimum.f64")
"""The smaller of two floats; −0.0 is smaller than 0.0 (IEEE 754-2019, minimum)."""

greatest = _of_two("llvm.maximum.f64")
"""The larger of two floats; 0.0 is larger than −0.0 (IEEE 754-2019, maximum)."""


@compiled(forceinline=True)
def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The sum as (rounded, what rounding took)."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


@compiled(forceinline=True)
def fast_two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The same where a is 0 or not smaller than b, signs apart."""
    total = a + b
    return total, b - (total - a)


@compiled(forceinline=True)
def _split(a: Any) -> tuple[Any, Any]:
    shifted = a * SPLITTER
    high = shifted - (shifted - a)
    return high, a - high


if HAS_FUSED:

    @compiled(forceinline=True)
    def two_product(a: Any, b: Any) -> tuple[Any, Any]:
        """The product as (rounded, what rounding took), where neither is near the ends of the range."""
        product = a * b
        return product, _fused(a, b, product)

else:

    @compiled(forceinline=True)
    def two_product(a: Any, b: Any) -> tuple[Any, Any]:
        """The product as (rounded, what rounding took), where neither is near the ends of the range."""
        product = a * b
        a_high, a_low = _split(a)
        b_high, b_low = _split(b)
        return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@compiled(forceinline=True)
def add_pairs(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    """The sum of two pairs; without any error where a pair can hold it."""
    total, lost = two_sum(a, b)
    low, lost_low = two_sum(a_low, b_low)
    total, lost = two_sum(total, lost + low)
    return two_sum(total, lost + lost_low)


@compiled(forceinline=True)
def square_pair(a: Any, a_low: Any) -> tuple[Any, Any]:
    """The square of a pair."""
    square, lost = two_product(a, a)
    return square, lost + (a + a) * a_low


@compiled(forceinline=True)
def divide_pair(a: float, a_low: float, divisor: float) -> tuple[float, float]:
    """A pair divided by a number; the high part alone is the quotient, rounded."""
    quotient = a / divisor
    product, lost = two_product(quotient, divisor)
    return two_sum(quotient, ((a - product) - lost + a_low) / divisor)
