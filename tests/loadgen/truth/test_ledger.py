from __future__ import annotations

import numpy as np
import orjson
import pytest

from loadgen.prices import Prices
from loadgen.truth.ledger import CUT, GIVEN_UP, Ledger, Poll, Tally
from tests.loadgen.servers import statistics


def batch(number: int, size: int = 20) -> Prices:
    return np.random.default_rng(number).normal(100, 1, size)


def receipt(size: int, count: int) -> bytes:
    return orjson.dumps({"symbol": "A", "added": size, "count": count})


def answer(*batches: Prices, k: int = 2) -> bytes:
    return orjson.dumps(statistics(np.concatenate(batches), 10**k))


def poll(ended: int, sent: int, *batches: Prices, k: int = 2) -> Poll:
    return Poll(k, ended, sent, 200, answer(*batches, k=k))


def ledger_of(*batches: Prices, start: int | None = 0) -> Ledger:
    """With these about to be sent."""
    ledger = Ledger("A", 10_000, start)
    for seq, prices in enumerate(batches):
        ledger.prepared(seq, prices)
    return ledger


A, B, C = batch(1), batch(2), batch(3)


def test_an_answer_must_be_that_of_the_acknowledged_state() -> None:
    """Where nothing overlaps, exactly one state will do: neither the one before nor the one after."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.answered(poll(1, 1, A))
    ledger.ended(1, 2, 200, receipt(20, 40))
    ledger.answered(poll(2, 2, A, B))
    assert ledger.tally == Tally(right=2)
    ledger.answered(poll(2, 2, A))
    assert ledger.tally == Tally(right=2, wrong=1)
    (mistake,) = ledger.mistakes
    assert (mistake.count, mistake.batches, mistake.k) == (40, 2, 2)
    assert mistake.newest == tuple(B[-10:].tolist())


def test_a_symbol_without_prices_is_unknown() -> None:
    """404 is right before the first batch was taken, and wrong after it was acknowledged; 200 is wrong before."""
    ledger = ledger_of(A)
    ledger.answered(Poll(1, 0, 0, 404, b""))
    assert ledger.tally == Tally(right=1)
    ledger.answered(Poll(1, 0, 0, 200, answer(A, k=1)))
    assert ledger.tally == Tally(right=1, wrong=1)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.answered(Poll(1, 1, 1, 404, b""))
    assert ledger.tally == Tally(right=1, wrong=2)


def test_an_overlapping_answer_may_be_any_boundary_in_its_range() -> None:
    """Sent when one batch was acknowledged and answered when two were on their way: either state, and no other."""
    for states, tally in (((A,), Tally(right=1)), ((A, B), Tally(right=1)), ((A, B, C), Tally(wrong=1))):
        ledger = ledger_of(A, B, C)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.answered(poll(1, 2, *states))
        assert ledger.tally == Tally()  # not before the second receipt
        ledger.ended(1, 2, 200, receipt(20, 40))
        ledger.ended(2, 3, 200, receipt(20, 60))
        assert ledger.tally == tally


def test_half_a_batch_is_no_boundary() -> None:
    """An answer from the middle of a batch is wrong, though all its prices had been sent."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.answered(poll(1, 2, A, B[:10]))
    ledger.ended(1, 2, 200, receipt(20, 40))
    assert ledger.tally == Tally(wrong=1)


def test_receipts_tell_the_order_of_overlapping_batches() -> None:
    """Two batches in flight are put in the order of their receipts' counts, whichever answer came first."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 2, 200, receipt(20, 40))
    ledger.ended(1, 2, 200, receipt(20, 20))
    ledger.answered(poll(2, 2, B, A))
    ledger.answered(poll(2, 2, A, B))
    assert ledger.tally == Tally(right=1, wrong=1)


def test_a_lost_answer_is_settled_by_the_next_receipt() -> None:
    """Nobody knows whether a batch was taken whose answer was lost; the next receipt's count tells."""
    for taken in (True, False):
        ledger = ledger_of(A, B, C)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.ended(1, 2, 0, b"")
        held = (A, B) if taken else (A,)
        ledger.answered(poll(2, 2, *held))
        assert ledger.tally == Tally()
        ledger.ended(2, 3, 200, receipt(20, 20 * len(held) + 20))
        ledger.answered(poll(3, 3, *held, C))
        ledger.close()
        assert ledger.tally == Tally(right=2)


