from __future__ import annotations

from hypothesis import given, note
from hypothesis import strategies as st

from tests.service.fuzz.conversation import LATEST, ask
from tests.service.fuzz.documents import BODIES, MAX_BATCH, MAX_BODY
from tests.service.fuzz.effort import bounded, done
from tests.service.fuzz.reader import Refusal, read
from tests.service.fuzz.state import State
from tests.service.fuzz.streams import CUTS, cut
from tests.support.process import Forked
from tests.support.sockets import Wire


@bounded(250)
@given(body=BODIES, cuts=CUTS, chunked=st.booleans())
def test_any_body_gets_what_it_deserves_chunked_or_with_content_length(
    service: Forked, body: bytes, cuts: list[int], chunked: bool
) -> None:
    """Whatever the body: the status that the rules ask for, the prices or nothing appended, the next request served."""
    done["examples"] += 1
    parts = cut(body, cuts)
    state = State(service)
    batch = Refusal(413) if len(body) > MAX_BODY else read(body, MAX_BATCH)
    note(f"{body!r} in {len(parts)} parts is {batch}")
    with Wire(service.port, seconds=LATEST) as wire:
        answer = ask(wire, "POST", "/add_batch/", parts, in_chunks=chunked)
        assert answer.status == state.expected(batch), answer
        if isinstance(batch, Refusal):
            pointers = {error["pointer"] for error in answer.document.get("errors", [])}
            assert pointers <= batch.pointers
            assert bool(pointers) == bool(batch.pointers)
        elif answer.status == 200:
            state.apply(answer, batch)
        state.check()
        assert answer.closes == (answer.status == 413)
        if not answer.closes:
            state.check_served(wire)
    with Wire(service.port, seconds=LATEST) as wire:
        state.check_served(wire)
    state.check()
