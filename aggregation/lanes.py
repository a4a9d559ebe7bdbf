"""Eight numbers at a time: vectors of doubles or of 64-bit integers as numba types, and what can be done with them.

LLVM makes of these what the processor has: vectors of 512, 256 or 128 bits. Of plain loops it makes vectors only where
every number goes its own way. Sums along a lane and packed bits stayed scalar, and took three times as long.

Operators work lane by lane. A plain number on the right stands for eight of them::

    floats + - * /       each rounded on its own, never fused: the same bits on every processor
    floats <             a mask: yes or no for each lane
    ints   + - & | ^     with 64 bits, wrapping
    ints   << >>         by 0 … 63; >> keeps the sign
    ints   ==            a mask: yes or no for each lane

The functions below say themselves what they do.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel
from numba.core.typing import signature
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, register_model

LANES: Final = 8

_INDEX = ir.IntType(32)


class _Lanes(types.Type):
    """Eight values of one kind."""

    def __init__(self, name: str, scalar: types.Type, element: ir.Type) -> None:
        self.scalar = scalar
        self.vector = ir.VectorType(element, LANES)
        super().__init__(name=name)


@register_model(_Lanes)
class _Model(PrimitiveModel):
    """In machine code they are the vector."""

    def __init__(self, manager: Any, lanes: _Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


INTS: Final = _Lanes("ints", types.int64, ir.IntType(64))
FLOATS: Final = _Lanes("floats", types.float64, ir.DoubleType())
MASK: Final = _Lanes("mask", types.boolean, ir.IntType(1))


_HALF = ir.VectorType(ir.IntType(64), LANES // 2)


def _pick(builder: Any, vector: Any, other: Any, picks: Iterable[int]) -> Any:
    """The elements of two vectors that have these numbers, those of the second counted on from those of the first."""
    numbers = list(picks)
    return builder.shuffle_vector(vector, other, ir.Constant(ir.VectorType(_INDEX, len(numbers)), numbers))


def _spread(builder: Any, value: Any, lanes: _Lanes) -> Any:
    """Eight equal values."""
    nothing = ir.Constant(lanes.vector, ir.Undefined)
    one = builder.insert_element(nothing, value, _INDEX(0))
    return _pick(builder, one, nothing, [0] * LANES)


def _define(symbol: Callable[..., object], operand: _Lanes, result: _Lanes, instruction: Callable[..., Any]) -> None:
    """Have an operator between two lanes, or lanes and a number, mean an instruction."""

    class Template(ConcreteTemplate):
        key = symbol
        cases = (signature(result, operand, operand), signature(result, operand, operand.scalar))

    infer_global(symbol)(Template)

    @lower_builtin(symbol, operand, operand)
    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return instruction(builder, *args)

    @lower_builtin(symbol, operand, operand.scalar)
    def generate_with_number(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return instruction(builder, args[0], _spread(builder, args[1], operand))


_define(operator.add, INTS, INTS, ir.IRBuilder.add)
_define(operator.sub, INTS, INTS, ir.IRBuilder.sub)
_define(operator.and_, INTS, INTS, ir.IRBuilder.and_)
_define(operator.or_, INTS, INTS, ir.IRBuilder.or_)
_define(operator.xor, INTS, INTS, ir.IRBuilder.xor)
_define(operator.lshift, INTS, INTS, ir.IRBuilder.shl)
_define(operator.rshift, INTS, INTS, ir.IRBuilder.ashr)
_define(operator.eq, INTS, MASK, lambda builder, a, b: builder.icmp_signed("==", a, b))
_define(operator.add, FLOATS, FLOATS, ir.IRBuilder.fadd)
_define(operator.sub, FLOATS, FLOATS, ir.IRBuilder.fsub)
_define(operator.mul, FLOATS, FLOATS, ir.IRBuilder.fmul)
_define(operator.truediv, FLOATS, FLOATS, ir.IRBuilder.fdiv)
_define(operator.lt, FLOATS, MASK, lambda builder, a, b: builder.fcmp_ordered("<", a, b))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    """Where array[index] and those after it lie, as many as the vector has."""
    view = context.make_array(array_type)(context, builder, array)
    element = cgutils.get_item_pointer(context, builder, array_type, view, [index], wraparound=False)
    return builder.bitcast(element, vector.as_pointer())


def _held_by(array: Any) -> _Lanes:
    return FLOATS if array.dtype == types.float64 else INTS


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Read ``array[index]`` and the seven after it."""
    lanes = _held_by(array)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], args[0], args[1], lanes.vector), align=8)

    return signature(lanes, array, types.intp), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Write ``array[index]`` and the seven after it, bit for bit, whatever the array's type is."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1], lanes.vector), align=8)
        return context.get_dummy_value()

    return signature(types.void, array, types.intp, lanes), generate


