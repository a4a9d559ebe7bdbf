from __future__ import annotations

from hypothesis import given, note

from tests.service.fuzz.conversation import LATEST, exchange
from tests.service.fuzz.documents import MAX_BATCH
from tests.service.fuzz.effort import bounded, done
from tests.service.fuzz.reader import Refusal, read
from tests.service.fuzz.state import State
from tests.service.fuzz.streams import CUTS, LAST, STREAMS, cut, understood
from tests.support.process import Forked
from tests.support.sockets import Wire


@bounded(250)
@given(stream=STREAMS, cuts=CUTS)
def test_any_stream_of_bytes_is_answered_pipelining_and_smuggling(
    service: Forked, stream: bytes, cuts: list[int]
) -> None:
    """Whatever the bytes: well-formed answers, none of them a 5xx, an end, and no request that h11 would not see."""
    done["examples"] += 1
    stream += LAST
    state = State(service)
    found = exchange(service.port, cut(stream, cuts), heads=b"HEAD" in stream.upper())
    note(f"received {found}")
    requests, reason = understood(stream)
    note(f"h11: {requests} {reason!r}")
    for number, answer in enumerate(found):
        if answer.status not in (200, 204):
            continue
        if "Host:" in reason and number >= len(requests):  # h11 insists on a host, which changes nothing here
            return
        assert number < len(requests), f"answered {answer}, where h11 says {reason!r}"
        request = requests[number]
        if answer.status == 204:
            assert (request.method, request.target) == (b"DELETE", b"/symbols/B")
            del state.prices["B"]
        elif answer.document is not None and "added" in answer.document:
            assert request.method == b"POST"
            batch = read(request.body, MAX_BATCH)
            assert not isinstance(batch, Refusal), "accepted what is no batch"
            state.apply(answer, batch)
    state.check()
    with Wire(service.port, seconds=LATEST) as wire:
        state.check_served(wire)
