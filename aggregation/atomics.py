"""Loads and stores with an order that the compiler and the processor must keep.

The kernels share memory with other processes without locking readers out. That stands on one promise: whoever
sees a published number also sees everything that was written before it was published. Plain array accesses do
not promise that: LLVM may reorder them on any machine, and an ARM processor does. These three intrinsics do,
and on x86-64 they cost nothing but the freedom to reorder.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

_WORD_BYTES = 8


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    view = context.make_array(array_type)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, array_type, view, [index], wraparound=False)


@intrinsic
def load_acquire(typing_context: Any, array: Any, index: Any) -> Any:
    """Read ``array[index]``; nothing after it in the program may be read before it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element(context, builder, sig.args[0], *args)
        word = ir.IntType(8 * _WORD_BYTES)
        return builder.load_atomic(pointer, ordering="acquire", align=_WORD_BYTES, typ=word)

    return signature(types.int64, array, types.intp), generate


@intrinsic
def store_release(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write ``array[index] = value``; everything before it in the program is written before it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element(context, builder, sig.args[0], args[0], args[1])
        builder.store_atomic(args[2], pointer, ordering="release", align=_WORD_BYTES)
        return context.get_dummy_value()

    return signature(types.void, array, types.intp, types.int64), generate


@intrinsic
def fence_acquire(typing_context: Any) -> Any:
    """Everything read before this point is read before anything that is read after it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("acquire")
        return context.get_dummy_value()

    return signature(types.void), generate


@intrinsic
def fence_release(typing_context: Any) -> Any:
    """Everything written before this point is written before anything that is written after it."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("release")
        return context.get_dummy_value()

    return signature(types.void), generate
