"""The set of symbols: which slot belongs to which name, how many there may be, and who may write when.

Every process has a ``Symbols`` of its own over the one shared memory. What they share about names is the directory
(see ``levels.Layout``), and all that changes an entry of it is in this file, under the slot's lock, in this order:

* **Create.** A free slot is made clean if a predecessor left anything in it; it is marked as in use; the first batch is
  appended to it; the name is written; the serial number is published. Only then does the symbol exist, with its first
  batch in it.
* **Delete.** The serial number is set to 0, and the symbol is gone. Then its memory is given back, a slice at a time
  from its end; what remains is noted after each, and whoever comes next can go on with it.

A process that is killed in between leaves a slot without a serial number, which is free, and says whether it is clean.

Writers hold the slot's lock and look at the serial number under it; whoever creates a symbol also holds the lock of its
name, so that nobody else does. There is no lock of all symbols, and nobody waits for one: where another process has
it, BlockingIOError is raised, nothing has been done, and the caller may try again. So a process that was stopped with
a lock in its hands holds up its own symbol at most.

Readers take no lock: they fold, and then make sure that the serial number is still the one that they knew; if not, what
they read may have been anybody's, and they look the name up again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .atomics import observe, publish
from .levels import LAST_SERIAL_WORD, NAME_BYTES, NAME_LENGTH_WORD, NAME_WORD, SERIAL_WORD, USED_WORD, WORD_BYTES
from .memory import SharedMemory
from .series import NotHeldError, Series, Statistics, Stretch, Windows

Prices = npt.NDArray[np.float64] | Sequence[float]

SLICE_BYTES: Final = 8 << 20
SLICE_SECONDS: Final = 0.001
"""Memory is given back in slices, each of which takes about a millisecond where all of it was used, for about as long.
A symbol of 10^8 prices takes a hundred times that, and one of a few thousand none of it."""


class UnknownSymbolError(LookupError):
    """No price of this symbol was appended, or it was deleted."""


class TooManySymbolsError(Exception):
    """Another symbol would be one more than the limit."""

    def __init__(self, max_symbols: int) -> None:
        super().__init__(f"there are {max_symbols} symbols already, which is the limit")


class PositionError(Exception):
    """The batch does not begin where the symbol's prices end: ``count`` of them were added before."""

    def __init__(self, at: int, count: int) -> None:
        super().__init__(f"the batch is to begin at position {at}, but {count} prices were added before")
        self.count = count


class MemoryReserveError(Exception):
    """The batch needs new memory, and the machine has little left."""

    def __init__(self) -> None:
        super().__init__("the batch needs new memory, and hardly any is left")


class Holding(NamedTuple):
    """A symbol as whoever watches it sees it.

    Args:
        symbol: its name.
        appended: prices, ever.
        last: the newest of them.
        held_bytes, batches, lag: as ``Series`` has them.
    """

    symbol: str
    appended: int
    last: float
    held_bytes: int
    batches: int
    lag: int


class _Occupant(NamedTuple):
    """A symbol's place: valid for as long as the directory's word, the slot's serial number, is this one."""

    slot: int
    word: int
    serial: int
    series: Series


def _always(_growth: int) -> bool:
    return True


