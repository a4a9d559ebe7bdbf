"""How full the boxes of one symbol are: what cold prices take, will take, and leave over.

Box number b of the stream holds blocks b·G to (b + 1)·G − 1, and lies where box b − (number of boxes) was before. What
that one left behind is there until it is overwritten, or given back when the new one is complete.
"""

from __future__ import annotations

from typing import Final

from .codec import BLOCK, MAX_WORDS
from .levels import WORD_BYTES, Geometry, whole_pages

TOLERANCE: Final = 1.25
"""How much more than those that they replace new blocks may take and still count as none. They never take just the
same, and where no memory is left, a symbol whose data is as ever must not be refused for that."""


class Boxes:
    """What the ends of blocks say.

    Args:
        ints: the slot, as words.
        geometry: its shape; it has boxes.
    """

    __slots__ = ("_at", "_boxes", "_ints", "_size", "_words", "prices")

    def __init__(self, ints: memoryview[int], geometry: Geometry) -> None:
        self._ints = ints
        self._at, self._words = geometry.boxes_offset // WORD_BYTES, geometry.box_words
        self._boxes, self._size = geometry.boxes, geometry.box_blocks
        self.prices = geometry.box_blocks * BLOCK

    def _begin(self, number: int) -> int:
        """The word at which a box begins."""
        return self._at + number % self._boxes * self._words

    def _end(self, number: int, blocks: int) -> int:
        """Where its first so many blocks end, in words from there."""
        return self._ints[self._begin(number) + blocks - 1] if blocks else self._size

    def held_bytes(self, covered: int) -> int:
        """Bytes of the pages that blocks lie on, where so many prices are rolled up. O(boxes)."""
        last, blocks = divmod(covered // BLOCK, self._size)
        held = 0
        for number in range(max(0, last + 1 - self._boxes), last + 1):
            end = self._end(number, self._size) if number < last else self._former(number)
            if number == last and blocks:
                end = max(end, self._end(number, blocks))
            held += whole_pages(end * WORD_BYTES)
        return held

    def _former(self, number: int) -> int:
        """Where the box ended that lay at the place of one that is not complete; 0 if there was none."""
        return self._end(number, self._size) if number >= self._boxes else 0

    def growth(self, covered: int) -> float:
        """Bytes, about, that a price not rolled up yet takes beyond what is there to be overwritten. O(1)."""
        number, blocks = divmod(covered // BLOCK, self._size)
        taken, of = self._end(number, blocks) - self._size, blocks
        if number > 0:
            taken, of = taken + self._end(number - 1, self._size) - self._size, of + self._size
        now = taken / of if of else MAX_WORDS
        before = (self._former(number) - self._size) / self._size if number >= self._boxes else 0
        return now * WORD_BYTES / BLOCK if now > before * TOLERANCE else 0.0

    def rest(self, covered: int) -> tuple[int, int]:
        """Where the box that was just completed has left whole pages of a former one: (first byte of the slot, bytes).

        No bytes unless the next price that is rolled up begins a box.
        """
        number = covered // self.prices - 1
        if covered % self.prices or number < self._boxes:
            return 0, 0
        begin = whole_pages((self._begin(number) + self._end(number, self._size)) * WORD_BYTES)
        return begin, (self._begin(number) + self._words) * WORD_BYTES - begin