def test_a_lost_answer_that_is_never_settled_leaves_polls_unchecked() -> None:
    """Without a later receipt, what was answered meanwhile is counted as unchecked, not as right."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.ended(1, 2, 0, b"")
    ledger.answered(poll(2, 2, A))
    ledger.close()
    assert ledger.tally == Tally(unchecked=1)


def test_a_lost_batch_is_taken_whole_or_not_at_all() -> None:
    """A count that leaves room for half of a lost batch, or for two of it, is a mistake."""
    for room in (10, 40):
        ledger = ledger_of(A, B, C)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.ended(1, 2, CUT, b"")
        ledger.ended(2, 3, 200, receipt(20, 20 + room + 20))
        assert ledger.tally == Tally(wrong=1)


@pytest.mark.parametrize(("lost", "tally"), [(CUT, Tally(wrong=1)), (GIVEN_UP, Tally())], ids=["cut", "given up"])
def test_a_batch_that_comes_after_one_that_was_sent_later(lost: int, tally: Tally) -> None:
    """Of one that was cut that is a mistake; one whose client lost patience the service may take long after."""
    ledger = ledger_of(A, B, C)
    ledger.ended(0, 1, lost, b"")
    ledger.ended(1, 2, 200, receipt(20, 20))
    ledger.ended(2, 3, 200, receipt(20, 60))
    assert ledger.tally == tally


def test_several_lost_batches_are_told_apart_by_their_sizes() -> None:
    """Of batches that were cut in a row, those that fill the room were taken; where more choices do, nobody knows."""
    sizes = batch(4, 7), batch(5, 11), batch(6, 13)
    ledger = ledger_of(*sizes, C)
    for seq in range(3):
        ledger.ended(seq, seq + 1, CUT, b"")
    ledger.ended(3, 4, 200, receipt(20, 7 + 13 + 20))
    ledger.answered(poll(4, 4, sizes[0], sizes[2], C))
    assert ledger.tally == Tally(right=1)
    ledger = ledger_of(A, B, C)
    ledger.ended(0, 1, CUT, b"")
    ledger.ended(1, 2, CUT, b"")
    ledger.ended(2, 3, 200, receipt(20, 40))
    ledger.answered(poll(3, 3, B, C))
    ledger.answered(poll(3, 3, C, k=1))
    assert ledger.tally == Tally(right=1, unchecked=1)


def test_what_may_be_there_in_the_end_is_every_choice_of_what_is_in_doubt() -> None:
    """One state where all was answered; with the last batch in doubt, one with it and one without."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.ended(1, 2, CUT, b"")
    without, taken = ledger.endings([1])
    assert (without.total, taken.total) == (20, 40)
    for ending, last in ((without, A[-1]), (taken, B[-1])):
        assert [statistics.last for statistics in ending.windows.values() if statistics] == [last]


def test_a_refused_batch_was_not_taken() -> None:
    """After an answer such as 503 the state must be the one before."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.ended(1, 2, 503, b"{}")
    ledger.answered(poll(2, 2, A))
    assert ledger.tally == Tally(right=1)


def test_an_acknowledged_batch_that_is_missing_from_the_next_count_is_a_mistake() -> None:
    """A count that leaves no room for what was acknowledged before shows that it was dropped."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.ended(1, 2, 200, receipt(20, 20))
    assert ledger.tally == Tally(wrong=1)
    assert ledger.mistakes[0].wrong == ("count",)


def test_a_count_that_leaves_too_much_room_is_a_mistake() -> None:
    """Prices that nobody sent are in the symbol: somebody else writes, or a batch was taken twice."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 200, receipt(20, 20))
    ledger.ended(1, 2, 200, receipt(20, 60))
    assert ledger.tally == Tally(wrong=1)


def test_a_receipt_for_something_else_is_a_mistake() -> None:
    """Another symbol, another number of prices, or no receipt at all."""
    for body in (b'{"symbol":"B","added":20,"count":20}', receipt(19, 19), b"ok", b"[]", b'{"symbol":"A"}'):
        ledger = ledger_of(A)
        ledger.ended(0, 1, 200, body)
        assert ledger.tally == Tally(wrong=1)


def test_an_unknown_start_is_learnt_from_the_first_receipt() -> None:
    """With prices of others in the symbol, only windows that this run filled are checked; the rest is counted."""
    ledger = ledger_of(A, B, start=None)
    ledger.answered(Poll(1, 0, 0, 200, b"{}"))
    ledger.ended(0, 1, 200, receipt(20, 1_020))
    ledger.answered(poll(1, 1, A, k=1))
    ledger.answered(poll(1, 1, A, k=2))
    ledger.ended(1, 2, 200, receipt(20, 1_040))
    ledger.answered(poll(2, 2, A, B, k=1))
    ledger.close()
    assert ledger.tally == Tally(right=2, unchecked=2)


def test_what_is_no_statistics_is_wrong() -> None:
    """Where a number is missing or quoted there is no answer."""
    for body in (b"", b"{}", b'{"min":1,"max":1,"last":1,"avg":1}', b'{"min":"1","max":1,"last":1,"avg":1,"var":0}'):
        ledger = ledger_of(A)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.answered(Poll(1, 1, 1, 200, body))
        assert ledger.tally == Tally(wrong=1)


def refusal(count: int) -> bytes:
    return orjson.dumps({"status": 412, "count": count})


def test_a_412_with_a_count_at_the_end_of_the_batch_is_a_receipt() -> None:
    """Its answer was lost, it was sent again, and had arrived: what follows is judged as if it had been answered."""
    ledger = ledger_of(A, B)
    ledger.ended(0, 1, 412, refusal(20))
    ledger.answered(poll(1, 1, A))
    ledger.ended(1, 2, 200, receipt(20, 40))
    ledger.answered(poll(2, 2, A, B))
    assert ledger.tally == Tally(right=2)


def test_any_other_412_is_wrong() -> None:
    """A count at which the batch fits, in its middle, beyond its end, or none."""
    for count in (20, 30, 60, None):
        ledger = ledger_of(A, B)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.ended(1, 2, 412, b"{}" if count is None else refusal(count))
        assert ledger.tally == Tally(wrong=1)
        assert ledger.mistakes[0].expected == "to be taken, or 412 with a count of 40"


def test_a_412_behind_a_refused_batch_tells_what_is_in() -> None:
    """Where an earlier batch was refused, no later one fits: 412 with the count of those before is right."""
    for count, tally in ((20, Tally()), (40, Tally(wrong=1))):
        ledger = ledger_of(A, B, C)
        ledger.ended(0, 1, 200, receipt(20, 20))
        ledger.ended(1, 2, 422, b"{}")
        ledger.ended(2, 3, 412, refusal(count))
        assert ledger.tally == tally