@intrinsic
def transpose(typing_context: Any, source: Any, begin: Any, step: Any, target: Any, start: Any, stride: Any) -> Any:
    """Copy eight rows of eight words so that they become columns, bit for bit, whatever the arrays' types are.

    ``source[begin + step·i + j]`` goes to ``target[start + stride·j + i]`` for i, j = 0 … 7.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = []
        for column in (0, 4):  # halves of two rows side by side: a load puts them there, without a shuffle
            index = builder.add(args[1], args[1].type(column))
            halves = []
            for _ in range(LANES):
                halves.append(builder.load(_pointer(context, builder, sig.args[0], args[0], index, _HALF), align=8))
                index = builder.add(index, args[2])
            rows += [_pick(builder, halves[row], halves[row + 4], range(LANES)) for row in range(4)]
        for width in (1, 2):  # swap what lies off the diagonal, in squares of this width
            low = [lane ^ (width | LANES) if lane & width else lane for lane in range(LANES)]
            high = [lane | LANES if lane & width else lane ^ width for lane in range(LANES)]
            for row in range(LANES):
                if not row & width:
                    one, other = rows[row], rows[row | width]
                    rows[row], rows[row | width] = _pick(builder, one, other, low), _pick(builder, one, other, high)
        index = args[4]
        for row in rows:
            builder.store(row, _pointer(context, builder, sig.args[3], args[3], index, INTS.vector), align=8)
            index = builder.add(index, args[5])
        return context.get_dummy_value()

    return signature(types.void, source, types.intp, types.intp, target, types.intp, types.intp), generate


@intrinsic
def broadcast(typing_context: Any, number: Any) -> Any:
    """Eight times ``number``."""
    lanes = FLOATS if isinstance(number, types.Float) else INTS

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return _spread(builder, args[0], lanes)

    return signature(lanes, lanes.scalar), generate


@intrinsic
def select(typing_context: Any, mask: Any, lanes: Any, others: Any) -> Any:
    """From ``lanes`` where the mask says yes, else from ``others``."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return signature(lanes, mask, lanes, others), generate


@intrinsic
def as_ints(typing_context: Any, floats: Any) -> Any:
    """The bits."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], INTS.vector)

    return signature(INTS, floats), generate


@intrinsic
def as_floats(typing_context: Any, ints: Any) -> Any:
    """The doubles that have these bits."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], FLOATS.vector)

    return signature(FLOATS, ints), generate


@intrinsic
def funnel_shift(typing_context: Any, low: Any, high: Any, begin: Any) -> Any:
    """64 bits from bit ``begin`` of ``low`` on, with ``high`` above it; ``begin`` is one number, 0 … 63."""

    def generate(context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(INTS.vector, [INTS.vector] * 3)
        shift = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fshr.v{LANES}i64")
        return builder.call(shift, [args[1], args[0], _spread(builder, args[2], INTS)])

    return signature(INTS, low, high, types.int64), generate


@intrinsic
def first_lanes(typing_context: Any, number: Any) -> Any:
    """A mask that says yes for so many lanes, from the first one on."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.icmp_signed("<", ir.Constant(INTS.vector, list(range(LANES))), _spread(builder, args[0], INTS))

    return signature(MASK, types.int64), generate


@intrinsic(prefer_literal=True)
def rotate(typing_context: Any, floats: Any, lanes: Any) -> Any:
    """Every lane gets what is in the one so many after it, and the last ones what is in the first; a literal number."""
    by = lanes.literal_value

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return _pick(builder, args[0], args[0], [(lane + by) % LANES for lane in range(LANES)])

    return signature(floats, floats, lanes), generate


@intrinsic
def first_lane(typing_context: Any, floats: Any) -> Any:
    """What is in the first lane."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], _INDEX(0))

    return signature(floats.scalar, floats), generate


@intrinsic
def lane_before(typing_context: Any, ints: Any) -> Any:
    """For every lane what is in the one before it; 0 for the first."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return _pick(builder, args[0], ir.Constant(INTS.vector, [0] * LANES), [LANES, *range(LANES - 1)])

    return signature(INTS, ints), generate


@intrinsic
def or_lanes(typing_context: Any, ints: Any) -> Any:
    """The or of all lanes."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        total = builder.extract_element(args[0], _INDEX(0))
        for lane in range(1, LANES):
            total = builder.or_(total, builder.extract_element(args[0], _INDEX(lane)))
        return total

    return signature(types.int64, ints), generate


@intrinsic
def mask_bits(typing_context: Any, mask: Any) -> Any:
    """Bit l of the number is lane l of the mask."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return signature(types.int64, mask), generate


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """How many bits of a word are 1."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return signature(types.int64, types.int64), generate


@intrinsic
def bit_length(typing_context: Any, word: Any) -> Any:
    """How many bits a word has without the zeros on its left; 64 for a negative one."""

    def generate(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.sub(ir.IntType(64)(64), builder.ctlz(args[0], ir.IntType(1)(0)))

    return signature(types.int64, types.int64), generate
