"""What the unfinished requests of one worker may hold in all, and who gives way when it is too much.

A cap on connections bounds memory badly: a thousand clients may each send most of a body of 1 MiB and then stop. What
they hold together is bounded here. When it is too much, the request that began first gives way, not the newest: an
honest batch arrives within milliseconds and is among the youngest, while those that hold on to memory grow old.

What a request holds is noted as its bytes arrive and looked at again only when room is needed, so a request that is
answered costs nothing more. The sum is never too small, and where it is too large a second look puts it right.
"""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A request on its way, which holds what of it has arrived."""

    def held(self) -> int:
        """Bytes that it holds now."""

    def give_way(self) -> None:
        """Refuse the request and let go of what has arrived."""


class Budget:
    """Bytes for the unfinished requests of one worker. One request may always hold what it needs.

    Args:
        most: bytes that they may hold together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self._held: dict[Holder, int] = {}  # the request that began first comes first

    def note(self, holder: Holder) -> None:
        """More of a request has arrived. O(1), or O(requests) where room is needed."""
        held = holder.held()
        self.total += held - self._held.get(holder, 0)
        self._held[holder] = held
        if self.total > self.most:
            self._make_room()

    def forget(self, holder: Holder) -> None:
        """The request has ended. O(1)."""
        self.total -= self._held.pop(holder, 0)

    def recount(self) -> None:
        """Look again what is held, since much of it may have been answered by now. O(requests)."""
        self._held = {holder: held for holder in self._held if (held := holder.held())}
        self.total = sum(self._held.values())

    def _make_room(self) -> None:
        """Have the oldest give way until the rest fits."""
        self.recount()
        while self.total > self.most and len(self._held) > 1:
            oldest = next(iter(self._held))
            self.forget(oldest)
            oldest.give_way()
