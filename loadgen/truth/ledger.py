"""Which states of a symbol an answer may come from, and the verdict on it. No socket and no clock here.

A receipt says where its batch went: ``count − added`` prices into the symbol's stream. So the ledger can put the
batches of several producers into the order in which the service took them, and can tell whether a batch whose answer
was lost has been taken all the same: the next receipt leaves room for it, or does not. Room that no such batch fills
exactly is a mistake: a batch was taken in part, or twice, or prices came from nowhere.

A batch that says where it begins may be sent again after its answer was lost, and what is told here is its last answer:
a receipt, or 412 with a count at its end, which says as much.

An answer to a poll must be that of some batch boundary between request and response: at least what had been
acknowledged when the poll was sent, at most all that had been sent when the answer came. Where requests of one symbol
do not overlap, that is exactly one boundary. While a boundary in this range is not known yet, the poll is parked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain, combinations
from typing import Final, NamedTuple

from loadgen.wire.requests import Receipt, Statistics, read_count, read_receipt, read_statistics

from .oracle import History, Kept, mismatches

CUT: Final = 0
"""Instead of a status: the connection broke. The service has taken the batch by then, or never will."""

GIVEN_UP: Final = -1
"""Instead of a status: the answer did not come in time. The service may still take the batch."""

MOST_LOST: Final = 8
"""Lost batches that are tried together to explain a gap; more in a row mean a service that is gone."""


class Poll(NamedTuple):
    """An answer to a poll, with what its sender had seen.

    Args:
        k: the window.
        ended: batches of this symbol that were answered, or given up, when the poll was sent.
        sent: batches of this symbol that had been sent when the answer came.
        status: of the answer.
        body: of the answer.
        times: how many answers in all were these bytes, in the same state.
    """

    k: int
    ended: int
    sent: int
    status: int
    body: bytes
    times: int = 1


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: what was asked, in which state, what the answer must be and what it was."""

    request: str
    count: int
    batches: int
    expected: str
    got: str
    wrong: tuple[str, ...]
    k: int | None = None
    newest: tuple[float, ...] = ()


@dataclass
class Tally:
    """How many answers were checked and found right, could not be checked, and were wrong."""

    right: int = 0
    unchecked: int = 0
    wrong: int = 0


class Ending(NamedTuple):
    """What a symbol may hold in the end: all prices ever added, and the statistics of each window, if known."""

    symbol: str
    total: int
    windows: dict[int, Statistics | None]


class _Lost(NamedTuple):
    """A batch whose answer was lost.

    Args:
        prices: of it.
        sent: batches of the symbol that had been sent when it was lost.
        decided: whether it was taken or not by then; otherwise it may still be.
    """

    prices: Kept
    sent: int
    decided: bool


class _Waiting(NamedTuple):
    """A batch that was taken at a place which the history has not reached yet."""

    seq: int
    prices: Kept
    sent: int


