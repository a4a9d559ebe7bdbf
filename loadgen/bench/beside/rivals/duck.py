"""DuckDB: rows with a position and a price, and SQL over the newest 10^k of them.

In memory and on one thread, as everybody here has one core. Its zone maps let it skip all rows before a window. Rows
beyond the retention are not deleted, which spares it work that a service could not do without.
"""

from __future__ import annotations

import duckdb
import numpy as np

from .rival import WINDOWS, Prices, Window


class Duck:
    """See ``rival.Rival``."""

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._count = 0
        self._last = 0.0
        self._database = duckdb.connect(":memory:", config={"threads": 1})
        self._database.execute("SET enable_progress_bar = false")
        self._database.execute("CREATE TABLE prices (position BIGINT, price DOUBLE)")

    def load(self, prices: Prices) -> None:
        """O(len(prices)), in parts that need little memory beside the table."""
        for part in np.array_split(prices, -(-len(prices) // 1_000_000)):
            self.append(part)

    def append(self, batch: Prices) -> None:
        """O(len(batch))."""
        if not np.isfinite(batch).all():
            raise ValueError("a price is not finite")
        rows = {"position": np.arange(self._count, self._count + len(batch)), "price": batch}
        self._database.register("batch", rows)
        self._database.execute("INSERT INTO prices SELECT position, price FROM batch")
        self._database.unregister("batch")
        self._count += len(batch)
        self._last = float(batch[-1])

    def windows(self) -> list[Window]:
        """O(window); all eight in one statement, which is parsed and planned once."""
        held = min(self._count, self._retention)
        sizes = [min(size, held) for size in WINDOWS]
        select = "SELECT {}, min(price), max(price), avg(price), var_pop(price) FROM prices WHERE position >= {}"
        statement = " UNION ALL ".join(select.format(place, self._count - size) for place, size in enumerate(sizes))
        rows = sorted(self._database.execute(statement).fetchall())
        return [
            (size, low, high, self._last, avg, var) for size, (_, low, high, avg, var) in zip(sizes, rows, strict=True)
        ]
