"""Prices in, statistics out: the core of tenfold, a library of its own.

Read in this order:

* ``levels``   geometry: what is kept of which prices, ring capacities, the bytes of one symbol
* ``pairs``, ``lanes``  arithmetic: some thirty digits; eight numbers at a time
* ``summaries``  the sums of a stretch of prices, the summary of a block, the summary of ten summaries
* ``codec``    a block of 1,000 prices in some hundred words, bit for bit
* ``rollup``   kernels that write: append, compress, summarise
* ``fold``     kernels that read: what a window comes to
* ``compiled``  how kernels are compiled, and where the machine code is kept
* ``atomics``  the ordered loads and stores that the kernels publish with
* ``boxes``    how full the memory of cold prices is
* ``series``   one symbol: append, roll up, statistics, check; the order of publication
* ``invariants``  what ``check`` asserts
* ``memory``   the memory that processes share, and locks that a killed holder releases
* ``symbols``  the set of symbols: name to slot, its limit; the order of publication again

>>> symbols = Symbols(SharedMemory(Layout(Geometry(max_k=4), max_symbols=2)))
>>> symbols.append("EURUSD", [1.25, 1.5, 1.0, 1.25])
4
>>> symbols.statistics("EURUSD", k=1)
Statistics(size=4, min=1.0, max=1.5, last=1.25, avg=1.25, var=0.03125)
"""

from .codec import BLOCK
from .levels import NAME_BYTES, Geometry, Layout
from .memory import RecordLock, SharedMemory
from .series import MAX_PRICE, NotHeldError, PriceError, Series, Statistics, Stretch, Windows
from .symbols import Holding, MemoryReserveError, PositionError, Symbols, TooManySymbolsError, UnknownSymbolError

__all__ = [
    "BLOCK",
    "MAX_PRICE",
    "NAME_BYTES",
    "Geometry",
    "Holding",
    "Layout",
    "MemoryReserveError",
    "NotHeldError",
    "PositionError",
    "PriceError",
    "RecordLock",
    "Series",
    "SharedMemory",
    "Statistics",
    "Stretch",
    "Symbols",
    "TooManySymbolsError",
    "UnknownSymbolError",
    "Windows",
]