class Ledger:
    """One symbol: what was sent, what was acknowledged, and what is known of the order.

    Args:
        symbol: its name.
        capacity: prices that the oracle keeps.
        start: prices that the symbol holds already; nothing if that is not known.
        ticks: whether it is given ticks instead of prices.
    """

    def __init__(self, symbol: str, capacity: int, start: int | None = 0, ticks: bool = False) -> None:
        self.symbol = symbol
        self.tally = Tally()
        self.mistakes: list[Mistake] = []
        self._capacity = capacity
        self._ticks = ticks
        self._history = History(start, capacity, ticks) if start is not None else None
        self._boundaries = [start] if start is not None else []
        self._open: dict[int, Kept] = {}  # sent or about to be, not answered
        self._lost: dict[int, _Lost] = {}  # nobody knows whether they were taken
        self._waiting: dict[int, _Waiting] = {}  # acknowledged, by position
        self._settled = -1  # the newest batch whose place is known
        self._sizes = [0]  # cumulative, by batch
        self._floors = [start or 0]  # most that was acknowledged, by batches ended
        self._parked: deque[Poll] = deque()
        self._confirmed: dict[int, tuple[int, bytes]] = {}  # by window: an answer that was right, and at which count

    @property
    def batches(self) -> int:
        """Batches whose place in the symbol's stream is known."""
        return max(0, len(self._boundaries) - 1)

    def prepared(self, seq: int, prices: Kept) -> None:
        """Batch ``seq`` (0, 1, … in this order) is about to be sent. O(1)."""
        self._open[seq] = prices
        self._sizes.append(self._sizes[-1] + len(prices))

    def ended(self, seq: int, sent: int, status: int, body: bytes) -> None:
        """Batch ``seq`` was answered, or lost, after ``sent`` batches had been sent. O(its size).

        Args:
            seq: of the batch.
            sent: batches of this symbol that had been sent by then.
            status: of the answer; ``CUT`` or ``GIVEN_UP`` if there is none.
            body: of the answer.
        """
        prices = self._open.pop(seq)
        floor = self._floors[-1]
        if status == HTTPStatus.OK:
            receipt = read_receipt(body)
            if receipt is None or receipt[:2] != (self.symbol, len(prices)):
                self._wrong_receipt(seq, prices, body, "")
            else:
                floor = max(floor, self._acknowledged(receipt, _Waiting(seq, prices, sent), body))
        elif status == HTTPStatus.PRECONDITION_FAILED:
            floor = max(floor, self._misplaced(_Waiting(seq, prices, sent), body))
        elif status in {CUT, GIVEN_UP}:
            self._lost[seq] = _Lost(prices, sent, status == CUT)
        self._floors.append(floor)
        self._settle()
        self._judge_parked()

    def answered(self, poll: Poll) -> None:
        """A poll was answered: judge it, or park it until its range of states is known."""
        self._parked.append(poll)
        self._judge_parked()

    def close(self) -> None:
        """No more events will come: what is parked still cannot be checked."""
        self.tally.unchecked += sum(poll.times for poll in self._parked)
        self._parked.clear()

    def endings(self, windows: Sequence[int]) -> list[Ending]:
        """What the symbol may hold now: one state, or one for every choice of batches that are in doubt."""
        if self._history is None or self._waiting:
            return []
        found = []
        for choice in _choices(self._lost):
            history = deepcopy(self._history)
            for seq in choice:
                history.append(self._lost[seq].prices)
            known = {k: history.statistics(history.count, k) for k in windows} if history.count else {}
            found.append(Ending(self.symbol, history.count, known))
        return found

    def _acknowledged(self, receipt: Receipt, batch: _Waiting, body: bytes) -> int:
        """Note where a batch went; what is acknowledged now."""
        start = receipt.total - receipt.added
        known = self._history.count if self._history is not None else 0
        if start < known or start in self._waiting:
            self._wrong_receipt(batch.seq, batch.prices, body, "at least ")
            return 0
        self._waiting[start] = batch
        return receipt.total

    def _misplaced(self, batch: _Waiting, body: bytes) -> int:
        """A batch was refused for where it begins; what is acknowledged now.

        That is right if the count is at its end, for it had arrived, and where an earlier batch is missing, if the
        count is what is known to be in.
        """
        begin, count = self._floors[0] + self._sizes[batch.seq], read_count(body)
        end = begin + len(batch.prices)
        if count == end:
            return self._acknowledged(Receipt(self.symbol, len(batch.prices), count), batch, body)
        known = self._history.count if self._history is not None else 0
        if count != known or known == begin:
            self._wrong_batch(batch.seq, batch.prices, f"to be taken, or 412 with a count of {end}", _short(body))
        return 0

    def _wrong_receipt(self, seq: int, prices: Kept, body: bytes, least: str) -> None:
        known = self._history.count if self._history is not None else 0
        expected = f"a receipt for {len(prices)} prices with a count of {least}{known + len(prices)}"
        self._wrong_batch(seq, prices, expected, _short(body), "count" if least else "receipt")

    def _wrong_batch(self, seq: int, prices: Kept, expected: str, got: str, wrong: str = "count") -> None:
        self.tally.wrong += 1
        self.mistakes.append(
            Mistake(
                request=f"POST /add_batch/ (batch {seq} of {self.symbol}, {len(prices)} prices)",
                count=self._history.count if self._history is not None else 0,
                batches=self.batches,
                expected=expected,
                got=got,
                wrong=(wrong,),
            )
        )

    def _settle(self) -> None:
        """Move acknowledged batches into the history as far as their order is known."""
        while self._waiting:
            start = min(self._waiting)
            batch = self._waiting[start]
            if self._history is None or start != self._history.count:
                if next(iter(self._open), batch.sent) < batch.sent:
                    return  # another one may turn out to stand before it
                self._fill_gap(start)
            self._put(self._waiting.pop(start))

    def _fill_gap(self, start: int) -> None:
        """Explain the prices before ``start`` by batches whose answers were lost; failing that, start a new history."""
        if self._history is not None:
            fitting = self._lost_that_make(start - self._history.count)
            if len(fitting) == 1 and self._in_order(fitting[0]):
                for seq in fitting[0]:
                    self._put(_Waiting(seq, self._lost.pop(seq).prices, 0))
                return
            if not fitting:
                self._unexplained(start, self._history.count)
        self._history = History(start, self._capacity, self._ticks)
        self._boundaries = [start]

    def _lost_that_make(self, size: int) -> list[tuple[int, ...]]:
        """Every choice of lost batches that hold so many prices together."""
        return [
            choice
            for choice in _choices(self._lost)
            if choice and sum(len(self._lost[seq].prices) for seq in choice) == size
        ]

    def _in_order(self, choice: tuple[int, ...]) -> bool:
        """Whether each of these was decided before the next one was sent."""
        before = [self._lost[seq] for seq in choice[:-1]]
        return all(lost.decided and lost.sent <= seq for lost, seq in zip(before, choice[1:], strict=True))

    def _unexplained(self, start: int, known: int) -> None:
        """Prices that this run did not send are in the symbol."""
        batch = self._waiting[start]
        expected, got = (f"a count of {begin + len(batch.prices)}" for begin in (known, start))
        self._wrong_batch(batch.seq, batch.prices, expected, got)

    def _put(self, batch: _Waiting) -> None:
        history = self._history
        if history is None:
            raise RuntimeError("a batch was settled before the symbol's start was known")
        history.append(batch.prices)
        self._boundaries.append(history.count)
        self._settled = max(self._settled, batch.seq)
        for seq in [seq for seq, lost in self._lost.items() if lost.decided and lost.sent <= batch.seq]:
            del self._lost[seq]  # it was not taken: this one was sent later and stands where it would

    def _judge_parked(self) -> None:
        while self._parked and self._decidable(self._parked[0]):
            self._judge(self._parked.popleft())

    def _decidable(self, poll: Poll) -> bool:
        """Whether every boundary that the poll may have seen is known."""
        if self._history is None:
            return not self._open and not self._waiting  # nothing will make it known
        if self._waiting or next(iter(self._open), poll.sent) < poll.sent:  # they are in the order of sending
            return False
        return not self._lost or self._settled >= poll.sent

    def _judge(self, poll: Poll) -> None:
        history = self._history
        if history is None:
            self.tally.unchecked += poll.times
            return
        low = bisect_left(self._boundaries, self._floors[poll.ended])
        high = bisect_right(self._boundaries, self._boundaries[0] + self._sizes[poll.sent])
        states = self._boundaries[low:high]
        if len(states) == 1 and self._confirmed.get(poll.k) == (states[0], poll.body):
            self.tally.right += poll.times
            return
        found = read_statistics(poll.body) if poll.status == HTTPStatus.OK else None
        checked = True
        wanted = None
        for count in states:
            if count == 0:
                if poll.status == HTTPStatus.NOT_FOUND:
                    break
                continue
            statistics = history.statistics(count, poll.k)
            if statistics is None:
                checked = False
            elif found is not None and not mismatches(found, statistics):
                self._confirmed[poll.k] = count, poll.body
                break
            else:
                wanted = count, statistics
        else:
            if states and checked:
                self._wrong(poll, found, wanted)
            else:
                self.tally.unchecked += poll.times
            return
        self.tally.right += poll.times

    def _wrong(self, poll: Poll, found: Statistics | None, wanted: tuple[int, Statistics] | None) -> None:
        history = self._history
        count, statistics = wanted or (0, None)
        self.tally.wrong += poll.times
        self.mistakes.append(
            Mistake(
                request=f"GET /stats/?symbol={self.symbol}&k={poll.k}",
                count=count,
                batches=max(0, bisect_left(self._boundaries, count)),
                expected=_spelled(statistics) if statistics else "404, since it holds no price yet",
                got=_spelled(found) if found else f"{poll.status} {_short(poll.body)}",
                wrong=tuple(mismatches(found, statistics)) if found and statistics else ("status",),
                k=poll.k,
                newest=tuple(history.newest(count, 10)) if history else (),
            )
        )


def _choices(lost: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """Every choice of the newest lost batches, none of them among the choices; each in the order of sending."""
    newest = sorted(lost)[-MOST_LOST:]
    return chain.from_iterable(combinations(newest, number) for number in range(len(newest) + 1))


def _spelled(statistics: Statistics) -> str:
    """Every number with the digits that give it back."""
    return ", ".join(f"{name} {value!r}" for name, value in statistics._asdict().items())


def _short(body: bytes) -> str:
    return body[:200].decode(errors="replace")
