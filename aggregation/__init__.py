"""Prices in, statistics out: the core of tenfold, a library of its own.

Read in this order:

* ``levels``   geometry: block sizes, ring capacities, the bytes of one symbol
* ``kernels``  the loops that touch prices: write, roll up, fold
* ``atomics``  the ordered loads and stores that the kernels publish with
* ``series``   one symbol: append, roll up, statistics, check; the order of publication
* ``invariants``  what ``check`` asserts
* ``symbols``  the set of symbols and its limit

>>> symbols = Symbols(Geometry(max_k=4))
>>> series, count = symbols.append("EURUSD", [1.25, 1.5, 1.0, 1.25])
>>> series.statistics(k=1)
Statistics(size=4, min=1.0, max=1.5, last=1.25, avg=1.25, var=0.03125)
"""

from .levels import Geometry
from .series import MAX_PRICE, PriceError, Series, Statistics
from .symbols import Symbols, TooManySymbolsError

__all__ = ["MAX_PRICE", "Geometry", "PriceError", "Series", "Statistics", "Symbols", "TooManySymbolsError"]