class Symbols:
    """At most ``max_symbols`` series by name, in memory that several processes share.

    Args:
        memory: made before the processes were forked.
        may_grow: asked before an append that touches about so many bytes of memory for the first time.
    """

    def __init__(self, memory: SharedMemory, may_grow: Callable[[int], bool] = _always) -> None:
        self.layout = memory.layout
        self.geometry = memory.layout.geometry
        self._memory = memory
        self._words = memory.words
        self._serials = memory.view[: memory.layout.directory_bytes].cast("q")
        self._may_grow = may_grow
        self._seen: dict[str, _Occupant] = {}
        self._series: dict[int, Series] = {}

    def __len__(self) -> int:
        """Symbols that exist. O(max_symbols)."""
        return sum(self._serial(slot) != 0 for slot in range(self.layout.max_symbols))

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of their slots."""
        for slot in range(self.layout.max_symbols):
            name = self._name(slot)
            if name is not None:
                yield name[1].decode()

    def append(self, symbol: str, prices: Prices, at: int | None = None) -> int:
        """Append a batch to a symbol, which its first batch creates, and return the new count. O(len(prices)).

        Where it is said ``at`` which position the batch begins, it is appended there or not at all: so whoever does not
        know whether a batch is in sends it again, and it is in once.

        Raises:
            PositionError: the symbol has more prices than that, or fewer; one that is unknown has none.
            TooManySymbolsError: the symbol is new, and the limit is reached.
            MemoryReserveError: new memory is needed, and ``may_grow`` said no.
            PriceError, ValueError: as ``Series.append``, or the name is too long or has a lone surrogate.
            BlockingIOError: another process has a lock that this needs, or the memory of the deleted symbol whose
                place is to be taken is not all given back yet.

        A batch that is refused creates no symbol either.
        """
        while True:
            occupant = self._seen.get(symbol) or self._look_up(symbol)
            count = self._create(symbol, prices, at) if occupant is None else self._append(occupant, prices, at)
            if count is not None:
                return count
            self._seen.pop(symbol, None)

    def roll_up(self, symbol: str) -> None:
        """Summarise the blocks of a symbol that are complete by now, if it still exists; amortised O(1) a price.

        Raises:
            BlockingIOError: another process has its lock.
        """
        while occupant := self._seen.get(symbol) or self._look_up(symbol):
            with self._memory.slot_locks[occupant.slot]:
                if self._is_current(occupant):
                    occupant.series.roll_up()
                    return
            del self._seen[symbol]

    def statistics(self, symbol: str, k: int) -> Statistics:
        """Statistics of a symbol's window k, of one moment between call and return. O(levels), no lock.

        Raises:
            UnknownSymbolError: there is no such symbol.
            ValueError: k is not in 1 … max_k.
        """
        while True:
            occupant = self._seen.get(symbol) or self._look_up(symbol)
            if occupant is None:
                raise UnknownSymbolError(symbol)
            statistics = occupant.series.statistics(k)
            if statistics is not None and self._is_current(occupant):
                return statistics
            self._seen.pop(symbol, None)

    def windows(self, symbol: str) -> Windows:
        """Statistics of all windows of a symbol, of one moment between call and return. O(levels²), no lock.

        Raises:
            UnknownSymbolError: there is no such symbol.
        """
        while True:
            occupant = self._seen.get(symbol) or self._look_up(symbol)
            if occupant is None:
                raise UnknownSymbolError(symbol)
            windows = occupant.series.windows()
            if windows is not None and self._is_current(occupant):
                return windows
            self._seen.pop(symbol, None)

    def prices(self, symbol: str, size: int, begin: int | None = None) -> Stretch:
        """Prices of a symbol, of one moment between call and return, bit for bit. O(size), no lock.

        Args:
            symbol: whose.
            size: how many.
            begin: the position of the first; without one they are the newest, or all that are held if fewer.

        Raises:
            UnknownSymbolError: there is no such symbol.
            NotHeldError: as ``Series.stretch``.
        """
        while True:
            occupant = self._seen.get(symbol) or self._look_up(symbol)
            if occupant is None:
                raise UnknownSymbolError(symbol)
            try:
                found = occupant.series.last(size) if begin is None else occupant.series.stretch(begin, size)
            except NotHeldError:
                if self._is_current(occupant):
                    raise
            else:
                if found is not None and self._is_current(occupant):
                    return found
            self._seen.pop(symbol, None)

    def overview(self) -> list[Holding]:
        """What every symbol holds, in the order of the names' code points. O(max_symbols), no lock.

        Count and last price of an entry are of one moment between call and return, the rest of it within a batch of
        that moment; the list is not of one moment, if symbols come and go meanwhile.
        """
        holdings = (self._holding(slot) for slot in range(self.layout.max_symbols))
        return sorted(holding for holding in holdings if holding is not None)

    def count(self, symbol: str) -> int:
        """Prices ever appended to a symbol. O(max_symbols).

        Raises:
            UnknownSymbolError: there is no such symbol.
        """
        return self.series(symbol).count

    def series(self, symbol: str) -> Series:
        """A symbol's series, to look at: it is the symbol's only until the symbol is deleted.

        Raises:
            UnknownSymbolError: there is no such symbol.
        """
        occupant = self._look_up(symbol)
        if occupant is None:
            raise UnknownSymbolError(symbol)
        return occupant.series

    def delete(self, symbol: str) -> None:
        """Remove a symbol, and give the first slice of its memory back to the system; ``tidy`` does the rest. O(1).

        Raises:
            UnknownSymbolError: there is no such symbol.
            BlockingIOError: another process has its lock.
        """
        while occupant := self._look_up(symbol):
            with self._memory.slot_locks[occupant.slot]:
                if self._is_current(occupant):
                    publish(self._words, occupant.word, 0)
                    self._clean(occupant.slot)
                    return
        raise UnknownSymbolError(symbol)

    def tidy(self) -> bool:
        """Give back a slice of the memory that is left of deleted symbols; whether there was any. O(max_symbols).

        What another process is at work on is left to it.
        """
        for slot in range(self.layout.max_symbols):
            if self._serial(slot) == 0 and self.used_bytes(slot):
                with suppress(BlockingIOError), self._memory.slot_locks[slot]:
                    if self._serial(slot) == 0:
                        self._clean(slot)
                        return True
        return False

    def used_bytes(self, slot: int) -> int:
        """Bytes of a slot, from its start, that its symbol may have to itself or a deleted one has left. O(1)."""
        return self._serials[self.layout.entry_word(slot) + USED_WORD]

    def _append(self, occupant: _Occupant, prices: Prices, at: int | None) -> int | None:
        """Append to a symbol that was found; None if it has been deleted since."""
        lock = self._memory.slot_locks[occupant.slot]
        lock.acquire()
        try:
            if not self._is_current(occupant):
                return None
            if at is not None and at != occupant.series.count:
                raise PositionError(at, occupant.series.count)
            self._refuse_growth(occupant.series, prices)
            return occupant.series.append(prices)
        finally:
            lock.release()

    def _create(self, symbol: str, prices: Prices, at: int | None) -> int | None:
        """Create a symbol with its first batch; None if somebody else just did."""
        try:
            name = symbol.encode()
        except UnicodeEncodeError:
            raise ValueError("a symbol is text that UTF-8 can say, without lone surrogates") from None
        if len(name) > NAME_BYTES:
            raise ValueError(f"a symbol has at most {NAME_BYTES} bytes, not {len(name)}")
        with self._memory.name_lock(name):
            if self._look_up(symbol) is not None:
                return None
            if at:
                raise PositionError(at, 0)
            free = [slot for slot in range(self.layout.max_symbols) if self._serial(slot) == 0]
            if not free:
                raise TooManySymbolsError(self.layout.max_symbols)
            for slot in sorted(free, key=self.used_bytes):
                try:
                    self._memory.slot_locks[slot].acquire()
                except BlockingIOError:  # somebody is making a symbol in it, or cleaning it
                    continue
                try:
                    if self._serial(slot) == 0:
                        if self._clean(slot):
                            return self._occupy(slot, name, prices)
                        break  # a slice is enough for one attempt
                finally:
                    self._memory.slot_locks[slot].release()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _occupy(self, slot: int, name: bytes, prices: Prices) -> int:
        """Make a symbol in a clean slot, whose lock is held."""
        series = self._slot_series(slot)
        self._refuse_growth(series, prices)
        entry = self.layout.entry_word(slot)
        self._words[entry + USED_WORD] = self.geometry.slot_bytes
        count = series.append(prices)
        self._words[entry + NAME_LENGTH_WORD] = len(name)
        begin = (entry + NAME_WORD) * WORD_BYTES
        self._memory.view[begin : begin + len(name)] = name
        self._words[entry + LAST_SERIAL_WORD] += 1
        publish(self._words, entry + SERIAL_WORD, int(self._words[entry + LAST_SERIAL_WORD]))
        return count

    def _clean(self, slot: int) -> bool:
        """Give back a slice of the memory of a free slot, whose lock is held; whether the slot is clean now."""
        used = self.layout.entry_word(slot) + USED_WORD
        over = perf_counter() + SLICE_SECONDS
        while end := self._serials[used]:
            if self._slot_series(slot).resident:  # its memory was touched at the start, to be kept
                self._slot_series(slot).clear()
                begin = 0
            else:
                begin = max(0, end - SLICE_BYTES)
                self._memory.give_back(slot, begin, end - begin)
            self._words[used] = begin
            if perf_counter() >= over:
                break
        return self.used_bytes(slot) == 0

    def _refuse_growth(self, series: Series, prices: Prices) -> None:
        growth = series.growth(len(prices))
        if growth and not self._may_grow(growth):
            raise MemoryReserveError

    def _holding(self, slot: int) -> Holding | None:
        """What a slot's symbol holds, or None if the slot is free."""
        while name := self._name(slot):
            series = self._slot_series(slot)
            newest, watched = series.newest(), (series.held_bytes, series.batches, series.lag)
            if newest is not None and observe(self._words, self._serial_word(slot)) == name[0]:
                return Holding(name[1].decode(), *newest, *watched)
        return None

    def _slot_series(self, slot: int) -> Series:
        """A slot's series, whoever's it is; making one takes longer than asking it."""
        if slot not in self._series:
            self._series[slot] = self._memory.series(slot)
        return self._series[slot]

    def _look_up(self, symbol: str) -> _Occupant | None:
        """Where a symbol is, by the directory. O(max_symbols)."""
        wanted = symbol.encode(errors="surrogatepass")  # no name has such bytes
        for slot in range(self.layout.max_symbols):
            name = self._name(slot)
            if name is not None and name[1] == wanted:
                occupant = _Occupant(slot, self._serial_word(slot), name[0], self._slot_series(slot))
                self._seen = {s: o for s, o in self._seen.items() if self._is_current(o)}
                self._seen[symbol] = occupant
                return occupant
        return None

    def _serial_word(self, slot: int) -> int:
        return self.layout.entry_word(slot) + SERIAL_WORD

    def _serial(self, slot: int) -> int:
        return self._serials[self._serial_word(slot)]

    def _is_current(self, occupant: _Occupant) -> bool:
        return self._serials[occupant.word] == occupant.serial

    def _name(self, slot: int) -> tuple[int, bytes] | None:
        """A slot's serial number and name as they belong together, or None if it is free."""
        word = self._serial_word(slot)
        while serial := observe(self._words, word):
            entry = self.layout.entry_word(slot)
            begin = (entry + NAME_WORD) * WORD_BYTES
            name = bytes(self._memory.view[begin : begin + self._serials[entry + NAME_LENGTH_WORD]])
            if observe(self._words, word) == serial:
                return serial, name
        return None
