"""Loads and stores with an order that the compiler and the processor must keep.

The kernels share memory with other processes without locking readers out. That stands on one promise: whoever
sees a published number also sees everything that was written before it was published. Plain array accesses do
not promise that: LLVM may reorder them on any machine, and an ARM processor does. These intrinsics do,
and on x86-64 they cost nothing but the freedom to reorder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import int64, types
from numba.core import cgutils
from numba.core.typing import signature
from numba.extending import intrinsic

from .compiled import compiled

Words = npt.NDArray[np.int64]

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


@intrinsic
def unowned(typing_context: Any, array: Any) -> Any:
    """The same array, whose owner outlives the kernel that was called with it: references to it are not counted.

    Each time that an array is passed on or cut, numba counts, with two locked instructions. It was half of a fold.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (view,) = args
        for owner in ("meminfo", "parent"):
            field = context.data_model_manager[sig.args[0]].get_field_position(owner)
            view = builder.insert_value(view, cgutils.get_null_value(view.type.elements[field]), field)
        return view

    return signature(array, array), generate


@compiled(types.void(int64[::1], int64, int64))
def publish(words: Words, index: int, value: int) -> None:
    """Set words[index] so that whoever sees it sees all that was written before."""
    store_release(words, index, value)


@compiled(int64(int64[::1], int64))
def observe(words: Words, index: int) -> int:
    """Read words[index]; what is read afterwards is at least as new."""
    fence_acquire()
    value: int = load_acquire(words, index)
    return value
